//! `/history`: one line per change of timeline.

use serde_json::{Value, json};
use types::{Lsn, Timeline};

/// The timeline that ended, where, and who continued on the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    pub timeline: Timeline,
    pub lsn: Lsn,
    pub reason: String,
    /// ISO 8601, when the new leader noted it; absent in lines from before this cluster was managed.
    pub timestamp: Option<String>,
    pub new_leader: Option<String>,
}

/// The reason in a line whose number was given to a promotion, until PostgreSQL's own history has a line for it. A line
/// that keeps it is of a timeline that nobody follows.
pub const RESERVED: &str = "reserved";

impl HistoryLine {
    pub fn is_reserved(&self) -> bool {
        self.reason == RESERVED
    }
}

/// Patroni's form: `[[tl, lsn, "reason", "timestamp", "new leader"], ...]`, the last two optional.
pub fn history_from_json(text: &str) -> Result<Vec<HistoryLine>, String> {
    let rows: Vec<Vec<Value>> = super::read(text)?;
    rows.iter()
        .map(|row| {
            let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
            let number = |at: usize| row.get(at).and_then(Value::as_u64);
            Ok(HistoryLine {
                timeline: Timeline(number(0).and_then(|n| u32::try_from(n).ok()).ok_or("no timeline in a line")?),
                lsn: Lsn(number(1).ok_or("no position in a line")?),
                reason: text(2).unwrap_or_default(),
                timestamp: text(3),
                new_leader: text(4),
            })
        })
        .collect()
}

pub fn history_to_json(lines: &[HistoryLine]) -> String {
    let rows: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut row = vec![json!(line.timeline.0), json!(line.lsn.0), json!(line.reason)];
            if let Some(timestamp) = &line.timestamp {
                row.push(json!(timestamp));
                row.extend(line.new_leader.as_ref().map(|name| json!(name)));
            }
            Value::Array(row)
        })
        .collect();
    Value::Array(rows).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_there_and_back() {
        let text =
            r#"[[1,50331648,"no recovery target specified","2026-01-01T00:00:00+00:00","pg2"],[2,67108864,"x"]]"#;
        assert_eq!(history_to_json(&history_from_json(text).unwrap()), text);
        assert!(history_from_json(r#"[["x"]]"#).is_err());
    }
}
