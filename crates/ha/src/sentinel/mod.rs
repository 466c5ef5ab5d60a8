//! Redis Sentinel's state machine: what a Sentinel knows, decides and says. `Sentinel::handle` takes one event at a time and
//! returns what is to be done.
//!
//! Deliberately no sockets, files, clock or chance of its own; and no code of Redis or Valkey, only their protocol (facts from
//! redis 7.2 and Valkey's `src/sentinel.c`). The invariants: a vote, and the epoch of an own candidacy, is on the disk
//! before anybody hears of it; nothing is decided in TILT; the same events give the same effects.
//!
//! The map. Types: `event`, `effect`, `request`, `configuration` (with `directives`), `settings`, `master`, `node`, `peer`,
//! `flags`, `address`. For readers: `read`. Rules, a file each: `link`, `periodic`, `down`, `ask`, `vote`, `election`, `select`,
//! `failover`, `promotion`, `reconf`, `transaction`, `native`, `supervised`, `info`, `roles`, `hello`, `switch`, `tilt`, `scripts`,
//! `admin`, `set`, `config_set`.
//! Machinery: `dispatcher`, `check` (one look at one master), `core` (what all masters share), `timers`, `saves`,
//! `names`, `random`, `publish`, `glob`.
//!
//! Where it differs from Sentinel, on purpose:
//! - `+switch-master` is published, and the promoted replica becomes the master here, as soon as its INFO says that it is one;
//!   Sentinel's leader waits until the other replicas are reconfigured, and is often the last to tell. From that moment
//!   GET-MASTER-ADDR-BY-NAME answers the same as Sentinel's; SENTINEL MASTER shows the new address without `o_down`.
//! - The old master, if it is reachable, is told to follow at once, not after eight seconds.
//! - News is acted on when it arrives, not at the next of ten ticks a second.
//! - A vote that could not be saved is not given.
//! - TILT looks at how late a timer is on a clock that does not jump.

pub mod address;
pub mod configuration;
pub mod directives;
pub mod effect;
pub mod event;
pub mod flags;
pub mod glob;
pub mod master;
pub mod node;
pub mod peer;
pub mod read;
pub mod request;
pub mod settings;

mod admin;
mod ask;
mod check;
mod config_set;
mod core;
mod dispatcher;
mod down;
mod election;
mod failover;
mod hello;
mod info;
mod link;
mod names;
mod native;
mod periodic;
mod promotion;
mod publish;
mod random;
mod reconf;
mod roles;
mod saves;
mod scripts;
mod select;

mod set;
mod supervised;
mod switch;
mod tilt;
mod timers;
mod transaction;
mod vote;

pub use address::Address;
pub use configuration::{Configuration, MasterConfiguration};
pub use directives::{Directive, DirectiveError};
pub use dispatcher::{Local, Sentinel};
pub use effect::{Command, Effect, Level, LinkKind, Manner};
pub use event::{Event, LinkEnd, LinkId, MasterId, Reply, ScriptEnd, ScriptId, Tag};
pub use flags::Flags;
pub use hello::EPOCH_MAX;
pub use master::{FailoverState, Master, Mode};
pub use node::{Node, Role};
pub use peer::Peer;
pub use request::{Answer, Request, Token};
pub use settings::{GlobalSettings, MasterSettings, Periods};
pub use types::Secret;

/// Where hello messages go.
pub const HELLO_CHANNEL: &str = "__sentinel__:hello";

#[cfg(test)]
mod tests;
