//! What a user can set: for one master, for all of them, and (for tests and debugging) the periods.
//!
//! Deliberately no state: what a Sentinel learns is in `master` and `configuration`.

use std::collections::BTreeMap;
use types::Millis;
use types::Secret;

/// `sentinel <option> <master> ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterSettings {
    pub quorum: u32,
    pub down_after: Millis,
    pub failover_timeout: Millis,
    /// Signed, because Sentinel takes any number: with 0 or less no replica is reconfigured before the failover times out.
    pub parallel_syncs: i64,
    pub notification_script: Option<String>,
    pub client_reconfig_script: Option<String>,
    pub auth_pass: Option<Secret>,
    pub auth_user: Option<String>,
    /// 0: a master that came back quickly is never taken as down.
    pub reboot_down_after: Millis,
    /// Upper case command, and what to send in its place.
    pub renamed: BTreeMap<String, String>,
}

impl MasterSettings {
    pub fn new(quorum: u32, periods: &Periods) -> Self {
        Self {
            quorum,
            down_after: periods.default_down_after,
            failover_timeout: periods.default_failover_timeout,
            parallel_syncs: PARALLEL_SYNCS_DEFAULT,
            notification_script: None,
            client_reconfig_script: None,
            auth_pass: None,
            auth_user: None,
            reboot_down_after: Millis::ZERO,
            renamed: BTreeMap::new(),
        }
    }
}

pub const PARALLEL_SYNCS_DEFAULT: i64 = 1;

/// `sentinel <option> ...`, for all masters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalSettings {
    pub announce_ip: Option<String>,
    /// 0: the port this server listens on.
    pub announce_port: u16,
    pub resolve_hostnames: bool,
    pub announce_hostnames: bool,
    pub deny_scripts_reconfig: bool,
    pub sentinel_user: Option<String>,
    pub sentinel_pass: Option<Secret>,
}

impl Default for GlobalSettings {
    fn default() -> Self {
        Self {
            announce_ip: None,
            announce_port: 0,
            resolve_hostnames: false,
            announce_hostnames: false,
            deny_scripts_reconfig: true,
            sentinel_user: None,
            sentinel_pass: None,
        }
    }
}

/// What SENTINEL DEBUG shows and sets. The numbers are Sentinel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    pub info: Millis,
    pub ping: Millis,
    pub ask: Millis,
    pub publish: Millis,
    pub default_down_after: Millis,
    pub default_failover_timeout: Millis,
    pub tilt_trigger: Millis,
    pub tilt: Millis,
    pub replica_reconf_timeout: Millis,
    pub link_reconnect_min: Millis,
    pub election_timeout: Millis,
    pub script_runtime_max: Millis,
    pub script_retry_delay: Millis,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            info: Millis(10_000),
            ping: Millis(1_000),
            ask: Millis(1_000),
            publish: Millis(2_000),
            default_down_after: Millis(30_000),
            default_failover_timeout: Millis(180_000),
            tilt_trigger: Millis(2_000),
            tilt: Millis(30_000),
            replica_reconf_timeout: Millis(10_000),
            link_reconnect_min: Millis(15_000),
            election_timeout: Millis(10_000),
            script_runtime_max: Millis(60_000),
            script_retry_delay: Millis(30_000),
        }
    }
}

impl Periods {
    /// In the order of SENTINEL DEBUG's reply, with the names it prints. Lower case they are the options it takes.
    pub fn named(&mut self) -> [(&'static str, &mut Millis); 13] {
        [
            ("INFO-PERIOD", &mut self.info),
            ("PING-PERIOD", &mut self.ping),
            ("ASK-PERIOD", &mut self.ask),
            ("PUBLISH-PERIOD", &mut self.publish),
            ("DEFAULT-DOWN-AFTER", &mut self.default_down_after),
            ("DEFAULT-FAILOVER-TIMEOUT", &mut self.default_failover_timeout),
            ("TILT-TRIGGER", &mut self.tilt_trigger),
            ("TILT-PERIOD", &mut self.tilt),
            ("SLAVE-RECONF-TIMEOUT", &mut self.replica_reconf_timeout),
            ("MIN-LINK-RECONNECT-PERIOD", &mut self.link_reconnect_min),
            ("ELECTION-TIMEOUT", &mut self.election_timeout),
            ("SCRIPT-MAX-RUNTIME", &mut self.script_runtime_max),
            ("SCRIPT-RETRY-DELAY", &mut self.script_retry_delay),
        ]
    }
}
