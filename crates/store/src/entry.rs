//! What one entry of the log says: who asked for which change, and when by the store's clock.

use crate::MemberId;
use kv::Command;
use serde::{Deserialize, Serialize};
use types::Millis;

/// Names a write for its whole life: the member that took it, that member's run, and a number within the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WriteId {
    pub origin: MemberId,
    pub incarnation: u64,
    pub sequence: u64,
}

/// The first field's position tells versions apart should the format ever change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    Command {
        id: WriteId,
        /// By the clock of the leader that appended it. Never less than that of any entry before.
        at: Millis,
        command: Command,
    },
}

impl Entry {
    pub fn encode(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }

    pub fn decode(data: &[u8]) -> Option<Self> {
        postcard::from_bytes(data).ok()
    }
}
