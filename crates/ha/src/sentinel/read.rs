//! What the reading commands show: fields, lines and texts in Sentinel's order and words.
//!
//! Deliberately no protocol: the server makes RESP of it. Nothing here changes anything.

use super::core::Core;
use super::dispatcher::Sentinel;
use super::flags::Flags;
use super::glob;
use super::master::Master;
use super::node::{Link, Node, Role};
use super::peer::Peer;
use super::scripts::{ScriptJob, ScriptState};
use std::fmt::Write;
use types::Millis;

/// Field names and values in the order in which they are shown. Every value is a bulk string, numbers too.
pub type Fields = Vec<(&'static str, String)>;

/// One job of SENTINEL PENDING-SCRIPTS; `delay` is its run-time or its run-delay, as `time_name` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingScript {
    pub arguments: Vec<String>,
    pub flags: &'static str,
    pub pid: u32,
    pub time_name: &'static str,
    pub time: Millis,
    pub tries: u32,
}

/// One group of SENTINEL INFO-CACHE: the master's name, then age in milliseconds and INFO of the master and each replica.
pub type InfoCache<'a> = (&'a str, Vec<(u64, Option<&'a str>)>);

impl Sentinel {
    /// SENTINEL MASTERS, in this order; by name.
    pub fn masters(&self) -> impl Iterator<Item = &Master> {
        self.names.values().filter_map(|id| self.masters.get(id)).map(AsRef::as_ref)
    }

    pub fn master(&self, name: &str) -> Option<&Master> {
        self.masters.get(self.names.get(name)?).map(AsRef::as_ref)
    }

    pub fn my_id(&self) -> &str {
        &self.core.my_id
    }

    pub fn current_epoch(&self) -> u64 {
        self.core.current_epoch
    }

    /// SENTINEL GET-MASTER-ADDR-BY-NAME.
    pub fn master_address(&self, name: &str) -> Option<(String, u16)> {
        let address = self.master(name)?.address();
        Some((address.shown(self.core.settings.announce_hostnames).into_owned(), address.port))
    }

    /// SENTINEL MASTER.
    pub fn describe_master(&self, now: Millis, master: &Master) -> Fields {
        let core = &self.core;
        let mut fields = start(core, &master.name, &master.node.address, master.node.run_id.as_deref());
        let disconnected = master.node.disconnected();
        fields.push(("flags", flags_text(master.node.flags, "master", disconnected)));
        link_fields(&mut fields, &master.node.link, 1);
        if master.failover_in_progress() {
            fields.push(("failover-state", master.failover.state.word().to_owned()));
        }
        life_fields(&mut fields, now, &master.node.link, master.node.flags, master.node.s_down_since);
        if master.node.flags.any(Flags::O_DOWN) {
            fields.push(("o-down-time", age(now, master.o_down_since)));
        }
        fields.push(("down-after-milliseconds", master.settings.down_after.0.to_string()));
        info_fields(&mut fields, now, &master.node);
        fields.extend([
            ("config-epoch", master.config_epoch.to_string()),
            ("num-slaves", master.replicas.len().to_string()),
            ("num-other-sentinels", master.peers.len().to_string()),
            ("quorum", master.settings.quorum.to_string()),
            ("failover-timeout", master.settings.failover_timeout.0.to_string()),
            ("parallel-syncs", master.settings.parallel_syncs.to_string()),
        ]);
        if let Some(script) = &master.settings.notification_script {
            fields.push(("notification-script", script.clone()));
        }
        if let Some(script) = &master.settings.client_reconfig_script {
            fields.push(("client-reconfig-script", script.clone()));
        }
        fields
    }

    /// SENTINEL REPLICAS, one of them. Those that are not `announced` are left out by the caller: see `replicas_shown`.
    pub fn describe_replica(&self, now: Millis, master: &Master, replica: &Node) -> Fields {
        let mut fields = start(&self.core, &replica.name, &replica.address, replica.run_id.as_deref());
        fields.push(("flags", flags_text(replica.flags, "slave", replica.disconnected())));
        link_fields(&mut fields, &replica.link, 1);
        life_fields(&mut fields, now, &replica.link, replica.flags, replica.s_down_since);
        fields.push(("down-after-milliseconds", master.settings.down_after.0.to_string()));
        info_fields(&mut fields, now, replica);
        let replication = &replica.replication;
        fields.extend([
            ("master-link-down-time", replication.link_down.0.to_string()),
            ("master-link-status", if replication.link_up { "ok" } else { "err" }.to_owned()),
            ("master-host", replication.master_host.as_deref().unwrap_or("?").to_owned()),
            ("master-port", replication.master_port.to_string()),
            ("slave-priority", replication.priority.to_string()),
            ("slave-repl-offset", replication.offset.to_string()),
            ("replica-announced", u8::from(replication.announced).to_string()),
        ]);
        fields
    }

    /// SENTINEL SENTINELS, one of them.
    pub fn describe_peer(&self, now: Millis, master: &Master, peer: &Peer) -> Fields {
        let mut fields = start(&self.core, &peer.run_id, &peer.address, Some(&peer.run_id));
        let shared = self.core.peer_links.get(&peer.link);
        fields.push((
            "flags",
            flags_text(peer.flags, "sentinel", shared.is_none_or(super::peer::PeerLink::disconnected)),
        ));
        if let Some(shared) = shared {
            link_fields(&mut fields, &shared.link, shared.users);
            life_fields(&mut fields, now, &shared.link, peer.flags, peer.s_down_since);
        }
        fields.extend([
            ("down-after-milliseconds", master.settings.down_after.0.to_string()),
            ("last-hello-message", now.since(peer.last_hello).0.to_string()),
            ("voted-leader", peer.leader.as_deref().unwrap_or("?").to_owned()),
            ("voted-leader-epoch", peer.leader_epoch.to_string()),
        ]);
        fields
    }

    /// SENTINEL CKQUORUM: the text of the status, or the whole error line without the minus.
    pub fn check_quorum(&self, master: &Master) -> Result<String, String> {
        let usable = 1 + master.peers.iter().filter(|peer| !peer.flags.any(Flags::S_DOWN)).count();
        let voters = master.peers.len() + 1;
        let quorum = usable >= master.settings.quorum as usize;
        let majority = usable > voters / 2;
        if quorum && majority {
            return Ok(format!("OK {usable} usable Sentinels. Quorum and failover authorization can be reached"));
        }
        let mut missing = Vec::new();
        if !quorum {
            missing.push("Not enough available Sentinels to reach the specified quorum for this master");
        }
        if !majority {
            missing.push("Not enough available Sentinels to reach the majority and authorize a failover");
        }
        Err(format!("NOQUORUM {usable} usable Sentinels. {}", missing.join(". ")))
    }

    /// The section `# Sentinel` of INFO, with its heading.
    pub fn info_section(&self, now: Millis) -> String {
        let core = &self.core;
        let tilt = core.tilt.since;
        let simulated =
            u8::from(core.simulated_failures.after_election) | u8::from(core.simulated_failures.after_promotion) << 1;
        let mut text = format!(
            "# Sentinel\r\nsentinel_masters:{}\r\nsentinel_tilt:{}\r\nsentinel_tilt_since_seconds:{}\r\nsentinel_total_tilt:{}\r\nsentinel_running_scripts:{}\r\nsentinel_scripts_queue_length:{}\r\nsentinel_simulate_failure_flags:{simulated}\r\n",
            self.names.len(),
            u8::from(tilt.is_some()),
            tilt.map_or("-1".to_owned(), |since| (now.since(since).0 / 1000).to_string()),
            core.tilt.total,
            core.scripts.running(),
            core.scripts.queue.len(),
        );
        for (number, master) in self.masters().enumerate() {
            let status = if master.node.flags.any(Flags::O_DOWN) {
                "odown"
            } else if master.node.flags.any(Flags::S_DOWN) {
                "sdown"
            } else {
                "ok"
            };
            // Writing into a string does not fail.
            let _ = write!(
                text,
                "master{number}:name={},status={status},address={}:{},slaves={},sentinels={}\r\n",
                master.name,
                master.node.address.shown(core.settings.announce_hostnames),
                master.node.address.port,
                master.replicas.len(),
                master.peers.len() + 1
            );
        }
        text
    }

    /// SENTINEL CONFIG GET. The log level is the driver's.
    pub fn config_get<'a>(&self, patterns: impl Iterator<Item = &'a str>, log_level: &str) -> Fields {
        let settings = &self.core.settings;
        let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        let all: [(&'static str, String); 7] = [
            ("resolve-hostnames", yes_no(settings.resolve_hostnames)),
            ("announce-hostnames", yes_no(settings.announce_hostnames)),
            ("announce-ip", settings.announce_ip.clone().unwrap_or_default()),
            ("announce-port", settings.announce_port.to_string()),
            ("sentinel-user", settings.sentinel_user.clone().unwrap_or_default()),
            (
                "sentinel-pass",
                settings.sentinel_pass.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default(),
            ),
            ("loglevel", log_level.to_owned()),
        ];
        let mut found = Fields::new();
        for pattern in patterns {
            for (name, value) in &all {
                if glob::matches(pattern, name, true) && !found.iter().any(|(known, _)| known == name) {
                    found.push((name, value.clone()));
                }
            }
        }
        found
    }

    /// SENTINEL DEBUG without arguments.
    pub fn debug_parameters(&self) -> Fields {
        let mut periods = self.core.periods.clone();
        periods.named().into_iter().map(|(name, value)| (name, value.0.to_string())).collect()
    }

    pub fn pending_scripts(&self, now: Millis) -> Vec<PendingScript> {
        let shown = |job: &ScriptJob| {
            let (flags, pid, time_name, time) = match job.state {
                ScriptState::Running { since, pid, .. } => ("running", pid.unwrap_or(0), "run-time", now.since(since)),
                ScriptState::Waiting { not_before } => {
                    ("scheduled", 0, "run-delay", not_before.map_or(Millis::ZERO, |at| at.since(now)))
                }
            };
            PendingScript { arguments: job.arguments.clone(), flags, pid, time_name, time, tries: job.tries }
        };
        self.core.scripts.queue.iter().map(shown).collect()
    }

    /// SENTINEL INFO-CACHE; without names: of all masters. Unknown names are left out.
    pub fn info_cache<'a>(&'a self, now: Millis, names: &[&str]) -> Vec<InfoCache<'a>> {
        let wanted = |master: &&Master| names.is_empty() || names.contains(&&*master.name);
        let entry = |node: &'a Node| (node.info_at.map_or(0, |at| now.since(at).0), node.info.as_deref());
        self.masters()
            .filter(wanted)
            .map(|master| (&*master.name, std::iter::once(&master.node).chain(&master.replicas).map(entry).collect()))
            .collect()
    }
}

