//! Configurations that are accepted, and what they mean.

use config::{
    Address, MemberConfig, Secret, SendProxyProtocol, SentinelMode, VerifyClient, WatchdogMode, load, load_client,
    load_environment, load_text,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use types::Millis;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &str) -> MemberConfig {
    load_text("q.yml", text, &BTreeMap::new()).unwrap_or_else(|errors| panic!("{errors}"))
}

const OURS: &str = "
scope: demo
name: pg2
store:
  data_dir: /d/store
  members: {pg1: 127.0.0.11, pg2: 127.0.0.12, pg3: {address: 127.0.0.13, witness: true}}
postgresql:
  data_dir: /d/pg
  authentication: {replication: {username: rep, password: secret}}
proxy:
";

#[test]
fn a_configuration_of_patronis_shape_is_read_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/patroni-etcd3.yml");
    let config = load(&path, &BTreeMap::new()).unwrap();
    assert_eq!(
        (config.scope.as_str(), config.name.as_str(), config.namespace.as_str()),
        ("batman", "postgresql0", "service")
    );
    assert_eq!(config.keys().prefix(), "/service/batman/");
    let endpoints = ["http://127.0.0.1:2379", "http://127.0.0.2:2379", "http://etcd3.example.com:2379"];
    assert_eq!(config.etcd_endpoints(), endpoints);
    assert_eq!(config.api_url(), "http://127.0.0.1:8008/patroni");
    assert_eq!(config.conn_url(), "postgres://127.0.0.1:5433/postgres");
    let postgresql = config.postgresql.as_ref().unwrap();
    assert_eq!((postgresql.listen_hosts.join(" ").as_str(), postgresql.port), ("127.0.0.1 127.0.0.9", 5433));
    assert_eq!(postgresql.bin_dir, None);
    let users = &postgresql.authentication;
    // Passwords are what stands in the file, whatever YAML takes them for.
    assert_eq!(users.superuser.password, Some(Secret::new("0123")));
    assert_eq!(users.superuser.parameters["sslmode"], "verify-ca");
    assert_eq!(users.rewind.as_ref().unwrap().password, Some(Secret::new("yes")));
    assert_eq!(postgresql.parameters["fsync"], "off");
    assert_eq!(
        postgresql.basebackup.iter().map(config::InitdbOption::to_argument).collect::<Vec<_>>(),
        ["--verbose", "--max-rate=100M"]
    );
    assert_eq!(
        config.bootstrap.initdb.iter().map(config::InitdbOption::to_argument).collect::<Vec<_>>(),
        ["--encoding=UTF8", "--data-checksums"]
    );
    assert_eq!(config.bootstrap.post_bootstrap.as_deref(), Some("/usr/local/bin/setup_cluster.sh"));
    assert_eq!(config.bootstrap.dcs["postgresql"]["use_slots"], true);
    assert_eq!(config.watchdog.mode, WatchdogMode::Off);
    assert_eq!((config.tags.failover_priority(), config.tags.flag("clonefrom")), (2, false));
    assert!(config.proxy.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn our_own_sections_need_little() {
    let config = read(OURS);
    let store = config.store.as_ref().unwrap();
    assert_eq!(store.listen, Address::new("127.0.0.12", 2379));
    assert_eq!(store.members[&"pg3".into()].peer_address(), Address::new("127.0.0.13", 2380));
    assert_eq!(config.etcd_endpoints(), ["http://127.0.0.12:2379", "http://127.0.0.11:2379", "http://127.0.0.13:2379"]);
    assert_eq!(config.api_url(), "http://127.0.0.12:8008/patroni");
    assert_eq!(config.conn_url(), "postgres://127.0.0.12:5432/postgres");
    let proxy = config.proxy.as_ref().unwrap();
    assert_eq!(
        (proxy.listen.as_slice(), proxy.primary_port, proxy.replica_port),
        (["127.0.0.12".to_owned()].as_slice(), 5000, 5001)
    );
    assert_eq!(proxy.hold, Millis(10_000));
    assert!(!config.is_witness());
}

#[test]
fn the_proxy_takes_its_settings() {
    let defaults = read(OURS).proxy.unwrap();
    assert_eq!((defaults.connections_max, defaults.threads, defaults.replica_max_lag), (None, None, None));
    assert!(defaults.replica_fallback && !defaults.pooler && defaults.accept_proxy_protocol_from.is_empty());
    assert_eq!(defaults.send_proxy_protocol, SendProxyProtocol::None);
    let text = OURS.replace("postgresql:\n", "postgresql:\n  proxy_address: 127.0.0.12:6432\n")
        + "  {hold: 30, connections_max: 500, threads: 2, replica_max_lag: 16MB, replica_fallback: false, pooler: true,
   accept_proxy_protocol_from: '10.0.0.5, 2001:db8::/64', send_proxy_protocol: V2}\n";
    let config = read(&text);
    assert_eq!(config.proxy_url().as_deref(), Some("postgres://127.0.0.12:6432/postgres"));
    let proxy = config.proxy.unwrap();
    assert_eq!((proxy.hold, proxy.connections_max, proxy.threads), (Millis(30_000), Some(500), Some(2)));
    assert_eq!(proxy.replica_max_lag, Some(16 * 1024 * 1024));
    assert!(!proxy.replica_fallback && proxy.pooler);
    let networks: Vec<String> = proxy.accept_proxy_protocol_from.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.5/32", "2001:db8::/64"]);
    assert_eq!(proxy.send_proxy_protocol, SendProxyProtocol::V2);
}

