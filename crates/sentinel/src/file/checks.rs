//! What is wrong with lines that are each right: they contradict each other, or something they need is missing.

use super::error::FileError;
use super::lines::Line;
use super::server::ServerSettings;
use super::server_directives;
use ha::sentinel::Configuration;
use std::collections::BTreeMap;
use std::path::Path;

/// A member's configuration was given instead.
pub fn no_yaml(path: &Path, lines: &[Line]) -> Result<(), FileError> {
    let Some(line) = lines.iter().find(|line| line.words[0].ends_with(':')) else { return Ok(()) };
    let hint = "this looks like YAML: 'quorate agent FILE' runs a member from such a file; a Sentinel's has lines such as \
                'port 26379'";
    Err(line.error(path, "Bad directive or wrong number of arguments", Some(hint.to_owned())))
}

/// One thing said twice in different ways. Redis takes the last; whoever wrote the first did not expect that.
pub fn contradictions(path: &Path, lines: &[Line]) -> Result<(), FileError> {
    let mut said: BTreeMap<Vec<String>, &Line> = BTreeMap::new();
    for line in lines {
        let Some((about, value)) = single_valued(&line.words) else { continue };
        if let Some(before) = said.insert(about, line)
            && before.words[before.words.len() - value..] != line.words[line.words.len() - value..]
        {
            let what = format!("contradicts line {}: '{}'", before.number, before.text);
            return Err(line.error(path, what, Some("remove one of the two lines".to_owned())));
        }
    }
    Ok(())
}

/// What the line is about, and how many words at its end are its value; `None` for lines that may be repeated.
fn single_valued(words: &[String]) -> Option<(Vec<String>, usize)> {
    let lower = |word: &String| word.to_ascii_lowercase();
    if words[0] != "sentinel" {
        return (!server_directives::may_repeat(&words[0])).then(|| (vec![words[0].clone()], words.len() - 1));
    }
    let option = lower(words.get(1)?);
    match option.as_str() {
        "announce-ip"
        | "announce-port"
        | "sentinel-user"
        | "sentinel-pass"
        | "deny-scripts-reconfig"
        | "resolve-hostnames"
        | "announce-hostnames"
        | "state-config-file"
        | "myid" => Some((vec!["sentinel".to_owned(), option], words.len().saturating_sub(2))),
        "down-after-milliseconds"
        | "failover-timeout"
        | "parallel-syncs"
        | "notification-script"
        | "client-reconfig-script"
        | "auth-pass"
        | "auth-user"
        | "master-reboot-down-after-period" => {
            let name = words.get(2)?.clone();
            Some((vec!["sentinel".to_owned(), option, name], words.len().saturating_sub(3)))
        }
        _ => None,
    }
}

/// What lines say together.
pub fn whole(path: &Path, server: &ServerSettings) -> Result<(), FileError> {
    let error = |what: &str, hint: &str| FileError {
        file: path.to_owned(),
        line: 0,
        text: String::new(),
        what: what.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if server.port == 0 && server.tls.port == 0 {
        return Err(error("it listens nowhere: port and tls-port are 0", "port 26379"));
    }
    if server.port == server.tls.port {
        return Err(error("port and tls-port are the same", "give one of them another number, or 0"));
    }
    let tls = &server.tls;
    if tls.port != 0 && (tls.certificate.is_none() || tls.key.is_none()) {
        return Err(error("tls-port needs a certificate", "add tls-cert-file and tls-key-file"));
    }
    if (tls.port != 0 || tls.replication) && tls.ca.is_none() && tls.ca_directory.is_none() {
        return Err(error(
            "TLS needs the certificate of the authority that signed the others' certificates",
            "add tls-ca-cert-file",
        ));
    }
    if tls.certificate.is_some() != tls.key.is_some() || tls.client_certificate.is_some() != tls.client_key.is_some() {
        return Err(error("a certificate needs its key", "give both tls-cert-file and tls-key-file"));
    }
    if server.acl_file.is_some() && !server.users.is_empty() {
        return Err(error("users are defined here and in an aclfile", "move the lines 'user ...' into the aclfile"));
    }
    Ok(())
}

pub fn scripts_can_run(path: &Path, lines: &[Line], configuration: &Configuration) -> Result<(), FileError> {
    for master in &configuration.masters {
        for (script, option, what) in [
            (
                &master.settings.notification_script,
                "notification-script",
                "Notification script seems non existing or non executable.",
            ),
            (
                &master.settings.client_reconfig_script,
                "client-reconfig-script",
                "Client reconfiguration script seems non existing or non executable.",
            ),
        ] {
            let Some(script) = script else { continue };
            if platform::is_executable(Path::new(script)) {
                continue;
            }
            let line = lines.iter().find(|line| {
                line.words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(option))
                    && line.words.get(3) == Some(script)
            });
            return Err(match line {
                Some(line) => line.error(path, what, Some(format!("chmod +x {script}"))),
                None => FileError {
                    file: path.to_owned(),
                    line: 0,
                    text: script.clone(),
                    what: what.to_owned(),
                    hint: None,
                },
            });
        }
    }
    Ok(())
}
