//! `history`: the changes of leader.

use super::{Align, Cell, Format, Table};
use ha::cluster::HistoryLine;

pub fn history(lines: &[HistoryLine], format: Format) -> String {
    let text = |value: &Option<String>| Cell::from(value.clone().unwrap_or_default());
    let rows = lines
        .iter()
        .map(|line| {
            vec![
                Cell::Number(u64::from(line.timeline.0)),
                Cell::Number(line.lsn.0),
                line.reason.as_str().into(),
                text(&line.timestamp),
                text(&line.new_leader),
            ]
        })
        .collect();
    let columns = vec![
        ("TL", Align::Right),
        ("LSN", Align::Right),
        ("Reason", Align::Left),
        ("Timestamp", Align::Left),
        ("New Leader", Align::Left),
    ];
    Table { title: String::new(), columns, rows, in_title: 0, sparse: false }.print(format)
}
