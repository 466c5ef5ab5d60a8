//! The words for what would happen.

use super::{join, list};
use crate::foresight::{AfterPostgres, AfterRedis, AfterStore, Loss, LossReason};
use std::fmt;

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPostgres => f.write_str("There is no PostgreSQL in this cluster yet."),
            Self::NobodyServes => f.write_str("Nobody can write now: there is no primary."),
            Self::NoSuccessor { leader } => {
                write!(f, "Everything hangs on {leader}: if it is lost, nobody may take over, and writes stop.")
            }
            Self::LastCommits { leader, successor, bytes: 0 } => write!(
                f,
                "The commits of the last moment: if {leader} is lost, {successor} takes over and may lack what {leader} \
                 acknowledged before {successor} had it."
            ),
            Self::LastCommits { leader, successor, bytes } => write!(
                f,
                "About {} of commits: if {leader} is lost, {successor} takes over, and it was that far behind when it \
                 last told.",
                Size(*bytes)
            ),
            Self::Nothing { leader, standbys } => write!(
                f,
                "Nothing that was acknowledged: no commit on {leader} is confirmed before {} has it too.",
                join(standbys)
            ),
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommitsWait { standbys } => write!(f, "commits wait for {} (synchronous_mode)", join(standbys)),
            Self::Asynchronous => f.write_str("commits do not wait for a replica (synchronous_mode is off)"),
            Self::NoStandby { strict: true } => {
                f.write_str("synchronous_mode is on and strict, and no replica is synchronous: commits wait")
            }
            Self::NoStandby { strict: false } => {
                f.write_str("synchronous_mode is on, but no replica is synchronous now, so commits do not wait")
            }
            Self::Behind { member, bytes } => write!(f, "{member} was {} behind when it last told", Size(*bytes)),
            Self::CannotTakeOver { member, why } => write!(f, "{member} cannot take over: {}", list(why)),
            Self::NoOtherMember => f.write_str("there is no other member with PostgreSQL"),
            Self::Paused => f.write_str("the cluster is paused: nobody takes over by itself"),
            Self::Voters { total, spare } => {
                write!(f, "all {total} voters of the store are there; {}", Spare(*spare))
            }
            Self::VotersAbsent { absent, spare } => {
                write!(f, "of the store's voters {} cannot be seen; {}", join(absent), Spare(*spare))
            }
            Self::Redis { group, successor: Some(name) } => write!(
                f,
                "Redis '{group}' does not wait for its replicas: {name} would take over and may lack the last writes"
            ),
            Self::Redis { group, successor: None } => {
                write!(f, "nobody could take over from the master of Redis '{group}'")
            }
        }
    }
}

impl fmt::Display for AfterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConcerned => f.write_str("The store is not concerned."),
            Self::GoesOn { spare } => write!(f, "The store keeps its majority; of its voters then {}.", Spare(*spare)),
            Self::Stops => f.write_str("The store loses its majority: nothing can be decided any more."),
        }
    }
}

impl fmt::Display for AfterPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere => f.write_str("It has no PostgreSQL."),
            Self::NobodyLeads => f.write_str("Nobody leads now; that would not change by itself."),
            Self::GoesOn => f.write_str("Writes go on without a pause."),
            Self::OtherStandby { name } => {
                write!(f, "Writes pause until {name} is the synchronous standby in its place, then go on.")
            }
            Self::CommitsWait => f.write_str(
                "Writes wait until there is a synchronous standby again, because synchronous_mode_strict is on.",
            ),
            Self::NoLongerCovered => {
                f.write_str("Writes go on, but from then on only the primary has them for certain.")
            }
            Self::TakenOver { by, covered: true, .. } => {
                write!(f, "{by} takes over, and it has every acknowledged commit.")
            }
            Self::TakenOver { by, covered: false, bytes: 0 } => {
                write!(f, "{by} takes over; commits of the last moment may be lost.")
            }
            Self::TakenOver { by, covered: false, bytes } => {
                write!(f, "{by} takes over; it was {} behind when it last told, and that is lost.", Size(*bytes))
            }
            Self::Paused => f.write_str("Nobody takes over, because the cluster is paused; writes stop."),
            Self::NobodyTakesOver { why } if why.is_empty() => {
                f.write_str("Nobody takes over, because there is no other member; writes stop.")
            }
            Self::NobodyTakesOver { why } => {
                let each: Vec<String> = why.iter().map(|(name, why)| format!("{name}: {}", list(why))).collect();
                write!(f, "Nobody takes over, and writes stop ({}).", each.join("; "))
            }
            Self::Fenced => f.write_str("PostgreSQL is ended wherever it is a primary, and writes stop."),
        }
    }
}

impl fmt::Display for AfterRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoesOn => f.write_str("writes go on"),
            Self::TakenOver { by } => write!(f, "{by} becomes the master; writes of the last moment may be lost"),
            Self::NobodyTakesOver => f.write_str("nobody can become the master, and writes stop"),
            Self::NobodyLeads => f.write_str("there is no master now"),
            Self::Paused => f.write_str("nobody becomes the master, because the cluster is paused"),
            Self::Fenced => f.write_str("the master is ended with the store's majority"),
        }
    }
}

struct Spare(usize);

impl fmt::Display for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none may fail"),
            1 => f.write_str("one may fail"),
            more => write!(f, "{more} may fail"),
        }
    }
}

/// Bytes for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEPS: [(u64, &str); 3] = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
        match STEPS.into_iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / size as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}
