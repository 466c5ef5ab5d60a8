//! Every file that would be written, beside what is there, without a password in it; and the command that does the same.

use super::Setting;
use super::bridge::{Home, home};
use super::write::{files as planned, secrets};
use crate::cli::Failure;
use plan::{Plan, SECRETS_FILE, Secrets};
use serde::Serialize;
use std::path::Path;
use types::MemberName;

const MASK: &str = "********";
/// What follows these on a line is a password, in a member's file and in the file of passwords.
const SECRET_KEYS: [&str; 6] = ["password", "superuser", "replication", "rewind", "rest_api", "redis"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviewFile {
    pub path: String,
    pub private: bool,
    pub text: String,
    /// What is there now; `None`: nothing.
    pub before: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    pub files: Vec<PreviewFile>,
    /// Made beside the files: certificates, and what the commands are for that do the same.
    pub certificates: Vec<String>,
    pub command: String,
}

pub fn preview(setting: &Setting, plan: &Plan, member: &MemberName) -> Result<Preview, Failure> {
    let at = &setting.home;
    let secrets = secrets(at)?;
    let mut files = Vec::new();
    for file in planned(at, plan, member, &secrets) {
        let path = at.directory().join(&file.path);
        let before = home::read(&path)?.map(|text| masked(&text, &secrets));
        let text = masked(file.contents.expose(), &secrets);
        files.push(PreviewFile { path: path.display().to_string(), private: file.private, text, before });
    }
    let tls = at.tls();
    let made = [
        (at.authority_key(), "the authority's key"),
        (tls.authority, "its certificate"),
        (tls.key, "this member's key"),
        (tls.certificate, "its certificate"),
    ];
    let certificates = made
        .into_iter()
        .filter(|(path, _)| !path.exists())
        .map(|(path, what)| format!("{} ({what})", path.display()))
        .collect();
    Ok(Preview { files, certificates, command: command(setting, member) })
}

/// Nobody needs to see a password to agree to a file.
fn masked(text: &str, secrets: &Secrets) -> String {
    let known = secrets.all().into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), MASK));
    // What is there may have other passwords than the ones that are known.
    known.lines().map(masked_line).collect::<Vec<_>>().join("\n") + "\n"
}

fn masked_line(line: &str) -> String {
    match line.split_once(": ") {
        Some((key, value)) if SECRET_KEYS.contains(&key.trim_start_matches([' ', '-'])) && !value.is_empty() => {
            format!("{key}: {MASK}")
        }
        _ => config::clean_text(line),
    }
}

fn command(setting: &Setting, member: &MemberName) -> String {
    let mut words = vec![
        "quorate setup".to_owned(),
        format!("--from {}", quoted(&setting.home.plan_file())),
        format!("--member {member}"),
    ];
    if setting.home != Home::at(None) {
        words.push(format!("--directory {}", quoted(setting.home.directory())));
    }
    if setting.run {
        words.push("--run".to_owned());
    }
    if !setting.start {
        words.push("--no-start".to_owned());
    }
    words.push("--yes".to_owned());
    words.join(" ")
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|it| it.is_ascii_alphanumeric() || "/._-:\\".contains(it));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Where the passwords are, for a sentence.
pub fn passwords(at: &Home) -> String {
    at.directory().join(SECRETS_FILE).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_neither_a_new_one_nor_one_that_somebody_wrote() {
        let secrets = Secrets::make().unwrap();
        let text = format!(
            "redis:\n  authentication:\n    password: old one\nsuperuser: {}\nurl: postgres://a:secret@h/\nplain: {}\n",
            secrets.superuser.expose(),
            secrets.redis.expose()
        );
        let shown = masked(&text, &secrets);
        for secret in ["old one", ":secret@", secrets.superuser.expose(), secrets.redis.expose()] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("redis:\n  authentication:\n    password: ********\n"), "{shown}");
    }

    #[test]
    fn the_command_does_the_same() {
        let setting = |directory: &str, run, start| Setting { home: Home::at(Some(Path::new(directory))), run, start };
        let member = MemberName::new("pg1");
        let usual = Setting { home: Home::at(None), run: false, start: true };
        assert_eq!(command(&usual, &member), "quorate setup --from /etc/quorate/cluster.yaml --member pg1 --yes");
        assert_eq!(
            command(&setting("/tmp/a b", true, true), &member),
            "quorate setup --from '/tmp/a b/cluster.yaml' --member pg1 --directory '/tmp/a b' --run --yes"
        );
        assert!(command(&setting("/x", false, false), &member).ends_with("--directory /x --no-start --yes"));
    }
}
