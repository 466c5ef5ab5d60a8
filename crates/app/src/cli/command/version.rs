//! `version`: of this program, and of a cluster's members.

use crate::cli::api::{Method, leader_first};
use crate::cli::arguments::VersionArguments;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output;
use serde_json::Value;

pub fn own() -> Result<(), Failure> {
    output::line(&format!("quorate version {}", env!("CARGO_PKG_VERSION")))
}

pub async fn of_members(context: &Context, arguments: VersionArguments) -> Result<(), Failure> {
    own()?;
    output::line("")?;
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let mut silent = 0;
    let mut members = leader_first(&target.cluster);
    members.sort_by_key(|(name, _)| *name);
    for (name, member) in members {
        if !arguments.members.is_empty() && !arguments.members.iter().any(|wanted| wanted == name.as_str()) {
            continue;
        }
        match context.api.request(member, Method::Get, "patroni", None).await {
            Ok(answer) => {
                let status: Value = serde_json::from_str(&answer.text).unwrap_or_default();
                output::line(&format!("{name}: {}", versions(&status)))?;
            }
            Err(none) => {
                silent += 1;
                eprintln!("{name}: failed to get version: {}", none.why());
            }
        }
    }
    if silent == 0 { Ok(()) } else { Err(Failure::new("cli-no-member", format!("{silent} members did not answer"))) }
}

/// `Patroni 4.1.4 PostgreSQL 15.8`, as far as it was told.
fn versions(status: &Value) -> String {
    let patroni = status.pointer("/patroni/version").and_then(Value::as_str).unwrap_or("None");
    let postgresql = status.get("server_version").and_then(Value::as_u64).map(number).unwrap_or_default();
    format!("Patroni {patroni}{postgresql}")
}

/// `server_version_num` as people write it: two parts since version 10.
fn number(version: u64) -> String {
    let (major, minor, patch) = (version / 10_000, version / 100 % 100, version % 100);
    if version < 100_000 {
        format!(" PostgreSQL {major}.{minor}.{patch}")
    } else {
        format!(" PostgreSQL {major}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_printed_as_patronictl_does() {
        let status = |version: u64| json!({"server_version": version, "patroni": {"version": "4.1.4"}});
        assert_eq!(versions(&status(150_008)), "Patroni 4.1.4 PostgreSQL 15.8");
        assert_eq!(versions(&status(90_624)), "Patroni 4.1.4 PostgreSQL 9.6.24");
        assert_eq!(versions(&json!({})), "Patroni None");
    }
}
