//! Hello messages: how sentinels find each other and agree on the newest configuration.
//!
//! Deliberately trusting only in order: a message can add a sentinel or bring a newer epoch, nothing else. The invariant: a
//! configuration is taken over only when its epoch is greater than ours.
//!
//! Eight fields with commas: ip, port, run id and current epoch of the sentinel; name, ip, port and epoch of the master.

use super::core::Core;
use super::directives::RUN_ID_LENGTH;
use super::dispatcher::Sentinel;
use super::effect::{Command, Level};
use super::event::Tag;
use super::link::built;
use super::master::{At, Master, Mode};
use super::node::Link;
use super::peer::{Peer, PeerLink, PeerLinkId};
use super::publish::Subject;
use super::roles::is_plain;
use super::timers::Timer;
use super::{HELLO_CHANNEL, flags::Flags, switch};
use types::Millis;

/// More sentinels of one master than this are not taken in: messages are not authenticated, and each one counts as a voter.
pub const PEERS_MAX: usize = 256;
/// An epoch beyond this is nobody's: epochs grow by one with each failover, and from the largest there is no next one.
pub const EPOCH_MAX: u64 = i64::MAX as u64 / 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    pub host: &'a str,
    pub port: u16,
    pub run_id: &'a str,
    pub epoch: u64,
    pub master: &'a str,
    pub master_host: &'a str,
    pub master_port: u16,
    pub config_epoch: u64,
}

pub(super) fn parse(text: &str) -> Option<Hello<'_>> {
    let mut fields = text.split(',');
    let mut next = || fields.next();
    let hello = Hello {
        host: next()?,
        port: next()?.parse().ok()?,
        run_id: next()?,
        epoch: next()?.parse().ok()?,
        master: next()?,
        master_host: next()?,
        master_port: next()?.parse().ok()?,
        config_epoch: next()?.parse().ok()?,
    };
    let id_is_well_formed =
        hello.run_id.len() == RUN_ID_LENGTH && hello.run_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let epochs_are_sane = hello.epoch.max(hello.config_epoch) <= EPOCH_MAX;
    let complete =
        fields.next().is_none() && epochs_are_sane && id_is_well_formed && hello.port != 0 && hello.master_port != 0;
    (complete && is_plain(hello.host) && is_plain(hello.master_host)).then_some(hello)
}

fn payload(core: &Core, master: &Master, link: &Link) -> Option<String> {
    let ip = match &core.settings.announce_ip {
        Some(ip) => ip.clone(),
        None => link.local?.to_string(),
    };
    let port = if core.settings.announce_port != 0 { core.settings.announce_port } else { core.local.port };
    let address = master.address();
    Some(format!(
        "{ip},{port},{},{},{},{},{},{}",
        core.my_id,
        core.current_epoch,
        master.name,
        address.shown(core.settings.announce_hostnames),
        address.port,
        master.config_epoch
    ))
}

/// To a server's subscribers.
pub(super) fn publish(core: &mut Core, master: &mut Master, at: At) {
    let Some(payload) = payload(core, master, &master.at(at).link) else { return };
    let words = built(&master.settings, &["PUBLISH", HELLO_CHANNEL, &payload]);
    let tag = Tag::Hello(master.id);
    let due = core.now + core.periods.publish;
    let node = master.at_mut(at);
    if core.send(&mut node.link, tag, words) {
        node.publish_due = due;
    }
}

/// Straight to a peer.
pub(super) fn tell_peer(core: &mut Core, master: &mut Master, index: usize) {
    let Some(shared) = core.peer_links.get(&master.peers[index].link) else { return };
    let Some(payload) = payload(core, master, &shared.link) else { return };
    let words = ["PUBLISH", HELLO_CHANNEL, &payload].map(str::to_owned).to_vec();
    if core.send_peer(master.peers[index].link, Tag::Hello(master.id), Command::Built(words)) {
        master.peers[index].publish_due = core.now + core.periods.publish;
    }
}

