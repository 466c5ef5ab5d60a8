//! Asking a Redis server or a sentinel, as a person with redis-cli would.

use anyhow::{Context, Result, bail};
use resp::Value;
use resp::client::{Connection, Target};
use std::net::SocketAddr;
use std::time::Duration;

/// One question may take this long; a server that is frozen or down is passed over.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// Where, and with which password.
#[derive(Clone, Debug)]
pub struct Login {
    pub address: SocketAddr,
    pub password: Option<String>,
}

impl Login {
    pub fn open_to_all(address: SocketAddr) -> Self {
        Self { address, password: None }
    }

    pub async fn connect(&self) -> Result<Connection> {
        let mut target = Target::plain(self.address.ip().to_string(), self.address.port());
        target.password = self.password.clone().map(resp::Secret::new);
        target.connect_timeout = ANSWER_TIME_MAX;
        Connection::open(&target).await.with_context(|| self.address.to_string())
    }

    /// Connects, asks one thing, and goes. An error reply is an error.
    pub async fn ask(&self, command: &[&str]) -> Result<Value> {
        answer(&mut self.connect().await?, command).await.with_context(|| self.address.to_string())
    }

    /// The same, for commands that answer with lines of text, such as INFO.
    pub async fn ask_text(&self, command: &[&str]) -> Result<String> {
        let value = self.ask(command).await?;
        Ok(value.as_text().with_context(|| format!("{command:?} is not answered with a text"))?.into_owned())
    }
}

/// The answer on a connection that is there. An error reply is an error.
pub async fn answer(connection: &mut Connection, command: &[&str]) -> Result<Value> {
    match connection.call(command, ANSWER_TIME_MAX).await? {
        Value::Error(text) => bail!("{text}"),
        value => Ok(value),
    }
}

/// The value of `name:value` in the text of INFO, or of `name=value` in that of CLIENT INFO.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix([':', '=']))
}

/// The texts of an array of strings.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_default().iter().filter_map(|item| Some(item.as_text()?.into_owned())).collect()
}

/// The value of a name in a map, or in the flat array that stands for one.
pub fn entry(value: &Value, name: &str) -> Option<String> {
    let pairs = value.as_pairs()?;
    let (_, found) = pairs.into_iter().find(|(key, _)| key.as_text().is_some_and(|key| key == name))?;
    Some(found.as_text()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info =
            "# Replication\r\nrole:master\r\nslave0:ip=127.0.0.12,port=6379,state=online\r\nmaster_repl_offset:12\r\n";
        assert_eq!(field(info, "role"), Some("master"));
        assert_eq!(field(info, "slave0"), Some("ip=127.0.0.12,port=6379,state=online"));
        assert_eq!(field(info, "master"), None);
        assert_eq!(field("id=3 addr=1.1.1.1:1 laddr=127.0.0.11:6379 fd=8", "laddr"), Some("127.0.0.11:6379"));
    }

    #[test]
    fn maps_are_read_in_both_protocols() {
        let flat = Value::Array(vec!["name".into(), "db1".into(), "flags".into(), "master".into()]);
        let map = Value::Map(vec![("name".into(), "db1".into()), ("flags".into(), "master".into())]);
        for value in [flat, map] {
            assert_eq!(entry(&value, "flags").as_deref(), Some("master"));
            assert_eq!(entry(&value, "master"), None);
        }
    }
}
