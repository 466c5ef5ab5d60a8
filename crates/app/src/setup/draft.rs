//! What was typed and not written yet, kept in the home so that another browser, or another day, goes on from there.
//!
//! There is no secret in it: passwords are made when the files are written.

use super::bridge::{Home, home};
use crate::cli::Failure;
use plan::Plan;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const FILE: &str = "draft.json";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub plan: Plan,
    /// Which of the members this server is.
    pub member: String,
}

fn file(home: &Home) -> PathBuf {
    home.directory().join(FILE)
}

/// `None`: nothing was begun, or nothing that can be read.
pub fn read(at: &Home) -> Result<Option<Draft>, Failure> {
    Ok(home::read(&file(at))?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// What is written already is no draft.
pub fn write(at: &Home, draft: &Draft) -> Result<(), Failure> {
    at.prepare()?;
    if at.plan_file().exists() && at.plan().is_ok_and(|written| written == draft.plan) {
        forget(at);
        return Ok(());
    }
    home::write(&file(at), &serde_json::to_string_pretty(draft).unwrap_or_default(), true)
}

/// It has become files.
pub fn forget(at: &Home) {
    // A draft that stays is offered again, and nothing worse.
    let _ = std::fs::remove_file(file(at));
}