impl Master {
    /// What SENTINEL REPLICAS shows: a replica with `replica-announced no` is left out.
    pub fn replicas_shown(&self) -> impl Iterator<Item = &Node> {
        self.replicas.iter().filter(|replica| replica.replication.announced)
    }
}

fn start(core: &Core, name: &str, address: &super::address::Address, run_id: Option<&str>) -> Fields {
    let mut fields = Fields::with_capacity(32);
    fields.extend([
        ("name", name.to_owned()),
        ("ip", address.shown(core.settings.announce_hostnames).into_owned()),
        ("port", address.port.to_string()),
        ("runid", run_id.unwrap_or_default().to_owned()),
    ]);
    fields
}

fn flags_text(flags: Flags, kind: &'static str, disconnected: bool) -> String {
    let mut words: Vec<&str> = Vec::with_capacity(4);
    let named = |words: &mut Vec<&str>, names: &[(Flags, &'static str)]| {
        words.extend(names.iter().filter(|(flag, _)| flags.any(*flag)).map(|(_, word)| *word));
    };
    named(&mut words, &Flags::NAMED_FIRST);
    words.push(kind);
    if disconnected {
        words.push("disconnected");
    }
    named(&mut words, &Flags::NAMED_LAST);
    words.join(",")
}

fn link_fields(fields: &mut Fields, link: &Link, users: u32) {
    fields.push(("link-pending-commands", link.pending.to_string()));
    fields.push(("link-refcount", users.to_string()));
}

fn life_fields(fields: &mut Fields, now: Millis, link: &Link, flags: Flags, s_down_since: Option<Millis>) {
    fields.extend([
        ("last-ping-sent", age(now, link.ping_waiting_since)),
        ("last-ok-ping-reply", age(now, Some(link.last_available))),
        ("last-ping-reply", age(now, Some(link.last_pong))),
    ]);
    if flags.any(Flags::S_DOWN) {
        fields.push(("s-down-time", age(now, s_down_since)));
    }
}

fn info_fields(fields: &mut Fields, now: Millis, node: &Node) {
    let role = match node.reported {
        Role::Master => "master",
        Role::Replica => "slave",
    };
    fields.extend([
        ("info-refresh", age(now, node.info_at)),
        ("role-reported", role.to_owned()),
        ("role-reported-time", age(now, Some(node.reported_since))),
    ]);
}

fn age(now: Millis, since: Option<Millis>) -> String {
    since.map_or(0, |since| now.since(since).0).to_string()
}
