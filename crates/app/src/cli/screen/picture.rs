//! What is on the screen: lines of styled words, made for a size. Pure.
//!
//! The invariants: no line is wider and the whole is no higher than the terminal, and whatever a colour says a word says, too.

use super::overview::{Member, Note, Overview, RedisGroup, Store};
use jiff::Timestamp;
use jiff::tz::TimeZone;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// What the eye looks for.
    Strong,
    Quiet,
    Good,
    Warn,
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(pub Style, pub String);

pub type Line = Vec<Word>;

/// Everything that is known.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub overview: Option<Overview>,
    /// Newest first.
    pub notes: Vec<Note>,
    /// Why nothing new comes, and for how many seconds; `None`: it does.
    pub lost: Option<(String, u64)>,
}

const HELP: &str = "q ends";
/// Between two columns.
const GAP: usize = 2;
/// Below this a terminal shows nothing that helps.
const WIDTH_MIN: usize = 20;
/// `14:05:01 ` in front of what happened.
const TIME_WIDTH: usize = 10;

pub fn picture(seen: &Seen, width: usize, height: usize, zone: &TimeZone) -> Vec<Line> {
    let width = width.max(WIDTH_MIN);
    let mut lines = Vec::new();
    match &seen.overview {
        Some(overview) => {
            head(&mut lines, overview, seen, width);
            loss(&mut lines, overview, width);
            members(&mut lines, overview);
            others(&mut lines, overview, width);
        }
        None => lines.push(vec![word(Style::Quiet, "waiting for the first view of the cluster")]),
    }
    if let (None, Some((why, _))) = (&seen.overview, &seen.lost) {
        lines.extend(wrapped(Style::Bad, why, width));
    }
    // The last line says how to leave, whatever happened.
    let room = height.saturating_sub(1);
    if lines.len() + 2 <= room && !seen.notes.is_empty() {
        lines.push(Vec::new());
        lines.push(vec![word(Style::Strong, "What happened")]);
        let left = room - lines.len();
        lines.extend(seen.notes.iter().flat_map(|note| happened(note, width, zone)).take(left));
    }
    lines.truncate(room);
    lines.resize(room, Vec::new());
    lines.push(vec![word(Style::Quiet, HELP)]);
    lines.truncate(height);
    lines.into_iter().map(|line| cut(line, width)).collect()
}

fn word(style: Style, text: impl Into<String>) -> Word {
    Word(style, text.into())
}

/// The cluster's condition in one word, as the page of the web console has it.
fn condition(overview: &Overview) -> (Style, &'static str) {
    match (overview.store_reachable, overview.writable, overview.leader.is_some(), overview.pause) {
        (false, ..) => (Style::Bad, "store out of reach"),
        (true, false, true, false) if overview.members.iter().any(leads_standby) => (Style::Good, "standby cluster"),
        (true, false, true, true) if overview.members.iter().any(leads_standby) => (Style::Warn, "paused"),
        (true, false, true, _) => (Style::Bad, "leader not ready"),
        (true, false, false, _) => (Style::Bad, "no leader"),
        (true, true, _, true) => (Style::Warn, "paused"),
        (true, true, _, false) => (Style::Good, "serving"),
    }
}

fn leads_standby(member: &Member) -> bool {
    member.role == "standby_leader"
}

fn head(lines: &mut Vec<Line>, overview: &Overview, seen: &Seen, width: usize) {
    let (style, condition) = condition(overview);
    lines.push(vec![
        word(Style::Strong, overview.scope.clone()),
        word(Style::Plain, "  "),
        word(style, condition),
        word(Style::Quiet, format!("  seen by {}", overview.member)),
    ]);
    if let Some((why, seconds)) = &seen.lost {
        let text = format!("{} does not answer since {seconds} s ({why}); this is as it was then", overview.member);
        lines.extend(wrapped(Style::Bad, &text, width));
    }
    lines.push(Vec::new());
}

