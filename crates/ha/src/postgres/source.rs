//! Whom a server follows, is copied from or is compared with: a member, or the remote primary of a standby cluster.
//!
//! The invariant: two sources are equal only when a server that follows the one need not be told to follow the other.

use crate::config::StandbyCluster;
use std::fmt;
use types::MemberName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Member(MemberName),
    Remote(Box<StandbyCluster>),
}

impl Source {
    pub fn remote(remote: &StandbyCluster) -> Self {
        Self::Remote(Box::new(remote.clone()))
    }
}

impl From<&MemberName> for Source {
    fn from(name: &MemberName) -> Self {
        Self::Member(name.clone())
    }
}

impl From<&str> for Source {
    fn from(name: &str) -> Self {
        Self::Member(name.into())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => name.fmt(f),
            Self::Remote(remote) => write!(f, "the remote primary {remote}"),
        }
    }
}
