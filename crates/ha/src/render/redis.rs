//! The words for reasons about Redis.

use super::failsafe;
use crate::redis::{Obstacle, Reason};
use std::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leading { epoch } => {
                write!(f, "it holds the leader key (since revision {epoch}) and Redis accepts writes")
            }
            Self::Following { leader } => write!(f, "it follows {leader}"),
            Self::NotReadyYet => f.write_str("the agent has not seen the store, the guard and Redis yet"),
            Self::JobRunning { what, .. } => write!(f, "{what} is under way"),
            Self::JobFailed { what, why } => write!(f, "{what} failed: {why}"),
            Self::RetryLater { what, .. } => write!(f, "{what} failed and is tried again later"),
            Self::Paused => f.write_str("the cluster is paused: nothing is done by itself (quorate resume ends it)"),
            Self::Stopping => f.write_str("the agent is stopping"),
            Self::StoreUnreachable { leading: true } => {
                f.write_str("the store cannot be reached; Redis stays the master until its lease runs out")
            }
            Self::StoreUnreachable { leading: false } => f.write_str("the store cannot be reached"),
            Self::NoLease => f.write_str("this member has no lease in the store yet"),
            Self::NoLeaderSince { .. } => f.write_str("there is no leader"),
            Self::FirstMaster => f.write_str("the group has had no master yet"),
            Self::AmBestCandidate { offset } => {
                write!(f, "no candidate has more of the replication stream (it has {offset} bytes)")
            }
            Self::AmRequestedCandidate => f.write_str("it was asked to take over"),
            Self::BetterCandidate { name, offset, mine } => {
                write!(f, "{name} is the better candidate (it has {offset} bytes of the stream, here are {mine})")
            }
            Self::WaitingForReport { name } => write!(f, "{name} has not said yet how much it has"),
            Self::WaitingForCandidate { name } => write!(f, "{name} was asked to take over"),
            Self::WaitingForData { .. } => {
                f.write_str("there is no data here, and a member that has some may still come back")
            }
            Self::WaitingForNewer { .. } => {
                f.write_str("the data here are older than another member's, which may still come back")
            }
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::LeadingUnseen { epoch } => write!(
                f,
                "it holds the leader key (since revision {epoch}); whether Redis accepts writes its agent cannot see"
            ),
            Self::Promoting => f.write_str("it has the leader key and is being promoted"),
            Self::GuardNotArmed => f.write_str("the guard has not confirmed the end of the lease yet"),
            Self::LeadershipOfBefore => f.write_str(
                "the agent was started again in the middle of its leadership; it is given up rather than taken on unseen",
            ),
            Self::Exited { candidate: Some(name) } => {
                write!(f, "Redis ended; the leadership is given up, because {name} is in sync")
            }
            Self::Exited { candidate: None } => {
                f.write_str("Redis ended, and nobody who is in sync could take over")
            }
            Self::RestartingInPlace { .. } => f.write_str("Redis is started again in place"),
            Self::RestartFailed => f.write_str("Redis did not come back; the leadership is given up"),
            Self::AddressesLeave => {
                f.write_str("the virtual addresses are being removed here before the leadership passes")
            }
            Self::Unresponsive { .. } => f.write_str("Redis runs and does not answer"),
            Self::Hanging { .. } => f.write_str("Redis hangs; it is ended, so that another member can take over"),
            Self::GivesWayToData { name } => {
                write!(f, "there is no data here, and {name} has some; the leadership is left to it")
            }
            Self::LostItsData => {
                f.write_str("Redis came back without its data; the leadership is left to whoever has them")
            }
            Self::SwitchoverUnderway { candidate, step } => {
                write!(f, "a switchover to {candidate} is under way: {step}")
            }
            Self::SwitchoverImpossible { candidate: Some(name), why } => {
                write!(f, "{name} cannot take over: {}", list(why))
            }
            Self::SwitchoverImpossible { candidate: None, why } => write!(f, "no member can take over: {}", list(why)),
            Self::SwitchoverAborted { candidate, why } => {
                write!(f, "the switchover to {candidate} was given up, and nothing was lost: {why}")
            }
            Self::HandedOver { candidate } => write!(f, "the leadership passes to {candidate}"),
            Self::GivenUp => f.write_str("the leadership was given up"),
            Self::Trouble { why } => f.write_str(why),
            Self::AnotherLeads { leader } => {
                write!(f, "{leader} holds the leader key; Redis must not be a master here")
            }
            Self::LeaderNotReady { leader } => {
                write!(f, "{leader} holds the leader key and does not accept writes yet")
            }
            Self::LinkDown { leader } => write!(f, "its link to {leader} is down, or the first synchronization runs"),
            Self::WouldBeEmptied { leader, keys } => write!(
                f,
                "{leader} began without data; following it would delete the {keys} keys here (allow it with quorate redis overwrite)"
            ),
            Self::MasterWithoutKey => f.write_str("Redis is a master without the leader key; it is made a replica"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMember => f.write_str("it is not a live member of the group"),
            Self::NoFailover => f.write_str("it must not lead (tag nofailover or failover_priority 0)"),
            Self::NotRunning { state } => write!(f, "its Redis is not running ({state})"),
            Self::Trouble { why } => f.write_str(why),
            Self::NotInSync => f.write_str("its link to the master is not up"),
            Self::Lagging { bytes, max } => write!(f, "it is {bytes} bytes behind (at most {max} are allowed)"),
            Self::Empty { has_data } => write!(f, "it has no data, and {has_data} has some"),
            Self::Claimed { by } => write!(f, "{by} may still be accepting writes"),
            Self::IsLeader => f.write_str("it already leads"),
            Self::Promised { to } => failsafe::promised(f, to),
            Self::JustStarted => f.write_str(failsafe::JUST_STARTED),
            Self::NotInFailsafe => f.write_str(failsafe::NOT_LISTED),
        }
    }
}

fn list(obstacles: &[Obstacle]) -> String {
    let texts: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "there is no other member".to_owned() } else { texts.join("; ") }
}
