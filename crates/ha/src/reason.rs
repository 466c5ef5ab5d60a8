//! Every why, typed. `render` turns them into words; metrics count them by `code`.

use crate::lease::Withhold;
use crate::postgres::Source;
use types::{Lsn, MemberName, Millis, Revision, Timeline};

/// Why something was decided, or why nothing was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    // Nothing to do.
    Leading {
        epoch: Revision,
    },
    /// As the leader of a standby cluster.
    LeadingStandby {
        epoch: Revision,
        remote: String,
    },
    Following {
        leader: MemberName,
    },
    NotReadyYet,
    JobRunning {
        what: &'static str,
        since: Millis,
    },
    JobFailed {
        what: &'static str,
        why: String,
    },
    Paused,
    Stopping,
    // The store.
    StoreUnreachable {
        leading: bool,
    },
    NoLease,
    /// As the leader: the store cannot be reached, and these have promised not to take over (failsafe mode).
    GoesOnByConsent {
        by: Vec<MemberName>,
    },
    /// As the leader: this one was asked and did not consent.
    ConsentMissing {
        name: MemberName,
        why: String,
    },
    // Bootstrap.
    ClaimingInitialize,
    OtherBootstraps,
    NeverBootstraps,
    NothingToCloneFrom,
    AdoptingDataDirectory,
    ForeignDataDirectory {
        ours: String,
        cluster: String,
    },
    DataDirectoryInvalid {
        why: String,
    },
    /// The dynamic configuration in the store cannot be read, and no earlier one is known.
    ConfigUnreadable {
        why: String,
    },
    // Elections.
    NoLeaderSince {
        since: Millis,
    },
    AmBestCandidate {
        position: Lsn,
    },
    AmRequestedCandidate,
    BetterCandidate {
        name: MemberName,
        position: Lsn,
        mine: Lsn,
    },
    WaitingForReport {
        name: MemberName,
    },
    WaitingForCandidate {
        name: MemberName,
    },
    Obstacle(Obstacle),
    // Leading.
    Promoting,
    GuardNotArmed,
    RenewalWithheld(Withhold),
    CrashRecovery {
        since: Millis,
    },
    StartTimeoutOver {
        after: Millis,
    },
    ReleasedForSwitchover {
        candidate: MemberName,
    },
    SwitchoverImpossible {
        candidate: Option<MemberName>,
        why: Vec<Obstacle>,
    },
    SwitchoverScheduled {
        at: String,
    },
    SwitchoverUnderway {
        candidate: MemberName,
    },
    /// As the leader: the proxies and poolers of these members do not hold clients yet.
    HoldingClients {
        names: Vec<MemberName>,
    },
    /// And it went on without them.
    ClientsNotHeld {
        names: Vec<MemberName>,
    },
    SynchronousStandbyLost {
        name: MemberName,
    },
    SynchronousStandbyAdded {
        name: MemberName,
    },
    NoSynchronousStandby {
        strict: bool,
    },
    /// The virtual addresses must be gone from here before the leadership passes.
    AddressesLeave,
    Unresponsive {
        since: Millis,
    },
    // Leading a standby cluster.
    /// A primary that is to follow the remote one.
    Demoting {
        remote: String,
    },
    RemoteSilent {
        since: Millis,
    },
    SynchronousIgnored,
    // Following.
    AnotherLeads {
        leader: MemberName,
    },
    LeaderNotReady {
        leader: MemberName,
    },
    Cloning {
        from: Source,
    },
    Rejoining {
        leader: Source,
    },
    NotStreaming {
        since: Millis,
    },
    RetryLater {
        what: &'static str,
        at: Millis,
    },
    RequestedRestart,
    RequestedReinitialize,
    // Connection poolers of this member.
    PoolHeld {
        name: String,
    },
    /// Transactions were still running when its time was over; they are cut when PostgreSQL stops.
    PoolBusy {
        name: String,
        after: Millis,
    },
    PoolUnreachable {
        name: String,
        why: String,
    },
}

