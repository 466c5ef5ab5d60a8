//! The table of every key: what it takes, its range, its default and one line about it.
//!
//! The checks and the reference page are both made from it, so they cannot differ. Deliberately data only.

mod agent;
mod dcs;
mod pgbouncer;
mod postgresql;
mod redis;
pub(crate) mod vip;

pub use agent::SEND_PROXY_PROTOCOL;
pub use dcs::STORE_MEMBER;
pub use postgresql::{BASEBACKUP_RESERVED, BIN_NAMES, INITDB_RESERVED};
pub use redis::{DIRECTIVES_RESERVED, SENTINEL_MASTER};

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any single value.
    Text,
    /// A single value that is never printed.
    Secret,
    Path,
    Flag,
    Integer {
        min: i64,
        max: i64,
    },
    /// Seconds, fractions allowed.
    Seconds {
        min: f64,
        max: f64,
    },
    /// Bytes, or a number with kB, MB, GB.
    Size {
        min: u64,
        max: u64,
    },
    /// Octal file permissions.
    FileMode,
    Choice(&'static [&'static str]),
    /// host:port; the port may be left out where there is a default.
    Address {
        port: Option<u16>,
    },
    /// One or more hosts, separated by commas, with one port behind the last.
    Listen {
        port: u16,
    },
    /// A list, or a text separated by commas.
    Words,
    /// A list of whole lines.
    Lines,
    /// Command line options: a list of names and `name: value` pairs, or a mapping.
    Options {
        reserved: &'static [&'static str],
    },
    /// A mapping of names to single values.
    Values,
    /// Directives of redis.conf: a mapping of names to single values, or to lists where a directive is repeated.
    Directives {
        /// With the reason.
        reserved: &'static [(&'static str, &'static str)],
    },
    Section(&'static [Field]),
    /// A section, or a list of them.
    Sections(&'static [Field]),
    /// A mapping of names of the user's own to sections.
    Named(&'static [Field]),
    /// The members of the store.
    StoreMembers,
    /// The initial dynamic configuration.
    Dynamic,
    Anything,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug)]
pub enum Support {
    Full,
    /// Accepted for the sake of Patroni's files; has no effect, and the reason is given.
    Ignored(&'static str),
    /// Refused, because leaving it out silently would be wrong.
    Later(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub key: &'static str,
    pub kind: Kind,
    pub support: Support,
    /// As text, for the reference; empty when there is none.
    pub default: &'static str,
    pub doc: &'static str,
    /// May be set by a `PATRONI_*` variable.
    pub variable: bool,
}

impl Field {
    const fn new(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self { key, kind, support: Support::Full, default, doc, variable: false }
    }

    const fn ignored(self, why: &'static str) -> Self {
        Self { support: Support::Ignored(why), ..self }
    }

    const fn later(self, why: &'static str) -> Self {
        Self { support: Support::Later(why), ..self }
    }

    const fn variable(self) -> Self {
        Self { variable: true, ..self }
    }
}

const fn text(key: &'static str, default: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Text, default, doc)
}

const fn path(key: &'static str, default: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Path, default, doc)
}

const fn flag(key: &'static str, default: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Flag, default, doc)
}

const fn secret(key: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Secret, "", doc)
}

const fn integer(key: &'static str, min: i64, max: i64, default: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Integer { min, max }, default, doc)
}

const fn choice(key: &'static str, words: &'static [&'static str], default: &'static str, doc: &'static str) -> Field {
    Field::new(key, Kind::Choice(words), default, doc)
}

const fn section(key: &'static str, fields: &'static [Field], doc: &'static str) -> Field {
    Field::new(key, Kind::Section(fields), "", doc)
}

const fn port(key: &'static str, default: &'static str, doc: &'static str) -> Field {
    integer(key, 1, 65535, default, doc)
}

const ANY: &[Field] = &[];
const CHOOSE_STORE: &str =
    "the cluster's state lives in the embedded store or in an etcd; use 'store', 'etcd3' or 'etcd'";

/// Everything at the top of the file.
pub const TOP: &[Field] = &[
    text("scope", "", "The cluster's name, the same on every member.").variable(),
    text("namespace", "/service", "The first part of the cluster's keys in the store.").variable(),
    text("name", "", "This member's name, different on every member.").variable(),
    section("store", dcs::STORE, "The embedded store: an etcd that runs inside the agent."),
    section("etcd3", dcs::ETCD, "An etcd cluster to use instead of the embedded store."),
    section("etcd", dcs::ETCD, "The same as etcd3 (etcd's version 3 protocol is used in any case)."),
    section("postgresql", postgresql::POSTGRESQL, "The PostgreSQL of this member."),
    section("bootstrap", postgresql::BOOTSTRAP, "What happens once, when the cluster is created."),
    section("restapi", agent::RESTAPI, "The REST API: health checks for load balancers, and the commands."),
    section("proxy", agent::PROXY, "The built-in proxy; it runs when the section exists."),
    section("pgbouncer", pgbouncer::PGBOUNCER, "PgBouncers whose clients are held during a planned switchover."),
    Field::new(
        "tags",
        Kind::Values,
        "",
        "What this member may do: nofailover, failover_priority, noloadbalance, clonefrom, nosync, replicatefrom, nostream, and any of your own.",
    ),
    section("log", agent::LOG, "The agent's log."),
    section("ctl", agent::CTL, "How the command line reaches the REST API."),
    section("watchdog", agent::WATCHDOG, "The hardware watchdog."),
    integer("thread_pool_size", 5, 1000, "", "Threads for background work.")
        .ignored("the agent sizes its pools itself"),
    Field::new("thread_stack_size", Kind::Size { min: 65536, max: 1 << 30 }, "", "Stack of a thread.")
        .ignored("the agent sizes its stacks itself"),
    section("redis", redis::REDIS, "The redis-server (or valkey-server) of this member."),
    section("sentinel", redis::SENTINEL, "Redis Sentinel; it runs when the section exists."),
    Field::new(
        "vip",
        Kind::Sections(vip::VIP),
        "",
        "A virtual IP address that is where the role is; several as a list.",
    ),
    section("console", agent::CONSOLE, "The web console; it runs when the section exists."),
    section("citus", ANY, "Citus.").later("a Citus cluster cannot be managed yet"),
    section("consul", ANY, "Consul as the store.").later(CHOOSE_STORE),
    section("zookeeper", ANY, "ZooKeeper as the store.").later(CHOOSE_STORE),
    section("exhibitor", ANY, "Exhibitor as the store.").later(CHOOSE_STORE),
    section("kubernetes", ANY, "Kubernetes as the store.").later(CHOOSE_STORE),
    section("raft", ANY, "Patroni's own Raft as the store.")
        .later("Patroni's Raft is not spoken; use 'store', which is a Raft cluster too"),
];
