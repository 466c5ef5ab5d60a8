//! `postgresql:` and `bootstrap:`.

use super::{ANY, Field, Kind, choice, flag, path, secret, section, text};

/// Options that the agent passes to initdb itself.
pub const INITDB_RESERVED: &[&str] =
    &["pgdata", "nosync", "no-sync", "pwfile", "pwprompt", "sync-only", "version", "help"];
/// Options that the agent passes to pg_basebackup itself.
pub const BASEBACKUP_RESERVED: &[&str] = &[
    "pgdata",
    "format",
    "wal-method",
    "xlog-method",
    "gzip",
    "compress",
    "version",
    "help",
    "dbname",
    "host",
    "port",
    "username",
    "password",
    "no-password",
    "write-recovery-conf",
];
/// PostgreSQL's programs that may have another name.
pub const BIN_NAMES: &[&str] =
    &["pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready", "pg_rewind", "pg_waldump"];

pub const POSTGRESQL: &[Field] = &[
    Field::new(
        "listen",
        Kind::Listen { port: 5432 },
        "this member's address, port 5432",
        "Where PostgreSQL listens: one host, or several separated by commas, and one port. The first is used locally.",
    )
    .variable(),
    Field::new(
        "connect_address",
        Kind::Address { port: Some(5432) },
        "postgresql.listen",
        "How the other members and the clients reach it.",
    )
    .variable(),
    Field::new(
        "proxy_address",
        Kind::Address { port: Some(5432) },
        "",
        "A connection pool beside PostgreSQL; told to others as proxy_url.",
    )
    .variable(),
    path("data_dir", "", "The data directory, existing or to be created.").variable(),
    path("config_dir", "postgresql.data_dir", "Where the configuration files are.").variable(),
    path("bin_dir", "searched for", "Where PostgreSQL's programs are.").variable(),
    section("bin_name", BIN_NAME, "Other names of PostgreSQL's programs."),
    path("pgpass", "beside the data directory", "A password file that the agent writes.").variable(),
    text(
        "os_user",
        "the agent's own user, or postgres when that is root",
        "The user PostgreSQL runs as when the agent is started by root.",
    ),
    section("authentication", AUTHENTICATION, "The users the agent connects as."),
    Field::new(
        "parameters",
        Kind::Values,
        "",
        "PostgreSQL's settings on this member; they win over the dynamic configuration.",
    ),
    Field::new("pg_hba", Kind::Lines, "", "The lines of pg_hba.conf; they win over the dynamic configuration."),
    Field::new("pg_ident", Kind::Lines, "", "The lines of pg_ident.conf."),
    Field::new("recovery_conf", Kind::Values, "", "Settings of a replica, such as restore_command."),
    path("custom_conf", "", "A file instead of postgresql.base.conf.")
        .later("put its settings under postgresql.parameters"),
    flag("use_unix_socket", "false", "Connect locally through a Unix socket."),
    flag("use_unix_socket_repl", "false", "The same for replication."),
    section("callbacks", CALLBACKS, "Programs called with action, role and scope."),
    Field::new(
        "create_replica_methods",
        Kind::Words,
        "basebackup",
        "How a replica is made; only basebackup so far, others are passed over.",
    ),
    Field::new("create_replica_method", Kind::Words, "", "Old name of create_replica_methods."),
    Field::new("basebackup", Kind::Options { reserved: BASEBACKUP_RESERVED }, "", "Options of pg_basebackup."),
    Field::new(
        "rewind",
        Kind::Options { reserved: &["target-pgdata", "source-server", "source-pgdata", "dry-run"] },
        "",
        "Options of pg_rewind.",
    ),
    Field::new(
        "pg_ctl_timeout",
        Kind::Seconds { min: 0.0, max: 86_400.0 },
        "60",
        "How long a start or a stop may take before it counts as failed, in seconds.",
    ),
    flag(
        "use_pg_rewind",
        "true",
        "Bring a former primary back by pg_rewind. Belongs into the dynamic configuration; here it concerns this member only.",
    ),
    flag(
        "use_slots",
        "true",
        "Keep the WAL for replicas in replication slots. Belongs into the dynamic configuration.",
    ),
    flag("remove_data_directory_on_rewind_failure", "false", "Make a new copy when pg_rewind fails."),
    flag(
        "remove_data_directory_on_diverged_timelines",
        "false",
        "Make a new copy when the timelines diverged and pg_rewind is not used.",
    ),
    path("pre_promote", "", "A program that must succeed before a promotion.")
        .later("a fencing script that is not run would be worse than none; fencing is built in"),
    path("before_stop", "", "A program that runs before PostgreSQL stops.")
        .later("use callbacks.on_stop when running after the stop is enough"),
];

