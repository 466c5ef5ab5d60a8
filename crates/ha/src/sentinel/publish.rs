//! Sentinel's events: what subscribers, the log and notification scripts are told, in exactly its words.

use super::core::Core;
use super::effect::{Effect, Level};
use super::master::Master;
use super::node::{Node, Role};
use super::peer::Peer;
use std::fmt::Write;

/// Whom an event is about.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Master,
    Node(&'a Node),
    Peer(&'a Peer),
}

impl Core {
    /// An event that begins with whom it is about: `<kind> <name> <ip> <port>`, and for others than the master itself
    /// ` @ <master> <ip> <port>`. `more` follows as it is.
    pub fn event(&mut self, level: Level, channel: &'static str, master: &Master, about: Subject<'_>, more: &str) {
        let names = self.settings.announce_hostnames;
        let mut text = String::with_capacity(96);
        let host = master.node.address.shown(names);
        let place = (&master.name, &host, master.node.address.port);
        let (kind, name, address) = match about {
            Subject::Master => ("master", None, &master.node.address),
            Subject::Node(node) if node.role == Role::Master => ("master", None, &node.address),
            Subject::Node(node) => ("slave", Some(&*node.name), &node.address),
            Subject::Peer(peer) => ("sentinel", Some(&*peer.run_id), &peer.address),
        };
        // Writing into a string does not fail.
        let _ = match name {
            None => write!(text, "{kind} {} {} {}", place.0, place.1, place.2),
            Some(name) => write!(
                text,
                "{kind} {name} {} {} @ {} {} {}",
                address.shown(names),
                address.port,
                place.0,
                place.1,
                place.2
            ),
        };
        text.push_str(more);
        self.publish(level, channel, text, master.settings.notification_script.as_deref());
    }

    /// An event as it is. Warnings also run the notification script of the master they are about.
    pub fn publish(&mut self, level: Level, channel: &'static str, payload: String, script: Option<&str>) {
        if level == Level::Debug {
            // Sentinel keeps those to its log.
            self.effects.push(Effect::Log { level, text: format!("{channel} {payload}") });
            return;
        }
        if let (Level::Warning, Some(script)) = (level, script) {
            self.scripts.add(vec![script.to_owned(), channel.to_owned(), payload.clone()]);
        }
        self.effects.push(Effect::Publish { level, channel, payload });
    }

    pub fn log(&mut self, level: Level, text: impl Into<String>) {
        self.effects.push(Effect::Log { level, text: text.into() });
    }

    /// The current epoch grew.
    pub fn new_epoch(&mut self, master: &Master) {
        let script = master.settings.notification_script.as_deref();
        let epoch = self.current_epoch.to_string();
        self.publish(Level::Warning, "+new-epoch", epoch, script);
    }
}