/// Everybody is to hear the news at once.
pub(super) fn force(core: &Core, master: &mut Master) {
    let now = core.now - Millis(1);
    master.node.publish_due = now;
    for replica in &mut master.replicas {
        replica.publish_due = now;
    }
    for peer in &mut master.peers {
        peer.publish_due = now;
    }
}

impl Sentinel {
    pub(super) fn take_hello(&mut self, text: &str) {
        let Some(hello) = parse(text) else { return };
        if hello.run_id == &*self.core.my_id {
            return;
        }
        let Some(id) = self.names.get(hello.master).copied() else { return };
        let now = self.core.now;
        let resolve = self.core.settings.resolve_hostnames;
        let known = self.masters.get_mut(&id).and_then(|master| master.peer_mut(hello.run_id));
        let known = known.is_some_and(|peer| {
            peer.last_hello = now;
            peer.address.port == hello.port && peer.address.host.eq_ignore_ascii_case(hello.host)
        });
        if !known && !self.meet(id, &hello, resolve) {
            return;
        }
        let Some(master) = self.masters.get_mut(&id) else { return };
        let core = &mut self.core;
        if hello.epoch > core.current_epoch {
            core.current_epoch = hello.epoch;
            core.save();
            core.new_epoch(master);
        }
        // What our agents decide comes from the store only.
        if hello.config_epoch > master.config_epoch && master.mode != Mode::Supervised {
            take_configuration(core, master, &hello, resolve);
            self.look(id);
        }
    }

    /// A sentinel that is not known under this run id at this address. False: it cannot be taken in.
    fn meet(&mut self, id: super::event::MasterId, hello: &Hello<'_>, resolve: bool) -> bool {
        let core = &mut self.core;
        let address = core.names.address(hello.host, hello.port, resolve, &mut core.effects);
        if address.ip.is_none() && !resolve {
            return false;
        }
        let Some(master) = self.masters.get_mut(&id) else { return false };
        if master.peer_mut(hello.run_id).is_some_and(|peer| peer.address.same(&address)) {
            return true;
        }
        let moved = master.peer_mut(hello.run_id).is_some();
        if moved {
            let more = format!(" ip {} port {} for {}", hello.host, hello.port, hello.run_id);
            core.event(Level::Notice, "+sentinel-address-switch", master, Subject::Master, &more);
            remove_peer(core, master, hello.run_id);
        } else if let Some(other) = master.peers.iter().find(|peer| peer.address.same(&address)) {
            // Another one lived there; it is gone for good.
            core.event(Level::Notice, "+sentinel-invalid-addr", master, Subject::Peer(other), "");
            let gone = other.run_id.clone();
            for master in self.masters.values_mut() {
                remove_peer(core, master, &gone);
            }
        }
        let Some(master) = self.masters.get_mut(&id) else { return false };
        if master.peers.len() >= PEERS_MAX {
            return false;
        }
        let index = add_peer(core, master, hello.run_id, address.clone());
        if !moved {
            core.event(Level::Notice, "+sentinel", master, Subject::Peer(&master.peers[index]), "");
        }
        core.save();
        if moved {
            self.move_peer(id, hello.run_id, &address);
        }
        self.look(id);
        true
    }

    /// A sentinel that moved has moved for all masters.
    fn move_peer(&mut self, id: super::event::MasterId, run_id: &str, address: &super::address::Address) {
        let mut more = 0;
        for (other, master) in &mut self.masters {
            if *other != id
                && let Some(peer) = master.peer_mut(run_id)
            {
                peer.address = address.clone();
                more += 1;
            }
        }
        let shared = self.core.peer_links.values_mut().find(|shared| &*shared.run_id == run_id);
        let link = shared.and_then(|shared| {
            shared.address = address.clone();
            shared.link.last_connect = None;
            shared.link.pending = 0;
            shared.link.command.take()
        });
        self.core.close(link);
        if more > 0
            && let Some(master) = self.masters.get_mut(&id)
            && let Some(index) = master.peers.iter().position(|peer| &*peer.run_id == run_id)
        {
            let more = format!(" {more} additional matching instances");
            let about = Subject::Peer(&master.peers[index]);
            self.core.event(Level::Notice, "+sentinel-address-update", master, about, &more);
        }
    }
}