/// What keeps a member from leading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    NotAMember,
    NoFailover,
    NotRunning {
        state: &'static str,
    },
    NotStreaming,
    /// Synchronous mode, and it may lack acknowledged commits.
    NotSynchronous,
    Lagging {
        bytes: u64,
        max: u64,
    },
    BehindTimeline {
        timeline: Timeline,
        cluster: Timeline,
    },
    /// Another member may still accept writes.
    Claimed {
        by: MemberName,
    },
    IsLeader,
    /// It promised the leader, which cannot reach the store, to take no leader key for a moment.
    Promised {
        to: MemberName,
    },
    /// It was started so lately that it may have promised that before.
    JustStarted,
    /// Failsafe mode is on, and the last leader has not listed it: nobody knows whether that leader goes on.
    NotInFailsafe,
}

impl Reason {
    /// A short stable name, used as a label in metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Leading { .. } => "leading",
            Self::LeadingStandby { .. } => "leading_standby",
            Self::Following { .. } => "following",
            Self::NotReadyYet => "not_ready_yet",
            Self::JobRunning { .. } => "job_running",
            Self::JobFailed { .. } => "job_failed",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::StoreUnreachable { .. } => "store_unreachable",
            Self::NoLease => "no_lease",
            Self::GoesOnByConsent { .. } => "goes_on_by_consent",
            Self::ConsentMissing { .. } => "consent_missing",
            Self::ClaimingInitialize => "claiming_initialize",
            Self::OtherBootstraps => "other_bootstraps",
            Self::NeverBootstraps => "never_bootstraps",
            Self::NothingToCloneFrom => "nothing_to_clone_from",
            Self::AdoptingDataDirectory => "adopting_data_directory",
            Self::ForeignDataDirectory { .. } => "foreign_data_directory",
            Self::DataDirectoryInvalid { .. } => "data_directory_invalid",
            Self::ConfigUnreadable { .. } => "config_unreadable",
            Self::NoLeaderSince { .. } => "no_leader",
            Self::AmBestCandidate { .. } => "best_candidate",
            Self::AmRequestedCandidate => "requested_candidate",
            Self::BetterCandidate { .. } => "better_candidate",
            Self::WaitingForReport { .. } => "waiting_for_report",
            Self::WaitingForCandidate { .. } => "waiting_for_candidate",
            Self::Obstacle(_) => "obstacle",
            Self::Promoting => "promoting",
            Self::GuardNotArmed => "guard_not_armed",
            Self::RenewalWithheld(_) => "renewal_withheld",
            Self::CrashRecovery { .. } => "crash_recovery",
            Self::StartTimeoutOver { .. } => "start_timeout_over",
            Self::ReleasedForSwitchover { .. } => "released_for_switchover",
            Self::SwitchoverImpossible { .. } => "switchover_impossible",
            Self::SwitchoverScheduled { .. } => "switchover_scheduled",
            Self::SwitchoverUnderway { .. } => "switchover_underway",
            Self::HoldingClients { .. } => "holding_clients",
            Self::ClientsNotHeld { .. } => "clients_not_held",
            Self::SynchronousStandbyLost { .. } => "synchronous_standby_lost",
            Self::SynchronousStandbyAdded { .. } => "synchronous_standby_added",
            Self::NoSynchronousStandby { .. } => "no_synchronous_standby",
            Self::AddressesLeave => "addresses_leave",
            Self::Unresponsive { .. } => "unresponsive",
            Self::Demoting { .. } => "demoting",
            Self::RemoteSilent { .. } => "remote_silent",
            Self::SynchronousIgnored => "synchronous_ignored",
            Self::AnotherLeads { .. } => "another_leads",
            Self::LeaderNotReady { .. } => "leader_not_ready",
            Self::Cloning { .. } => "cloning",
            Self::Rejoining { .. } => "rejoining",
            Self::NotStreaming { .. } => "not_streaming",
            Self::RetryLater { .. } => "retry_later",
            Self::RequestedRestart => "requested_restart",
            Self::RequestedReinitialize => "requested_reinitialize",
            Self::PoolHeld { .. } => "pool_held",
            Self::PoolBusy { .. } => "pool_busy",
            Self::PoolUnreachable { .. } => "pool_unreachable",
        }
    }
}
