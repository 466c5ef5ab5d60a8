//! `cluster.yaml` as types. Texts stay texts, however wrong they are: what is wrong with them is said at their field by
//! `check`, not by a parser at the first mistake.

use crate::promise::Promise;
use crate::{Finding, Severity};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use types::{MemberName, Scope};

/// Where things are by default; nothing of a distribution's package is below it.
const DIRECTORY: &str = if cfg!(windows) { "C:/ProgramData/Quorate" } else { "/var/lib/quorate" };

/// Whoever renews by hand after all does it once a year, and a month later is not too late.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// `30m`, `12h`, `90d`, `45s`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| Duration::from_secs(u64::from(number) * seconds))
}

/// A whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The cluster's name, and what Sentinel calls the Redis master.
    #[serde(default = "no_scope")]
    pub scope: Scope,
    #[serde(default)]
    pub promise: Promise,
    #[serde(default)]
    pub members: Vec<Member>,
    /// Counts when a member has the role database.
    #[serde(default)]
    pub postgresql: PostgresPlan,
    /// Counts when a member has the role cache.
    #[serde(default)]
    pub redis: RedisPlan,
    /// The store's directory on each member that has the role.
    #[serde(default = "default_store_dir")]
    pub store_dir: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vips: Vec<Vip>,
    #[serde(default, skip_serializing_if = "Ports::are_usual")]
    pub ports: Ports,
    /// How long a member's certificate is good: `90d`. Members renew theirs after two thirds of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_life: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// PostgreSQL.
    Database,
    /// The consensus store, with a vote.
    Store,
    /// Redis.
    Cache,
    /// The store and nothing else: a vote without data.
    Witness,
    /// Its PostgreSQL never becomes the primary.
    NoFailover,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    #[serde(default = "no_member")]
    pub name: MemberName,
    /// An IP address or a host name, without a port: what the others reach it by.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Servers with the same site can be lost together: a building, a rack, a host of virtual machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresPlan {
    /// `17`; for people, and for the check that the members have the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default = "default_postgres_dir")]
    pub data_dir: String,
    /// `None`: each member searches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin_dir: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisPlan {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default = "default_redis_dir")]
    pub data_dir: String,
    /// `None`: each member searches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin_dir: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VipLeadsTo {
    #[default]
    Primary,
    RedisMaster,
}

/// An address that is always where the role is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vip {
    /// With the length of its network's prefix: `10.0.0.42/24`.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub role: VipLeadsTo,
    /// `None`: on each member the one whose network contains the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// A port as it was written: a number, or a text that may be none. What cannot be a port is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Port(pub u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let number = match &value {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        Ok(Self(number.unwrap_or(0)))
    }
}

/// The same on every member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    pub postgresql: Port,
    pub rest_api: Port,
    pub console: Port,
    pub store_clients: Port,
    pub store_peers: Port,
    pub proxy_primary: Port,
    pub proxy_replicas: Port,
    pub proxy_redis: Port,
    pub redis: Port,
    pub sentinel: Port,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            postgresql: Port(5432),
            rest_api: Port(8008),
            console: Port(8080),
            store_clients: Port(2379),
            store_peers: Port(2380),
            proxy_primary: Port(5000),
            proxy_replicas: Port(5001),
            proxy_redis: Port(6380),
            redis: Port(6379),
            sentinel: Port(26379),
        }
    }
}

impl Ports {
    fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for PostgresPlan {
    fn default() -> Self {
        Self { version: None, data_dir: default_postgres_dir(), bin_dir: None }
    }
}

impl Default for RedisPlan {
    fn default() -> Self {
        Self { version: None, data_dir: default_redis_dir(), bin_dir: None }
    }
}

fn no_scope() -> Scope {
    Scope::new("")
}

fn no_member() -> MemberName {
    MemberName::new("")
}

fn default_postgres_dir() -> String {
    format!("{DIRECTORY}/postgresql")
}

fn default_redis_dir() -> String {
    format!("{DIRECTORY}/redis")
}

fn default_store_dir() -> String {
    format!("{DIRECTORY}/store")
}

impl Member {
    pub fn new(name: &str, address: &str, roles: &[Role]) -> Self {
        Self {
            name: MemberName::new(name),
            address: address.to_owned(),
            roles: roles.iter().copied().collect(),
            site: None,
        }
    }

    pub fn has_database(&self) -> bool {
        self.roles.contains(&Role::Database)
    }

    pub fn has_cache(&self) -> bool {
        self.roles.contains(&Role::Cache)
    }

    /// Whether its store has a vote.
    pub fn votes(&self) -> bool {
        self.roles.contains(&Role::Store) || self.roles.contains(&Role::Witness)
    }

    pub fn is_witness(&self) -> bool {
        self.votes() && !self.has_database() && !self.has_cache()
    }

    /// Whether its PostgreSQL may become the primary.
    pub fn may_lead(&self) -> bool {
        self.has_database() && !self.roles.contains(&Role::NoFailover)
    }
}

impl Plan {
    /// An empty one, with every default.
    pub fn new(scope: &str) -> Self {
        Self {
            scope: Scope::new(scope),
            promise: Promise::default(),
            members: Vec::new(),
            postgresql: PostgresPlan::default(),
            redis: RedisPlan::default(),
            store_dir: default_store_dir(),
            vips: Vec::new(),
            ports: Ports::default(),
            certificate_life: None,
        }
    }

