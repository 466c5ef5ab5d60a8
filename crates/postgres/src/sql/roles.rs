//! The users of a cluster: superuser, replication, rewind.
//!
//! Deliberately only these three. The invariant: their passwords do not reach the server's log.

use super::Local;
use crate::{Secret, error::Result};
use std::fmt::Write as _;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: String,
    pub password: Option<Secret>,
}

/// As `postgresql.authentication`. A rewind user of the same name as another needs no rights of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    pub superuser: Account,
    pub replication: Account,
    pub rewind: Option<Account>,
}

/// What pg_rewind calls on its source (PostgreSQL's documentation of pg_rewind, "Notes").
const REWIND_FUNCTIONS: [&str; 4] = [
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
];

/// Creates the users or brings their passwords and rights in line. For a primary; repeatable.
pub async fn create_roles(local: &Local, accounts: &Accounts) -> Result<()> {
    local.execute_alone("the creation of users", &statements(accounts), local.timeouts, UNLOGGED).await
}

/// Set before the statements arrive: PostgreSQL logs a message's text before it executes any of it.
const UNLOGGED: &str = "-c log_statement=none -c log_min_duration_statement=-1 -c log_min_duration_sample=-1 \
    -c log_min_error_statement=panic -c pg_stat_statements.track_utility=off";

fn statements(accounts: &Accounts) -> String {
    let Accounts { superuser, replication, rewind } = accounts;
    let mut sql = String::new();
    if superuser.password.is_some() {
        sql.push_str(&role(superuser, "superuser"));
    }
    if replication.user != superuser.user {
        sql.push_str(&role(replication, "replication"));
    }
    if let Some(rewind) = rewind.as_ref().filter(|rewind| rewind.user != superuser.user) {
        if rewind.user != replication.user {
            sql.push_str(&role(rewind, ""));
        }
        for function in REWIND_FUNCTIONS {
            let _ = write!(sql, "grant execute on function {function} to {}; ", identifier(&rewind.user));
        }
    }
    sql
}

fn role(account: &Account, rights: &str) -> String {
    let Account { user, password } = account;
    let password =
        password.as_ref().map_or_else(String::new, |secret| format!(" password {}", literal(secret.expose())));
    let change = format!("role {} with login {rights}{password}", identifier(user));
    let body = format!(
        "begin if exists (select from pg_catalog.pg_roles where rolname = {}) then alter {change}; else create {change}; end if; end",
        literal(user)
    );
    format!("do {}; ", literal(&body))
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The E form means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_granted() {
        let account = |user: &str| Account { user: user.to_owned(), password: Some(Secret::new("p")) };
        let all = Accounts {
            superuser: account("postgres"),
            replication: account("replicator"),
            rewind: Some(account("rewinder")),
        };
        let sql = statements(&all);
        assert_eq!((sql.matches("do E'").count(), sql.matches("grant execute").count()), (3, 4), "{sql}");
        let one = Accounts { superuser: account("a"), replication: account("a"), rewind: Some(account("a")) };
        let sql = statements(&one);
        assert_eq!((sql.matches("do E'").count(), sql.matches("grant execute").count()), (1, 0), "{sql}");
        let shared = Accounts { superuser: account("a"), replication: account("b"), rewind: Some(account("b")) };
        let sql = statements(&shared);
        assert_eq!((sql.matches("do E'").count(), sql.matches("grant execute").count()), (2, 4), "{sql}");
    }

    #[test]
    fn names_and_passwords_are_quoted() {
        assert_eq!(identifier(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal(r"it's \ a"), r"E'it''s \\ a'");
    }
}