#[test]
fn a_witness_has_no_postgresql() {
    let text = OURS.replace("name: pg2", "name: pg3");
    let text = text.split("postgresql:").next().unwrap();
    let config = read(text);
    assert!(config.is_witness() && config.postgresql.is_none());
    assert_eq!(config.conn_url(), "");
}

#[test]
fn redis_needs_a_directory_and_nothing_else() {
    let config = read(&(OURS.to_owned() + "redis: {data_dir: /d/redis}\nsentinel:\n"));
    let redis = config.redis.as_ref().unwrap();
    assert_eq!(redis.name, "demo");
    assert_eq!((redis.listen_hosts.join(" ").as_str(), redis.port), ("127.0.0.12", 6379));
    assert_eq!(redis.connect_address, Address::new("127.0.0.12", 6379));
    assert_eq!((redis.down_after, redis.priority, redis.min_replicas_to_write), (Millis(1000), 100, 0));
    assert_eq!(config.proxy.as_ref().unwrap().redis_port, Some(6380));
    let sentinel = config.sentinel.as_ref().unwrap();
    assert_eq!((sentinel.announce.to_string().as_str(), sentinel.quorum), ("127.0.0.12:26379", 2));
    assert_eq!(sentinel.config_file, Path::new("/d/redis/sentinel.conf"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn redis_takes_its_directives_users_and_certificates() {
    let config = read(
        &(OURS.to_owned()
            + "redis:
  name: db1
  listen: '127.0.0.12, 127.0.0.1:7000'
  data_dir: /d/redis
  authentication: {password: 0123}
  tls: {cert_file: /c, key_file: /k, ca_file: /a}
  min_replicas_to_write: 1
  down_after: 0.5
  parameters: {MaxMemory: 1gb, save: [900 1, 300 10], appendonly: no, notify-keyspace-events: ''}
sentinel:
  quorum: 3
  masters: {cache: {host: 10.0.0.9, down_after: 5}, sessions: {mode: supervised, authentication: {password: p}}}
"),
    );
    let redis = config.redis.as_ref().unwrap();
    assert_eq!((redis.name.as_str(), redis.listen_hosts.len(), redis.port), ("db1", 2, 7000));
    let user = redis.authentication.as_ref().unwrap();
    assert_eq!((user.username.as_str(), user.password.as_ref()), ("default", Some(&Secret::new("0123"))));
    assert_eq!(redis.parameters["maxmemory"], ["1gb"]);
    assert_eq!(redis.parameters["save"], ["900 1", "300 10"]);
    assert_eq!((redis.parameters["appendonly"][0].as_str(), redis.down_after), ("no", Millis(500)));
    assert_eq!(redis.parameters["notify-keyspace-events"], [""]);
    assert_eq!(redis.tls.as_ref().unwrap().key_file, Path::new("/k"));
    let sentinel = config.sentinel.as_ref().unwrap();
    let cache = &sentinel.masters["cache"];
    assert_eq!((cache.host.as_str(), cache.port, cache.quorum, cache.down_after), ("10.0.0.9", 6379, 2, Millis(5000)));
    assert_eq!((sentinel.quorum, cache.mode), (3, SentinelMode::Native));
    assert_eq!(sentinel.masters["sessions"].mode, SentinelMode::Supervised);
}

#[test]
fn a_member_may_be_there_for_redis_alone() {
    let text = OURS.split("postgresql:").next().unwrap().to_owned() + "redis: {data_dir: /d/redis}\nproxy:\n";
    let config = read(&text);
    assert!(config.postgresql.is_none() && config.redis.is_some() && !config.is_witness());
    let left_alone = read(&text.replace("{data_dir: /d/redis}", "{supervise: false}"));
    assert!(left_alone.redis.is_none() && left_alone.proxy.unwrap().redis_port.is_none());
    assert_eq!(left_alone.warnings.len(), 1);
}

#[test]
fn a_pgbouncer_needs_little_and_takes_more() {
    let config = read(&format!("{OURS}pgbouncer: {{instances: {{local: {{}}}}}}\n")).pgbouncer.unwrap();
    assert_eq!((config.pause_timeout, config.hold), (Millis(2000), Millis(10_000)));
    let local = &config.instances["local"];
    assert_eq!((local.host.as_str(), local.port, local.username.as_str()), ("/var/run/postgresql", 6432, "pgbouncer"));
    assert!(local.databases.is_empty() && local.include_file.is_none() && local.password.is_none());
    let text = format!(
        "{OURS}pgbouncer:
  pause_timeout: 0.5
  hold: 5
  instances:
    web: {{host: 10.0.0.9, port: 6433, username: ops, password: hunter2, databases: 'app, shop',
          include_file: /etc/pgbouncer/quorate.ini, include_parameters: {{shop: dbname=s pool_size=9}}}}
    other: {{password_file: /etc/quorate/console, databases: ['*']}}
"
    );
    let config = read(&text);
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = config.pgbouncer.unwrap();
    assert_eq!((config.pause_timeout, config.hold), (Millis(500), Millis(5000)));
    let web = &config.instances["web"];
    assert_eq!((web.host.as_str(), web.port, web.username.as_str()), ("10.0.0.9", 6433, "ops"));
    assert_eq!((web.databases.join(" ").as_str(), web.password.clone()), ("app shop", Some(Secret::new("hunter2"))));
    assert_eq!(web.include_file.as_deref(), Some(Path::new("/etc/pgbouncer/quorate.ini")));
    assert_eq!(web.include_parameters["shop"], "dbname=s pool_size=9");
    assert_eq!(config.instances["other"].password_file.as_deref(), Some(Path::new("/etc/quorate/console")));
}

#[test]
fn listening_everywhere_tells_others_the_members_own_address() {
    let text = OURS.replace("  data_dir: /d/pg", "  data_dir: /d/pg\n  listen: '*:6000'")
        + "restapi: {listen: '0.0.0.0:9000'}\n";
    let config = read(&text);
    assert_eq!(config.conn_url(), "postgres://127.0.0.12:6000/postgres");
    assert_eq!(config.api_url(), "http://127.0.0.12:9000/patroni");
}

#[test]
fn variables_win_over_the_file() {
    let env = env(&[
        ("PATRONI_SCOPE", "other"),
        ("PATRONI_POSTGRESQL_DATA_DIR", "/e/pg"),
        ("PATRONI_RESTAPI_LISTEN", "10.0.0.1:8009"),
        ("PATRONI_SUPERUSER_USERNAME", "boss"),
        ("PATRONI_SUPERUSER_PASSWORD", "p: ss#"),
        ("PATRONI_LOG_LEVEL", "debug"),
        ("PATRONI_UNKNOWN_THING", "x"),
    ]);
    let config = load_text("q.yml", OURS, &env).unwrap();
    assert_eq!((config.scope.as_str(), config.log.level), ("other", "debug"));
    let postgresql = config.postgresql.unwrap();
    assert_eq!(postgresql.data_dir, PathBuf::from("/e/pg"));
    assert_eq!(config.restapi.connect_address, Address::new("10.0.0.1", 8009));
    assert_eq!(postgresql.authentication.superuser.username, "boss");
    assert_eq!(postgresql.authentication.superuser.password, Some(Secret::new("p: ss#")));
}

#[test]
fn the_whole_configuration_may_be_in_the_environment() {
    let whole = env(&[("PATRONI_CONFIGURATION", OURS), ("PATRONI_SCOPE", "ignored")]);
    assert_eq!(load_environment(&whole).unwrap().scope.as_str(), "demo");
    let single = env(&[
        ("PATRONI_SCOPE", "s"),
        ("PATRONI_NAME", "n"),
        ("PATRONI_ETCD3_HOSTS", "'h1:2379','h2:2379'"),
        ("PATRONI_RESTAPI_LISTEN", "10.0.0.1:8008"),
        ("PATRONI_POSTGRESQL_LISTEN", "10.0.0.1:5432"),
        ("PATRONI_POSTGRESQL_DATA_DIR", "/d"),
        ("PATRONI_REPLICATION_USERNAME", "rep"),
    ]);
    assert_eq!(load_environment(&single).unwrap().etcd_endpoints(), ["http://h1:2379", "http://h2:2379"]);
}

#[test]
fn a_directory_is_merged_in_the_order_of_names() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("10-base.yml", OURS);
    write("20-more.yml", "scope: changed\npostgresql: {listen: '10.0.0.2:5555'}\n");
    write("30-no.yaml", "scope: not read\n");
    let config = load(directory.path(), &BTreeMap::new()).unwrap();
    assert_eq!((config.scope.as_str(), config.postgresql.unwrap().port), ("changed", 5555));
}

#[test]
fn passwords_are_not_in_debug_output() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/patroni-etcd3.yml");
    let shown = format!("{:#?}", load(&path, &BTreeMap::new()).unwrap());
    for secret in ["rest-secret", "rep-pass", "0123"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn a_file_of_patronictl_is_enough_for_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("patronictl.yaml");
    std::fs::write(&path, "dcs_api: x\nscope: s\netcd3: {host: '10.0.0.1:2379'}\nctl: {insecure: true, authentication: {username: u, password: p}}\n").unwrap();
    let client = load_client(Some(&path), &BTreeMap::new()).unwrap();
    assert_eq!(client.endpoints, ["http://10.0.0.1:2379"]);
    assert_eq!((client.scope.unwrap().as_str(), client.tls.insecure, client.namespace), ("s", true, None));
    assert_eq!(client.authentication.unwrap().username, "u");
    let nothing = load_client(None, &BTreeMap::new()).unwrap();
    assert!(nothing.endpoints.is_empty());
}

#[test]
fn the_command_line_knows_where_clients_connect() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("member.yml");
    let more = "vip: [{address: 10.0.0.42/24}, {address: 'fd00::42/64', role: redis_master}]
sentinel: {listen: '127.0.0.12:26380'}
redis: {data_dir: /d/redis, authentication: {password: hunter2}}
";
    std::fs::write(&path, OURS.replace("proxy:", "proxy: {primary_port: 6000}") + more).unwrap();
    let client = load_client(Some(&path), &BTreeMap::new()).unwrap();
    let vips: Vec<_> = client.vips.iter().map(|vip| format!("{} {}", vip.host, vip.role)).collect();
    assert_eq!(vips, ["10.0.0.42 primary", "fd00::42 redis_master"]);
    assert_eq!((client.proxy.primary_port, client.proxy.replica_port, client.proxy.redis_port), (6000, 5001, 6380));
    assert_eq!((client.sentinel_port, client.redis_tls), (Some(26380), false));
    assert_eq!(client.store_hosts, ["127.0.0.11", "127.0.0.12", "127.0.0.13"]);
    let redis = client.redis_user.unwrap();
    assert_eq!((redis.username.as_str(), redis.password), ("default", Some(Secret::new("hunter2"))));
    assert_eq!(client.postgres_user, None);
}

#[test]
fn what_has_no_effect_is_said() {
    let config = read(&format!("{OURS}log: {{dir: /var/log/patroni}}\nscope: demo\n"));
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "q.yml:2: scope: stands twice; the later one counts [config-duplicate]",
            "q.yml:11: log.dir: has no effect: the log goes to standard error, which the service manager keeps [config-note]",
        ]
    );
}

