//! All that a Sentinel starts with, from its file and its command line.

use super::checks::{contradictions, no_yaml, scripts_can_run, whole};
use super::error::FileError;
use super::lines::{self, Line, quoted};
use super::merge::overlay;
use super::rewrite::Entry;
use super::server::ServerSettings;
use super::server_directives::{self, nearest};
use ha::sentinel::{Configuration, Mode};
use std::path::{Path, PathBuf};

/// A Sentinel that can be started.
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: ServerSettings,
    pub configuration: Configuration,
    /// Where the state is kept.
    pub state: StateFile,
    /// Who decides about masters that are added while it runs.
    pub mode: Mode,
}

/// The file that is rewritten when the state changes.
#[derive(Clone, Debug)]
pub enum StateFile {
    /// The configuration file itself, which has other lines too.
    Main(PathBuf),
    /// `sentinel state-config-file`: state only. Made when it is not there.
    Separate(PathBuf),
}

impl StateFile {
    pub fn path(&self) -> &Path {
        match self {
            Self::Main(path) | Self::Separate(path) => path,
        }
    }
}

/// Options that Sentinel takes back from its file when it does not write them (any more).
const STATE_OPTIONS: [&str; 18] = [
    "monitor",
    "down-after-milliseconds",
    "failover-timeout",
    "parallel-syncs",
    "notification-script",
    "client-reconfig-script",
    "auth-pass",
    "auth-user",
    "config-epoch",
    "leader-epoch",
    "known-replica",
    "known-sentinel",
    "rename-command",
    "master-reboot-down-after-period",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
];

/// All words after `sentinel`, for the nearest known one.
const SENTINEL_WORDS: [&str; 26] = [
    "monitor",
    "down-after-milliseconds",
    "failover-timeout",
    "parallel-syncs",
    "notification-script",
    "client-reconfig-script",
    "auth-pass",
    "auth-user",
    "config-epoch",
    "leader-epoch",
    "known-replica",
    "known-slave",
    "known-sentinel",
    "rename-command",
    "master-reboot-down-after-period",
    "primary-reboot-down-after-period",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    "current-epoch",
    "myid",
    "deny-scripts-reconfig",
    "resolve-hostnames",
    "announce-hostnames",
    "state-config-file",
];

impl Settings {
    /// Reads the file, and after it the options of the command line: `--port 5000` is the line `port 5000`.
    pub fn from_file(path: &Path, options: &[String]) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let lines = lines::read(path, &text)?;
        no_yaml(path, &lines)?;
        contradictions(path, &lines)?;
        let extra = option_lines(options);
        let mut server = ServerSettings::default();
        let mut directives = Vec::new();
        let mut state_path = None;
        for line in lines.iter().chain(&extra) {
            if line.words[0] != "sentinel" {
                server_directives::apply(&mut server, &line.words)
                    .map_err(|complaint| line.error(path, complaint.what, complaint.hint))?;
                continue;
            }
            let words = &line.words[1..];
            if words.first().is_some_and(|word| word.eq_ignore_ascii_case("state-config-file")) {
                state_path = Some((line, state_file(path, line)?));
            } else {
                directives.push((line.number, words.to_vec()));
            }
        }
        let main = sentinel_lines(path, &lines, &extra, &directives)?;
        whole(path, &server)?;
        scripts_can_run(path, &lines, &main)?;
        let (configuration, state) = match state_path {
            None => (main, StateFile::Main(path.to_owned())),
            Some((_, state_path)) => (with_state(main, &state_path)?, StateFile::Separate(state_path)),
        };
        Ok(Self { server, configuration, state, mode: Mode::Mixed })
    }

    /// For a Sentinel that lives in the agent: no main file, the state where the agent says.
    pub fn with_state_file(
        server: ServerSettings,
        main: Configuration,
        state: PathBuf,
        mode: Mode,
    ) -> Result<Self, FileError> {
        Ok(Self { server, configuration: with_state(main, &state)?, state: StateFile::Separate(state), mode })
    }
}

/// What a rewrite puts into the file: the `sentinel ...` lines, and that all others of that kind are old.
pub fn sentinel_entries(configuration: &Configuration) -> Vec<Entry> {
    let mut entries: Vec<Entry> = configuration
        .directives()
        .into_iter()
        .map(|directive| {
            let option = format!("sentinel {}", directive.option);
            let words: Vec<String> = directive
                .arguments
                .iter()
                // Redis puts this one into quotes whatever it is.
                .map(|word| if directive.option == "announce-ip" { lines::in_quotes(word) } else { quoted(word) })
                .collect();
            let line = format!("{option} {}", words.join(" "));
            Entry::line(option, line)
        })
        .collect();
    let settings = &configuration.settings;
    let yes_no = |value| if value { "yes" } else { "no" };
    for (option, value) in [
        ("sentinel deny-scripts-reconfig", settings.deny_scripts_reconfig),
        ("sentinel resolve-hostnames", settings.resolve_hostnames),
        ("sentinel announce-hostnames", settings.announce_hostnames),
    ] {
        // Those with their default value are not among the directives, but replace a line that says otherwise.
        if !entries.iter().any(|entry| entry.option == option) {
            entries.insert(0, Entry::line_if_there(option, format!("{option} {}", yes_no(value))));
        }
    }
    entries.extend(STATE_OPTIONS.iter().map(|option| Entry::gone(format!("sentinel {option}"))));
    entries
}

