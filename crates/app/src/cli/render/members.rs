//! `list` and `topology`: the members of a cluster.

use super::redis::redis_table;
use super::{Align, Cell, Format, Table};
use console::cluster_json::{ClusterView, Known, MemberView};
use ha::cluster::Cluster;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use types::Scope;

/// PostgreSQL's port; while everybody uses it, it is not shown.
const PORT: u16 = 5432;
const BYTES_PER_MB: f64 = 1024.0 * 1024.0;
/// A longer change of a setting is hidden from people.
const CHANGE_CHARS_MAX: usize = 50;

const EXTENDED: [&str; 4] = ["Pending restart", "Pending restart reason", "Scheduled restart", "Tags"];

/// What is shown: a cluster with its name.
pub struct Clusters<'a> {
    pub scope: &'a Scope,
    pub cluster: &'a Cluster,
}

/// PostgreSQL and Redis of a scope: one table below the other, or for programs one list. Without Redis it is what
/// patronictl prints.
pub fn scope(of: &Clusters<'_>, format: Format, extended: bool) -> String {
    // Of one that nobody runs any more there are notes only.
    let run = of.cluster.redis.iter().filter(|(_, group)| !group.members.is_empty());
    let redis: Vec<Table> = run.map(|(name, group)| redis_table(name, group)).collect();
    let no_postgresql = of.cluster.members.is_empty() && of.cluster.initialize.is_none();
    match format {
        Format::Topology => members(of, format, extended),
        Format::Json | Format::Yaml if !redis.is_empty() => {
            let postgresql = table(of, &ClusterView::of(of.cluster), format, extended);
            Table::print_together(&[vec![postgresql], redis].concat(), format)
        }
        Format::Pretty | Format::Tsv | Format::Json | Format::Yaml => {
            let first = if no_postgresql && !redis.is_empty() { None } else { Some(members(of, format, extended)) };
            let gap = if format == Format::Tsv { "\n" } else { "" };
            let tables: Vec<String> = first.into_iter().chain(redis.iter().map(|table| table.print(format))).collect();
            let mut text = tables.join(gap);
            if no_postgresql && !redis.is_empty() && format == Format::Pretty {
                footer(&ClusterView::of(of.cluster), &mut text);
            }
            text
        }
    }
}

/// The table, and below it, for people, what else is to be known.
pub fn members(of: &Clusters<'_>, format: Format, extended: bool) -> String {
    let view = ClusterView::of(of.cluster);
    let mut text = table(of, &view, format, extended).print(format);
    if format.is_for_people() {
        footer(&view, &mut text);
    }
    text
}

fn table(of: &Clusters<'_>, view: &ClusterView, format: Format, extended: bool) -> Table {
    let mut columns = vec![
        ("Cluster", Align::Left),
        ("Member", Align::Left),
        ("Host", Align::Left),
        ("Role", Align::Left),
        ("State", Align::Left),
        ("TL", Align::Right),
        ("Receive LSN", Align::Right),
        ("Receive Lag", Align::Right),
        ("Replay LSN", Align::Right),
        ("Replay Lag", Align::Right),
    ];
    let reachable = || view.members.iter().filter(|member| member.host.is_some());
    let shown: Vec<&str> =
        EXTENDED.into_iter().filter(|name| extended || reachable().any(|member| has(member, name))).collect();
    columns.extend(shown.iter().map(|name| (*name, Align::Left)));
    // The port tells members apart when they are on one host, and when it is not the usual one.
    let hosts: BTreeSet<&str> = reachable().filter_map(|member| member.host.as_deref()).collect();
    let with_port =
        hosts.len() < reachable().count() || reachable().any(|member| member.port.is_some_and(|port| port != PORT));
    let rows = ordered(view, format)
        .into_iter()
        .map(|(name, member)| {
            let mut row = vec![of.scope.as_str().into(), name.into(), host(member, with_port).into()];
            row.push(title_case(member.role).into());
            row.push(member.state.as_str().into());
            row.push(member.timeline.map_or_else(Cell::empty, |timeline| Cell::Number(u64::from(timeline.0))));
            row.extend(positions(member));
            row.extend(shown.iter().map(|column| extra(member, column, format)));
            row
        })
        .collect();
    let system = match of.cluster.initialize.as_ref().map(|initialize| initialize.value.as_str()) {
        None => "uninitialized",
        Some("") => "initializing",
        Some(system) => system,
    };
    Table { title: format!(" Cluster: {} ({system}) ", of.scope), columns, rows, in_title: 1, sparse: true }
}

