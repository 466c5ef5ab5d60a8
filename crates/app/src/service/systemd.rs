//! The service on Linux: writes the unit, and leaves the rest to systemd's own program.

use super::unit::{self, Unit};
use crate::cli::Failure;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where an administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// systemd's own sign that it runs (sd_booted(3)).
const RUNS: &str = "/run/systemd/system";

pub struct Systemd {
    units: PathBuf,
    systemctl: PathBuf,
    runs: bool,
}

/// What systemd knows of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub active: bool,
    pub sentence: String,
}

impl Systemd {
    pub fn of_this_machine() -> Self {
        Self { units: UNITS.into(), systemctl: "systemctl".into(), runs: Path::new(RUNS).is_dir() }
    }

    pub fn runs(&self) -> bool {
        self.runs
    }

    pub fn unit_file(&self, name: &str) -> PathBuf {
        self.units.join(format!("{name}.service"))
    }

    /// Returns what was done, in one sentence.
    pub fn install(&self, name: &str, unit: &Unit) -> Result<String, Failure> {
        self.must_run(name)?;
        let file = self.unit_file(name);
        let text = unit::text(unit);
        match std::fs::read_to_string(&file) {
            Ok(old) if old == text => {}
            Ok(old) if !old.starts_with(unit::MARK) => {
                return Err(Failure::usage(
                    "cli-service-foreign",
                    format!("{} was not made by Quorate, so it is left alone", file.display()),
                )
                .hint("remove it, or choose another name with --name"));
            }
            Ok(_) => write(&file, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => write(&file, &text)?,
            Err(error) => return Err(cannot("read", &file, &error)),
        }
        self.systemctl(&["daemon-reload"])?;
        self.systemctl(&["enable", name])?;
        Ok(format!("{} is installed and starts with the system", file.display()))
    }

    pub fn start(&self, name: &str) -> Result<(), Failure> {
        self.must_be_there(name)?;
        self.systemctl(&["start", name])
            .map_err(|failure| failure.hint(format!("see why: journalctl -u {name} -e")))?;
        Ok(())
    }

    pub fn stop(&self, name: &str) -> Result<(), Failure> {
        self.must_be_there(name)?;
        self.systemctl(&["stop", name]).map(drop)
    }

    pub fn status(&self, name: &str) -> Result<Status, Failure> {
        self.must_be_there(name)?;
        let properties = "--property=ActiveState,SubState,UnitFileState,MainPID,NRestarts,Result,ActiveEnterTimestamp";
        Ok(status_of(name, &self.systemctl(&["show", name, properties])?))
    }

    pub fn uninstall(&self, name: &str) -> Result<(), Failure> {
        self.must_be_there(name)?;
        let file = self.unit_file(name);
        let text = std::fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
        if !text.starts_with(unit::MARK) {
            return Err(Failure::usage(
                "cli-service-foreign",
                format!("{} was not made by Quorate, so it is left alone", file.display()),
            ));
        }
        self.systemctl(&["disable", "--now", name])?;
        std::fs::remove_file(&file).map_err(|error| cannot("remove", &file, &error))?;
        self.systemctl(&["daemon-reload"]).map(drop)
    }

    fn must_run(&self, name: &str) -> Result<(), Failure> {
        if self.runs {
            return Ok(());
        }
        let file = self.unit_file(name);
        let sentence = format!(
            "systemd does not run on this machine, so there is no service; its unit would be {}",
            file.display()
        );
        Err(Failure::usage("cli-service-no-manager", sentence)
            .hint("see the unit with: quorate service install --print; or run the agent itself: quorate agent FILE"))
    }

    fn must_be_there(&self, name: &str) -> Result<(), Failure> {
        self.must_run(name)?;
        let file = self.unit_file(name);
        if file.exists() {
            return Ok(());
        }
        Err(Failure::usage(
            "cli-service-absent",
            format!("there is no service {name}: {} does not exist", file.display()),
        )
        .hint("make it with: quorate service install FILE"))
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<String, Failure> {
        let asked = format!("{} {}", self.systemctl.display(), arguments.join(" "));
        let done = Command::new(&self.systemctl).args(arguments).output();
        let done =
            done.map_err(|error| Failure::new("cli-service", format!("'{asked}' cannot be started: {error}")))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let why = said.lines().next().unwrap_or("it said nothing").to_owned();
        Err(Failure::new("cli-service", format!("'{asked}' failed: {why}")))
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| cannot("write", file, &error))
}

fn cannot(what: &str, file: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new("cli-service", format!("cannot {what} {}: {error}", file.display()));
    if error.kind() == ErrorKind::PermissionDenied { failure.hint("run it as root, or with sudo") } else { failure }
}

fn status_of(name: &str, shown: &str) -> Status {
    let value = |key: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().to_owned()
    };
    let active = value("ActiveState") == "active";
    let mut sentence =
        format!("{name} is {} ({}), {}", value("ActiveState"), value("SubState"), value("UnitFileState"));
    if active {
        let _ = write!(sentence, ", process {}, since {}", value("MainPID"), value("ActiveEnterTimestamp"));
    } else if value("Result") != "success" {
        let _ = write!(sentence, ", because of: {}", value("Result"));
    }
    match value("NRestarts").parse::<u32>().unwrap_or(0) {
        0 => {}
        1 => sentence.push_str(", started again once"),
        restarts => {
            let _ = write!(sentence, ", started again {restarts} times");
        }
    }
    Status { active, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_one_sentence() {
        let shown = "ActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=42\nNRestarts=2\nResult=success\nActiveEnterTimestamp=Thu 2026-11-26 05:00:00 UTC\n";
        let status = status_of("quorate", shown);
        assert!(status.active);
        assert_eq!(
            status.sentence,
            "quorate is active (running), enabled, process 42, since Thu 2026-11-26 05:00:00 UTC, started again 2 times"
        );
        let failed = status_of(
            "q",
            "ActiveState=failed\nSubState=failed\nUnitFileState=enabled\nResult=watchdog\nNRestarts=0\n",
        );
        assert_eq!(
            (failed.active, failed.sentence.as_str()),
            (false, "q is failed (failed), enabled, because of: watchdog")
        );
    }

    #[test]
    fn without_systemd_nothing_is_written_and_the_sentence_names_the_unit() {
        let directory = tempfile::tempdir().unwrap();
        let systemd = Systemd { units: directory.path().into(), systemctl: "/nonexistent".into(), runs: false };
        let unit = Unit {
            program: "/usr/bin/quorate".into(),
            config: "/etc/quorate.yml".into(),
            scope: "s".into(),
            member: "m".into(),
            files_max: 1,
            paths: vec![],
        };
        for failure in [
            systemd.install("quorate", &unit).unwrap_err(),
            systemd.start("quorate").unwrap_err(),
            systemd.uninstall("quorate").unwrap_err(),
        ] {
            let unit = directory.path().join("quorate.service").display().to_string();
            assert!(failure.message.ends_with(&unit) && failure.hint.is_some(), "{failure}");
            assert_eq!((failure.code, failure.exit), ("cli-service-no-manager", 2));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