fn unreadable(path: &Path, error: &std::io::Error) -> FileError {
    FileError {
        file: path.to_owned(),
        line: 0,
        text: String::new(),
        what: format!("cannot be read: {error}"),
        hint: Some("Sentinel keeps its state in its configuration file, so there must be one".to_owned()),
    }
}

/// `--port 5000 --sentinel monitor m 127.0.0.1 6379 1` as lines. A bare `--sentinel` is how redis-server is told to be a
/// Sentinel, which we are anyway.
fn option_lines(options: &[String]) -> Vec<Line> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for option in options {
        match option.strip_prefix("--") {
            Some(directive) if !directive.is_empty() => lines.push(vec![directive.to_ascii_lowercase()]),
            Some(_) | None => match lines.last_mut() {
                Some(line) => line.push(option.clone()),
                None => lines.push(vec![option.clone()]),
            },
        }
    }
    lines
        .into_iter()
        .filter(|words| words.len() > 1 || words[0] != "sentinel")
        .map(|words| {
            // One argument may hold all of them: `--sentinel "monitor m ..."`.
            let words = match words.as_slice() {
                [directive, all] if directive == "sentinel" || directive == "user" => {
                    let split = resp::split_arguments(all.as_bytes()).unwrap_or_default();
                    let split = split.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned());
                    std::iter::once(directive.clone()).chain(split).collect()
                }
                _ => words,
            };
            Line { number: 0, text: format!("--{}", words.join(" ")), words }
        })
        .collect()
}

fn state_file(main: &Path, line: &Line) -> Result<PathBuf, FileError> {
    let [_, _, path] = line.words.as_slice() else {
        return Err(line.error(main, "Unrecognized sentinel configuration statement.", None));
    };
    let path = PathBuf::from(path);
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real(&path) == real(main) {
        return Err(line.error(main, "sentinel state-config-file must differ from the main config file", None));
    }
    Ok(path)
}

fn with_state(main: Configuration, path: &Path) -> Result<Configuration, FileError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(main),
        Err(error) => Err(unreadable(path, &error)),
        Ok(text) => {
            let lines = lines::read(path, &text)?;
            let mut directives = Vec::new();
            for line in &lines {
                if line.words[0] != "sentinel" {
                    return Err(line.error(
                        path,
                        "only lines that begin with 'sentinel' belong into the state file",
                        None,
                    ));
                }
                directives.push((line.number, line.words[1..].to_vec()));
            }
            Ok(overlay(main, sentinel_lines(path, &lines, &[], &directives)?))
        }
    }
}

fn sentinel_lines(
    path: &Path,
    lines: &[Line],
    extra: &[Line],
    directives: &[(usize, Vec<String>)],
) -> Result<Configuration, FileError> {
    Configuration::read(directives).map_err(|error| {
        let line = lines.iter().chain(extra).find(|line| line.number == error.line);
        let hint = line.and_then(|line| {
            let word = line.words.get(1)?.to_ascii_lowercase();
            let known = SENTINEL_WORDS.contains(&word.as_str());
            let near = if known { None } else { nearest(&word, &SENTINEL_WORDS) };
            near.map(|near| format!("did you mean 'sentinel {near}'?")).or_else(|| hint_for(&word, &error.text))
        });
        match line {
            Some(line) => line.error(path, error.text, hint),
            None => FileError { file: path.to_owned(), line: error.line, text: String::new(), what: error.text, hint },
        }
    })
}

/// What to do about a complaint whose words are Sentinel's, because people search for them.
fn hint_for(word: &str, complaint: &str) -> Option<String> {
    let monitor = "sentinel monitor NAME IP PORT QUORUM";
    if complaint.starts_with("No such master") {
        Some(format!("there must be a line '{monitor}' for it"))
    } else if complaint.starts_with("Can't resolve instance hostname") {
        Some(
            "write the IP address, or add 'sentinel resolve-hostnames yes' and make sure that the name resolves"
                .to_owned(),
        )
    } else if word == "monitor" && complaint.starts_with("Unrecognized") {
        Some(format!("it takes four words: {monitor}"))
    } else {
        None
    }
}