    /// `cluster.yaml`. What is no plan at all is one finding; what is wrong with a plan, `findings` says.
    pub fn read(text: &str) -> Result<Self, Vec<Finding>> {
        serde_saphyr::from_str(text).map_err(|error| vec![unreadable(&error.to_string())])
    }

    /// The same from the page of the wizard.
    pub fn read_json(text: &str) -> Result<Self, Vec<Finding>> {
        serde_json::from_str(text).map_err(|error| vec![unreadable(&error.to_string())])
    }

    pub fn to_yaml(&self) -> String {
        let mut text = String::from(
            "# The plan of the cluster, the same on every server. Change it with `quorate setup`: every member's files are made from it.\n",
        );
        // Plain data cannot fail to be written; the reader would say so if it did.
        text.push_str(&serde_saphyr::to_string(self).unwrap_or_default());
        text
    }

    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// The default where nothing, or nothing usable, is written.
    pub fn certificate_life(&self) -> Duration {
        let written = self.certificate_life.as_deref().and_then(duration);
        written.filter(|life| !life.is_zero()).unwrap_or(CERTIFICATE_LIFE)
    }

    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.votes())
    }

    pub fn databases(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.has_database())
    }

    pub fn caches(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.has_cache())
    }

    /// The virtual addresses that this member may hold.
    pub fn vips_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Vip> {
        self.vips.iter().filter(|vip| match vip.role {
            VipLeadsTo::Primary => member.has_database(),
            VipLeadsTo::RedisMaster => member.has_cache(),
        })
    }
}

/// The first line of a parser's complaint; the others draw the place.
fn unreadable(why: &str) -> Finding {
    let why = why.lines().next().unwrap_or_default();
    Finding::new(
        Severity::Error,
        "plan-unreadable",
        "",
        format!("this is not a plan of a cluster: {why}"),
        "`quorate setup` writes cluster.yaml; docs/how-to/set-up.md shows one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut plan = Plan::new("shop");
        plan.members = vec![
            Member::new("pg1", "10.0.0.11", &[Role::Database, Role::Store, Role::Cache]),
            Member::new("pg2", "db2.example", &[Role::Database, Role::Store, Role::NoFailover]),
            Member { site: Some("north".into()), ..Member::new("w", "fd00::3", &[Role::Witness]) },
        ];
        plan.vips = vec![Vip { address: "10.0.0.42/24".into(), ..Vip::default() }];
        plan.postgresql.version = Some("17".into());
        plan.ports.postgresql = Port(5433);
        let text = plan.to_yaml();
        assert_eq!(Plan::read(&text).unwrap(), plan, "{text}");
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(Plan::read_json(&json).unwrap(), plan);
    }

    #[test]
    fn a_short_plan_has_every_default() {
        let plan = Plan::read("scope: shop\nmembers:\n- {name: a, address: 10.0.0.1, roles: [database, store]}\n");
        let plan = plan.unwrap();
        assert_eq!(plan.promise, Promise::StayWritable);
        assert_eq!((&plan.postgresql, &plan.ports), (&PostgresPlan::default(), &Ports::default()));
        assert_eq!(plan.store_dir, default_store_dir());
        assert!(plan.members[0].may_lead() && plan.members[0].votes() && !plan.members[0].is_witness());
    }

    #[test]
    fn a_certificates_life_is_a_number_with_a_unit() {
        for (text, seconds) in [
            ("90d", Some(7_776_000)),
            ("1h", Some(3600)),
            ("0s", Some(0)),
            ("90", None),
            ("d", None),
            ("-1d", None),
            ("1w", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
        let plan = Plan::read("scope: a\ncertificate_life: 30d").unwrap();
        assert_eq!(plan.certificate_life(), Duration::from_secs(30 * 86_400));
        assert_eq!(Plan::new("a").certificate_life(), CERTIFICATE_LIFE);
    }

    #[test]
    fn what_is_no_plan_says_so() {
        for text in
            ["- a", "scope: [", "scope: a\nmembres: []", "scope: a\nmembers: [{roles: [databse]}]", "promise: x"]
        {
            let findings = Plan::read(text).unwrap_err();
            assert_eq!(findings.len(), 1);
            assert_eq!((findings[0].code, findings[0].severity), ("plan-unreadable", Severity::Error), "{text}");
            assert!(!findings[0].message.contains('\n'), "{}", findings[0]);
        }
    }

    #[test]
    fn a_port_may_be_anything_and_is_zero_when_it_is_none() {
        for (text, port) in
            [("5433", 5433), ("'5433'", 5433), ("70000", 0), ("-1", 0), ("abc", 0), ("1.5", 0), ("null", 0)]
        {
            let plan = Plan::read(&format!("scope: a\nports: {{postgresql: {text}}}")).unwrap();
            assert_eq!(plan.ports.postgresql, Port(port), "{text}");
        }
    }
}
