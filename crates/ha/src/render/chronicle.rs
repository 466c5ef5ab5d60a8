//! The words for what happened.

use super::join;
use crate::chronicle::Happening;
use std::fmt;

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderTook { name, epoch } => write!(f, "{name} took the leader key (revision {epoch})"),
            Self::LeaderGone { name } => write!(f, "{name} no longer holds the leader key"),
            Self::Writable { name, timeline: Some(timeline) } => {
                write!(f, "{name} accepts writes, on timeline {timeline}")
            }
            Self::Writable { name, timeline: None } => write!(f, "{name} accepts writes"),
            Self::MemberCame { name } => write!(f, "{name} is there"),
            Self::MemberGone { name } => write!(f, "{name} is gone: its lease ran out, or it stopped"),
            Self::State { name, state } => write!(f, "PostgreSQL on {name}: {}", state.as_str()),
            Self::Streaming { name, streams: true } => write!(f, "{name} streams from the leader"),
            Self::Streaming { name, streams: false } => write!(f, "{name} does not stream from the leader"),
            Self::Synchronous { standbys } if standbys.is_empty() => f.write_str("no replica is synchronous"),
            Self::Synchronous { standbys } => write!(f, "commits wait for {}", join(standbys)),
            Self::Paused(true) => f.write_str("the cluster was paused"),
            Self::Paused(false) => f.write_str("the pause ended"),
            Self::Configured => f.write_str("the configuration was changed"),
            Self::SwitchoverAsked { to: Some(name), at: None } => write!(f, "{name} was asked to take over"),
            Self::SwitchoverAsked { to: None, at: None } => f.write_str("a switchover was asked for"),
            Self::SwitchoverAsked { to: Some(name), at: Some(at) } => {
                write!(f, "a switchover to {name} was scheduled for {at}")
            }
            Self::SwitchoverAsked { to: None, at: Some(at) } => write!(f, "a switchover was scheduled for {at}"),
            Self::SwitchoverOver => f.write_str("the request for a switchover is fulfilled or withdrawn"),
            Self::AddressMoved { address, to: Some(name) } => write!(f, "{address} is on {name}"),
            Self::AddressMoved { address, to: None } => write!(f, "{address} is on nobody"),
            Self::RedisMaster { group, name: Some(name) } => write!(f, "{name} is the master of Redis '{group}'"),
            Self::RedisMaster { group, name: None } => write!(f, "Redis '{group}' has no master"),
        }
    }
}
