//! What clients ask that changes something or needs the disk first, and the answers.
//!
//! Everything that only reads (MASTERS, CKQUORUM, INFO ...) is in `read`, and needs no event. The invariant: each request
//! gets exactly one answer. Until then the driver holds back what the same client sends after it.

use types::Secret;

/// A client's request, named by the driver. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// PUBLISH __sentinel__:hello <payload>.
    Hello {
        payload: String,
    },
    /// SENTINEL IS-MASTER-DOWN-BY-ADDR. `candidate`: "*" when no vote is wanted.
    IsMasterDown {
        host: String,
        port: u16,
        epoch: u64,
        candidate: String,
    },
    /// SENTINEL FAILOVER <name> [<option>]; the option as it was written: COORDINATED (Valkey 9), FORCE (ours, native masters).
    Failover {
        master: String,
        option: Option<String>,
    },
    /// SENTINEL MONITOR; port and quorum as they were written.
    Monitor {
        master: String,
        host: String,
        port: String,
        quorum: String,
    },
    Remove {
        master: String,
    },
    /// SENTINEL RESET <pattern>.
    Reset {
        pattern: String,
    },
    /// SENTINEL SET <name> <arguments...>. `executable`: those of the arguments that name a file which may be executed; the
    /// driver looks at the values of notification-script and client-reconfig-script.
    Set {
        master: String,
        arguments: Vec<String>,
        executable: Vec<String>,
    },
    /// SENTINEL CONFIG SET <arguments...>. `loglevel` is checked here; the driver applies it when the answer is OK.
    ConfigSet {
        arguments: Vec<String>,
    },
    FlushConfig,
    /// SENTINEL SIMULATE-FAILURE <arguments...>, without HELP.
    SimulateFailure {
        arguments: Vec<String>,
    },
    /// SENTINEL DEBUG <arguments...>, with at least one.
    Debug {
        arguments: Vec<String>,
    },
    /// The server's own password changed (CONFIG is not there in sentinel mode; a reload of the file is).
    OwnPassword {
        password: Option<Secret>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Integer(i64),
    /// The whole error line without the leading minus: `ERR No such master with that name`.
    Error(String),
    /// Three elements: down, leader ("*" when there is none), epoch of the vote.
    MasterDown {
        down: bool,
        leader: Option<String>,
        epoch: u64,
    },
}

impl Answer {
    /// An error of the general kind, as Redis writes those.
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::Error(format!("ERR {}", text.as_ref()))
    }

    pub fn no_such_master() -> Self {
        Self::error("No such master with that name")
    }
}