/// The members with the name to show: by name, or for the topology each below its source.
fn ordered(view: &ClusterView, format: Format) -> Vec<(String, &MemberView)> {
    if format != Format::Topology {
        return view.members.iter().map(|member| (member.name.to_string(), member)).collect();
    }
    let is_leader = |member: &MemberView| member.role.ends_with("leader");
    let leader = view.members.iter().find(|member| is_leader(member));
    let replicas: Vec<&MemberView> = view.members.iter().filter(|member| !is_leader(member)).collect();
    // Who names a source that is no replica (or itself) takes from the leader.
    let source = |member: &MemberView| {
        let named = member.tags.replicatefrom().filter(|name| *name != member.name.as_str());
        named.and_then(|name| replicas.iter().find(|other| other.name.as_str() == name)).map(|other| other.name.clone())
    };
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    let start = usize::from(leader.is_some());
    order.extend(leader.map(|leader| (leader.name.to_string(), leader)));
    let mut open: Vec<(usize, &MemberView)> =
        replicas.iter().rev().filter(|member| source(member).is_none()).map(|member| (start, *member)).collect();
    loop {
        while let Some((level, member)) = open.pop() {
            if !done.insert(&member.name) {
                continue;
            }
            let indent = "  ".repeat(level.saturating_sub(1));
            let mark = if level > 0 { "+ " } else { "" };
            order.push((format!("{indent}{mark}{}", member.name), member));
            let below = replicas.iter().rev().filter(|other| source(other).as_ref() == Some(&member.name));
            open.extend(below.map(|other| (level + 1, *other)));
        }
        // Replicas that name each other in a circle are shown all the same.
        match replicas.iter().find(|member| !done.contains(&member.name)) {
            Some(member) => open.push((start, member)),
            None => return order,
        }
    }
}

fn has(member: &MemberView, column: &str) -> bool {
    match column {
        "Pending restart" => member.pending_restart == Some(true),
        "Pending restart reason" => {
            member.pending_restart_reason.as_ref().and_then(Value::as_object).is_some_and(|reasons| !reasons.is_empty())
        }
        "Scheduled restart" => member.scheduled_restart.is_some(),
        _ => !member.tags.0.is_empty(),
    }
}

fn extra(member: &MemberView, column: &str, format: Format) -> Cell {
    match column {
        "Pending restart" => if member.pending_restart == Some(true) { "*" } else { "" }.into(),
        "Pending restart reason" => pending_reason(member, format).into(),
        "Scheduled restart" => scheduled_restart(member).into(),
        _ => Cell::Tags(Value::Object(member.tags.0.clone())),
    }
}

fn pending_reason(member: &MemberView, format: Format) -> String {
    let Some(reasons) = member.pending_restart_reason.as_ref().and_then(Value::as_object) else {
        return String::new();
    };
    let value = |change: &Value, key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines: Vec<String> = reasons
        .iter()
        .map(|(name, change)| {
            let full = format!("{name}: {}->{}", value(change, "old_value"), value(change, "new_value"));
            if format.is_for_people() && full.chars().count() > CHANGE_CHARS_MAX {
                format!("{name}: [hidden - too long]")
            } else {
                full
            }
        })
        .collect();
    lines.join("\n")
}

fn scheduled_restart(member: &MemberView) -> String {
    let text = |key: &str| member.scheduled_restart.as_ref().and_then(|it| it.get(key)).and_then(Value::as_str);
    let mut value = text("schedule").unwrap_or_default().to_owned();
    if let Some(version) = text("postgres_version") {
        let _ = write!(value, " if version < {version}");
    }
    value
}

fn host(member: &MemberView, with_port: bool) -> String {
    match (&member.host, member.port) {
        (Some(host), Some(port)) if with_port => format!("{host}:{port}"),
        (Some(host), _) => host.clone(),
        (None, _) => String::new(),
    }
}

/// `sync_standby` as `Sync Standby`.
fn title_case(role: &str) -> String {
    let words = role.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect::<Vec<String>>().join(" ")
}

/// Received, its lag, replayed, its lag. An old member tells one position only: it counts as the one it is about.
fn positions(member: &MemberView) -> [Cell; 4] {
    let Some(at) = &member.positions else { return [Cell::empty(), Cell::empty(), Cell::empty(), Cell::empty()] };
    let (mut receive, mut replay) = ((&at.receive_lsn, &at.receive_lag), (&at.replay_lsn, &at.replay_lag));
    if let (Known::Unknown(_), Known::Unknown(_), Known::Value(_)) = (receive.0, replay.0, &at.lsn) {
        let told = (&at.lsn, &at.lag);
        if member.state == "streaming" { receive = told } else { replay = told }
    }
    [lsn(receive.0), lag(receive.1), lsn(replay.0), lag(replay.1)]
}

fn lsn(known: &Known<String>) -> Cell {
    match known {
        Known::Value(lsn) => lsn.as_str().into(),
        Known::Unknown(word) => (*word).into(),
    }
}

/// In whole megabytes, half ones to the even side as Python rounds.
fn lag(known: &Known<u64>) -> Cell {
    match known {
        Known::Value(bytes) => Cell::Number((*bytes as f64 / BYTES_PER_MB).round_ties_even() as u64),
        Known::Unknown(_) => Cell::empty(),
    }
}

fn footer(view: &ClusterView, text: &mut String) {
    if view.pause {
        text.push_str(" Maintenance mode: on\n");
    }
    for (ip, holder) in &view.virtual_addresses {
        let _ = writeln!(text, " Virtual IP {ip}: {holder}");
    }
    if let Some(scheduled) = &view.scheduled_switchover {
        let _ = writeln!(text, " Switchover scheduled at: {}", scheduled.at);
        for (word, name) in [("from", &scheduled.from), ("to", &scheduled.to)] {
            if let Some(name) = name {
                let _ = writeln!(text, "{word:>24}: {name}");
            }
        }
    }
}
