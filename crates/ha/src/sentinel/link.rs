//! Connections: when they are opened, what is said first, and what it means when they end.
//!
//! Deliberately no sockets. As in Sentinel a connection counts from the moment it is asked for; that nobody answers there is
//! the ping's business.

use super::core::{Core, LinkOwner};
use super::dispatcher::Sentinel;
use super::effect::{Command, LinkKind};
use super::event::{LinkEnd, LinkId, MasterId, Tag};
use super::flags::Flags;
use super::master::Mode;
use super::node::{Link, Node, Role};
use super::peer::PeerLinkId;
use super::settings::MasterSettings;
use super::{HELLO_CHANNEL, effect::Level};
use std::net::IpAddr;
use types::Millis;
use types::Secret;

/// In native mode a lost connection to the master is tried again this soon: whether it is refused is the evidence.
pub const NATIVE_RECONNECT: Millis = Millis(100);

/// A command for a data server, with the user's name for it.
pub(super) fn command(settings: &MasterSettings, words: &'static [&'static str]) -> Command {
    match settings.renamed.get(words[0]) {
        None => Command::Fixed(words),
        Some(renamed) => {
            let rest = words[1..].iter().map(|&word| word.to_owned());
            Command::Built(std::iter::once(renamed.clone()).chain(rest).collect())
        }
    }
}

/// The same with words that are made at run time.
pub(super) fn built(settings: &MasterSettings, words: &[&str]) -> Command {
    let first = settings.renamed.get(words[0]).map_or(words[0], String::as_str);
    Command::Built(std::iter::once(first).chain(words[1..].iter().copied()).map(str::to_owned).collect())
}

fn greeting(
    core: &Core,
    settings: Option<&MasterSettings>,
    kind: LinkKind,
    user: Option<&str>,
    password: Option<&Secret>,
) -> Vec<Command> {
    let word = |command: &str| {
        let renamed = settings.and_then(|settings| settings.renamed.get(command));
        renamed.cloned().unwrap_or_else(|| command.to_owned())
    };
    let mut commands = Vec::with_capacity(3);
    if let Some(password) = password {
        let mut words = vec![word("AUTH")];
        words.extend(user.map(str::to_owned));
        words.push(password.expose().to_owned());
        commands.push(Command::Built(words));
    }
    let short: String = core.my_id.chars().take(8).collect();
    let (name, subscribe) = match kind {
        LinkKind::Command => (format!("sentinel-{short}-cmd"), false),
        LinkKind::PubSub => (format!("sentinel-{short}-pubsub"), true),
    };
    commands.push(Command::Built(vec![word("CLIENT"), "SETNAME".to_owned(), name]));
    if subscribe {
        commands.push(Command::Built(vec![word("SUBSCRIBE"), HELLO_CHANNEL.to_owned()]));
    }
    commands
}

/// Opens what is missing, once per period.
pub(super) fn reconnect(core: &mut Core, id: MasterId, mode: Mode, settings: &MasterSettings, node: &mut Node) {
    if node.address.port == 0 {
        return;
    }
    let now = core.now;
    let user = settings.auth_user.as_deref();
    let password = settings.auth_pass.as_ref();
    if node.link.command.is_none() && next_attempt(core, mode, node.role, node.link.last_connect) <= now {
        let greeting = greeting(core, Some(settings), LinkKind::Command, user, password);
        let owner = LinkOwner::Node { master: id, node: node.id, kind: LinkKind::Command };
        node.link.last_connect = Some(now);
        node.link.command = Some(core.open(owner, LinkKind::Command, &node.address, greeting));
        node.link.pending = 0;
        node.link.local = None;
        node.link.command_since = now;
        node.info_asked_at = None;
        ping(core, command(settings, &["PING"]), &mut node.link);
    }
    if node.link.pubsub.is_none() && next_attempt(core, mode, node.role, node.link.last_pubsub_connect) <= now {
        let greeting = greeting(core, Some(settings), LinkKind::PubSub, user, password);
        let owner = LinkOwner::Node { master: id, node: node.id, kind: LinkKind::PubSub };
        node.link.last_pubsub_connect = Some(now);
        node.link.pubsub = Some(core.open(owner, LinkKind::PubSub, &node.address, greeting));
        node.link.pubsub_since = now;
    }
}

fn next_attempt(core: &Core, mode: Mode, role: Role, last: Option<Millis>) -> Millis {
    let period = match (mode, role) {
        (Mode::Native, Role::Master) => NATIVE_RECONNECT.min(core.periods.ping),
        (Mode::Native | Mode::Mixed | Mode::Supervised, _) => core.periods.ping,
    };
    last.map_or(Millis::ZERO, |at| at + period)
}

