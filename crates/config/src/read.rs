//! From files to one tree.

use crate::Place;
use crate::error::{Code, ConfigError, Report, problem};
use crate::tree::{self, Node, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variable that may hold the whole configuration.
pub(crate) const WHOLE_CONFIGURATION: &str = "PATRONI_CONFIGURATION";
/// A configuration is a few kilobytes; what is larger is some other file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// `None` when nothing could be read at all; the report says why.
pub(crate) fn from_path(path: &Path, report: &mut Report) -> Option<Node> {
    let files = match files(path) {
        Ok(files) => files,
        Err(error) => {
            report.error(file_error(path, &error));
            return None;
        }
    };
    if files.is_empty() {
        let error = file_error(path, &"the directory has no *.yml file");
        report
            .error(error.hint("a configuration directory holds files such as 10-member.yml, merged in order of name"));
        return None;
    }
    let mut tree: Option<Node> = None;
    let mut complete = true;
    for file in files {
        match read_file(&file) {
            Ok(text) => match from_text(&file.display().to_string(), &text, report) {
                Some(node) => match &mut tree {
                    Some(tree) => tree.merge(node),
                    None => tree = Some(node),
                },
                None => complete = false,
            },
            Err(error) => {
                report.error(file_error(&file, &error));
                complete = false;
            }
        }
    }
    // With a part missing everything else would be reported as missing too.
    tree.filter(|_| complete)
}

pub(crate) fn from_text(name: &str, text: &str, report: &mut Report) -> Option<Node> {
    let source: Arc<str> = Arc::from(name);
    match tree::parse(&source, text) {
        Ok(node) => match node.value {
            Value::Map(_) => Some(node),
            Value::Null => Some(Node { place: Place { source, line: 0 }, ..Node::empty_map() }),
            _ => {
                report.error(problem(Code::Type, &node.place, "", "the file must hold keys and values (name: value)"));
                None
            }
        },
        Err((line, message)) => {
            let place = Place { source, line };
            report.error(problem(Code::Syntax, &place, "", format!("not valid YAML: {message}")));
            None
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path)?;
    // Editors on Windows put a byte order mark in front.
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_error(path: &Path, why: &impl std::fmt::Display) -> ConfigError {
    let place = Place { source: Arc::from(path.display().to_string()), line: 0 };
    problem(Code::File, &place, "", format!("cannot be read: {why}"))
}