#[test]
fn virtual_addresses_are_one_or_several() {
    let vips = |text: &str| {
        let listen = "postgresql:\n  listen: '*:5432'\n  connect_address: 127.0.0.12:5432\n";
        let config = read(&format!("{}{text}", OURS.replace("postgresql:\n", listen)));
        let shown = |vip: &config::VipConfig| {
            format!("{}/{} {} {}", vip.ip, vip.prefix, vip.interface.clone().unwrap_or_default(), vip.role.as_str())
        };
        config.vips.iter().map(shown).collect::<Vec<_>>()
    };
    assert!(vips("").is_empty());
    assert!(vips("vip:\n").is_empty());
    assert_eq!(vips("vip: {address: 10.0.0.42/24}\n"), ["10.0.0.42/24  primary"]);
    let several =
        "vip:\n- {address: 10.0.0.42/24, interface: eth1, manager: basic}\n- {address: 'fd00::42/64', role: primary}\n";
    assert_eq!(vips(several), ["10.0.0.42/24 eth1 primary", "fd00::42/64  primary"]);
}

#[test]
fn the_console_is_there_with_its_section_and_is_reached_at_the_members_own_address() {
    let base = "scope: demo\nname: pg1\nrestapi: {listen: '0.0.0.0:8008', connect_address: '10.0.0.1:8008'}\netcd3: {hosts: '10.0.0.9:2379'}\npostgresql: {listen: '10.0.0.1:5432', data_dir: /d/pg, authentication: {replication: {username: rep, password: secret}}}\n";
    assert_eq!(read(base).console, None);
    for (section, listen, connect) in [
        ("console: {}", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("console:", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("console: {listen: '0.0.0.0:9000'}", "0.0.0.0:9000", "10.0.0.1:9000"),
        ("console: {listen: '10.1.0.1'}", "10.1.0.1:8080", "10.1.0.1:8080"),
    ] {
        let config = read(&format!("{base}{section}\n"));
        assert_eq!(config.console_url().unwrap(), format!("http://{connect}"));
        let console = config.console.unwrap();
        assert_eq!((console.listen.to_string(), console.connect_address.to_string()), (listen.into(), connect.into()));
    }
}

#[test]
fn certificates_make_https_of_every_address() {
    let text = OURS.replace(
        "store:\n",
        "store:
  client_transport_security: {cert_file: /c, key_file: /k, trusted_ca_file: /ca, client_cert_auth: true}
  peer_transport_security: {cert_file: /pc, key_file: /pk, trusted_ca_file: /pca}
",
    ) + "restapi: {certfile: /rc, keyfile: /rk, cafile: /rca, verify_client: optional}
";
    let config = read(&(text.clone() + "console: {listen: 127.0.0.12}\n"));
    assert_eq!(config.console_url().unwrap(), "https://127.0.0.12:8080");
    let config = read(&text);
    let identity = |certificate: &str, key: &str| Some((PathBuf::from(certificate), PathBuf::from(key)));
    assert_eq!(config.api_url(), "https://127.0.0.12:8008/patroni");
    assert_eq!(config.etcd_endpoints()[0], "https://127.0.0.12:2379");
    let as_client = config.store_client_tls().unwrap();
    assert_eq!((as_client.cacert, as_client.identity), (Some("/ca".into()), identity("/c", "/k")));
    let store = config.store.unwrap();
    assert!(store.client_cert_auth);
    assert_eq!(store.peer_url(&store.members[&"pg1".into()]), "https://127.0.0.11:2380");
    assert_eq!(store.peer_tls.unwrap().trusted_ca_file, PathBuf::from("/pca"));
    assert_eq!(config.restapi.tls.unwrap().verify_client, VerifyClient::Optional);
    // As in Patroni: what `ctl` does not say, `restapi` does.
    assert_eq!((config.ctl.tls.cacert, config.ctl.tls.identity), (Some("/rca".into()), identity("/rc", "/rk")));
    let config = read(&(text + "ctl: {cacert: /x, certfile: /one}\n"));
    assert_eq!((config.ctl.tls.cacert, config.ctl.tls.identity), (Some("/x".into()), identity("/one", "/one")));
}

#[test]
fn an_etcd_with_tls_is_asked_with_the_clients_certificate() {
    let etcd = |section: &str| {
        let rest = "restapi: {listen: '10.0.0.1:8008'}
scope: demo
name: pg1
postgresql: {listen: '10.0.0.1:5432', data_dir: /d/pg, authentication: {replication: {username: rep, password: secret}}}
";
        read(&format!("{rest}etcd3: {section}\n"))
    };
    let config = etcd("{hosts: [10.0.0.1:2379], protocol: https, cacert: /ca, cert: /c, key: /k}");
    assert_eq!(config.etcd_endpoints(), ["https://10.0.0.1:2379"]);
    let tls = config.store_client_tls().unwrap();
    assert_eq!((tls.cacert, tls.identity), (Some("/ca".into()), Some(("/c".into(), "/k".into()))));
    let config = etcd("{url: 'https://10.0.0.1:2379', cert: /both}");
    assert_eq!(config.store_client_tls().unwrap().identity, Some(("/both".into(), "/both".into())));
    let config = etcd("{hosts: [10.0.0.1:2379], cacert: /ca}");
    assert_eq!((config.store_client_tls(), config.etcd_endpoints()), (None, vec!["http://10.0.0.1:2379".to_owned()]));
    let warning = &config.warnings[0];
    assert!(
        warning.to_string().contains("etcd3.cacert: has no effect, because the endpoints are not https"),
        "{warning}"
    );
}
