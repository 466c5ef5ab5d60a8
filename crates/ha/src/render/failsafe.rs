//! The words for what failsafe mode forbids, the same for PostgreSQL and Redis.

use std::fmt;
use types::MemberName;

pub(super) const JUST_STARTED: &str = "its agent has just started and may have promised, before, not to take over (failsafe mode); that is over in a moment";
pub(super) const NOT_LISTED: &str = "the last leader has not listed it in failsafe mode, and may still accept writes; if that \
     one and all that are listed are gone for good, delete the key failsafe of the scope from the store";

pub(super) fn promised(f: &mut fmt::Formatter<'_>, to: &MemberName) -> fmt::Result {
    write!(f, "it promised {to}, which could not reach the store, not to take over for a moment (failsafe mode)")
}
