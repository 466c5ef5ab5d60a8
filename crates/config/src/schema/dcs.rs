//! `store:` and `etcd3:`.

use super::{ANY, Field, Kind, choice, flag, path, port, secret, section, text};

pub const STORE: &[Field] = &[
    Field::new(
        "listen",
        Kind::Address { port: Some(2379) },
        "this member's address and client_port",
        "Where the store listens for clients; a host alone, or host:port.",
    ),
    path("data_dir", "", "Where the store keeps its log. A disk that is not the network's; a few megabytes."),
    Field::new(
        "members",
        Kind::StoreMembers,
        "",
        "Every member of the store: `pg1: 10.0.0.1`, or `pg1: {address: 10.0.0.1, witness: true}`. An odd number, three or five; a witness votes but has no PostgreSQL.",
    ),
    port("client_port", "2379", "The port for clients, on every member."),
    port("peer_port", "2380", "The port between members, on every member."),
    section(
        "client_transport_security",
        CLIENT_TLS,
        "TLS on the port for clients, the agents among them; with it nothing is served without. The same on every member.",
    ),
    section(
        "peer_transport_security",
        PEER_TLS,
        "Mutual TLS between the members of the store; with it nobody is heard without a certificate. The same on every member.",
    ),
];

/// Under etcd's names, with `_`.
const CLIENT_TLS: &[Field] = &[
    path(
        "cert_file",
        "",
        "The member's certificate (PEM), made out to its address; the agent shows it as a client, too.",
    ),
    path("key_file", "", "The certificate's key."),
    path("trusted_ca_file", "", "Certificates of the authorities to trust."),
    flag("client_cert_auth", "false", "Clients need a certificate of these authorities."),
];

const PEER_TLS: &[Field] = &[
    path("cert_file", "", "The member's certificate (PEM), made out to its address, for both ends of a connection."),
    path("key_file", "", "The certificate's key."),
    path("trusted_ca_file", "", "Certificates of the authorities to trust."),
    flag("client_cert_auth", "true", "Members always show a certificate; only 'true' is accepted."),
];

/// What may stand at one member.
pub const STORE_MEMBER: &[Field] = &[
    text("address", "", "The member's host name or IP address."),
    flag("witness", "false", "Has store and vote, but no PostgreSQL."),
    port("client_port", "store.client_port", "The port for clients on this member only."),
    port("peer_port", "store.peer_port", "The port between members on this member only."),
];

pub const ETCD: &[Field] = &[
    Field::new("host", Kind::Address { port: Some(2379) }, "", "One endpoint, host:port.").variable(),
    Field::new("hosts", Kind::Words, "", "The endpoints: a list, or a text such as host1:2379,host2:2379.").variable(),
    text("url", "", "One endpoint, http://host:port or https://host:port.").variable(),
    text("proxy", "", "The endpoint of an etcd proxy, http://host:port.").variable(),
    text("srv", "", "A domain whose SRV records name the endpoints.")
        .later("list the endpoints under 'hosts'")
        .variable(),
    text("srv_suffix", "", "Suffix of the SRV records.").later("list the endpoints under 'hosts'").variable(),
    choice("protocol", &["http", "https"], "http", "Whether the endpoints of 'host' and 'hosts' use TLS.").variable(),
    text("username", "", "The user, when etcd's authentication is on.").variable(),
    secret("password", "The user's password.").variable(),
    path("cacert", "the system's authorities", "Certificates of the authorities to trust.").variable(),
    path("cert", "", "The client's certificate.").variable(),
    path("key", "the file of the certificate", "The certificate's key.").variable(),
    flag("use_proxies", "false", "Keep to the listed hosts.")
        .ignored("the listed endpoints are always kept")
        .variable(),
    Field::new("retry", Kind::Section(ANY), "", "Retries.").ignored("bounded by retry_timeout"),
];
