//! A member's configuration: any `patroni.yml`, and our own sections beside Patroni's.
//!
//! Files and `PATRONI_*` variables are read into a tree that knows the line of every key, the tree is checked against
//! one table of keys ([`schema`]), and only then turned into types. Deliberately no defaults that depend on the
//! machine, and nothing is opened but the files named. The invariant: a [`MemberConfig`] exists only when every key of
//! it was understood, and no password appears in an error or in `Debug`.

mod address;
mod build;
mod check;
mod client;
mod dynamic;
mod environment;
mod error;
mod member;
mod parts;
mod place;
mod read;
mod redact;
mod reference;
pub mod schema;
mod tree;
mod yaml;

pub use address::{Address, AddressError};
pub use client::{ClientConfig, ClientVip, ProxyPorts, load_client};
pub use dynamic::{DynamicProblem, dynamic_problems};
pub use environment::variables;
pub use error::{Code, ConfigError, ConfigErrors};
pub use member::{
    Authentication, BasebackupOption, BootstrapConfig, ClientTls, ConsoleConfig, CtlConfig, DcsKind, EtcdConfig,
    HetznerConfig, InitdbOption, LogConfig, MemberConfig, PgbouncerConfig, PgbouncerInstance, PostgresqlConfig,
    ProxyConfig, RedisConfig, RedisTls, RestApiConfig, RestApiTls, SendProxyProtocol, SentinelConfig, SentinelMaster,
    SentinelMode, StoreConfig, StoreMember, StoreTls, User, VerifyClient, VipConfig, WatchdogConfig, WatchdogMode,
};
pub use place::Place;
pub use redact::{REMOVED, Redacted, clean_json, clean_text, redacted};
pub use reference::reference_markdown;
pub use types::Secret;
pub use yaml::{yaml_from_json, yaml_to_json};

use std::collections::BTreeMap;
use std::path::Path;

/// Reads a configuration file, or a directory of `*.yml` merged in the order of their names, and lays the `PATRONI_*`
/// variables in `env` over it. Every problem is reported, not only the first.
pub fn load(path: &Path, env: &BTreeMap<String, String>) -> Result<MemberConfig, ConfigErrors> {
    let mut report = error::Report::default();
    let tree = read::from_path(path, &mut report);
    finish(tree, Some(env), report)
}

/// The same without a file: the variable `PATRONI_CONFIGURATION` holds the whole configuration (and then, as with
/// Patroni, no other variable counts), or the single variables make it up.
pub fn load_environment(env: &BTreeMap<String, String>) -> Result<MemberConfig, ConfigErrors> {
    let mut report = error::Report::default();
    match env.get(read::WHOLE_CONFIGURATION).filter(|text| !text.trim().is_empty()) {
        Some(text) => finish(read::from_text(read::WHOLE_CONFIGURATION, text, &mut report), None, report),
        None => finish(Some(tree::Node::empty_map()), Some(env), report),
    }
}

/// Checks a configuration text; `name` stands for the file in messages.
pub fn load_text(name: &str, text: &str, env: &BTreeMap<String, String>) -> Result<MemberConfig, ConfigErrors> {
    let mut report = error::Report::default();
    let tree = read::from_text(name, text, &mut report);
    finish(tree, Some(env), report)
}

fn finish(
    tree: Option<tree::Node>,
    env: Option<&BTreeMap<String, String>>,
    mut report: error::Report,
) -> Result<MemberConfig, ConfigErrors> {
    let Some(mut tree) = tree else { return Err(report.into_errors()) };
    if let Some(env) = env {
        environment::overlay(&mut tree, env, &mut report);
    }
    check::check(&tree, &mut report);
    let config = build::build(&tree, &mut report);
    report.finish(config)
}
