//! The only place that turns a reason into words.

mod chronicle;
mod failsafe;
mod foresight;
mod redis;
mod vip;

use crate::lease::Withhold;
use crate::reason::{Obstacle, Reason};
use std::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leading { epoch } => {
                write!(f, "it holds the leader key (taken at revision {epoch}) and PostgreSQL accepts writes")
            }
            Self::LeadingStandby { epoch, remote } => write!(
                f,
                "it holds the leader key (taken at revision {epoch}) of a standby cluster and follows the remote primary {remote}"
            ),
            Self::Following { leader } => write!(f, "it follows {leader}"),
            Self::NotReadyYet => f.write_str("the agent has not seen the store, the guard and the data directory yet"),
            Self::JobRunning { what, .. } => write!(f, "{what} is under way"),
            Self::JobFailed { what, why } => write!(f, "{what} failed: {why}"),
            Self::Paused => f.write_str("the cluster is paused: nothing is done by itself (quorate resume ends it)"),
            Self::Stopping => f.write_str("the agent is stopping"),
            Self::StoreUnreachable { leading: true } => {
                f.write_str("the store cannot be reached; PostgreSQL stays the primary until its lease runs out")
            }
            Self::StoreUnreachable { leading: false } => f.write_str("the store cannot be reached"),
            Self::NoLease => f.write_str("this member has no lease in the store yet"),
            Self::GoesOnByConsent { by } if by.is_empty() => {
                f.write_str("failsafe mode: it goes on without the store, because no other member could take over")
            }
            Self::GoesOnByConsent { by } => {
                write!(f, "failsafe mode: it goes on without the store, because {} promised not to take over", join(by))
            }
            Self::ConsentMissing { name, why } => {
                write!(f, "failsafe mode: {name} did not promise not to take over: {why}")
            }
            Self::ClaimingInitialize => f.write_str("the cluster does not exist yet; trying to create it"),
            Self::OtherBootstraps => f.write_str("another member is creating the cluster"),
            Self::NeverBootstraps => {
                f.write_str("the cluster does not exist yet, and this member never leads (nofailover)")
            }
            Self::NothingToCloneFrom => f.write_str("the data directory is empty and there is no leader to clone from"),
            Self::AdoptingDataDirectory => {
                f.write_str("the cluster does not exist yet; it is made from the data directory found here")
            }
            Self::ForeignDataDirectory { ours, cluster } => write!(
                f,
                "the data directory belongs to another cluster (its system identifier is {ours}, the cluster's is {cluster})"
            ),
            Self::DataDirectoryInvalid { why } => write!(f, "the data directory cannot be used: {why}"),
            Self::ConfigUnreadable { why } => {
                write!(f, "nothing is changed until the dynamic configuration can be read: {why}")
            }
            Self::NoLeaderSince { .. } => f.write_str("there is no leader"),
            Self::AmBestCandidate { position } => {
                write!(f, "no candidate has more of the write-ahead log (it ends at {position})")
            }
            Self::AmRequestedCandidate => f.write_str("it was asked to take over"),
            Self::BetterCandidate { name, position, mine } => {
                write!(f, "{name} is the better candidate (its log ends at {position}, here at {mine})")
            }
            Self::WaitingForReport { name } => write!(f, "{name} has not said yet where its log ends"),
            Self::WaitingForCandidate { name } => write!(f, "{name} was asked to take over"),
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Promoting => f.write_str("it took the leader key and is being promoted"),
            Self::GuardNotArmed => f.write_str("the guard has not confirmed the end of the lease yet"),
            Self::RenewalWithheld(Withhold::GuardSilent { .. }) => {
                f.write_str("the lease is not renewed because the guard does not answer")
            }
            Self::RenewalWithheld(Withhold::DecisionsStalled { .. }) => {
                f.write_str("the lease is not renewed because the agent has not completed a decision for too long")
            }
            Self::RenewalWithheld(Withhold::Fenced) => {
                f.write_str("the lease is not renewed any more because its fence has fallen")
            }
            Self::CrashRecovery { .. } => f.write_str("PostgreSQL ended unexpectedly; it is started again in place"),
            Self::StartTimeoutOver { after } => {
                write!(f, "PostgreSQL was not back after {:.1} s; the leadership is given up", after.as_secs_f64())
            }
            Self::ReleasedForSwitchover { candidate } => {
                write!(f, "PostgreSQL is stopped; the leadership passes to {candidate}")
            }
            Self::SwitchoverImpossible { candidate: Some(name), why } => {
                write!(f, "{name} cannot take over: {}", list(why))
            }
            Self::SwitchoverImpossible { candidate: None, why } => write!(f, "no member can take over: {}", list(why)),
            Self::SwitchoverScheduled { at } => write!(f, "a switchover is scheduled for {at}"),
            Self::SwitchoverUnderway { candidate } => write!(f, "a switchover to {candidate} is under way"),
            Self::HoldingClients { names } => {
                write!(f, "new clients, and those of poolers, are held at {} before PostgreSQL stops", join(names))
            }
            Self::ClientsNotHeld { names } => {
                write!(f, "the switchover goes on although {} did not say that their clients are held", join(names))
            }
            Self::SynchronousStandbyLost { name } => write!(f, "{name} is no longer a synchronous standby"),
            Self::SynchronousStandbyAdded { name } => write!(f, "{name} becomes a synchronous standby"),
            Self::NoSynchronousStandby { strict: true } => {
                f.write_str("no replica can be synchronous; commits wait (synchronous_mode_strict)")
            }
            Self::NoSynchronousStandby { strict: false } => {
                f.write_str("no replica can be synchronous; commits do not wait, and nobody can take over without loss")
            }
            Self::AddressesLeave => {
                f.write_str("the virtual addresses are being removed here before the leadership passes")
            }
            Self::Unresponsive { .. } => f.write_str("PostgreSQL runs and does not answer"),
            Self::Demoting { remote } => write!(
                f,
                "standby_cluster is set: it is to follow the remote primary {remote}, and stays the primary until that one is known \
                 to be of the same system"
            ),
            Self::RemoteSilent { .. } => f.write_str("it does not stream from the remote primary"),
            Self::SynchronousIgnored => f.write_str("synchronous_mode has no effect in a standby cluster"),
            Self::AnotherLeads { leader } => {
                write!(f, "{leader} holds the leader key; PostgreSQL is stopped here at once")
            }
            Self::LeaderNotReady { leader } => {
                write!(f, "{leader} holds the leader key and does not accept writes yet")
            }
            Self::Cloning { from } => write!(f, "the data directory is cloned from {from}"),
            Self::Rejoining { leader } => write!(f, "its history is compared with that of {leader} before it follows"),
            Self::NotStreaming { .. } => f.write_str("it does not stream from the leader"),
            Self::RetryLater { what, .. } => write!(f, "{what} failed and is tried again later"),
            Self::RequestedRestart => f.write_str("an operator asked for a restart"),
            Self::RequestedReinitialize => f.write_str("an operator asked for a new clone"),
            Self::PoolHeld { name } => write!(f, "PgBouncer '{name}' holds its clients for a switchover"),
            Self::PoolBusy { name, after } => write!(
                f,
                "PgBouncer '{name}' had transactions that were still running after {:.1} s; a switchover cuts them",
                after.as_secs_f64()
            ),
            Self::PoolUnreachable { name, why } => write!(f, "PgBouncer '{name}' does not do what it is told: {why}"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMember => f.write_str("it is not a live member of the cluster"),
            Self::NoFailover => f.write_str("it must not lead (tag nofailover or failover_priority 0)"),
            Self::NotRunning { state } => write!(f, "its PostgreSQL is not running ({state})"),
            Self::NotStreaming => f.write_str("it does not stream from the leader"),
            Self::NotSynchronous => f.write_str("it is not a synchronous standby and may lack acknowledged commits"),
            Self::Lagging { bytes, max } => write!(f, "it is {bytes} bytes behind (at most {max} are allowed)"),
            Self::BehindTimeline { timeline, cluster } => {
                write!(f, "it is on timeline {timeline}, the cluster on {cluster}")
            }
            Self::Claimed { by } => write!(f, "{by} may still be accepting writes"),
            Self::IsLeader => f.write_str("it already leads"),
            Self::Promised { to } => failsafe::promised(f, to),
            Self::JustStarted => f.write_str(failsafe::JUST_STARTED),
            Self::NotInFailsafe => f.write_str(failsafe::NOT_LISTED),
        }
    }
}

fn join(names: &[types::MemberName]) -> String {
    let names: Vec<&str> = names.iter().map(types::MemberName::as_str).collect();
    names.join(", ")
}

fn list(obstacles: &[Obstacle]) -> String {
    let texts: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "there is no other member".to_owned() } else { texts.join("; ") }
}
