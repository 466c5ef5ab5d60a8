//! From the plan to a member's files. TLS everywhere: the certificates below `tls/` are made elsewhere, at the places that
//! are named here.

use crate::model::{Member, Plan, VipLeadsTo};
use crate::{Secrets, users};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use types::{MemberName, Secret};

pub const CLUSTER_FILE: &str = "cluster.yaml";
pub const SECRETS_FILE: &str = "secrets.yaml";
pub const MEMBER_FILE: &str = "quorate.yml";

/// Where a member's certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    pub fn below(home: &Path) -> Self {
        let file = |name: &str| home.join("tls").join(name);
        Self { authority: file("ca.crt"), certificate: file("member.crt"), key: file("member.key") }
    }
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Below the home.
    pub path: PathBuf,
    pub contents: Secret,
    /// Holds passwords.
    pub private: bool,
}

impl Plan {
    /// The files of a member, without its certificates. `home` is the directory on that member's server.
    /// Nothing for a name that is not in the plan.
    pub fn files(&self, member: &MemberName, secrets: &Secrets, home: &Path) -> Vec<PlannedFile> {
        let Some(own) = self.member(member) else { return Vec::new() };
        let file = |path: &str, contents: Secret, private| PlannedFile { path: path.into(), contents, private };
        let mut files = vec![file(CLUSTER_FILE, Secret::new(self.to_yaml()), false)];
        // A witness has no use for the passwords of the databases.
        if !own.is_witness() {
            files.push(file(SECRETS_FILE, secrets.to_yaml(), true));
        }
        files.push(file(MEMBER_FILE, self.member_file(own, secrets, home), true));
        files
    }