fn loss(lines: &mut Vec<Line>, overview: &Overview, width: usize) {
    let style = match overview.loss.code.as_str() {
        "nothing" => Style::Good,
        "last_commits" => Style::Warn,
        "no_successor" | "nobody_serves" => Style::Bad,
        _ => Style::Plain,
    };
    lines.push(vec![word(Style::Strong, "What can I lose right now?")]);
    lines.extend(wrapped(style, &overview.loss.sentence, width));
    for because in &overview.loss.because {
        lines.extend(wrapped(Style::Quiet, &format!("- {because}"), width));
    }
    lines.push(Vec::new());
}

fn members(lines: &mut Vec<Line>, overview: &Overview) {
    let mut rows =
        vec![["Member", "Role", "State", "TL", "Log ends at", "Behind"].map(|head| word(Style::Strong, head))];
    rows.extend(overview.members.iter().map(|member| row(overview, member)));
    let mut widths = [0; 6];
    for row in &rows {
        for (widest, Word(_, text)) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(text.chars().count());
        }
    }
    for row in rows {
        let mut line = Line::new();
        for (Word(style, text), widest) in row.into_iter().zip(widths) {
            let padding = " ".repeat(widest - text.chars().count() + GAP);
            line.extend([Word(style, text), word(Style::Plain, padding)]);
        }
        lines.push(line);
    }
}

fn row(overview: &Overview, member: &Member) -> [Word; 6] {
    let leads = overview.leader.as_deref() == Some(&member.name);
    let mut state = match member.cloned_percent {
        Some(percent) => format!("{} {percent} %", member.state),
        None if leads && overview.writable => "accepts writes".to_owned(),
        None => member.state.clone(),
    };
    if member.pending_restart {
        state.push_str(", restart pending");
    }
    let works = if leads && !leads_standby(member) { overview.writable } else { member.streaming };
    let style = match (works, member.cloned_percent) {
        (true, _) => Style::Good,
        (false, Some(_)) => Style::Warn,
        (false, None) => Style::Bad,
    };
    let behind = match member.lag {
        _ if leads => String::new(),
        Some(lag) => bytes(lag),
        None => "unknown".to_owned(),
    };
    [
        word(if leads { Style::Strong } else { Style::Plain }, member.name.clone()),
        word(Style::Plain, member.role.replace('_', " ")),
        word(style, state),
        word(Style::Plain, member.timeline.map(|timeline| timeline.to_string()).unwrap_or_default()),
        word(Style::Plain, member.lsn.clone()),
        word(Style::Plain, behind),
    ]
}

fn others(lines: &mut Vec<Line>, overview: &Overview, width: usize) {
    let mut parts: Vec<(Style, String)> = vec![store(&overview.store)];
    parts.extend(overview.redis.iter().map(redis));
    let holders = overview.virtual_addresses.iter().map(|(address, holder)| format!("{address} on {holder}"));
    let holders: Vec<String> = holders.collect();
    if !holders.is_empty() {
        parts.push((Style::Plain, format!("Addresses: {}", holders.join(", "))));
    }
    if let Some(scheduled) = &overview.scheduled_switchover {
        let to = scheduled.to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
        parts.push((Style::Warn, format!("A switchover{to} is scheduled for {}", scheduled.at)));
    }
    lines.push(Vec::new());
    for (style, text) in parts {
        lines.extend(wrapped(style, &text, width));
    }
}

fn store(store: &Store) -> (Style, String) {
    if store.kind != "embedded" {
        return (Style::Plain, "Store: etcd".to_owned());
    }
    let voter = |voter: &super::overview::Voter| match (voter.absent, voter.witness) {
        (true, _) => format!("{} not seen", voter.name),
        (false, true) => format!("{} (witness)", voter.name),
        (false, false) => voter.name.clone(),
    };
    let voters: Vec<String> = store.voters.iter().map(voter).collect();
    let leader = store.leader.as_ref().map_or("no leader".to_owned(), |leader| format!("leader {leader}"));
    let spare = match store.spare {
        Some(0) => "; no further one may fail".to_owned(),
        Some(spare) => format!("; {spare} more may fail"),
        None => String::new(),
    };
    let style = if store.leader.is_none() {
        Style::Bad
    } else if store.spare == Some(0) {
        Style::Warn
    } else {
        Style::Plain
    };
    (style, format!("Store: {leader}, voters {}{spare}", voters.join(", ")))
}

