//! What a server says of itself: the answers to `INFO`, read into types.
//!
//! Deliberately tolerant: a field that is missing or not a number is as if it had not been said, because products and
//! versions differ. Fields and meanings: the documentation of the command INFO.

use resp::client::Address;

/// One server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub version: String,
    pub run_id: String,
    pub process_id: u32,
    pub role: Role,
    /// The replication history, and where in it this server is, in bytes.
    pub replication_id: String,
    pub offset: u64,
    /// The history before the last change of master, valid up to `second_offset`.
    pub second_replication_id: Option<String>,
    pub second_offset: Option<u64>,
    pub replicas: Vec<ConnectedReplica>,
    /// It reads its data from disk and answers nothing else yet.
    pub loading: bool,
    /// Over all databases.
    pub keys: u64,
    /// The last attempt to write the append-only file or a snapshot failed, with which.
    pub persistence_error: Option<&'static str>,
    pub used_memory_bytes: u64,
    pub connected_clients: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Master,
    Replica {
        master: Address,
        link: Link,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    /// A full copy is being received.
    Copying,
    Down {
        since_seconds: Option<u64>,
    },
}

/// One line `slaveN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedReplica {
    pub address: Address,
    /// It has the whole copy and follows the stream.
    pub online: bool,
    pub offset: u64,
    pub lag_seconds: Option<u64>,
}

impl Status {
    pub fn is_master(&self) -> bool {
        matches!(self.role, Role::Master)
    }

    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Reads one or several sections of INFO.
    pub fn parse(info: &str) -> Self {
        let fields = Fields(info);
        let number = |name: &str| fields.number(name);
        // A history that was never given one is written as forty zeros.
        let some_id = |id: &&str| !id.is_empty() && id.bytes().any(|digit| digit != b'0');
        let id = |name: &str| fields.text(name).filter(some_id).map(str::to_owned);
        let role = match fields.text("role") {
            Some("slave" | "replica") => replica_role(&fields),
            _ => Role::Master,
        };
        let replicated = number("master_repl_offset").unwrap_or(0);
        let offset = match role {
            Role::Master => replicated,
            // Without anything received a replica says 1.
            Role::Replica { .. } => number("slave_repl_offset").filter(|at| *at > 1).unwrap_or(0).max(replicated),
        };
        Self {
            version: fields.text("valkey_version").or(fields.text("redis_version")).unwrap_or_default().to_owned(),
            run_id: fields.text("run_id").unwrap_or_default().to_owned(),
            process_id: number("process_id").and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
            role,
            replication_id: id("master_replid").unwrap_or_default(),
            offset,
            second_replication_id: id("master_replid2"),
            second_offset: number("second_repl_offset"),
            replicas: (0..number("connected_slaves").unwrap_or(0).min(REPLICAS_MAX))
                .filter_map(|index| connected_replica(fields.text(&format!("slave{index}"))?))
                .collect(),
            loading: fields.text("loading") == Some("1"),
            keys: fields.lines().filter_map(keys_of_database).sum(),
            persistence_error: persistence_error(&fields),
            used_memory_bytes: number("used_memory").unwrap_or(0),
            connected_clients: number("connected_clients").unwrap_or(0),
        }
    }
}

/// More replicas of one master are not looked at.
const REPLICAS_MAX: u64 = 1000;

fn replica_role(fields: &Fields<'_>) -> Role {
    let host = fields.text("master_host").unwrap_or_default();
    let port = fields.number("master_port").and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    let link = if fields.text("master_link_status") == Some("up") {
        Link::Up
    } else if fields.text("master_sync_in_progress") == Some("1") {
        Link::Copying
    } else {
        Link::Down { since_seconds: fields.number("master_link_down_since_seconds") }
    };
    Role::Replica { master: Address::new(host, port), link }
}

/// `ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0`
fn connected_replica(line: &str) -> Option<ConnectedReplica> {
    let part = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    Some(ConnectedReplica {
        address: Address::new(part("ip")?, part("port")?.parse().ok()?),
        online: part("state") == Some("online"),
        offset: part("offset")?.parse().ok()?,
        lag_seconds: part("lag").and_then(|lag| lag.parse().ok()),
    })
}

