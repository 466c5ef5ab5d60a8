//! The managed configuration file: defaults, then the user's directives, then ours, of which the last ones win.
//!
//! Deliberately written anew for every start: what `CONFIG REWRITE` leaves in it (of a Sentinel, or of an operator) is not
//! read back.

use crate::settings::{Settings, StartAs};
use std::fmt::Write;

/// In the data directory.
pub const FILE_NAME: &str = "quorate-redis.conf";
/// A replica that has said nothing for so long does not count for `min_replicas_to_write`; Redis's own default.
const MIN_REPLICAS_LAG_SECONDS: u32 = 10;

/// What differs from Redis's own defaults; the user's directives win.
const DEFAULTS: &[(&str, &str)] = &[
    // A restart must not cost the data that was acknowledged.
    ("appendonly", "yes"),
    // Room for what replicas miss while the master changes, so that they go on where they were.
    ("repl-backlog-size", "16mb"),
    // Redis waits 5 s for further replicas before it sends a copy; the others of a small group come at once.
    ("repl-diskless-sync-delay", "1"),
];
/// With TLS: clients need no certificate of their own.
const DEFAULTS_TLS: &[(&str, &str)] = &[("tls-auth-clients", "optional")];

/// The file's text. It holds the password: whoever writes it keeps it from others.
pub fn render(settings: &Settings, start: &StartAs) -> String {
    let mut file = File { text: String::new() };
    file.comment("Written by Quorate before each start of the server. Settings belong into redis.parameters.");
    let defaults = DEFAULTS.iter().chain(settings.tls.iter().flat_map(|_| DEFAULTS_TLS));
    for (name, value) in defaults.filter(|(name, _)| !settings.parameters.contains_key(*name)) {
        file.line(name, value);
    }
    file.comment("redis.parameters");
    for (name, values) in &settings.parameters {
        for value in values {
            // As it would stand in redis.conf: the user quotes where it is needed.
            file.line(name, if value.is_empty() { "\"\"" } else { value });
        }
    }
    file.comment("The agent's own");
    network(settings, &mut file);
    file.quoted("dir", &settings.data_dir.to_string_lossy());
    file.line("daemonize", "no");
    file.line("supervised", "no");
    let master = start.address();
    file.line("replicaof", &format!("{} {}", quoted(&master.host), master.port));
    file.line("replica-read-only", "yes");
    file.line("replica-priority", &settings.priority.to_string());
    file.line("min-replicas-to-write", &settings.min_replicas_to_write.to_string());
    file.line("min-replicas-max-lag", &MIN_REPLICAS_LAG_SECONDS.to_string());
    login(settings, &mut file);
    file.text
}

fn network(settings: &Settings, file: &mut File) {
    let all = |host: &str| matches!(host, "*" | "0.0.0.0");
    let hosts: Vec<&str> = settings.listen_hosts.iter().map(|host| if all(host) { "*" } else { host }).collect();
    // The agent, on this host, reaches the server at the first one.
    file.line("bind", &hosts.join(" "));
    // Other members connect without being asked for a password where there is none.
    file.line("protected-mode", "no");
    file.quoted("replica-announce-ip", &settings.announce.host);
    file.line("replica-announce-port", &settings.announce.port.to_string());
    let port = settings.port.to_string();
    match &settings.tls {
        None => file.line("port", &port),
        Some(tls) => {
            file.line("port", "0");
            file.line("tls-port", &port);
            file.quoted("tls-cert-file", &tls.certificate.to_string_lossy());
            file.quoted("tls-key-file", &tls.key.to_string_lossy());
            file.quoted("tls-ca-cert-file", &tls.authorities.to_string_lossy());
            file.line("tls-replication", "yes");
        }
    }
}

