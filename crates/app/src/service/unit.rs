//! The unit for systemd, as text: a pure function of the member's configuration.
//!
//! Deliberately strict only where nothing of ours, and nothing that a user may have put into a callback or an
//! `archive_command`, breaks by it. The invariant: `systemctl stop` leaves the order of the shutdown to the guard, and
//! nothing of the service outlives its end.

use config::MemberConfig;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Stands in the first line. A unit without it is somebody else's and is not touched.
pub const MARK: &str = "# Made by `quorate service install`.";
/// Without a sign of life from the guard for so long, systemd kills the agent. Shorter would end replicas for a stall of
/// the machine; a primary has passed its fence by then in any case.
const WATCHDOG_SECONDS: u32 = 3;
/// The last checkpoint of a large PostgreSQL on a slow disk.
const STOP_SECONDS: u32 = 300;
/// The start-up checks.
const START_SECONDS: u32 = 60;
/// As Debian sets it for PostgreSQL: when memory runs out, a backend is killed and not the agent.
const OOM_SCORE: i32 = -900;
/// Where homes are; hidden from the service unless it works there.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub program: PathBuf,
    pub config: PathBuf,
    pub scope: String,
    pub member: String,
    /// Files and sockets that the agent and its servers may have open.
    pub files_max: u64,
    /// Everything of the member that lies in a directory.
    pub paths: Vec<PathBuf>,
}

impl Unit {
    pub fn of(program: PathBuf, config: PathBuf, member: &MemberConfig) -> Self {
        let connections = member.proxy.as_ref().map_or(Some(0), |proxy| proxy.connections_max);
        let mut paths = super::data_directories(member).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        if let Some(postgresql) = &member.postgresql {
            paths.extend(
                [&postgresql.bin_dir, &postgresql.config_dir, &postgresql.pgpass].into_iter().flatten().cloned(),
            );
        }
        if let Some(redis) = &member.redis {
            paths.extend([&redis.bin_dir, &redis.binary].into_iter().flatten().cloned());
        }
        Self {
            program,
            config,
            scope: member.scope.to_string(),
            member: member.name.to_string(),
            files_max: proxy::files_needed(connections),
            paths,
        }
    }

    fn works_in_a_home(&self) -> bool {
        let mut paths = self.paths.iter().chain([&self.program, &self.config]);
        paths.any(|path| HOMES.iter().any(|home| path.starts_with(home)))
    }
}

pub fn text(unit: &Unit) -> String {
    let mut text =
        format!("{MARK} It makes the file anew; your own settings belong into a drop-in (systemctl edit).\n");
    let _ = write!(
        text,
        "\
[Unit]
Description=Quorate, member {member} of {scope}
Documentation=man:quorate(1)
Wants=network-online.target
After=network-online.target
# An agent that cannot start today may start tomorrow; it is never given up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} agent {config}
ExecReload=/bin/kill -HUP $MAINPID

# Starting again would not help where the agent ends with 2: its last line in the log says why.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2
TimeoutStartSec={START_SECONDS}

# The guard alone is asked to stop, and stops PostgreSQL and Redis in order. What is left after it is killed.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={STOP_SECONDS}

# A guard that is frozen, or whose worker no longer decides, says nothing any more. A stopped process takes this signal only.
WatchdogSec={WATCHDOG_SECONDS}
WatchdogSignal=SIGKILL

LimitNOFILE={files}
TasksMax=infinity
# A backend that is killed for want of memory is the guard's business, not the end of the service.
OOMPolicy=continue
OOMScoreAdjust={OOM_SCORE}
# The postmaster gives its backends the usual score.
Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0

# The guard is root: it hands directories to the servers' user, starts and ends processes under that user, finds them by
# their directories, and sets virtual addresses (netlink, ARP).
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID \
CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
ProtectSystem=true
",
        member = escaped(&unit.member),
        scope = escaped(&unit.scope),
        program = quoted(&unit.program),
        config = quoted(&unit.config),
        files = unit.files_max,
    );
    if !unit.works_in_a_home() {
        text.push_str("ProtectHome=true\n");
    }
    text.push_str(
        "\
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
LockPersonality=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
",
    );
    text
}

/// A word of a command line, whatever stands in it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '%' | '$' => quoted.extend([letter, letter]),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// `%` begins a specifier, and a line ends at its end.
fn escaped(text: &str) -> String {
    text.replace('%', "%%").replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn unit() -> Unit {
        Unit {
            program: "/usr/bin/quorate".into(),
            config: "/etc/quorate/quorate.yml".into(),
            scope: "demo".to_owned(),
            member: "pg1".to_owned(),
            files_max: 20_456,
            paths: vec!["/var/lib/postgresql/15/main".into()],
        }
    }

    #[test]
    fn the_unit_is_the_golden_one() {
        assert_eq!(text(&unit()), include_str!("golden.service"));
    }

    #[test]
    fn names_and_paths_are_taken_as_they_are() {
        let odd = Unit {
            config: "/srv/a b/%n \"$HOME\"/q.yml".into(),
            scope: "100%\nExecStart=/bin/false".to_owned(),
            ..unit()
        };
        let text = text(&odd);
        assert!(text.contains("agent \"/srv/a b/%%n \\\"$$HOME\\\"/q.yml\"\n"), "{text}");
        assert!(text.contains("Description=Quorate, member pg1 of 100%% ExecStart=/bin/false\n"), "{text}");
    }

    #[test]
    fn homes_are_hidden_unless_something_of_the_member_is_there() {
        assert!(text(&unit()).contains("ProtectHome=true"));
        let at_home = Unit { paths: vec!["/home/pg/data".into()], ..unit() };
        assert!(!text(&at_home).contains("ProtectHome"));
        let program = Unit { program: "/root/quorate".into(), ..unit() };
        assert!(!text(&program).contains("ProtectHome"));
    }

    /// Where systemd is installed, it says itself whether it understands the unit.
    #[test]
    fn systemd_finds_nothing_wrong_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("quorate.service");
        // The program must exist for systemd to be content.
        std::fs::write(&file, text(&Unit { program: std::env::current_exe().unwrap(), ..unit() })).unwrap();
        let verify =
            Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&file).output();
        match verify {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("systemd-analyze: {error}"),
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr);
                let ours: Vec<&str> = said.lines().filter(|line| line.contains("quorate.service")).collect();
                assert!(ours.is_empty() && done.status.success(), "{said}");
            }
        }
    }
}