fn redis(group: &RedisGroup) -> (Style, String) {
    let works = |server: &super::overview::RedisServer| server.role == "master" || server.state == "streaming";
    let servers: Vec<String> = group
        .members
        .iter()
        .map(|server| {
            let state = if works(server) { String::new() } else { format!(", {}", server.state) };
            let lag =
                server.lag.filter(|lag| *lag > 0).map(|lag| format!(", {} behind", bytes(lag))).unwrap_or_default();
            format!("{} {}{state}{lag}", server.name, server.role)
        })
        .collect();
    let style = if group.members.iter().all(works) { Style::Plain } else { Style::Warn };
    (style, format!("Redis {}: {}", group.name, servers.join("; ")))
}

fn happened(note: &Note, width: usize, zone: &TimeZone) -> Vec<Line> {
    let time = Timestamp::from_millisecond(note.at)
        .map(|at| at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string())
        .unwrap_or_default();
    let style = if note.code == "decision" { Style::Quiet } else { Style::Plain };
    let mut lines = wrapped(style, &note.text, width.saturating_sub(TIME_WIDTH));
    for (at, line) in lines.iter_mut().enumerate() {
        let front = if at == 0 { time.as_str() } else { "" };
        line.insert(0, word(Style::Quiet, format!("{front:TIME_WIDTH$}")));
    }
    lines
}

/// Broken between words; a word that is longer than the line is cut later.
fn wrapped(style: Style, text: &str, width: usize) -> Vec<Line> {
    let mut lines = vec![String::new()];
    for part in text.split_whitespace() {
        let last =
            lines.last_mut().filter(|last| last.is_empty() || last.chars().count() + 1 + part.chars().count() <= width);
        match last {
            Some(last) => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(part);
            }
            None => lines.push(part.to_owned()),
        }
    }
    lines.into_iter().map(|line| vec![word(style, line)]).collect()
}

/// At most `width` characters, without blanks at the end; what is longer ends with an ellipsis.
fn cut(mut line: Line, width: usize) -> Line {
    while line.last().is_some_and(|Word(_, text)| text.trim().is_empty()) {
        line.pop();
    }
    if line.iter().map(|Word(_, text)| text.chars().count()).sum::<usize>() <= width {
        return line;
    }
    let mut left = width - 1;
    for Word(_, text) in &mut line {
        *text = text.chars().take(left).collect();
        left -= text.chars().count();
    }
    line.push(word(Style::Quiet, "…"));
    line
}

