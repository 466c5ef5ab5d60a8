//! A server's INFO as data, as far as a Sentinel reads it.
//!
//! Deliberately forgiving: what is missing or cannot be read counts as not said. Nothing is copied but the few values.

use super::node::Role;
use types::Millis;

/// More replicas of one master than this are not read: each of them costs two connections.
pub const REPLICAS_MAX: usize = 1_024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info<'a> {
    pub run_id: Option<&'a str>,
    pub role: Option<Role>,
    /// Of a master: host and port of each replica that follows it.
    pub replicas: Vec<(&'a str, u16)>,
    pub link_down: Millis,
    pub master_host: Option<&'a str>,
    pub master_port: Option<u16>,
    pub link_up: Option<bool>,
    pub priority: Option<u32>,
    pub offset: Option<u64>,
    pub announced: Option<bool>,
    /// `master_failover_state`: something other than `no-failover`.
    pub own_failover: Option<bool>,
}

pub(super) fn parse(text: &str) -> Info<'_> {
    let mut info = Info::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "run_id" if value.len() >= 40 => info.run_id = value.get(..40),
            "role" => {
                info.role = match value {
                    "master" => Some(Role::Master),
                    "slave" => Some(Role::Replica),
                    _ => info.role,
                }
            }
            "master_link_down_since_seconds" => {
                info.link_down = value.parse::<i64>().map_or(Millis::ZERO, |seconds| {
                    // -1: it never was up.
                    Millis::from_secs(u64::try_from(seconds).unwrap_or(0))
                });
            }
            "master_host" => info.master_host = Some(value),
            "master_port" => info.master_port = value.parse().ok(),
            "master_link_status" => info.link_up = Some(value.eq_ignore_ascii_case("up")),
            "slave_priority" => info.priority = value.parse().ok(),
            "slave_repl_offset" => info.offset = value.parse().ok(),
            "replica_announced" => info.announced = Some(value != "0"),
            "master_failover_state" => info.own_failover = Some(value != "no-failover"),
            _ => {
                let numbered = key
                    .strip_prefix("slave")
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
                if numbered && info.replicas.len() < REPLICAS_MAX {
                    info.replicas.extend(replica(value));
                }
            }
        }
    }
    info
}

/// `ip=10.0.0.2,port=6379,state=online,...`, before Redis 2.8 `10.0.0.2,6379,online`.
fn replica(value: &str) -> Option<(&str, u16)> {
    let mut fields = value.split(',');
    if value.contains("ip=") {
        let named = |name: &str| value.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        return Some((named("ip")?, named("port")?.parse().ok()?));
    }
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Info<'_>) {
        assert_eq!(&parse(text), expected, "{text}");
    }

    #[test]
    fn info_is_read_as_redis_of_any_age_writes_it() {
        const ID: &str = "0123456789abcdef0123456789abcdef01234567";
        check(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=1\r\nslave1:ip=::1,port=6380,state=online\r\nmaster_failover_state:no-failover\r\n",
            &Info {
                run_id: Some(ID),
                role: Some(Role::Master),
                replicas: vec![("10.0.0.2", 6379), ("::1", 6380)],
                own_failover: Some(false),
                ..Info::default()
            },
        );
        check(
            "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:12\r\nslave_repl_offset:777\r\nslave_priority:10\r\nreplica_announced:0\r\nmaster_failover_state:failover-in-progress\r\n",
            &Info {
                role: Some(Role::Replica),
                link_down: Millis(12_000),
                master_host: Some("10.0.0.1"),
                master_port: Some(6379),
                link_up: Some(false),
                priority: Some(10),
                offset: Some(777),
                announced: Some(false),
                own_failover: Some(true),
                ..Info::default()
            },
        );
        check(
            "role:master\nslave0:10.0.0.2,6379,online\nslave_x:1\nslave:2\nslave1:broken",
            &Info { role: Some(Role::Master), replicas: vec![("10.0.0.2", 6379)], ..Info::default() },
        );
        for text in ["", ":", "role", "role:", "run_id:short", "slave0:", "slave0:ip=,port=", "master_port:99999"] {
            assert!(parse(text).replicas.is_empty());
        }
        check("master_link_down_since_seconds:-1", &Info::default());
    }
}