/// `db0:keys=12,expires=0,avg_ttl=0`
fn keys_of_database(line: &str) -> Option<u64> {
    let (number, rest) = line.strip_prefix("db")?.split_once(':')?;
    number.parse::<u32>().ok()?;
    rest.split(',').find_map(|part| part.strip_prefix("keys=")?.parse().ok())
}

fn persistence_error(fields: &Fields<'_>) -> Option<&'static str> {
    [
        ("aof_last_write_status", "the append-only file could not be written"),
        ("aof_last_bgrewrite_status", "the append-only file could not be rewritten"),
        ("rdb_last_bgsave_status", "the last snapshot could not be saved"),
    ]
    .into_iter()
    .find(|(name, _)| fields.text(name).is_some_and(|status| status != "ok"))
    .map(|(_, words)| words)
}

struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn lines(&self) -> impl Iterator<Item = &'a str> {
        self.0.lines().map(str::trim_end)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# Server\r\nredis_version:7.0.15\r\nprocess_id:42\r\nrun_id:abc\r\n\
        # Persistence\r\nloading:0\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:err\r\n\
        # Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        slave0:ip=127.0.0.12,port=6379,state=online,offset=1200,lag=1\r\n\
        slave1:ip=::1,port=7000,state=wait_bgsave,offset=0,lag=0\r\n\
        master_failover_state:no-failover\r\nmaster_replid:8371445ee47eff5e8b9d4f2b7d1f4e2a6e3c0d11\r\n\
        master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:1234\r\nsecond_repl_offset:-1\r\n\
        # Keyspace\r\ndb0:keys=10,expires=0,avg_ttl=0\r\ndb3:keys=2,expires=1,avg_ttl=5\r\n";
    const REPLICA: &str = "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n\
        master_sync_in_progress:0\r\nslave_read_repl_offset:900\r\nslave_repl_offset:900\r\n\
        master_link_down_since_seconds:7\r\nslave_priority:100\r\nconnected_slaves:0\r\n\
        master_replid:aa\r\nmaster_replid2:bb\r\nmaster_repl_offset:900\r\nsecond_repl_offset:500\r\nloading:1\r\n";

    #[test]
    fn a_master_says_where_its_replicas_are() {
        let status = Status::parse(MASTER);
        assert!(status.is_master() && !status.loading && !status.is_empty());
        assert_eq!((status.version.as_str(), status.process_id, status.keys), ("7.0.15", 42, 12));
        assert_eq!((status.offset, status.second_replication_id.as_deref(), status.second_offset), (1234, None, None));
        assert_eq!(status.replicas[0].address, Address::new("127.0.0.12", 6379));
        assert_eq!((status.replicas[0].online, status.replicas[0].offset), (true, 1200));
        assert!(!status.replicas[1].online && status.replicas[1].address.host == "::1");
        assert_eq!(status.persistence_error, Some("the append-only file could not be written"));
    }

    #[test]
    fn a_replica_says_whom_it_follows_and_how_far_it_is() {
        let status = Status::parse(REPLICA);
        let master = Address::new("10.0.0.1", 6379);
        assert_eq!(status.role, Role::Replica { master: master.clone(), link: Link::Down { since_seconds: Some(7) } });
        assert_eq!((status.offset, status.second_offset, status.loading), (900, Some(500), true));
        assert_eq!(status.second_replication_id.as_deref(), Some("bb"));
        let up = Status::parse(&REPLICA.replace("status:down", "status:up"));
        assert_eq!(up.role, Role::Replica { master: master.clone(), link: Link::Up });
        let copying = Status::parse(&REPLICA.replace("in_progress:0", "in_progress:1"));
        assert_eq!(copying.role, Role::Replica { master, link: Link::Copying });
        let new = Status::parse("role:slave\r\nslave_repl_offset:1\r\nmaster_repl_offset:0\r\n");
        assert_eq!((new.offset, new.is_empty()), (0, true));
    }

    #[test]
    fn nonsense_is_as_if_it_had_not_been_said() {
        for info in ["", "role", "slave0:x", "connected_slaves:9\r\nslave0:ip=,port=x", "db0:keys=x\r\ndbx:keys=1"] {
            let status = Status::parse(info);
            assert!(status.is_master() && status.replicas.is_empty() && status.is_empty(), "{info}");
        }
    }
}
