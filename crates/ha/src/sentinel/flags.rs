//! What is known about an instance, as Sentinel shows it in `flags`.

use std::fmt;

/// A set of facts about one instance. The order of the constants is the order in which SENTINEL MASTER prints them; the
/// instance's kind and `disconnected` stand between `o_down` and `master_down` and come from elsewhere.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    pub const NONE: Flags = Flags(0);
    /// Subjectively down: this sentinel thinks so.
    pub const S_DOWN: Flags = Flags(1);
    /// Objectively down: enough sentinels think so.
    pub const O_DOWN: Flags = Flags(1 << 1);
    /// Of a peer: it said that the master is down.
    pub const MASTER_DOWN: Flags = Flags(1 << 2);
    pub const FAILOVER_IN_PROGRESS: Flags = Flags(1 << 3);
    /// Of a replica: chosen to become the master.
    pub const PROMOTED: Flags = Flags(1 << 4);
    /// Of a replica: told to follow the new master.
    pub const RECONF_SENT: Flags = Flags(1 << 5);
    /// It reports the new master and is not in step yet.
    pub const RECONF_INPROG: Flags = Flags(1 << 6);
    pub const RECONF_DONE: Flags = Flags(1 << 7);
    /// SENTINEL FAILOVER: no election.
    pub const FORCE_FAILOVER: Flags = Flags(1 << 8);
    /// SENTINEL FAILOVER ... COORDINATED.
    pub const COORDINATED_FAILOVER: Flags = Flags(1 << 9);
    pub const SCRIPT_KILL_SENT: Flags = Flags(1 << 10);
    /// The master came back as another process and has not answered a ping since.
    pub const MASTER_REBOOT: Flags = Flags(1 << 11);

    /// Sentinel's words for the facts that come before the instance's kind.
    pub const NAMED_FIRST: [(Flags, &'static str); 2] = [(Self::S_DOWN, "s_down"), (Self::O_DOWN, "o_down")];
    /// And for those after it.
    pub const NAMED_LAST: [(Flags, &'static str); 10] = [
        (Self::MASTER_DOWN, "master_down"),
        (Self::FAILOVER_IN_PROGRESS, "failover_in_progress"),
        (Self::PROMOTED, "promoted"),
        (Self::RECONF_SENT, "reconf_sent"),
        (Self::RECONF_INPROG, "reconf_inprog"),
        (Self::RECONF_DONE, "reconf_done"),
        (Self::FORCE_FAILOVER, "force_failover"),
        (Self::COORDINATED_FAILOVER, "coordinated_failover"),
        (Self::SCRIPT_KILL_SENT, "script_kill_sent"),
        (Self::MASTER_REBOOT, "master_reboot"),
    ];

    #[must_use]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Any of `which` is set.
    pub const fn any(self, which: Flags) -> bool {
        self.0 & which.0 != 0
    }

    /// Those of them that are in `which`.
    #[must_use]
    pub const fn only(self, which: Flags) -> Flags {
        Flags(self.0 & which.0)
    }

    pub fn set(&mut self, which: Flags) {
        self.0 |= which.0;
    }

    pub fn clear(&mut self, which: Flags) {
        self.0 &= !which.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Self::NAMED_FIRST.iter().chain(&Self::NAMED_LAST);
        let words: Vec<&str> = all.filter(|(flag, _)| self.any(*flag)).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}
