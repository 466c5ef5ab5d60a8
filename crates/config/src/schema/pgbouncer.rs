//! `pgbouncer:`.

use super::{Field, Kind, path, secret, text};

pub const PGBOUNCER: &[Field] = &[
    Field::new(
        "instances",
        Kind::Named(INSTANCE),
        "",
        "PgBouncers by a name of your own: `local: {host: /var/run/postgresql, databases: [app]}`. Each belongs to one member.",
    ),
    // A switchover that takes longer than 20 s is reported as failed by the REST API.
    Field::new(
        "pause_timeout",
        Kind::Seconds { min: 0.0, max: 10.0 },
        "2",
        "How long a switchover waits for running transactions, in seconds; what takes longer is cut. The same on all members.",
    ),
    Field::new(
        "hold",
        Kind::Seconds { min: 1.0, max: 300.0 },
        "10",
        "How long clients wait for the new primary after that, in seconds; then they go on, whatever has become of it.",
    ),
];

const INSTANCE: &[Field] = &[
    text("host", "/var/run/postgresql", "Where its admin console is: a host, or the directory of its Unix socket."),
    Field::new("port", Kind::Integer { min: 1, max: 65535 }, "6432", "The port (also a part of the socket's name)."),
    text("username", "pgbouncer", "One of its admin_users."),
    secret("password", "The user's password."),
    path("password_file", "", "A file that holds the password and nothing else, in place of password."),
    Field::new(
        "databases",
        Kind::Words,
        "all",
        "The databases that lead to the primary, as PgBouncer calls them; the others are left alone.",
    ),
    path(
        "include_file",
        "",
        "A file that PgBouncer's configuration includes (%include) and that the agent writes: [databases] with the primary's address. Without it the databases lead to a proxy.",
    ),
    Field::new(
        "include_parameters",
        Kind::Values,
        "",
        "What else stands in that file, by database: `app: dbname=app pool_size=50`.",
    ),
];
