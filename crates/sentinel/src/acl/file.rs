//! The ACL file: a line `user NAME RULES...` for each user.

use super::{Acl, DEFAULT_USER};
use crate::file::{read_lines, replace};
use std::path::Path;

/// All or nothing: a file with one bad line changes nothing.
pub fn load(path: &Path, channels_open: bool) -> Result<Acl, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("Error loading ACLs, opening file '{}': {error}", path.display()))?;
    let lines = read_lines(path, &text).map_err(|error| error.to_string())?;
    let mut acl = Acl::new(channels_open);
    let mut seen = Vec::new();
    for line in lines {
        let [word, name, rules @ ..] = line.words.as_slice() else {
            return Err(at(path, line.number, "should start with user keyword"));
        };
        if word != "user" {
            return Err(at(path, line.number, "should start with user keyword"));
        }
        if seen.contains(name) {
            return Err(at(path, line.number, &format!("Duplicate user '{name}' found")));
        }
        seen.push(name.clone());
        if name == DEFAULT_USER {
            acl.users.remove(name);
        }
        acl.set_user(name, rules).map_err(|why| at(path, line.number, &why))?;
    }
    Ok(acl)
}

fn at(path: &Path, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}.", path.display())
}

pub fn save(acl: &Acl, path: &Path) -> std::io::Result<()> {
    let mut text = String::new();
    for (name, user) in acl.users() {
        text.push_str("user ");
        text.push_str(name);
        text.push(' ');
        text.push_str(&user.description());
        text.push('\n');
    }
    replace(path, &text)
}
