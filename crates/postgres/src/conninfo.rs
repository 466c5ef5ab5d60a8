//! How to reach a PostgreSQL server, written as libpq wants it.
//!
//! Deliberately not a parser. The invariant: a password goes into a pgpass file or a socket, never into a connection
//! string, a process list, a log or an error.

use crate::{
    error::{Error, Result},
    run::Launcher,
};
use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, path::Path};
use types::Secret;

/// Seconds to connect, then seconds of silence before the first question, between questions, and how many of those.
const TOOL_LIMITS: [(&str, &str); 4] =
    [("connect_timeout", "10"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "4")];

/// One server (or libpq's list of several, separated by commas) and who wants to speak to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conninfo {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    /// None for physical replication.
    pub dbname: Option<String>,
    pub application_name: Option<String>,
    /// Further libpq keywords: sslmode, sslcert, channel_binding...
    pub options: BTreeMap<String, String>,
    /// Who else may answer there, for `verify-full`: the way leads through a proxy. libpq knows nothing like it.
    pub answered_by: Vec<String>,
}

impl Conninfo {
    /// libpq's keyword string, without the password; `passfile` is where libpq finds that.
    pub fn keywords(&self, passfile: Option<&Path>) -> String {
        let port = self.port.to_string();
        let passfile = passfile.map(forward_slashes);
        let named = [
            ("user", Some(self.user.as_str())),
            ("passfile", passfile.as_deref()),
            ("host", Some(self.host.as_str())),
            ("port", Some(port.as_str())),
            ("dbname", self.dbname.as_deref()),
            ("application_name", self.application_name.as_deref()),
        ];
        let named =
            named.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut text = String::new();
        for (name, value) in named.chain(options.filter(|(name, _)| *name != "password")) {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{name}={}", quote(value)); // a String takes everything
        }
        text
    }

    /// For PostgreSQL's tools, which otherwise would wait two hours for a source that vanished.
    pub(crate) fn keywords_for_tool(&self) -> String {
        let mut with_limits = self.clone();
        for (name, value) in TOOL_LIMITS {
            with_limits.options.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        with_limits.keywords(None)
    }

    /// The lines of a pgpass file for every host; none without a password.
    pub fn pgpass(&self) -> Result<String> {
        let Some(password) = &self.password else { return Ok(String::new()) };
        if password.expose().contains(['\n', '\r', '\0']) {
            let why = "a password with a line break cannot be given to libpq".to_owned();
            return Err(Error::Setting { name: format!("password of {}", self.user), why });
        }
        let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
        let lines = self.host.split(',').map(|host| {
            // libpq looks up sockets under the name localhost.
            let host = if host.is_empty() || host.starts_with('/') { "localhost".to_owned() } else { escape(host) };
            format!("{host}:{}:*:{}:{}\n", self.port, escape(&self.user), escape(password.expose()))
        });
        Ok(lines.collect())
    }

    /// A pgpass file that lives as long as the returned handle and only PostgreSQL's user can read.
    pub(crate) fn temporary_pgpass(&self, launcher: &Launcher) -> Result<Option<tempfile::NamedTempFile>> {
        let lines = self.pgpass()?;
        if lines.is_empty() {
            return Ok(None);
        }
        secret_file(launcher, &lines).map(Some)
    }

    pub(crate) fn to_tokio(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        for host in self.host.split(',').filter(|host| !host.is_empty()) {
            config.host(host);
        }
        config.port(self.port).user(&self.user);
        if self.options.get("target_session_attrs").is_some_and(|attrs| attrs == "read-write") {
            config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        }
        config.dbname(self.dbname.as_deref().unwrap_or("postgres"));
        config.application_name(self.application_name.as_deref().unwrap_or("quorate"));
        // What the options say of encryption is `sql::encryption`'s.
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        config
    }

    /// For messages: never more than where.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A temporary file with a secret in it; removed when the handle is dropped.
pub(crate) fn secret_file(launcher: &Launcher, content: &str) -> Result<tempfile::NamedTempFile> {
    let dir = std::env::temp_dir();
    let mut file = tempfile::Builder::new()
        .prefix("quorate-")
        .tempfile()
        .map_err(Error::file("make a temporary file in", &dir))?;
    file.write_all(content.as_bytes()).map_err(Error::file("write", file.path()))?;
    launcher.adopt(file.path())?;
    Ok(file)
}

/// PostgreSQL's configuration and libpq take C:/x on Windows; a backslash would need escaping in each.
pub(crate) fn forward_slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if cfg!(windows) { text.replace('\\', "/") } else { text.into_owned() }
}

/// Quotes a value for libpq's keyword string when it needs that.
fn quote(value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-./:,*@%+".contains(character);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Conninfo {
        Conninfo {
            host: "10.0.0.1,fe80::1".to_owned(),
            port: 5432,
            user: "repl o'user".to_owned(),
            password: Some(Secret::new(r"p:a\ss'")),
            dbname: None,
            application_name: Some("node-1".to_owned()),
            options: BTreeMap::from([
                ("sslmode".to_owned(), "prefer".to_owned()),
                ("password".to_owned(), "p".to_owned()),
            ]),
            answered_by: vec!["10.0.0.9".to_owned()],
        }
    }

    #[test]
    fn a_connection_string_is_quoted_and_has_no_password() {
        assert_eq!(
            sample().keywords(Some(Path::new("/run/my pass"))),
            r"user='repl o\'user' passfile='/run/my pass' host=10.0.0.1,fe80::1 port=5432 application_name=node-1 sslmode=prefer"
        );
        assert!(!format!("{:?}", sample()).contains("ss'"));
    }

    #[test]
    fn a_pgpass_file_has_a_line_for_each_host() -> Result<()> {
        assert_eq!(
            sample().pgpass()?,
            "10.0.0.1:5432:*:repl o'user:p\\:a\\\\ss'\nfe80\\:\\:1:5432:*:repl o'user:p\\:a\\\\ss'\n"
        );
        let socket = Conninfo { host: "/run/postgresql".to_owned(), ..sample() };
        assert!(socket.pgpass()?.starts_with("localhost:5432:"));
        assert!(Conninfo { password: Some(Secret::new("a\nb")), ..sample() }.pgpass().is_err());
        assert_eq!(Conninfo { password: None, ..sample() }.pgpass()?, "");
        Ok(())
    }
}
