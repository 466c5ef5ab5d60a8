//! The Redis groups of a scope: a table of their members, and why the master is the master.

use super::{Align, Cell, Format, Table};
use console::redis::{RedisMemberView, RedisView};
use ha::cluster::RedisGroup;
use std::collections::BTreeSet;

/// Redis's port; while everybody uses it, it is not shown.
const PORT: u16 = 6379;
/// Enough of a replication id to tell two apart.
const REPLICATION_ID_CHARS: usize = 8;

pub fn redis_members(name: &str, group: &RedisGroup, format: Format) -> String {
    redis_table(name, group).print(format)
}

pub fn redis_table(name: &str, group: &RedisGroup) -> Table {
    let view = RedisView::of(group);
    let columns = vec![
        ("Redis", Align::Left),
        ("Member", Align::Left),
        ("Host", Align::Left),
        ("Role", Align::Left),
        ("State", Align::Left),
        ("Offset", Align::Right),
        ("Lag", Align::Right),
        ("Keys", Align::Right),
    ];
    let hosts: BTreeSet<&str> = view.members.iter().map(|member| member.host.as_str()).collect();
    let with_port = hosts.len() < view.members.len() || view.members.iter().any(|member| member.port != Some(PORT));
    let rows = view.members.iter().map(|member| row(name, member, with_port)).collect();
    let history = group.leader_member().and_then(|(_, leader)| leader.data.replid.as_deref());
    let title = match history {
        Some(id) => format!(" Redis: {name} ({}) ", id.chars().take(REPLICATION_ID_CHARS).collect::<String>()),
        None => format!(" Redis: {name} "),
    };
    Table { title, columns, rows, in_title: 1, sparse: true }
}

fn row(name: &str, member: &RedisMemberView, with_port: bool) -> Vec<Cell> {
    let host = match member.port.filter(|_| with_port) {
        Some(port) if member.host.contains(':') => format!("[{}]:{port}", member.host),
        Some(port) => format!("{}:{port}", member.host),
        None => member.host.clone(),
    };
    let role = match member.role {
        "master" => "Master",
        "replica" => "Replica",
        other => other,
    };
    vec![
        name.into(),
        member.name.as_str().into(),
        host.into(),
        role.into(),
        member.state.into(),
        member.offset.map_or_else(Cell::empty, Cell::Number),
        member.lag.map_or_else(Cell::empty, Cell::Number),
        member.keys.map_or_else(Cell::empty, Cell::Number),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::redis::{RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState};
    use types::{MemberName, Revision};

    fn member(name: &str, role: RedisRole, offset: u64) -> (MemberName, RedisMember) {
        let host = name.trim_start_matches("pg");
        let data = RedisMemberData {
            address: format!("10.0.0.{host}:6379"),
            role,
            state: RedisRunState::Running,
            replid: Some("8371445ee47eff5e8b9d4f2b7d1f4e2a6e3c0d11".to_owned()),
            offset,
            keys: 12,
            link_up: role == RedisRole::Replica,
            following: (role == RedisRole::Replica).then(|| "pg1".into()),
            writable: role == RedisRole::Master,
            ..RedisMemberData::default()
        };
        (name.into(), RedisMember { data, revision: Revision(1), lease: None })
    }

    #[test]
    fn a_group_is_a_table_below_postgresqls() {
        let group = RedisGroup {
            leader: Some(RedisLeader { name: "pg1".into(), epoch: Revision(2), lease: None }),
            members: [
                member("pg1", RedisRole::Master, 1200),
                member("pg2", RedisRole::Replica, 1200),
                member("pg3", RedisRole::Replica, 1150),
            ]
            .into(),
            ..RedisGroup::default()
        };
        let expected = "\
+ Redis: db1 (8371445e) --+-----------+--------+-----+------+
| Member | Host     | Role    | State     | Offset | Lag | Keys |
+--------+----------+---------+-----------+--------+-----+------+
| pg1    | 10.0.0.1 | Master  | running   |   1200 |     |   12 |
| pg2    | 10.0.0.2 | Replica | streaming |   1200 |   0 |   12 |
| pg3    | 10.0.0.3 | Replica | streaming |   1150 |  50 |   12 |
+--------+----------+---------+-----------+--------+-----+------+
";
        let found = redis_members("db1", &group, Format::Pretty);
        // The title's line has the width of the others.
        let (title, rest) = found.split_once('\n').unwrap();
        assert!(title.starts_with("+ Redis: db1 (8371445e) -") && title.len() == 65, "{title}");
        assert_eq!(rest, expected.split_once('\n').unwrap().1, "\n{found}");
        let json = redis_members("db1", &group, Format::Json);
        assert!(json.contains(r#"{"Redis": "db1", "Member": "pg3", "Host": "10.0.0.3", "Role": "Replica""#), "{json}");
        let mut group = group;
        let mut change = |name: &str, change: &dyn Fn(&mut RedisMemberData)| {
            change(&mut group.members.get_mut(&name.into()).unwrap().data);
        };
        change("pg2", &|data| data.offset = 1300);
        change("pg3", &|data| {
            *data = RedisMemberData { address: data.address.clone(), ..RedisMemberData::default() };
        });
        let found = redis_members("db1", &group, Format::Pretty);
        for line in [
            "| pg1    | 10.0.0.1 | Master  | running   |   1300 |     |   12 |",
            "| pg2    | 10.0.0.2 | Replica | streaming |   1300 |   0 |   12 |",
            "| pg3    | 10.0.0.3 | Replica | stopped   |        |     |      |",
        ] {
            assert!(
                found.contains(line),
                "a master has what its replica has, and who does not run has told nothing\n{found}"
            );
        }
        let mut change = |name: &str, change: &dyn Fn(&mut RedisMemberData)| {
            change(&mut group.members.get_mut(&name.into()).unwrap().data);
        };
        change("pg1", &|data| data.trouble = Some("Redis refuses its own agent".to_owned()));
        assert!(redis_members("db1", &group, Format::Pretty).contains("| Master  | refusing  |"));
        group.members.get_mut(&"pg1".into()).unwrap().data.state = RedisRunState::Stopped;
        let found = redis_members("db1", &group, Format::Pretty);
        assert!(found.contains("| Replica | running |"), "nothing streams from a master that is gone\n{found}");
        let tsv = redis_members("db1", &group, Format::Tsv);
        assert!(tsv.starts_with("Redis\tMember\tHost\tRole\tState\tOffset\tLag\tKeys\n"), "{tsv}");
    }
}
