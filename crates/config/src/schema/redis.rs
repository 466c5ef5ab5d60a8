//! `redis:` and `sentinel:`.

use super::{Field, Kind, choice, flag, integer, path, secret, section, text};

/// What the agent writes into redis.conf itself, and why.
pub const DIRECTIVES_RESERVED: &[(&str, &str)] = &[
    ("bind", "it comes from redis.listen"),
    ("port", "it comes from redis.listen"),
    ("tls-port", "it comes from redis.listen and redis.tls"),
    ("tls-cert-file", "it comes from redis.tls.cert_file"),
    ("tls-key-file", "it comes from redis.tls.key_file"),
    ("tls-ca-cert-file", "it comes from redis.tls.ca_file"),
    ("tls-replication", "it follows from redis.tls"),
    ("protected-mode", "the other members must reach it; set redis.authentication, or listen on a protected network"),
    ("dir", "it comes from redis.data_dir"),
    ("daemonize", "the guard runs the server in the foreground"),
    ("supervised", "the guard supervises the server"),
    ("pidfile", "the guard knows the process"),
    ("replicaof", "the agent decides whom the server follows"),
    ("slaveof", "the agent decides whom the server follows"),
    ("replica-read-only", "a replica that takes writes would lose them"),
    ("slave-read-only", "a replica that takes writes would lose them"),
    ("replica-announce-ip", "it comes from redis.connect_address"),
    ("replica-announce-port", "it comes from redis.connect_address"),
    ("replica-priority", "it comes from redis.priority"),
    ("slave-priority", "it comes from redis.priority"),
    ("min-replicas-to-write", "it comes from redis.min_replicas_to_write"),
    ("min-slaves-to-write", "it comes from redis.min_replicas_to_write"),
    ("requirepass", "it comes from redis.authentication"),
    ("masterauth", "it comes from redis.authentication"),
    ("masteruser", "it comes from redis.authentication"),
    (
        "user",
        "it comes from redis.authentication; other users belong into an aclfile, which then has to have this one too",
    ),
    ("rename-command", "the agent needs the commands under their own names; restrict users by an aclfile"),
    ("cluster-enabled", "Redis Cluster fails over by itself"),
    ("sentinel", "it belongs into the section sentinel"),
    ("include", "the file would win over what the agent writes; put the directives here"),
];

pub const REDIS: &[Field] = &[
    text("name", "scope", "What Sentinel and its clients call the master; the same on every member."),
    Field::new(
        "listen",
        Kind::Listen { port: 6379 },
        "this member's address, port 6379",
        "Where redis-server listens: one host, or several separated by commas, and one port.",
    ),
    Field::new(
        "connect_address",
        Kind::Address { port: Some(6379) },
        "redis.listen",
        "How the other members and the clients reach it.",
    ),
    path("data_dir", "", "The directory for the data and the managed configuration, existing or to be created."),
    path("bin_dir", "searched for", "Where redis-server, valkey-server or memurai is."),
    path("binary", "searched for", "The server's program itself, when it has another name."),
    text(
        "os_user",
        "the agent's own user; when that is root: PostgreSQL's, or redis on a member without PostgreSQL",
        "The user redis-server (and the worker) run as when the agent is started by root.",
    ),
    section("authentication", AUTHENTICATION, "Whom the server lets in; clients, replicas and the agent use it."),
    section("tls", TLS, "TLS for clients and replication; without it connections are not encrypted."),
    Field::new(
        "parameters",
        Kind::Directives { reserved: DIRECTIVES_RESERVED },
        "appendonly: yes",
        "Other directives of redis.conf; a list of values repeats the directive.",
    ),
    integer(
        "min_replicas_to_write",
        0,
        100,
        "0",
        "The master takes writes only while so many replicas are connected (and at most 10 s behind).",
    ),
    integer("priority", 0, 1_000_000, "100", "A lower number is preferred in an election; 0: never becomes master."),
    Field::new(
        "down_after",
        Kind::Seconds { min: 0.2, max: 600.0 },
        "1",
        "A server that has not answered for so long is killed and, as the master, failed over, in seconds.",
    ),
    flag(
        "supervise",
        "true",
        "false: something else runs the redis-server here; describe it under sentinel.masters, this section has no effect.",
    ),
];

const AUTHENTICATION: &[Field] = &[
    text("username", "default", "The user (an ACL user that may do everything)."),
    secret("password", "The user's password."),
];

const TLS: &[Field] = &[
    path("cert_file", "", "The server's certificate, also used by the agent and by replicas."),
    path("key_file", "", "The certificate's key."),
    path("ca_file", "", "Certificates of the authorities to trust."),
];

pub const SENTINEL: &[Field] = &[
    Field::new(
        "listen",
        Kind::Listen { port: 26379 },
        "this member's address, port 26379",
        "Where the sentinel listens: one host, or several separated by commas, and one port.",
    ),
    Field::new(
        "announce",
        Kind::Address { port: Some(26379) },
        "sentinel.listen",
        "The address that other sentinels and clients are told.",
    ),
    integer("quorum", 1, 1000, "a majority of the members", "What clients see as the quorum of the supervised master."),
    Field::new(
        "masters",
        Kind::Named(SENTINEL_MASTER),
        "",
        "Masters that something else runs, by name: `db1: {host: 10.0.0.5, port: 6379, quorum: 2}`.",
    ),
    section("authentication", SENTINEL_USER, "Whom the sentinel lets in (requirepass)."),
    section("tls", TLS, "TLS for clients, and towards the servers; redis.tls when it is missing."),
    path(
        "config_file",
        "sentinel.conf in redis.data_dir, or in store.data_dir",
        "Where the sentinel keeps its state; Sentinel's own format.",
    ),
];

const SENTINEL_USER: &[Field] = &[text("username", "default", "The user."), secret("password", "The password.")];

/// What may stand at one master.
pub const SENTINEL_MASTER: &[Field] = &[
    text("host", "", "The master's host name or IP address at the start; later the sentinel follows it."),
    choice(
        "mode",
        &["native", "mixed", "supervised"],
        "native",
        "native: all its sentinels are Quorate's, and the store says who may fail over; mixed: some are real ones, so they vote; supervised: other members run its servers (needs no host).",
    ),
    Field::new("port", Kind::Integer { min: 1, max: 65535 }, "6379", "The master's port."),
    integer("quorum", 1, 1000, "2", "So many sentinels must find the master down."),
    Field::new(
        "down_after",
        Kind::Seconds { min: 0.001, max: 86_400.0 },
        "30",
        "A server that has not answered for so long counts as down, in seconds.",
    ),
    Field::new(
        "failover_timeout",
        Kind::Seconds { min: 0.001, max: 86_400.0 },
        "180",
        "How long a failover may take, in seconds.",
    ),
    integer("parallel_syncs", 1, 1000, "1", "So many replicas are pointed at the new master at once."),
    section("authentication", SENTINEL_USER, "How the sentinel signs in to the master and its replicas."),
];
