//! The configuration file of one member, as a user would write it.

use crate::cluster::{ADMIN, ClusterOptions, RedisParts, StoreKind};
use crate::member::ports;
use crate::redis::MASTER;
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;
use std::path::Path;

pub(crate) const SCOPE: &str = "demo";
pub(crate) const SUPERUSER: &str = "postgres";

/// `members`: names and addresses of all; `index` is the one the file is for; `security`: what the file says of certificates.
pub(crate) fn member_config(
    options: &ClusterOptions,
    password: &str,
    members: &[(String, Ipv4Addr)],
    index: usize,
    directory: &Path,
    security: &Value,
) -> Value {
    let (name, address) = &members[index];
    let login = |user: &str| json!({ "username": user, "password": password });
    let mut config = json!({
        "scope": SCOPE,
        "name": name,
        "restapi": {
            "listen": format!("{address}:{}", ports::REST),
            "connect_address": format!("{address}:{}", ports::REST),
        },
        "bootstrap": {
            "dcs": {
                "synchronous_mode": options.synchronous,
                "postgresql": { "use_pg_rewind": true },
            },
            "initdb": [{ "encoding": "UTF8" }, "data-checksums"],
        },
        "postgresql": {
            "listen": format!("{address}:{}", ports::POSTGRES),
            "connect_address": format!("{address}:{}", ports::POSTGRES),
            "data_dir": directory.join("data"),
            "authentication": {
                "superuser": login(SUPERUSER),
                "replication": login("replicator"),
                "rewind": login("rewind"),
            },
            "parameters": { "unix_socket_directories": directory },
            "pg_hba": [
                "local all all scram-sha-256",
                "host all all 127.0.0.0/8 scram-sha-256",
                "host replication replicator 127.0.0.0/8 scram-sha-256",
            ],
        },
        "proxy": { "listen": address },
    });
    if let Some(path) = &options.postgres_bin {
        config["postgresql"]["bin_dir"] = json!(path);
    }
    match options.store {
        StoreKind::Embedded => {
            let mut all: Map<String, Value> = members.iter().map(|(name, at)| (name.clone(), json!(at))).collect();
            if let Some((name, at)) = members.last().filter(|_| options.witness) {
                all.insert(name.clone(), json!({ "address": at, "witness": true }));
            }
            config["store"] = json!({ "listen": address, "data_dir": directory.join("store"), "members": all });
        }
        StoreKind::Etcd => {
            let hosts: Vec<String> = members.iter().map(|(_, at)| format!("{at}:{}", ports::STORE_CLIENTS)).collect();
            config["etcd3"] = json!({ "hosts": hosts });
        }
    }
    if options.witness && index + 1 == members.len() {
        merge(&mut config, &json!({ "bootstrap": null, "postgresql": null, "proxy": null }));
    }
    if options.redis != RedisParts::None {
        config["redis"] = json!({
            "name": MASTER,
            "listen": format!("{address}:{}", ports::REDIS),
            "data_dir": directory.join("redis"),
            "authentication": { "password": password },
        });
    }
    if options.redis == RedisParts::ServerAndSentinel {
        // Without a password: everybody on this machine may ask where the master is.
        config["sentinel"] = json!({ "listen": format!("{address}:{}", ports::SENTINEL) });
    }
    if options.console {
        config["console"] = json!({ "listen": format!("{address}:{}", ports::CONSOLE) });
        config["restapi"]["authentication"] = login(ADMIN);
    }
    merge(&mut config, security);
    merge(&mut config, &options.overrides);
    if let Some(changes) = options.overrides_of.get(&index) {
        merge(&mut config, changes);
    }
    config
}

/// Sets in `base` what `changes` has; maps are merged, everything else is replaced, null removes.
fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, change) in changes {
                if change.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (_, Value::Null) => {}
        (base, change) => *base = change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn the_file_is_yaml_that_means_what_was_meant() {
        let mut options = ClusterOptions::new("quorate", "somewhere");
        options.synchronous = true;
        options.redis = RedisParts::ServerAndSentinel;
        options.overrides = json!({
            "postgresql": { "parameters": { "archive_mode": "on" }, "pg_hba": null },
            "bootstrap": { "dcs": { "ttl": 5 } },
        });
        let members: Vec<_> = (1..=3u8).map(|n| (format!("pg{n}"), Ipv4Addr::new(127, 0, 0, 10 + n))).collect();
        let config = member_config(&options, "0123", &members, 1, &PathBuf::from("/data/pg2"), &json!({}));
        let text = serde_saphyr::to_string(&config).unwrap();
        let again: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(again, config, "{text}");
        assert_eq!(again["name"], "pg2");
        assert_eq!(again["store"]["members"]["pg3"], "127.0.0.13");
        assert_eq!(again["proxy"]["listen"], "127.0.0.12");
        assert_eq!(again["postgresql"]["parameters"]["archive_mode"], "on", "a text, not a truth value");
        assert_eq!(again["postgresql"]["authentication"]["superuser"]["password"], "0123", "a text, not a number");
        assert_eq!(again["postgresql"].get("pg_hba"), None);
        assert_eq!(again["bootstrap"]["dcs"]["ttl"], 5);
        assert_eq!(again["redis"]["listen"], "127.0.0.12:6379");
        assert_eq!(again["sentinel"]["listen"], "127.0.0.12:26379");

        options.redis = RedisParts::None;
        options.store = StoreKind::Etcd;
        let config = member_config(&options, "0123", &members, 0, &PathBuf::from("/data/pg1"), &json!({}));
        assert_eq!((config.get("store"), config.get("redis"), config.get("sentinel")), (None, None, None));
        assert_eq!(config["etcd3"]["hosts"][2], "127.0.0.13:2379");
    }
}