/// The earliest time for the next attempt at what is missing.
pub(super) fn next_connect(core: &Core, mode: Mode, node: &Node) -> Millis {
    let attempt = |link: Option<LinkId>, last| match link {
        None => next_attempt(core, mode, node.role, last),
        Some(_) => Millis::MAX,
    };
    let command = attempt(node.link.command, node.link.last_connect);
    command.min(attempt(node.link.pubsub, node.link.last_pubsub_connect))
}

pub(super) fn reconnect_peer(core: &mut Core, id: PeerLinkId) {
    let now = core.now;
    let period = core.periods.ping;
    let Some(shared) = core.peer_links.get(&id) else { return };
    let early = shared.link.last_connect.is_some_and(|at| now.since(at) < period);
    if !shared.disconnected() || shared.address.port == 0 || early {
        return;
    }
    let address = shared.address.clone();
    let settings = &core.settings;
    let (user, password) = match (&settings.sentinel_pass, &core.local.own_password) {
        (Some(password), _) => (settings.sentinel_user.as_deref(), Some(password)),
        // As before there was sentinel-pass: one password for all Sentinels.
        (None, own) => (None, own.as_ref()),
    };
    let greeting = greeting(core, None, LinkKind::Command, user, password);
    let command = core.open(LinkOwner::Peer(id), LinkKind::Command, &address, greeting);
    if let Some(shared) = core.peer_links.get_mut(&id) {
        shared.link.command = Some(command);
        shared.link.pending = 0;
        shared.link.local = None;
        shared.link.command_since = now;
        shared.link.last_connect = Some(now);
    }
    ping_peer(core, id);
}

pub(super) fn ping(core: &mut Core, command: Command, link: &mut Link) {
    if core.send(link, Tag::Ping, command) {
        link.last_ping = Some(core.now);
        link.ping_waiting_since.get_or_insert(core.now);
    }
}

pub(super) fn ping_peer(core: &mut Core, id: PeerLinkId) {
    let now = core.now;
    if core.send_peer(id, Tag::Ping, Command::Fixed(&["PING"]))
        && let Some(shared) = core.peer_links.get_mut(&id)
    {
        shared.link.last_ping = Some(now);
        shared.link.ping_waiting_since.get_or_insert(now);
    }
}

/// The command connection is over. The silence begins now, if not before: neither at the last pong, which may be a second
/// ago, nor with the next attempt's ping.
fn lose(link: &mut Link, now: Millis, end: &LinkEnd) {
    link.command = None;
    link.pending = 0;
    link.local = None;
    link.refused = *end == LinkEnd::Refused;
    link.ping_waiting_since.get_or_insert(now);
}

impl Sentinel {
    pub(super) fn link_opened(&mut self, link: LinkId, local: IpAddr, remote: IpAddr) {
        match self.core.links.get(&link).copied() {
            Some(LinkOwner::Node { master: id, node, kind }) => {
                let node = self.masters.get_mut(&id).and_then(|master| master.any_node_mut(node));
                if let Some(node) = node {
                    if !node.address.is_literal() {
                        node.address.ip = Some(remote);
                    }
                    match kind {
                        LinkKind::Command => {
                            node.link.local = Some(local);
                            node.link.refused = false;
                            if node.flags.any(Flags::S_DOWN) {
                                // It is back: what it takes itself for should not wait for the next INFO's time.
                                node.info_at = None;
                            }
                        }
                        LinkKind::PubSub => node.link.pubsub_activity = self.core.now,
                    }
                }
                self.look(id);
            }
            Some(LinkOwner::Peer(id)) => {
                if let Some(shared) = self.core.peer_links.get_mut(&id) {
                    shared.link.local = Some(local);
                    shared.link.refused = false;
                    if !shared.address.is_literal() {
                        shared.address.ip = Some(remote);
                    }
                }
            }
            None => {}
        }
    }

    pub(super) fn link_closed(&mut self, link: LinkId, end: &LinkEnd) {
        let Some(owner) = self.core.links.remove(&link) else { return };
        if let LinkEnd::Failed(why) = end {
            self.core.log(Level::Debug, format!("A connection could not be made: {why}"));
        }
        match owner {
            LinkOwner::Node { master: id, node, kind } => {
                let node = self.masters.get_mut(&id).and_then(|master| master.any_node_mut(node));
                if let Some(node) = node {
                    match kind {
                        LinkKind::Command => {
                            lose(&mut node.link, self.core.now, end);
                        }
                        LinkKind::PubSub => node.link.pubsub = None,
                    }
                }
                self.look(id);
            }
            LinkOwner::Peer(id) => {
                if let Some(shared) = self.core.peer_links.get_mut(&id) {
                    lose(&mut shared.link, self.core.now, end);
                }
                self.look_at_peer(id);
            }
        }
    }
}