fn bytes(count: u64) -> String {
    const STEPS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    for (size, unit) in STEPS {
        if count >= size {
            return format!("{:.1} {unit}", count as f64 / size as f64);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::screen::overview::{Loss, RedisServer, Voter};

    fn seen() -> Seen {
        let member = |name: &str, role: &str, lag| Member {
            name: name.into(),
            role: role.into(),
            state: if role == "leader" { "running" } else { "streaming" }.into(),
            timeline: Some(3),
            lsn: "0/5000150".into(),
            lag,
            streaming: role != "leader",
            ..Member::default()
        };
        let voter = |name: &str| Voter { name: name.into(), ..Voter::default() };
        let cloned = Member {
            state: "creating replica".into(),
            cloned_percent: Some(43),
            streaming: false,
            ..member("pg3", "replica", None)
        };
        let server = |name: &str, role: &str, state: &str, lag| RedisServer {
            name: name.into(),
            role: role.into(),
            state: state.into(),
            lag,
        };
        let overview = Overview {
            scope: "demo".into(),
            member: "pg2".into(),
            store_reachable: true,
            leader: Some("pg1".into()),
            writable: true,
            members: vec![member("pg1", "leader", None), member("pg2", "sync_standby", Some(1536)), cloned],
            virtual_addresses: [("10.0.0.42".into(), "pg1".into())].into(),
            redis: vec![RedisGroup {
                name: "db1".into(),
                members: vec![
                    server("pg1", "master", "running", None),
                    server("pg2", "replica", "connecting", Some(7)),
                ],
            }],
            store: Store {
                kind: "embedded".into(),
                leader: Some("pg2".into()),
                term: Some(4),
                voters: vec![voter("pg1"), voter("pg2"), Voter { absent: true, ..voter("pg3") }],
                spare: Some(0),
            },
            loss: Loss {
                code: "last_commits".into(),
                sentence: "Commits of the last moment may be lost if pg1 dies.".into(),
                because: vec!["replication is asynchronous".into()],
            },
            ..Overview::default()
        };
        let note = |at, code: &str, text: &str| Note { at, code: code.into(), text: text.into() };
        let notes = vec![note(61_000, "leader", "pg1 accepts writes"), note(60_000, "decision", "pg2: it follows pg1")];
        Seen { overview: Some(overview), notes, lost: None }
    }

    fn text(lines: &[Line]) -> String {
        let line = |line: &Line| line.iter().map(|Word(_, text)| text.as_str()).collect::<String>();
        lines.iter().map(|it| line(it).trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn everything_is_said_in_words() {
        let expected = "\
demo  serving  seen by pg2

What can I lose right now?
Commits of the last moment may be lost if pg1 dies.
- replication is asynchronous

Member  Role          State                  TL  Log ends at  Behind
pg1     leader        accepts writes         3   0/5000150
pg2     sync standby  streaming              3   0/5000150    1.5 kB
pg3     replica       creating replica 43 %  3   0/5000150    unknown

Store: leader pg2, voters pg1, pg2, pg3 not seen; no further one may fail
Redis db1: pg1 master; pg2 replica, connecting, 7 B behind
Addresses: 10.0.0.42 on pg1

What happened
00:01:01  pg1 accepts writes
00:01:00  pg2: it follows pg1

q ends
";
        assert_eq!(text(&picture(&seen(), 80, 20, &TimeZone::UTC)), expected);
    }

    #[test]
    fn it_fits_every_terminal_and_says_how_to_leave() {
        let mut lost = seen();
        lost.lost = Some(("connection refused".into(), 3));
        let nothing = Seen { lost: Some(("connection refused".into(), 3)), ..Seen::default() };
        for seen in [seen(), lost, nothing, Seen::default()] {
            for width in [20, 33, 80, 300] {
                for height in [1, 2, 5, 12, 18, 19, 24, 60] {
                    let lines = picture(&seen, width, height, &TimeZone::UTC);
                    assert_eq!(lines.len(), height);
                    let widest = text(&lines).lines().map(|line| line.chars().count()).max().unwrap();
                    assert!(widest <= width, "{widest} of {width}\n{}", text(&lines));
                    assert_eq!(text(&lines[height - 1..]), "q ends\n");
                }
            }
        }
        assert!(picture(&seen(), 80, 0, &TimeZone::UTC).is_empty());
    }

    #[test]
    fn trouble_has_its_word() {
        for (change, expected) in [
            ((|it: &mut Overview| it.store_reachable = false) as fn(&mut Overview), "store out of reach"),
            (|it| it.writable = false, "leader not ready"),
            (|it| (it.writable, it.members[0].role) = (false, "standby_leader".into()), "standby cluster"),
            (|it| (it.leader, it.writable) = (None, false), "no leader"),
            (|it| it.pause = true, "paused"),
        ] {
            let mut seen = seen();
            change(seen.overview.as_mut().unwrap());
            let said = text(&picture(&seen, 80, 20, &TimeZone::UTC));
            assert!(said.starts_with(&format!("demo  {expected}  ")), "{said}");
        }
        let mut lost = seen();
        lost.lost = Some(("connection refused".into(), 3));
        let said = text(&picture(&lost, 100, 20, &TimeZone::UTC));
        assert!(said.contains("pg2 does not answer since 3 s (connection refused)"), "{said}");
    }
}
