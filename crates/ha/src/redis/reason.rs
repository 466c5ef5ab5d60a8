//! Every why about Redis, typed. `crate::render` turns them into words; metrics count them by `code`.

use types::{MemberName, Millis, Revision};

/// Why something was decided, or why nothing was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    // Nothing to do.
    Leading {
        epoch: Revision,
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
    RetryLater {
        what: &'static str,
        at: Millis,
    },
    Paused,
    Stopping,
    // The store.
    StoreUnreachable {
        leading: bool,
    },
    NoLease,
    // Elections.
    NoLeaderSince {
        since: Millis,
    },
    FirstMaster,
    AmBestCandidate {
        offset: u64,
    },
    AmRequestedCandidate,
    BetterCandidate {
        name: MemberName,
        offset: u64,
        mine: u64,
    },
    WaitingForReport {
        name: MemberName,
    },
    WaitingForCandidate {
        name: MemberName,
    },
    /// It has no data; members that have some may still come.
    WaitingForData {
        until: Millis,
    },
    /// Another member has noted data of a newer leadership, and may still come back.
    WaitingForNewer {
        until: Millis,
    },
    Obstacle(Obstacle),
    // Leading.
    /// It leads, and its agent cannot see whether Redis accepts writes.
    LeadingUnseen {
        epoch: Revision,
    },
    Promoting,
    GuardNotArmed,
    /// The worker was started again and does not know what the one before it had begun under this leadership.
    LeadershipOfBefore,
    Exited {
        candidate: Option<MemberName>,
    },
    RestartingInPlace {
        since: Millis,
    },
    RestartFailed,
    Unresponsive {
        since: Millis,
    },
    /// It hangs (or refuses connections), and somebody can take over.
    Hanging {
        since: Millis,
    },
    /// It has no data, and a live member has: the leadership is left to that one.
    GivesWayToData {
        name: MemberName,
    },
    /// It had the leader key and has lost its data (a restart without persistence, another disk).
    LostItsData,
    SwitchoverUnderway {
        candidate: MemberName,
        step: &'static str,
    },
    SwitchoverImpossible {
        candidate: Option<MemberName>,
        why: Vec<Obstacle>,
    },
    SwitchoverAborted {
        candidate: MemberName,
        why: String,
    },
    HandedOver {
        candidate: MemberName,
    },
    /// The virtual addresses must be gone from here before the leadership passes.
    AddressesLeave,
    /// The leadership was given up, and the store does not show it yet.
    GivenUp,
    /// It refuses its own agent, or ends at its start.
    Trouble {
        why: String,
    },
    // Following.
    AnotherLeads {
        leader: MemberName,
    },
    LeaderNotReady {
        leader: MemberName,
    },
    LinkDown {
        leader: MemberName,
    },
    /// The leader began without data, and following it would delete what is here.
    WouldBeEmptied {
        leader: MemberName,
        keys: u64,
    },
    /// A master without the leader key.
    MasterWithoutKey,
}

/// What keeps a member from leading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    NotAMember,
    NoFailover,
    NotRunning {
        state: &'static str,
    },
    /// As `Reason::Trouble`.
    Trouble {
        why: String,
    },
    NotInSync,
    Lagging {
        bytes: u64,
        max: u64,
    },
    /// It has no data, and this live member has.
    Empty {
        has_data: MemberName,
    },
    /// Another member may still accept writes.
    Claimed {
        by: MemberName,
    },
    IsLeader,
    /// As `crate::reason::Obstacle`'s of these names: failsafe mode.
    Promised {
        to: MemberName,
    },
    JustStarted,
    NotInFailsafe,
}

impl Reason {
    /// A short stable name, used as a label in metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Leading { .. } => "leading",
            Self::Following { .. } => "following",
            Self::NotReadyYet => "not_ready_yet",
            Self::JobRunning { .. } => "job_running",
            Self::JobFailed { .. } => "job_failed",
            Self::RetryLater { .. } => "retry_later",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::StoreUnreachable { .. } => "store_unreachable",
            Self::NoLease => "no_lease",
            Self::NoLeaderSince { .. } => "no_leader",
            Self::FirstMaster => "first_master",
            Self::AmBestCandidate { .. } => "best_candidate",
            Self::AmRequestedCandidate => "requested_candidate",
            Self::BetterCandidate { .. } => "better_candidate",
            Self::WaitingForReport { .. } => "waiting_for_report",
            Self::WaitingForCandidate { .. } => "waiting_for_candidate",
            Self::WaitingForData { .. } => "waiting_for_data",
            Self::WaitingForNewer { .. } => "waiting_for_newer",
            Self::Obstacle(_) => "obstacle",
            Self::LeadingUnseen { .. } => "leading_unseen",
            Self::Promoting => "promoting",
            Self::GuardNotArmed => "guard_not_armed",
            Self::LeadershipOfBefore => "leadership_of_before",
            Self::Exited { .. } => "exited",
            Self::RestartingInPlace { .. } => "restarting_in_place",
            Self::RestartFailed => "restart_failed",
            Self::Unresponsive { .. } => "unresponsive",
            Self::Hanging { .. } => "hanging",
            Self::GivesWayToData { .. } => "gives_way_to_data",
            Self::LostItsData => "lost_its_data",
            Self::SwitchoverUnderway { .. } => "switchover_underway",
            Self::SwitchoverImpossible { .. } => "switchover_impossible",
            Self::SwitchoverAborted { .. } => "switchover_aborted",
            Self::HandedOver { .. } => "handed_over",
            Self::AddressesLeave => "addresses_leave",
            Self::GivenUp => "given_up",
            Self::Trouble { .. } => "trouble",
            Self::AnotherLeads { .. } => "another_leads",
            Self::LeaderNotReady { .. } => "leader_not_ready",
            Self::LinkDown { .. } => "link_down",
            Self::WouldBeEmptied { .. } => "would_be_emptied",
            Self::MasterWithoutKey => "master_without_key",
        }
    }
}
