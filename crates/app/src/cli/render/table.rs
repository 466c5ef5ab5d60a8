//! A table in each of the formats, character by character as `patronictl` prints it.

use super::Format;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Number(u64),
    /// Tags: YAML for people, JSON for programs.
    Tags(Value),
}

impl Cell {
    pub fn empty() -> Self {
        Self::Text(String::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Number(_) => false,
            Self::Tags(tags) => tags.as_object().is_none_or(serde_json::Map::is_empty),
        }
    }

    fn text(&self, format: Format) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Tags(_) if self.is_empty() => String::new(),
            Self::Tags(tags) if format == Format::Pretty => config::yaml_from_json(tags).trim_end().to_owned(),
            Self::Tags(tags) => flow(tags),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(number) => (*number).into(),
            Self::Tags(tags) if self.is_empty() => Value::String(tags.as_str().unwrap_or_default().to_owned()),
            Self::Tags(tags) => tags.clone(),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// YAML on one line, such as `{clonefrom: true, zone: eu}`.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let items: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        single => config::yaml_from_json(single).trim_end().to_owned(),
    }
}

#[derive(Clone)]
pub struct Table {
    /// Stands in the upper line, with its spaces; only in the formats for people.
    pub title: String,
    pub columns: Vec<(&'static str, Align)>,
    pub rows: Vec<Vec<Cell>>,
    /// Columns that the title already tells; they are left out in the formats for people.
    pub in_title: usize,
    /// Leave out empty values in JSON and YAML.
    pub sparse: bool,
}

impl Table {
    /// With a line end behind it.
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Pretty | Format::Topology => self.pretty(format),
            Format::Tsv => self.tsv(),
            Format::Json => format!("{}\n", console::json_text(&self.objects())),
            Format::Yaml => config::yaml_from_json(&serde_json::to_value(self.objects()).unwrap_or_default()),
        }
    }

    /// The rows of several tables as one list of objects; only for programs.
    pub fn print_together(tables: &[Self], format: Format) -> String {
        let objects: Vec<Object<'_>> = tables.iter().flat_map(Self::objects).collect();
        match format {
            Format::Yaml => config::yaml_from_json(&serde_json::to_value(objects).unwrap_or_default()),
            Format::Json | Format::Pretty | Format::Tsv | Format::Topology => {
                format!("{}\n", console::json_text(&objects))
            }
        }
    }

    fn tsv(&self) -> String {
        let mut text = self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("\t");
        text.push('\n');
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.text(Format::Tsv)).collect();
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        text
    }

    fn objects(&self) -> Vec<Object<'_>> {
        self.rows.iter().map(|row| Object { table: self, row }).collect()
    }

    fn pretty(&self, format: Format) -> String {
        let columns = &self.columns[self.in_title.min(self.columns.len())..];
        // `Receive Lag` and `Replay Lag` stand beside what they belong to, so people read only `Lag`.
        let names: Vec<&str> =
            columns.iter().map(|(name, _)| if name.ends_with(" Lag") { "Lag" } else { name }).collect();
        let rows: Vec<Vec<Vec<String>>> = self
            .rows
            .iter()
            .map(|row| {
                let cells = row.iter().skip(self.in_title);
                cells.map(|cell| cell.text(format).split('\n').map(str::to_owned).collect()).collect()
            })
            .collect();
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| {
                let cells = rows.iter().filter_map(|row| row.get(at)).flatten().map(|line| width(line));
                cells.max().unwrap_or(0).max(width(names[at]))
            })
            .collect();
        let mut rule = String::from("+");
        for width in &widths {
            let _ = write!(rule, "{}+", "-".repeat(width + 2));
        }
        let line = |cells: &[&str]| {
            let mut line = String::from("|");
            for ((cell, width), (_, align)) in cells.iter().zip(&widths).zip(columns) {
                let _ = match align {
                    Align::Left => write!(line, " {cell:<width$} |"),
                    Align::Right => write!(line, " {cell:>width$} |"),
                };
            }
            line
        };
        // A value of several lines needs a line between the rows, to be seen as one.
        let is_tall = rows.iter().flatten().any(|cell| cell.len() > 1);
        let mut lines = vec![self.titled(&rule), line(&names), rule.clone()];
        for row in &rows {
            let height = row.iter().map(Vec::len).max().unwrap_or(1);
            for at in 0..height {
                let cells: Vec<&str> = row.iter().map(|cell| cell.get(at).map_or("", String::as_str)).collect();
                lines.push(line(&cells));
            }
            if is_tall {
                lines.push(rule.clone());
            }
        }
        // Without rows two lines follow each other; so they do in patronictl.
        if !is_tall {
            lines.push(rule);
        }
        lines.join("\n") + "\n"
    }

    /// The upper line, with the title written over it.
    fn titled(&self, rule: &str) -> String {
        let title: String = self.title.chars().take(rule.len().saturating_sub(2)).collect();
        let rest: String = rule.chars().skip(1 + width(&title)).collect();
        format!("+{title}{rest}")
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// One row as an object, in the order of the columns.
struct Object<'a> {
    table: &'a Table,
    row: &'a [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((name, _), cell) in self.table.columns.iter().zip(self.row) {
            if !(self.table.sparse && cell.is_empty()) {
                map.serialize_entry(name, &cell.json())?;
            }
        }
        map.end()
    }
}
