//! `store:`, `etcd3:` and `etcd:`, of which there is exactly one.

use super::{Builder, VOTERS_MIN};
use crate::error::Code;
use crate::member::{DcsKind, EtcdConfig, StoreConfig, StoreMember};
use crate::tree::Node;
use crate::{Address, Secret, parts};
use std::collections::BTreeMap;
use types::MemberName;

/// Where an etcd is, and how it is spoken to.
#[derive(Default)]
struct Endpoints {
    hosts: Vec<Address>,
    secured: bool,
    plain: bool,
}

impl Endpoints {
    fn add(&mut self, address: Address, secured: bool) {
        self.hosts.push(address);
        if secured { self.secured = true } else { self.plain = true }
    }
}

impl Builder<'_> {
    pub fn one_store(&mut self) {
        let present: Vec<&str> =
            ["store", "etcd3", "etcd"].into_iter().filter(|key| self.tree.at(&[key]).is_some()).collect();
        // A section of another store is reported as unsupported already.
        let other = ["consul", "zookeeper", "exhibitor", "kubernetes", "raft"].iter().any(|key| self.has_section(key));
        match present.as_slice() {
            [] if other => {}
            [] => self.missing(&["store"], "add 'store' for the embedded store, or 'etcd3' with the hosts of an etcd"),
            [_] => {}
            [first, second, ..] => {
                let message = format!("'{first}' and '{second}' exclude each other; keep one");
                let error = self.at(Code::Conflict, &[second], message);
                self.report.error(error);
            }
        }
    }

    pub fn store(&mut self, name: &MemberName) -> Option<StoreConfig> {
        self.tree.at(&["store"])?;
        let client_port = self.port(&["store", "client_port"], 2379);
        let peer_port = self.port(&["store", "peer_port"], 2380);
        let members = self.store_members(client_port, peer_port);
        if members.is_empty() {
            self.missing(
                &["store", "members"],
                "list every member with its address, for example {pg1: 10.0.0.1, pg2: 10.0.0.2, pg3: 10.0.0.3}",
            );
        }
        let own = members.get(name);
        if own.is_none() && !members.is_empty() && !name.as_str().is_empty() {
            let names: Vec<&str> = members.keys().map(MemberName::as_str).collect();
            let error = self.at(
                Code::Missing,
                &["store", "members"],
                format!("this member ('{name}') is not among the members ({})", names.join(", ")),
            );
            let hint = format!("correct 'name', or add a line such as `{name}: 10.0.0.1` on every member");
            self.report.error(error.hint(hint));
        }
        self.voters(members.len());
        let data_dir = self.path(&["store", "data_dir"]);
        if data_dir.is_none() {
            self.missing(&["store", "data_dir"], "a directory for the store's log, such as /var/lib/quorate/store");
        }
        let own_client_port = own.map_or(client_port, |own| own.client_port);
        let listen = self
            .address(&["store", "listen"], Some(own_client_port))
            .or_else(|| own.map(StoreMember::client_address))
            .unwrap_or_else(|| Address::new("", own_client_port));
        let own_peer_port = own.map_or(peer_port, |own| own.peer_port);
        let client_tls = self.store_tls("client_transport_security");
        let client_cert_auth = self.flag(&["store", "client_transport_security", "client_cert_auth"]).unwrap_or(false);
        let peer_tls = self.store_tls("peer_transport_security");
        self.members_always_show_a_certificate();
        Some(StoreConfig {
            listen,
            peer_port: own_peer_port,
            data_dir: data_dir.unwrap_or_default(),
            members,
            client_tls,
            client_cert_auth,
            peer_tls,
        })
    }

    fn store_members(&mut self, client_port: u16, peer_port: u16) -> BTreeMap<MemberName, StoreMember> {
        let mut members = BTreeMap::new();
        let tree = self.tree;
        let Some(map) = tree.at(&["store", "members"]).and_then(Node::map) else { return members };
        for entry in map.effective() {
            let path = ["store", "members", entry.key.as_str()];
            let (host, witness) = match entry.node.map() {
                Some(_) => (
                    self.text(&[path[0], path[1], path[2], "address"]),
                    self.flag(&[path[0], path[1], path[2], "witness"]),
                ),
                None => (Some(parts::text(&entry.node)).filter(|host| !host.is_empty()), None),
            };
            let Some(host) = host else {
                self.missing(&path, "write the member's address behind its name");
                continue;
            };
            let host = match Address::parse(&host, Some(client_port)) {
                Ok(_) if host.contains("]:") || host.matches(':').count() == 1 => {
                    let error =
                        self.at(Code::Range, &path, format!("'{host}' has a port; only the address belongs here"));
                    self.report.error(error.hint("ports stand in store.client_port and store.peer_port, or in {address: .., client_port: .., peer_port: ..}"));
                    continue;
                }
                Ok(address) if address.is_wildcard() => {
                    let error = self.at(
                        Code::Range,
                        &path,
                        format!("'{host}' means every address; the others need one to connect to"),
                    );
                    self.report.error(error);
                    continue;
                }
                Ok(address) => address.host,
                Err(error) => {
                    let error = self.at(Code::Range, &path, error.to_string());
                    self.report.error(error);
                    continue;
                }
            };
            let port = |key: &str, default| self.port(&[path[0], path[1], path[2], key], default);
            let member = StoreMember {
                host,
                client_port: port("client_port", client_port),
                peer_port: port("peer_port", peer_port),
                witness: witness.unwrap_or(false),
            };
            let twin = members.iter().find(|(_, other): &(&MemberName, &StoreMember)| {
                (&other.host, other.peer_port) == (&member.host, member.peer_port)
            });
            if let Some((twin, _)) = twin {
                let message = format!("has the same address and peer port as '{twin}'");
                let error = self.at(Code::Conflict, &path, message);
                self.report.error(error);
            }
            members.insert(MemberName::new(entry.key.clone()), member);
        }
        members
    }

    fn voters(&mut self, voters: usize) {
        let path = ["store", "members"];
        if voters == 0 {
            return;
        }
        if voters.is_multiple_of(2) {
            let (fewer, more) = (voters - 1, voters + 1);
            let error = self
                .at(Code::Voters, &path, format!("{voters} members vote; the number of voters must be odd (1, 3, 5)"))
                .hint(format!(
                    "{voters} voters survive no more failures than {fewer}: leave one out, or add a witness for {more} (`name: {{address: .., witness: true}}`)"
                ));
            self.report.error(error);
        } else if voters < VOTERS_MIN {
            self.note(&path, "with fewer than three voters the store does not survive the loss of a member, and there is no failover");
        }
    }

    pub fn etcd(&mut self) -> Option<EtcdConfig> {
        let (key, kind) = match (self.tree.at(&["etcd3"]), self.tree.at(&["etcd"])) {
            (Some(_), _) => ("etcd3", DcsKind::Etcd3),
            (None, Some(_)) => ("etcd", DcsKind::Etcd),
            (None, None) => return None,
        };
        if kind == DcsKind::Etcd {
            self.note(&["etcd"], "etcd is spoken to with version 3 of its protocol; keys that a Patroni wrote with version 2 are not seen");
        }
        let by_default = self.text(&[key, "protocol"]).is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
        let mut hosts = Endpoints::default();
        for option in ["url", "proxy"] {
            if let Some(url) = self.text(&[key, option]) {
                self.etcd_url(&[key, option], &url, &mut hosts);
            }
        }
        let mut words: Vec<(&str, String)> = self.text(&[key, "host"]).map(|host| ("host", host)).into_iter().collect();
        let listed = self.tree.at(&[key, "hosts"]).and_then(parts::words).unwrap_or_default();
        words.extend(listed.into_iter().map(|host| ("hosts", host)));
        for (option, word) in words {
            if word.contains("://") {
                self.etcd_url(&[key, option], &word, &mut hosts);
                continue;
            }
            match Address::parse(&word, Some(2379)) {
                Ok(address) => hosts.add(address, by_default),
                // `host` is an address by the table, and was reported there.
                Err(_) if option == "host" => {}
                Err(error) => {
                    let error = self.at(Code::Range, &[key, option], error.to_string());
                    self.report.error(error);
                }
            }
        }
        if hosts.hosts.is_empty() && !self.report.has_errors() {
            self.missing(
                &[key, "hosts"],
                "list the endpoints, for example [10.0.0.1:2379, 10.0.0.2:2379, 10.0.0.3:2379]",
            );
        }
        let username = self.text(&[key, "username"]);
        let password = self.text(&[key, "password"]).map(Secret::new);
        if hosts.secured && hosts.plain {
            let error = self.at(Code::Conflict, &[key], "some endpoints are https and some are http");
            self.report
                .error(error.hint("all of them speak TLS, or none; 'protocol: https' is for those without a scheme"));
        }
        let tls = self.etcd_tls(key, hosts.secured);
        Some(EtcdConfig { kind, hosts: hosts.hosts, tls, username, password })
    }

    fn etcd_url(&mut self, path: &[&str], url: &str, hosts: &mut Endpoints) {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let secured = scheme.eq_ignore_ascii_case("https");
        let address = rest.split(['/', '?']).next().unwrap_or_default();
        if address.contains('@') {
            let error = self.at(Code::Unsupported, path, "user and password in a URL are not supported");
            self.report.error(error.hint("use 'username' and 'password' beside it"));
            return;
        }
        match Address::parse(address, Some(2379)) {
            Ok(address) => hosts.add(address, secured),
            Err(error) => {
                let error = self.at(Code::Range, path, error.to_string());
                self.report.error(error);
            }
        }
    }
}