fn login(settings: &Settings, file: &mut File) {
    let Some(login) = &settings.login else { return };
    let password = login.password.expose();
    if login.username == "default" {
        file.quoted("requirepass", password);
    } else {
        let name = quoted(&login.username);
        file.line("user", &format!("{name} on {} ~* &* +@all", quoted(&format!(">{password}"))));
        // Nobody comes in without a name then.
        file.line("user", "default off");
        file.line("masteruser", &name);
    }
    file.quoted("masterauth", password);
}

struct File {
    text: String,
}

// Writing to a String cannot fail.
impl File {
    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {text}");
    }

    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn quoted(&mut self, name: &str, value: &str) {
        self.line(name, &quoted(value));
    }
}

/// One word of redis.conf, whatever is in it. Bytes outside of printable ASCII are written as `\xHH`.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Login, TlsFilePaths};
    use resp::Secret;
    use resp::client::Address;
    use std::collections::BTreeMap;

    fn settings() -> Settings {
        Settings {
            listen_hosts: vec!["127.0.0.11".into(), "::1".into()],
            port: 6379,
            announce: Address::new("127.0.0.11", 6379),
            data_dir: "/d/redis".into(),
            login: None,
            tls: None,
            parameters: BTreeMap::new(),
            min_replicas_to_write: 1,
            priority: 50,
        }
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|found| found == line)
    }

    #[test]
    fn a_server_never_starts_as_a_master() {
        let text = render(&settings(), &StartAs::ReplicaOfNobody);
        assert!(has(&text, "replicaof \"127.0.0.1\" 1"), "{text}");
        let text = render(&settings(), &StartAs::ReplicaOf(Address::new("10.0.0.2", 7000)));
        assert!(has(&text, "replicaof \"10.0.0.2\" 7000"), "{text}");
        for line in ["bind 127.0.0.11 ::1", "port 6379", "dir \"/d/redis\"", "replica-priority 50", "appendonly yes"] {
            assert!(has(&text, line), "{line}: {text}");
        }
    }

    #[test]
    fn the_users_directives_win_over_defaults_and_ours_over_everything() {
        let mut settings = settings();
        settings.parameters = BTreeMap::from([
            ("appendonly".to_owned(), vec!["no".to_owned()]),
            ("save".to_owned(), vec!["900 1".to_owned(), "300 10".to_owned()]),
            ("notify-keyspace-events".to_owned(), vec![String::new()]),
        ]);
        let text = render(&settings, &StartAs::ReplicaOfNobody);
        assert!(!has(&text, "appendonly yes"));
        for line in ["appendonly no", "save 900 1", "save 300 10", "notify-keyspace-events \"\""] {
            assert!(has(&text, line), "{line}: {text}");
        }
        let at = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap();
        assert!(at("appendonly") < at("replicaof"));
    }

    #[test]
    fn passwords_and_paths_are_one_word_each() {
        let mut settings = settings();
        settings.login = Some(Login { username: "default".into(), password: Secret::new("a \"b\\ ü") });
        let text = render(&settings, &StartAs::ReplicaOfNobody);
        for line in [r#"requirepass "a \"b\\ \xc3\xbc""#, r#"masterauth "a \"b\\ \xc3\xbc""#] {
            assert!(has(&text, line), "{line}: {text}");
        }
        settings.login = Some(Login { username: "app".into(), password: Secret::new("p w") });
        let text = render(&settings, &StartAs::ReplicaOfNobody);
        for line in [r#"user "app" on ">p w" ~* &* +@all"#, "user default off", r#"masteruser "app""#] {
            assert!(has(&text, line), "{line}: {text}");
        }
        assert!(!text.contains("requirepass"));
        settings.tls = Some(TlsFilePaths { certificate: "/c".into(), key: "/k".into(), authorities: "/a".into() });
        let text = render(&settings, &StartAs::ReplicaOfNobody);
        for line in
            ["port 0", "tls-port 6379", "tls-key-file \"/k\"", "tls-replication yes", "tls-auth-clients optional"]
        {
            assert!(has(&text, line), "{line}: {text}");
        }
    }
}
