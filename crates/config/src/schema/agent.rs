//! `restapi:`, `console:`, `proxy:`, `log:`, `ctl:`, `watchdog:`.

use super::{Field, Kind, choice, flag, integer, path, port, secret, section, text};

const PASSWORD: &str = "an encrypted key cannot be read; keep it without a password, readable only by the agent's user: openssl pkey -in OLD -out NEW";

pub const RESTAPI: &[Field] = &[
    Field::new(
        "listen",
        Kind::Address { port: Some(8008) },
        "this member's address, port 8008",
        "Where the REST API listens.",
    )
    .variable(),
    Field::new("connect_address", Kind::Address { port: None }, "restapi.listen", "How the other members reach it.")
        .variable(),
    section("authentication", USER, "Who may use the requests that change something."),
    path("certfile", "", "The server's certificate (PEM). With it the API is served over TLS only.").variable(),
    path("keyfile", "restapi.certfile", "The certificate's key.").variable(),
    secret("keyfile_password", "The key's password.").later(PASSWORD).variable(),
    path("cafile", "", "Certificates of the authorities whose clients are let in, and whose members are believed.").variable(),
    text("ciphers", "", "TLS ciphers.").ignored("TLS 1.2 and 1.3 are spoken, with strong ciphers only").variable(),
    choice(
        "verify_client",
        &["none", "optional", "or_password", "required"],
        "none",
        "Whether clients need a certificate: optional for the requests that change something, required for all; or_password: for these requests a certificate or the password of restapi.authentication. One that is shown must be good, and then no password is asked for.",
    )
    .variable(),
    Field::new("allowlist", Kind::Words, "", "Addresses that may use the requests that change something.")
        .later("use restapi.authentication, or a firewall")
        .variable(),
    flag("allowlist_include_members", "false", "The cluster's members may, too.")
        .later("use restapi.authentication, or a firewall")
        .variable(),
    Field::new("http_extra_headers", Kind::Values, "", "Headers added to every answer.")
        .ignored("no headers are added")
        .variable(),
    Field::new("https_extra_headers", Kind::Values, "", "Headers added to every answer over TLS.")
        .ignored("no headers are added")
        .variable(),
    integer("request_queue_size", 0, 4096, "", "Length of the listen queue.")
        .ignored("the agent bounds it itself")
        .variable(),
    integer("thread_pool_size", 5, 1000, "", "Threads that answer.").ignored("requests need no threads"),
    choice("server_tokens", &["Original", "Minimal", "ProductOnly"], "", "What the Server header tells.")
        .ignored("the header tells the product only")
        .variable(),
];

pub const CONSOLE: &[Field] = &[Field::new(
    "listen",
    Kind::Address { port: Some(8080) },
    "this member's address, port 8080",
    "Where the web console listens. Who may change something there is restapi.authentication's; without that it only shows. With restapi.certfile it speaks TLS.",
)];

const USER: &[Field] = &[text("username", "", "The user.").variable(), secret("password", "The password.").variable()];

pub const PROXY: &[Field] = &[
    Field::new("listen", Kind::Words, "this member's address", "The addresses the proxy listens on."),
    port("primary_port", "5000", "The port that leads to the primary."),
    port("replica_port", "5001", "The port that leads to the replicas."),
    port("redis_port", "6380", "The port that leads to the Redis master; only with the section redis."),
    Field::new(
        "hold",
        Kind::Seconds { min: 0.0, max: 600.0 },
        "10",
        "How long a new connection waits for a server during a switchover or failover, in seconds.",
    ),
    integer(
        "connections_max",
        1,
        100_000,
        "10000, or as many as the limit of open files has room for",
        "Connections of all ports together; each needs two open files.",
    ),
    Field::new(
        "replica_max_lag",
        Kind::Size { min: 0, max: 1 << 60 },
        "",
        "A replica further behind than this gets no new connections; without it none is too far.",
    ),
    flag("replica_fallback", "true", "The replica port leads to the primary while no replica can be used."),
    flag(
        "pooler",
        "false",
        "The PostgreSQL ports lead to the poolers beside the members (postgresql.proxy_address), not to PostgreSQL itself.",
    ),
    Field::new(
        "accept_proxy_protocol_from",
        Kind::Words,
        "",
        "Load balancers in front (addresses or networks) whose connections begin with a PROXY header.",
    ),
    choice(
        "send_proxy_protocol",
        SEND_PROXY_PROTOCOL,
        "none",
        "Begin connections of the PostgreSQL ports with a PROXY header; needs a pooler that expects it.",
    ),
    integer("threads", 1, 64, "one for each processor, at most 4", "Threads that serve connections."),
];

pub const SEND_PROXY_PROTOCOL: &[&str] = &["none", "v1", "v2"];

const LEVELS: &[&str] = &["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "TRACE"];
const PYTHON: &str = "the log has one fixed form";

pub const LOG: &[Field] = &[
    choice("level", LEVELS, "INFO", "The least important messages that are written.").variable(),
    choice("type", &["plain", "json"], "plain", "Lines for people, or JSON.").variable(),
    choice("traceback_level", LEVELS, "", "From which level on tracebacks are written.")
        .ignored("there are no tracebacks")
        .variable(),
    Field::new("format", Kind::Anything, "", "Python's format of a line.").ignored(PYTHON).variable(),
    text("dateformat", "", "Python's format of the time.").ignored(PYTHON).variable(),
    Field::new("static_fields", Kind::Values, "", "Fields added to every JSON line.").ignored(PYTHON).variable(),
    integer("max_queue_size", 1, 1_000_000, "", "Length of the queue.").ignored("the log has no queue").variable(),
    path("dir", "", "A directory for log files; without it the log goes to standard error.")
        .ignored("the log goes to standard error, which the service manager keeps")
        .variable(),
    Field::new("mode", Kind::FileMode, "", "Permissions of the files.").ignored("no log files are written").variable(),
    integer("file_num", 1, 1000, "", "Files kept.").ignored("no log files are written").variable(),
    Field::new("file_size", Kind::Size { min: 1, max: 1 << 40 }, "", "Size of a file.")
        .ignored("no log files are written")
        .variable(),
    Field::new("loggers", Kind::Values, "", "Levels of Python modules.").ignored("the log has one level").variable(),
    flag("deduplicate_heartbeat_logs", "false", "Leave out lines that repeat.")
        .ignored("such lines are never written")
        .variable(),
];

pub const CTL: &[Field] = &[
    section("authentication", USER, "User and password for the REST API; restapi.authentication when missing."),
    flag("insecure", "false", "Do not check the certificate of the REST API.").variable(),
    path("cacert", "restapi.cafile, or the system's authorities", "Certificates of the authorities to trust.")
        .variable(),
    path("certfile", "restapi.certfile", "The client's certificate.").variable(),
    path("keyfile", "ctl.certfile, or restapi.keyfile", "The certificate's key.").variable(),
    secret("keyfile_password", "The key's password.").later(PASSWORD).variable(),
];

pub const WATCHDOG: &[Field] = &[
    choice(
        "mode",
        &["off", "automatic", "required"],
        "automatic",
        "Off, used when there is one, or no leadership without it.",
    ),
    path("device", "/dev/watchdog", "The watchdog's device."),
    integer(
        "safety_margin",
        -1,
        3600,
        "5",
        "Seconds between its firing and the end of the lease; -1 is half of the ttl.",
    ),
    choice("driver", &["default", "testing"], "", "Patroni's choice of driver.").ignored("there is one driver"),
];