    /// `quorate.yml`: sections in the order in which a person would look for them.
    fn member_file(&self, own: &Member, secrets: &Secrets, home: &Path) -> Secret {
        let tls = TlsFiles::below(home);
        let mut text = format!(
            "# Member {} of {}, made from {CLUSTER_FILE} by `quorate setup`; the next change of the plan writes it anew.\n",
            own.name, self.scope
        );
        let mut section = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                text.push('\n');
                text.push_str(&config::yaml_from_json(&json!({ name: value })));
            }
        };
        section("scope", Some(json!(self.scope)));
        section("name", Some(json!(own.name)));
        section("store", own.votes().then(|| self.store(&tls)));
        section("etcd3", (!own.votes()).then(|| self.store_elsewhere(&tls)));
        section("restapi", Some(self.restapi(own, secrets, &tls)));
        section("postgresql", own.has_database().then(|| self.postgresql(own, secrets, &tls)));
        section("bootstrap", own.has_database().then(|| self.bootstrap()));
        section("redis", own.has_cache().then(|| self.redis(own, secrets, &tls)));
        section("sentinel", self.runs_sentinel(own).then(|| self.sentinel(own, secrets, &tls)));
        section("proxy", (!own.is_witness()).then(|| self.proxy(own)));
        section("vip", self.vip(own));
        section("console", Some(json!({ "listen": at(&own.address, self.ports.console.0) })));
        section(
            "tags",
            own.has_database().then(|| json!({ "nofailover": !own.may_lead() })).filter(|_| !own.may_lead()),
        );
        Secret::new(text)
    }

    fn store(&self, tls: &TlsFiles) -> Value {
        let mutual = json!({
            "cert_file": tls.certificate, "key_file": tls.key, "trusted_ca_file": tls.authority, "client_cert_auth": true,
        });
        let members: Map<String, Value> = self
            .voters()
            .map(|member| {
                let entry = if member.is_witness() {
                    json!({ "address": member.address, "witness": true })
                } else {
                    json!(member.address)
                };
                (member.name.to_string(), entry)
            })
            .collect();
        json!({
            "data_dir": self.store_dir,
            "members": members,
            "client_port": self.ports.store_clients,
            "peer_port": self.ports.store_peers,
            "client_transport_security": mutual,
            "peer_transport_security": mutual,
        })
    }

    /// For a member without a vote: the others' stores are an etcd to it.
    fn store_elsewhere(&self, tls: &TlsFiles) -> Value {
        let hosts: Vec<String> = self.voters().map(|member| at(&member.address, self.ports.store_clients.0)).collect();
        json!({
            "hosts": hosts, "protocol": "https",
            "cacert": tls.authority, "cert": tls.certificate, "key": tls.key,
        })
    }

    fn restapi(&self, own: &Member, secrets: &Secrets, tls: &TlsFiles) -> Value {
        let address = at(&own.address, self.ports.rest_api.0);
        json!({
            "listen": address,
            "connect_address": address,
            "authentication": { "username": users::ADMIN, "password": secrets.rest_api.expose() },
            "certfile": tls.certificate,
            "keyfile": tls.key,
            "cafile": tls.authority,
            // Members show their certificates, people at the console give the password, health checks need neither.
            "verify_client": "or_password",
        })
    }

    fn postgresql(&self, own: &Member, secrets: &Secrets, tls: &TlsFiles) -> Value {
        let login = |user: &str, password: &Secret| {
            json!({
                "username": user, "password": password.expose(),
                "sslmode": self.sslmode(), "sslrootcert": tls.authority,
                "sslcert": tls.certificate, "sslkey": tls.key,
            })
        };
        let mut section = json!({
            "listen": at(&self.listens(own, VipLeadsTo::Primary), self.ports.postgresql.0),
            "connect_address": at(&own.address, self.ports.postgresql.0),
            "data_dir": self.postgresql.data_dir,
            "authentication": {
                "superuser": login(users::SUPERUSER, &secrets.superuser),
                "replication": login(users::REPLICATION, &secrets.replication),
                "rewind": login(users::REWIND, &secrets.rewind),
            },
            "parameters": {
                "ssl": "on",
                "ssl_ca_file": tls.authority,
                "ssl_cert_file": tls.certificate,
                "ssl_key_file": tls.key,
            },
            "pg_hba": access(),
        });
        if let Some(bin_dir) = &self.postgresql.bin_dir {
            section["bin_dir"] = json!(bin_dir);
        }
        section
    }

    /// PostgreSQL's own programs have compared IP addresses with those in a certificate since this version only. Of older ones
    /// it is enough that the authority has signed, which signs nobody but members.
    fn sslmode(&self) -> &'static str {
        const ADDRESSES_SINCE: u32 = 15;
        let major = self.postgresql.version.as_ref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| major >= ADDRESSES_SINCE) { "verify-full" } else { "verify-ca" }
    }

    fn bootstrap(&self) -> Value {
        let mut dynamic = self.promise.terms().dynamic();
        dynamic["postgresql"] = json!({ "use_pg_rewind": true, "use_slots": true });
        json!({ "dcs": dynamic, "initdb": [{ "encoding": "UTF8" }, "data-checksums"] })
    }

    fn redis(&self, own: &Member, secrets: &Secrets, tls: &TlsFiles) -> Value {
        let mut section = json!({
            "name": self.scope,
            "listen": at(&self.listens(own, VipLeadsTo::RedisMaster), self.ports.redis.0),
            "connect_address": at(&own.address, self.ports.redis.0),
            "data_dir": self.redis.data_dir,
            "authentication": { "password": secrets.redis.expose() },
            "tls": { "cert_file": tls.certificate, "key_file": tls.key, "ca_file": tls.authority },
        });
        if let Some(bin_dir) = &self.redis.bin_dir {
            section["bin_dir"] = json!(bin_dir);
        }
        section
    }

    /// It takes the password of Redis: whoever may ask where the master is can move it, too.
    fn sentinel(&self, own: &Member, secrets: &Secrets, tls: &TlsFiles) -> Value {
        let mut section = json!({
            "listen": at(&own.address, self.ports.sentinel.0),
            "quorum": self.voters().count() / 2 + 1,
            "authentication": { "password": secrets.redis.expose() },
        });
        if !own.has_cache() {
            section["config_file"] = json!(format!("{}/sentinel.conf", self.store_dir.trim_end_matches('/')));
            // Who has Redis takes both from there.
            section["tls"] = json!({ "cert_file": tls.certificate, "key_file": tls.key, "ca_file": tls.authority });
            let password = json!({ "password": secrets.redis.expose() });
            section["masters"] = json!({ self.scope.as_str(): { "mode": "supervised", "authentication": password } });
        }
        section
    }

    fn proxy(&self, own: &Member) -> Value {
        let mut section = json!({
            "listen": own.address,
            "primary_port": self.ports.proxy_primary,
            "replica_port": self.ports.proxy_replicas,
        });
        if own.has_cache() {
            section["redis_port"] = json!(self.ports.proxy_redis);
        }
        section
    }

    fn vip(&self, own: &Member) -> Option<Value> {
        let entries: Vec<Value> = self
            .vips_of(own)
            .map(|vip| {
                let mut entry = json!({ "address": vip.address, "role": vip.role });
                if let Some(interface) = &vip.interface {
                    entry["interface"] = json!(interface);
                }
                entry
            })
            .collect();
        (!entries.is_empty()).then(|| json!(entries))
    }

    /// A server answers at a virtual address only if it listens on every address.
    fn listens(&self, own: &Member, role: VipLeadsTo) -> String {
        let (mut four, mut six) = (false, false);
        for vip in self.vips_of(own).filter(|vip| vip.role == role) {
            if vip.address.contains(':') { six = true } else { four = true }
        }
        match (four, six || four && own.address.contains(':')) {
            (false, false) => own.address.clone(),
            (true, false) => "0.0.0.0".to_owned(),
            (_, true) => "*".to_owned(),
        }
    }
}

/// `10.0.0.1:5432`, `[fd00::1]:5432`.
fn at(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Passwords always, and TLS from everywhere. The users that only members are must show a member's certificate, too; the
/// superuser is also a person's.
fn access() -> Vec<String> {
    let mut lines = Vec::new();
    if !cfg!(windows) {
        lines.push("local all all scram-sha-256".to_owned());
    }
    let only_members = "all scram-sha-256 clientcert=verify-ca";
    lines.push(format!("hostssl replication {} {only_members}", users::REPLICATION));
    lines.push(format!("hostssl all {} {only_members}", users::REWIND));
    lines.push("hostssl all all all scram-sha-256".to_owned());
    lines
}
