//! What the command line needs of a configuration: where the cluster's state is, and how to talk to the REST API.
//!
//! Reads a member's own file as well as a `patronictl.yaml`, and leaves alone what it does not need.

use crate::build::{Builder, namespace};
use crate::check::check_only;
use crate::error::Report;
use crate::member::{ClientTls, EtcdConfig};
use crate::tree::{Node, Value};
use crate::{ConfigErrors, Secret, User, environment, read};
use std::collections::BTreeMap;
use std::path::Path;
use types::{MemberName, Scope};

#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    pub scope: Option<Scope>,
    /// Without slashes around it.
    pub namespace: Option<String>,
    /// The member whose file it is, when it is one.
    pub name: Option<MemberName>,
    /// `http://host:port` or `https`; empty when the file names no store.
    pub endpoints: Vec<String>,
    /// etcd's user, when its authentication is on.
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// For the requests that change something.
    pub authentication: Option<User>,
    /// Towards the REST API.
    pub tls: ClientTls,
    /// Towards the store, where its endpoints are `https`.
    pub store_tls: Option<ClientTls>,
    /// Of this member, and so probably of all.
    pub proxy: ProxyPorts,
    pub sentinel_port: Option<u16>,
    /// The embedded store's members, witnesses too.
    pub store_hosts: Vec<String>,
    /// The addresses of `vip`, without their prefixes.
    pub vips: Vec<ClientVip>,
    /// PostgreSQL's superuser.
    pub postgres_user: Option<User>,
    /// A user without a name is Redis's default one.
    pub redis_user: Option<User>,
    pub redis_tls: bool,
}

/// A virtual address as the file has it, checked by nobody yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientVip {
    pub host: String,
    pub role: String,
}

/// One of them, or a list.
fn vips(tree: &Node) -> Vec<ClientVip> {
    let nodes = match tree.at(&["vip"]).map(|node| (node, &node.value)) {
        Some((_, Value::List(items))) => items.iter().collect(),
        Some((node, Value::Map(_))) => vec![node],
        Some((_, Value::Scalar(_) | Value::Null)) | None => Vec::new(),
    };
    let text = |node: &Node, key: &str| node.at(&[key]).map(crate::parts::text).filter(|text| !text.is_empty());
    let one = |node: &Node| {
        let address = text(node, "address")?;
        let host = address.split('/').next().unwrap_or(&address).to_owned();
        Some(ClientVip { host, role: text(node, "role").unwrap_or_else(|| "primary".to_owned()) })
    };
    nodes.into_iter().filter_map(one).collect()
}

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyPorts {
    pub primary_port: u16,
    pub replica_port: u16,
    pub redis_port: u16,
}

impl Default for ProxyPorts {
    fn default() -> Self {
        Self { primary_port: 5000, replica_port: 5001, redis_port: 6380 }
    }
}

/// `path` `None`: only the variables count.
pub fn load_client(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<ClientConfig, ConfigErrors> {
    let mut report = Report::default();
    let tree = match path {
        Some(path) => read::from_path(path, &mut report),
        None => match env.get(read::WHOLE_CONFIGURATION).filter(|text| !text.trim().is_empty()) {
            Some(text) => read::from_text(read::WHOLE_CONFIGURATION, text, &mut report),
            None => Some(Node::empty_map()),
        },
    };
    let Some(mut tree) = tree else { return Err(report.into_errors()) };
    environment::overlay(&mut tree, env, &mut report);
    check_only(&tree, &["scope", "namespace", "name", "store", "etcd3", "etcd", "ctl"], &mut report);
    let text = |key: &str| tree.at(&[key]).map(crate::parts::text).filter(|text| !text.is_empty());
    let name = text("name").map(MemberName::new);
    let mut builder = Builder { tree: &tree, report: &mut report };
    let store = builder.store(name.as_ref().unwrap_or(&MemberName::new("")));
    let etcd = builder.etcd();
    let authentication =
        builder.user(&["ctl", "authentication"]).or_else(|| builder.user(&["restapi", "authentication"]));
    let tls = builder.ctl_tls();
    let store_tls = match (&store, &etcd) {
        (Some(store), _) => store.as_client(),
        (None, etcd) => etcd.as_ref().and_then(|etcd| etcd.tls.clone()),
    };
    let ports = ProxyPorts::default();
    let proxy = ProxyPorts {
        primary_port: builder.port(&["proxy", "primary_port"], ports.primary_port),
        replica_port: builder.port(&["proxy", "replica_port"], ports.replica_port),
        redis_port: builder.port(&["proxy", "redis_port"], ports.redis_port),
    };
    let postgres_user = builder.user(&["postgresql", "authentication", "superuser"]);
    let redis_password = builder.text(&["redis", "authentication", "password"]);
    let redis_user = redis_password.map(|password| User {
        username: builder.text(&["redis", "authentication", "username"]).unwrap_or_else(|| "default".to_owned()),
        password: Some(Secret::new(password)),
        parameters: BTreeMap::new(),
    });
    let redis_tls = tree.at(&["redis", "tls"]).is_some();
    let announced = ["announce", "listen"].into_iter().find_map(|key| builder.text(&["sentinel", key]));
    let sentinel_port = announced.and_then(|text| crate::parts::listen(&text, 26379).ok()).map(|(_, port)| port);
    report.take_warnings();
    if report.has_errors() {
        return Err(report.into_errors());
    }
    let own = MemberName::new(name.as_ref().map_or("", MemberName::as_str));
    let endpoints = match (&store, &etcd) {
        (Some(store), _) => store.endpoints(&own),
        (None, Some(etcd)) => etcd.endpoints(),
        (None, None) => Vec::new(),
    };
    let (username, password) = match etcd {
        Some(EtcdConfig { username, password, .. }) => (username, password),
        None => (None, None),
    };
    Ok(ClientConfig {
        scope: text("scope").map(Scope::new),
        namespace: tree.at(&["namespace"]).map(|_| namespace(&tree)),
        name,
        endpoints,
        username,
        password,
        authentication,
        tls,
        store_tls,
        proxy,
        sentinel_port,
        store_hosts: store.iter().flat_map(|store| store.members.values()).map(|member| member.host.clone()).collect(),
        vips: vips(&tree),
        postgres_user,
        redis_user,
        redis_tls,
    })
}
