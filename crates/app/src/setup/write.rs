//! From a plan to files.

use super::bridge::{self, Home, home};
use super::{check, draft, refused};
use crate::cli::Failure;
use plan::{Finding, MEMBER_FILE, Plan, PlannedFile, SECRETS_FILE, Secrets, has_errors};
use types::MemberName;

/// The passwords that are there, or new ones. Nothing is written.
pub fn secrets(home: &Home) -> Result<Secrets, Failure> {
    if home.secrets_file().exists() {
        return home.secrets();
    }
    Secrets::make().map_err(|error| Failure::new("setup-random", error.to_string()))
}

/// What is written here, certificates apart. The first server keeps the passwords whatever its roles are: those that join get
/// them from it.
pub fn files(at: &Home, plan: &Plan, member: &MemberName, secrets: &Secrets) -> Vec<PlannedFile> {
    let mut files = plan.files(member, secrets, at.directory());
    if !files.iter().any(|file| file.path.as_os_str() == SECRETS_FILE) {
        files.push(PlannedFile { path: SECRETS_FILE.into(), contents: secrets.to_yaml(), private: true });
    }
    files
}

/// Everything that is to be said about the plan on this server.
pub async fn findings(at: &Home, plan: &Plan, member: &MemberName) -> Vec<Finding> {
    let mut findings = plan.findings();
    // What a machine is asked for must make sense first.
    if !has_errors(&findings) {
        findings.extend(check::this_server(at, plan, member).await);
    }
    findings
}

/// Writes everything, or nothing.
pub async fn write(at: &Home, plan: &Plan, member: &MemberName) -> Result<Vec<Finding>, Failure> {
    let findings = findings(at, plan, member).await;
    if has_errors(&findings) {
        return Err(refused(&findings));
    }
    let secrets = secrets(at)?;
    at.prepare()?;
    let files = files(at, plan, member, &secrets);
    // The member's own file last: with it there, everything is.
    let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.path.as_os_str() == MEMBER_FILE);
    for file in first {
        home::write(&at.directory().join(&file.path), file.contents.expose(), file.private)?;
    }
    for file in last {
        home::write(&at.directory().join(&file.path), file.contents.expose(), file.private)?;
    }
    bridge::certify(at, plan, member)?;
    draft::forget(at);
    Ok(findings)
}