const BIN_NAME: &[Field] = &[
    text("pg_ctl", "pg_ctl", ""),
    text("initdb", "initdb", ""),
    text("pg_controldata", "pg_controldata", ""),
    text("pg_basebackup", "pg_basebackup", ""),
    text("postgres", "postgres", ""),
    text("pg_isready", "pg_isready", ""),
    text("pg_rewind", "pg_rewind", ""),
    text("pg_waldump", "pg_waldump", ""),
];

const AUTHENTICATION: &[Field] = &[
    section("superuser", USER, "The superuser, created by initdb."),
    section("replication", USER, "The user of streaming replication, created with the cluster."),
    section("rewind", USER, "The user of pg_rewind, created with the cluster; the superuser when missing."),
];

const USER: &[Field] = &[
    text("username", "", "The user's name.").variable(),
    secret("password", "The user's password.").variable(),
    choice(
        "sslmode",
        &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "prefer",
        "libpq's parameter; the agent's own connections as this user follow it. When it is missing they are encrypted only where the server insists.",
    )
    .variable(),
    path("sslkey", "", "libpq's parameter.").variable(),
    secret("sslpassword", "libpq's parameter, for PostgreSQL's own programs only.").variable(),
    path("sslcert", "", "libpq's parameter.").variable(),
    path("sslrootcert", "", "libpq's parameter.").variable(),
    path("sslcrl", "", "libpq's parameter, for PostgreSQL's own programs only.").variable(),
    path("sslcrldir", "", "libpq's parameter, for PostgreSQL's own programs only.").variable(),
    choice("sslnegotiation", &["postgres", "direct"], "", "libpq's parameter.").variable(),
    choice("gssencmode", &["disable", "prefer", "require"], "", "libpq's parameter, for PostgreSQL's own programs only.").variable(),
    choice("channel_binding", &["disable", "prefer", "require"], "", "libpq's parameter.").variable(),
];

const CALLBACKS: &[Field] = &[
    text("on_reload", "", "After a reload of the configuration."),
    text("on_restart", "", "After a restart that did not change the role."),
    text("on_role_change", "", "After a promotion or a demotion."),
    text("on_start", "", "After PostgreSQL started."),
    text("on_stop", "", "After PostgreSQL stopped."),
];

pub const BOOTSTRAP: &[Field] = &[
    Field::new("dcs", Kind::Dynamic, "", "The first dynamic configuration. Later changes: quorate edit-config."),
    text("method", "initdb", "How the first member is made; only initdb so far."),
    Field::new("initdb", Kind::Options { reserved: INITDB_RESERVED }, "", "Options of initdb."),
    path("post_bootstrap", "", "A program that runs once on the new primary, with its connection string."),
    path("post_init", "", "Old name of post_bootstrap."),
    Field::new("pg_hba", Kind::Lines, "", "Lines of pg_hba.conf for the new cluster; postgresql.pg_hba when missing."),
    Field::new("users", Kind::Section(ANY), "", "Users to create.")
        .ignored("Patroni removed it in version 4.0; create them in post_bootstrap"),
];