fn take_configuration(core: &mut Core, master: &mut Master, hello: &Hello<'_>, resolve: bool) {
    let to = core.names.address(hello.master_host, hello.master_port, resolve, &mut core.effects);
    if to.ip.is_none() && !resolve {
        return;
    }
    master.config_epoch = hello.config_epoch;
    core.save();
    if to.same(&master.node.address) {
        return;
    }
    if let Some(index) = master.peers.iter().position(|peer| &*peer.run_id == hello.run_id) {
        core.event(Level::Warning, "+config-update-from", master, Subject::Peer(&master.peers[index]), "");
    }
    switch::announce(core, master, &to, "observer");
    switch::exchange(core, master, &to, false);
}

/// Adds a peer to a master, with the connection that other masters may have to it already. Its place.
pub(super) fn add_peer(core: &mut Core, master: &mut Master, run_id: &str, address: super::address::Address) -> usize {
    let now = core.now;
    let down_after = master.settings.down_after;
    let known = core.peer_links.iter_mut().find(|(_, shared)| &*shared.run_id == run_id);
    let link = if let Some((id, shared)) = known {
        shared.users += 1;
        shared.down_after = shared.down_after.min(down_after);
        *id
    } else {
        let id = PeerLinkId(core.next_id());
        let mut shared = PeerLink {
            run_id: run_id.into(),
            address: address.clone(),
            users: 1,
            down_after,
            link: Link::new(now),
            due: Millis::ZERO,
        };
        core.timers.set(Timer::Peer(id), &mut shared.due, now);
        core.peer_links.insert(id, shared);
        id
    };
    master.peers.push(Peer {
        run_id: run_id.into(),
        address,
        flags: Flags::NONE,
        link,
        s_down_since: None,
        publish_due: now + core.periods.publish,
        last_hello: now,
        last_reply: now,
        last_asked: None,
        leader: None,
        leader_epoch: 0,
    });
    master.peers.len() - 1
}

/// Forgets a peer; its connection is closed when no other master needs it.
pub(super) fn remove_peer(core: &mut Core, master: &mut Master, run_id: &str) -> bool {
    let Some(index) = master.peers.iter().position(|peer| &*peer.run_id == run_id) else { return false };
    let peer = master.peers.remove(index);
    release(core, peer.link);
    true
}

pub(super) fn release(core: &mut Core, id: PeerLinkId) {
    let Some(shared) = core.peer_links.get_mut(&id) else { return };
    shared.users = shared.users.saturating_sub(1);
    if shared.users == 0
        && let Some(mut shared) = core.peer_links.remove(&id)
    {
        core.timers.remove(Timer::Peer(id), shared.due);
        core.close_both(&mut shared.link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_hello_has_eight_fields_that_make_sense() {
        let good = format!("10.0.0.9,26379,{ID},7,mymaster,10.0.0.1,6379,3");
        let expected = Hello {
            host: "10.0.0.9",
            port: 26379,
            run_id: ID,
            epoch: 7,
            master: "mymaster",
            master_host: "10.0.0.1",
            master_port: 6379,
            config_epoch: 3,
        };
        assert_eq!(parse(&good), Some(expected));
        for bad in [
            String::new(),
            ",,,,,,,".to_owned(),
            format!("{good},more"),
            format!("10.0.0.9,0,{ID},7,mymaster,10.0.0.1,6379,3"),
            format!("10.0.0.9,26379,{ID},7,mymaster,10.0.0.1,66000,3"),
            format!("10.0.0.9,26379,{ID},-7,mymaster,10.0.0.1,6379,3"),
            "10.0.0.9,26379,short,7,mymaster,10.0.0.1,6379,3".to_owned(),
            format!("10.0.0.9,26379,{}\n,7,mymaster,10.0.0.1,6379,3", &ID[1..]),
            format!("10.0 .9,26379,{ID},7,mymaster,10.0.0.1,6379,3"),
            format!("{},26379,{ID},7,mymaster,10.0.0.1,6379,3", "h".repeat(256)),
            format!("10.0.0.9,26379,{ID},7,mymaster,{},6379,3", "h".repeat(256)),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
