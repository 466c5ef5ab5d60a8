//! From the agent's configuration to the sentinel's: ours wins over what the state file says was set, and what was learned
//! (addresses, epochs, peers) is kept.

use config::{MemberConfig, SentinelConfig, SentinelMaster, SentinelMode, User};
use ha::cluster::Cluster;
use ha::sentinel::{Address, Configuration, MasterConfiguration, MasterSettings, Mode, Periods, Secret};
use sentinel::{ServerSettings, Settings};
use std::net::IpAddr;

/// The masters that the store tells about.
pub fn supervised(member: &MemberConfig, config: &SentinelConfig) -> Vec<String> {
    let named = config.masters.iter().filter(|(_, master)| master.mode == SentinelMode::Supervised);
    let ours = member.redis.iter().map(|redis| &redis.name);
    named.map(|(name, _)| name).chain(ours).cloned().collect()
}

pub fn settings(member: &MemberConfig, config: &SentinelConfig, cluster: &Cluster) -> anyhow::Result<Settings> {
    let masters = masters(member, config, cluster);
    let mut main = Configuration { masters: masters.clone(), ..Configuration::default() };
    let state = config.config_file.clone();
    // What is monitored later, by a client's command, may be watched by real Sentinels too.
    let mut settings = Settings::with_state_file(server(config), main.clone(), state, Mode::Mixed)?;
    let learned = &mut settings.configuration;
    for ours in masters {
        match learned.master_mut(&ours.name) {
            Some(known) => (known.mode, known.settings) = (ours.mode, ours.settings),
            None => learned.masters.push(ours),
        }
    }
    for known in learned.masters.iter_mut().filter(|known| cluster.redis.contains_key(&known.name)) {
        known.mode = Mode::Supervised;
    }
    main.settings.announce_ip = Some(config.announce.host.clone());
    main.settings.announce_port = config.announce.port;
    // Members may be known by name.
    main.settings.resolve_hostnames = true;
    let named = config.announce.host.parse::<IpAddr>().is_err();
    main.settings.announce_hostnames = learned.settings.announce_hostnames || named;
    learned.settings = main.settings;
    Ok(settings)
}

fn server(config: &SentinelConfig) -> ServerSettings {
    let all = |host: &String| if matches!(host.as_str(), "*" | "0.0.0.0") { "*".to_owned() } else { host.clone() };
    let mut server = ServerSettings {
        bind: config.listen_hosts.iter().map(all).collect(),
        port: config.port,
        protected_mode: false,
        ..ServerSettings::default()
    };
    if let Some(user) = &config.authentication {
        let password = exposed(user);
        if user.username == "default" {
            server.password = Some(Secret::new(password));
        } else {
            let rules = ["on", &format!(">{password}"), "~*", "&*", "+@all"].map(str::to_owned);
            server.users.push([vec![user.username.clone()], rules.to_vec()].concat());
            server.users.push(["default", "off"].map(str::to_owned).to_vec());
        }
    }
    if let Some(tls) = &config.tls {
        (server.port, server.tls.port) = (0, config.port);
        server.tls.certificate = Some(tls.cert_file.clone());
        server.tls.key = Some(tls.key_file.clone());
        server.tls.ca = Some(tls.ca_file.clone());
        server.tls.clients = sentinel::file::ClientCertificates::Optional;
        server.tls.replication = true;
    }
    server
}

fn masters(member: &MemberConfig, config: &SentinelConfig, cluster: &Cluster) -> Vec<MasterConfiguration> {
    let written = config.masters.iter().filter_map(|(name, master)| {
        let mode = match master.mode {
            SentinelMode::Native => Mode::Native,
            SentinelMode::Mixed => Mode::Mixed,
            SentinelMode::Supervised => Mode::Supervised,
        };
        let address = match mode {
            Mode::Supervised => shown(cluster, name)?,
            Mode::Native | Mode::Mixed => Address::new(&master.host, master.port),
        };
        Some(configuration(name, mode, address, master_settings(master)))
    });
    let ours = member.redis.iter().filter_map(|redis| {
        let mut settings = MasterSettings::new(config.quorum, &Periods::default());
        settings.down_after = redis.down_after;
        log_in(&mut settings, redis.authentication.as_ref());
        Some(configuration(&redis.name, Mode::Supervised, shown(cluster, &redis.name)?, settings))
    });
    written.chain(ours).collect()
}

fn configuration(name: &str, mode: Mode, address: Address, settings: MasterSettings) -> MasterConfiguration {
    MasterConfiguration {
        name: name.to_owned(),
        mode,
        address,
        settings,
        config_epoch: 0,
        leader_epoch: 0,
        replicas: Vec::new(),
        sentinels: Vec::new(),
    }
}

fn master_settings(master: &SentinelMaster) -> MasterSettings {
    let mut settings = MasterSettings::new(master.quorum, &Periods::default());
    settings.down_after = master.down_after;
    settings.failover_timeout = master.failover_timeout;
    settings.parallel_syncs = i64::from(master.parallel_syncs);
    log_in(&mut settings, master.authentication.as_ref());
    settings
}

fn log_in(settings: &mut MasterSettings, user: Option<&User>) {
    let Some(user) = user else { return };
    settings.auth_user = Some(user.username.clone()).filter(|name| name != "default");
    settings.auth_pass = Some(Secret::new(exposed(user)));
}

fn exposed(user: &User) -> String {
    user.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default()
}

/// Where the store says that the master is.
fn shown(cluster: &Cluster, name: &str) -> Option<Address> {
    let group = cluster.redis_group(name);
    super::feed::address(&group.writable_master()?.1.data.address)
}
