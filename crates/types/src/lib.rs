//! Names for the quantities and identities that every part of Quorate speaks of.
//!
//! Deliberately no behaviour beyond parsing, printing and arithmetic that cannot overflow. The invariant: a value of
//! one of these types is well-formed, so nobody checks it a second time.

mod identity;
mod lsn;
mod network;
mod secret;
mod time;

pub use identity::{LeaseId, MemberName, Revision, Scope, SystemId, Timeline};
pub use lsn::{Lsn, LsnParseError};
pub use network::{Network, NotANetwork};
pub use secret::Secret;
pub use time::Millis;
