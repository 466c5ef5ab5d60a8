//! The words of the reasons about virtual addresses.

use crate::vip::VipReason;
use std::fmt;

impl fmt::Display for VipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("this member has the role, and the address"),
            Self::Setting => f.write_str("this member has the role, and the address is being set"),
            Self::RoleElsewhere => f.write_str("this member has not the role"),
            Self::Removing => f.write_str("this member gives the role up, and the address is being removed"),
            Self::RoleUnknown => f.write_str("this member cannot say yet whether it has the role"),
            Self::LeaseOver => f.write_str("this member's lease is not renewed, so the address is left"),
            Self::Refused { why } => write!(f, "the system refuses: {why}"),
        }
    }
}
