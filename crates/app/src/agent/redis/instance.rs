//! The one Redis of this member: where it is, how it is configured, how it and its peers are reached.
//!
//! Deliberately without decisions.

use crate::agent::rest;
use config::{MemberConfig, RedisConfig};
use ha::cluster::redis::RedisMemberData;
use ha::cluster::{RedisGroup, Services};
use ha::guard::StartCommand;
use redis::{Address, Binary, Login, NOBODY, Server, Settings, StartAs, TlsFilePaths};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::MemberName;

/// Redis prefers the lower `replica-priority`, the cluster's keys the higher `failover_priority`; the sum of both. The
/// configuration takes priorities up to one less.
const PRIORITY_SUM: i64 = 1_000_001;

pub struct Instance {
    pub member: Arc<MemberConfig>,
    pub config: RedisConfig,
    pub settings: Settings,
    pub binary: Binary,
}

impl Instance {
    pub async fn open(member: Arc<MemberConfig>, config: RedisConfig) -> redis::Result<Self> {
        let binary = Binary::find(config.binary.as_deref(), config.bin_dir.as_deref()).await?;
        let settings = settings(&config);
        redis::prepare(&settings.data_dir)?;
        // Certificates that cannot be read are found before anything starts.
        settings.target(settings.local_address())?;
        Ok(Self { member, config, settings, binary })
    }

    /// A connection to the local server, to be opened with the first question.
    pub fn local(&self) -> redis::Result<Server> {
        Ok(Server::new(self.settings.target(self.settings.local_address())?))
    }

    /// The same to another member's.
    pub fn peer(&self, address: Address) -> redis::Result<Server> {
        Ok(Server::new(self.settings.target(address)?))
    }

    /// What never changes in the own entry.
    pub fn identity(&self) -> RedisMemberData {
        let product = self.binary.product.to_string().to_lowercase();
        let version = match self.binary.product {
            redis::Product::Redis => self.binary.version.to_string(),
            redis::Product::Valkey | redis::Product::Memurai => format!("{product} {}", self.binary.version),
        };
        let may_lead = self.config.priority > 0 && !self.member.tags.nofailover();
        let alone = self.member.postgresql.is_none();
        RedisMemberData {
            services: if alone { rest::services(&self.member) } else { Services::default() },
            address: self.config.connect_address.to_string(),
            api_url: self.member.api_url(),
            version,
            failover_priority: if may_lead { PRIORITY_SUM - i64::from(self.config.priority) } else { 0 },
            ..RedisMemberData::default()
        }
    }

    /// The log stands beside the data.
    pub fn log_file(&self) -> PathBuf {
        let mut path = self.settings.data_dir.as_os_str().to_owned();
        path.push(".log");
        PathBuf::from(path)
    }

    /// Writes the configuration for a start; the command runs the server with it.
    pub fn start_command(&self, upstream: Option<Address>) -> redis::Result<StartCommand> {
        let start = upstream.map_or(StartAs::ReplicaOfNobody, StartAs::ReplicaOf);
        let file = redis::write_configuration(&self.settings, &start)?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(StartCommand {
            program: text(&self.binary.program),
            arguments: vec![text(&file)],
            environment: Vec::new(),
            log_file: text(&self.log_file()),
            working_directory: text(&self.settings.data_dir),
        })
    }
}

fn settings(config: &RedisConfig) -> Settings {
    let login = config
        .authentication
        .as_ref()
        .map(|user| Login { username: user.username.clone(), password: user.password.clone().unwrap_or_default() });
    let tls = config.tls.as_ref().map(|tls| TlsFilePaths {
        certificate: tls.cert_file.clone(),
        key: tls.key_file.clone(),
        authorities: tls.ca_file.clone(),
    });
    Settings {
        listen_hosts: config.listen_hosts.clone(),
        port: config.port,
        announce: Address::new(&config.connect_address.host, config.connect_address.port),
        data_dir: config.data_dir.clone(),
        login,
        tls,
        parameters: config.parameters.clone(),
        min_replicas_to_write: config.min_replicas_to_write,
        priority: config.priority,
    }
}

/// Where a member said that its Redis is.
pub fn address_of(group: &RedisGroup, name: &MemberName) -> Option<Address> {
    let (host, port) = group.members.get(name)?.data.address.rsplit_once(':')?;
    Some(Address::new(host.trim_matches(['[', ']']), port.parse().ok()?))
}

/// Whose Redis is there.
pub fn member_at(group: &RedisGroup, address: &Address) -> Option<MemberName> {
    if (address.host.as_str(), address.port) == NOBODY {
        return None;
    }
    group.members.keys().find(|name| address_of(group, name).as_ref() == Some(address)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::redis::RedisMember;
    use types::Revision;

    #[test]
    fn members_are_found_by_their_address_and_addresses_by_the_member() {
        let mut group = RedisGroup::default();
        for (name, address) in [("a", "10.0.0.1:6379"), ("b", "[::1]:6379"), ("c", "nonsense")] {
            let data = RedisMemberData { address: address.to_owned(), ..RedisMemberData::default() };
            group.members.insert(name.into(), RedisMember { data, revision: Revision(1), lease: None });
        }
        assert_eq!(address_of(&group, &"b".into()), Some(Address::new("::1", 6379)));
        assert_eq!(address_of(&group, &"c".into()), None);
        assert_eq!(member_at(&group, &Address::new("10.0.0.1", 6379)), Some("a".into()));
        assert_eq!(member_at(&group, &Address::new("10.0.0.1", 6380)), None);
        assert_eq!(member_at(&group, &Address::new(NOBODY.0, NOBODY.1)), None);
    }
}
