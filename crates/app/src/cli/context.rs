//! What a command works with: which cluster, its store, its members' REST API.

use super::api::Api;
use super::arguments::{GlobalArguments, GroupArgument};
use super::failure::Failure;
use super::places;
use crate::certificates::client_files;
use config::ClientConfig;
use dcs::{Dcs, DcsConfig};
use ha::cluster::{Cluster, Keys};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use types::Scope;

/// A person waits longer than an agent; a store that is electing answers within this time.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// etcd's port for clients.
const STORE_PORT: u16 = 2379;

pub struct Context {
    client: ClientConfig,
    /// Where the configuration came from, for messages.
    file: Option<PathBuf>,
    pub api: Api,
}

/// One cluster: its name, its store, and what the store says now.
pub struct Target {
    pub scope: Scope,
    pub dcs: Dcs,
    pub cluster: Cluster,
}

impl Target {
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        self.cluster = self.dcs.load().await?;
        Ok(())
    }
}

impl Context {
    pub fn new(global: &GlobalArguments) -> Result<Self, Failure> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = places::find(global.config_file.as_deref(), &env);
        // A wrong file is not in the way of somebody who says where the store is; a named one must be right.
        let is_named = global.config_file.is_some();
        let mut client = match config::load_client(file.as_deref(), &env) {
            Ok(client) => client,
            Err(_) if global.dcs_url.is_some() && !is_named => ClientConfig::default(),
            Err(errors) => return Err(errors.into()),
        };
        if let Some(url) = &global.dcs_url {
            client.endpoints = endpoints_of(url, client.store_tls.is_some())?;
        }
        client.tls.insecure |= global.insecure;
        let api = Api::new(client.authentication.as_ref(), client.tls.clone());
        Ok(Self { client, file, api })
    }

    /// What the file says beside where the store is.
    pub fn client(&self) -> &ClientConfig {
        &self.client
    }

    pub fn configured_scope(&self) -> Option<&Scope> {
        self.client.scope.as_ref()
    }

    /// The named cluster, or the configuration's.
    pub fn scope(&self, named: Option<&str>) -> Result<Scope, Failure> {
        match (named, &self.client.scope) {
            (Some(named), _) => Ok(Scope::new(named)),
            (None, Some(scope)) => Ok(scope.clone()),
            (None, None) => {
                Err(Failure::usage("cli-no-cluster", "no cluster was named, and the configuration has no 'scope'")
                    .hint(self.where_from("name the cluster, for example: quorate list demo")))
            }
        }
    }

    pub fn store(&self, scope: &Scope) -> Result<Dcs, Failure> {
        if self.client.endpoints.is_empty() {
            return Err(Failure::usage("cli-no-store", "it is not known where the cluster's state is")
                .hint(self.where_from("use -c FILE with a member's configuration, or -d etcd3://HOST:2379")));
        }
        let keys = Keys::new(self.client.namespace.as_deref(), scope);
        let config = DcsConfig {
            username: self.client.username.clone(),
            password: self.client.password.as_ref().map(|password| password.expose().to_owned()),
            request_timeout: STORE_TIMEOUT,
            tls: self.store_tls()?,
            ..DcsConfig::new(self.client.endpoints.clone(), keys)
        };
        Ok(Dcs::new(config))
    }

    /// Where an endpoint is `https`.
    fn store_tls(&self) -> Result<Option<tls::ClientTls>, Failure> {
        if !self.client.endpoints.iter().any(|endpoint| endpoint.starts_with("https://")) {
            return Ok(None);
        }
        let files = client_files(self.client.store_tls.as_ref().unwrap_or(&config::ClientTls::default()));
        let opened = tls::ClientTls::open(files, &[tls::HTTP2]);
        opened.map(Some).map_err(|error| Failure::usage("cli-tls", error.to_string()).hint(error.hint()))
    }

    pub async fn target(&self, named: Option<&str>, group: GroupArgument) -> Result<Target, Failure> {
        refuse_group(group)?;
        let scope = self.scope(named)?;
        let dcs = self.store(&scope)?;
        let cluster = dcs.load().await?;
        Ok(Target { scope, dcs, cluster })
    }

    /// `CLUSTER [MEMBER]...`, where the configured cluster may be left out in front of its members.
    pub async fn target_and_members(
        &self,
        names: &[String],
        group: GroupArgument,
    ) -> Result<(Target, Vec<String>), Failure> {
        refuse_group(group)?;
        if let Some(scope) = self.configured_scope() {
            let rest = match names.first() {
                Some(first) if first == scope.as_str() => &names[1..],
                _ => names,
            };
            let target = self.target(Some(scope.as_str()), group).await?;
            let is_member = |name: &String| target.cluster.members.keys().any(|member| member.as_str() == name);
            if rest.len() < names.len() || rest.first().is_none_or(is_member) {
                return Ok((target, rest.to_vec()));
            }
        }
        let target = self.target(names.first().map(String::as_str), group).await?;
        Ok((target, names.get(1..).unwrap_or_default().to_vec()))
    }

    fn where_from(&self, advice: &str) -> String {
        match &self.file {
            Some(file) => format!("{advice} (read: {})", file.display()),
            None => format!("{advice} (no configuration file was found)"),
        }
    }
}

pub fn refuse_group(group: GroupArgument) -> Result<(), Failure> {
    match group.group {
        None => Ok(()),
        Some(_) => Err(Failure::usage("cli-citus", "Citus clusters are not supported, so there are no groups")),
    }
}

/// `etcd3://host:port`, several separated by commas; the scheme and the port may be left out. `secured`: the configuration
/// has TLS for the store; `http` and `https` say it themselves.
fn endpoints_of(url: &str, secured: bool) -> Result<Vec<String>, Failure> {
    let wrong = |why: String| {
        Failure::usage("cli-dcs-url", format!("'{url}' is not usable: {why}")).hint("write it as etcd3://host:port")
    };
    let (rest, secured) = match url.split_once("://") {
        None => (url, secured),
        Some(("etcd3" | "etcd", rest)) => (rest, secured),
        Some(("http", rest)) => (rest, false),
        Some(("https", rest)) => (rest, true),
        Some((scheme, _)) => return Err(wrong(format!("'{scheme}' is not supported"))),
    };
    let scheme = if secured { "https" } else { "http" };
    let hosts = rest.split(',').map(|host| host.trim().trim_end_matches('/')).filter(|host| !host.is_empty());
    let endpoints: Vec<String> = hosts
        .map(|host| config::Address::parse(host, Some(STORE_PORT)).map(|address| format!("{scheme}://{address}")))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if endpoints.is_empty() { Err(wrong("it names no host".to_owned())) } else { Ok(endpoints) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_store_or_several() {
        for (url, expected) in [
            ("etcd3://10.0.0.1:2379", Some("http://10.0.0.1:2379")),
            ("etcd://h", Some("http://h:2379")),
            ("h:1", Some("http://h:1")),
            ("etcd3://a:1,b:2/", Some("http://a:1 http://b:2")),
            ("https://a:1", Some("https://a:1")),
            ("consul://a:8500", None),
            ("etcd3://", None),
            ("etcd3://a:x", None),
        ] {
            assert_eq!(endpoints_of(url, false).ok().map(|list| list.join(" ")).as_deref(), expected, "{url}");
        }
        assert_eq!(endpoints_of("etcd3://a:1", true).unwrap(), ["https://a:1"]);
        assert_eq!(endpoints_of("http://a:1", true).unwrap(), ["http://a:1"]);
    }
}
