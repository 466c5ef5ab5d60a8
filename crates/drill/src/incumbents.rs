//! Patroni beside ours: the same faults, measured by the same kind of client, through a driver.
//!
//! The driver is `scripts/incumbents/patroni.sh`, which knows how to install, start, break and stop it. This module knows
//! the order of its calls, what each scenario is called there, and that nothing may be left running: whatever happens,
//! also when this is dropped halfway, the driver's processes end and its `down` is called.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use drill::analysis::{Outcome, Series};
use drill::scenario::Scenario;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// One run waits up to four minutes for a whole cluster, twice, and up to two for writes; nothing takes longer.
const ONE_RUN_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// A package manager that is interrupted wants to leave things in order.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
const STOP_POLL_PAUSE: Duration = Duration::from_millis(20);
/// From nothing to three healthy members, and away again.
const UP_AND_DOWN_SECONDS: u64 = 20;

/// Patroni's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// As it comes: ttl 30, loop_wait 10.
    Default,
    /// As fast as it lets itself be set: ttl 20, loop_wait 1, and HAProxy's checks every 250 ms.
    Tuned,
    Both,
}

impl Profile {
    fn each(self) -> &'static [Setting] {
        match self {
            Self::Default => &[Setting::Default],
            Self::Tuned => &[Setting::Tuned],
            Self::Both => &[Setting::Default, Setting::Tuned],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Default,
    Tuned,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Tuned => "tuned",
        }
    }
}

/// A scenario over there.
struct Counterpart {
    fault: &'static str,
    /// About how long one run takes, from a whole cluster to a whole cluster: for the estimate.
    seconds_default: u64,
    seconds_tuned: u64,
}

/// `None`: Patroni has no such part, or the driver has no such fault.
fn counterpart(scenario: Scenario) -> Option<Counterpart> {
    let (fault, seconds_default, seconds_tuned) = match scenario {
        Scenario::Switchover => ("switchover", 20, 10),
        Scenario::KillPostmaster => ("kill-postmaster", 25, 10),
        Scenario::KillHost => ("kill-node", 60, 32),
        Scenario::KillHostAndStoreLeader => ("kill-node-etcd", 65, 36),
        Scenario::FreezeWorker => ("pause-agent", 75, 45),
        Scenario::FreezeHost => ("pause-node", 70, 42),
        Scenario::KillWorker | Scenario::KillGuard | Scenario::FreezeGuard | Scenario::FreezeAgent => return None,
    };
    Some(Counterpart { fault, seconds_default, seconds_tuned })
}

/// What is measured, and with which driver.
pub struct Incumbents {
    pub driver: PathBuf,
    pub runs: u32,
    pub profile: Profile,
    pub synchronous: bool,
}

impl Incumbents {
    /// How long [`Incumbents::measure`] will take, about.
    pub fn estimate(&self, scenarios: &[Scenario]) -> Duration {
        let each = self.profile.each().iter().map(|setting| {
            let runs = scenarios.iter().copied().filter_map(counterpart).map(|there| match setting {
                Setting::Default => there.seconds_default,
                Setting::Tuned => there.seconds_tuned,
            });
            UP_AND_DOWN_SECONDS + runs.sum::<u64>() * u64::from(self.runs)
        });
        Duration::from_secs(each.sum())
    }

    /// Installs it, and returns what it is called in the results: name and version.
    pub async fn set_up(&self) -> Result<String> {
        Call::start(self.command(Setting::Tuned, &["setup"]))?.finish("Patroni cannot be installed").await?;
        let mut call = Call::start(self.command(Setting::Tuned, &["version"]))?;
        let mut version = String::new();
        call.output.read_to_string(&mut version).await?;
        call.finish("Patroni's version is unknown").await?;
        Ok(version.trim().to_owned())
    }

    /// Adds a series for each scenario and each setting. A run without a number is told, does not count, and makes the
    /// result an error in the end.
    pub async fn measure(&self, version: &str, scenarios: &[Scenario], series: &mut Vec<Series>) -> Result<()> {
        let mut without_number = 0;
        for &setting in self.profile.each() {
            let system = format!("{version} {}", setting.name());
            eprintln!("{system}: starting three members");
            let _up = Up { incumbents: self, setting };
            Call::start(self.command(setting, &["up"]))?.finish(&format!("{system} does not start")).await?;
            for &scenario in scenarios {
                let Some(Counterpart { fault, .. }) = counterpart(scenario) else {
                    eprintln!("{scenario}: {system} has no counterpart");
                    continue;
                };
                let outcomes = self.outcomes(setting, scenario, fault, &system).await?;
                without_number += self.runs as usize - outcomes.len();
                series.extend(Series::summarize(scenario.name(), &system, self.synchronous, &outcomes));
            }
        }
        if without_number > 0 {
            bail!("{without_number} runs of {version} gave no number; the reasons are above");
        }
        Ok(())
    }

    async fn outcomes(&self, setting: Setting, scenario: Scenario, fault: &str, system: &str) -> Result<Vec<Outcome>> {
        let runs = self.runs.to_string();
        let mut call = Call::start(self.command(setting, &["measure", fault, &runs]))?;
        let mut outcomes = Vec::new();
        while let Some(line) = call.line().await? {
            let outcome: Outcome =
                serde_json::from_str(&line).with_context(|| format!("{system}, {scenario}: not a result: {line}"))?;
            let Outcome { gap_ms, errors, acked_lost, split_brain_writes, .. } = &outcome;
            outcomes.push(outcome.clone());
            eprintln!(
                "{scenario} {}/{}: {system}: gap {gap_ms} ms, {errors} errors, {acked_lost} lost, \
                 {split_brain_writes} split-brain writes",
                outcomes.len(),
                self.runs
            );
        }
        call.finish(&format!("{system}, {scenario}: the measurement broke off")).await?;
        outcomes.truncate(self.runs as usize);
        Ok(outcomes)
    }

    fn command(&self, setting: Setting, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.driver);
        command
            .args(arguments)
            .env("PEER_INST", instance())
            .env("PROFILE", setting.name())
            .env("SYNC", if self.synchronous { "on" } else { "off" })
            .stdin(Stdio::null());
        command
    }
}

/// Two measurements at a time disturb each other's numbers, but must not stop each other's clusters.
fn instance() -> String {
    format!("quorate-bench-{}", std::process::id())
}

/// A call of the driver. Dropping it ends the driver and all that it is waiting for.
struct Call {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Call {
    /// The driver gets a process group, so that Ctrl-C reaches only us and everything ends in order.
    fn start(command: std::process::Command) -> Result<Self> {
        let program = PathBuf::from(command.get_program());
        let mut command = Command::from(command);
        let started = command.stdout(Stdio::piped()).process_group(0).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("the driver has no output")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    async fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let read = timeout(ONE_RUN_TIME_MAX, self.output.read_line(&mut line)).await;
        match read.with_context(|| format!("nothing happened for {} s", ONE_RUN_TIME_MAX.as_secs()))?? {
            0 => Ok(None),
            _ => Ok(Some(line)),
        }
    }

    async fn finish(mut self, failure: &str) -> Result<()> {
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("{failure} ({status})");
        }
        Ok(())
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // As long as it has not been waited for, the number cannot have become somebody else's.
        let Some(group) = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)) else { return };
        if !self.is_running() || kill_process_group(group, Signal::TERM).is_err() {
            return;
        }
        let deadline = Instant::now() + STOP_TIME_MAX;
        while self.is_running() {
            if Instant::now() > deadline {
                let _ = kill_process_group(group, Signal::KILL); // gone in the meantime: as good
                return;
            }
            std::thread::sleep(STOP_POLL_PAUSE);
        }
    }
}

/// A cluster that may be running. Dropping it stops all of it.
struct Up<'a> {
    incumbents: &'a Incumbents,
    setting: Setting,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        // What reads our messages may have ended by the same Ctrl-C, as `tee` does: nothing here may depend on it.
        let say = |text: &str| drop(writeln!(std::io::stderr(), "{text}"));
        say("stopping Patroni, etcd and HAProxy");
        let mut down = self.incumbents.command(self.setting, &["down"]);
        let stopped = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let driver = self.incumbents.driver.display();
            say(&format!("cannot stop them\nhint: PEER_INST={} {driver} down", instance()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A driver that writes down how it is called, in a file beside it.
    fn driver(directory: &tempfile::TempDir, body: &str) -> Incumbents {
        let driver = directory.path().join("driver");
        let text = format!("#!/bin/sh\necho \"$* $PROFILE $SYNC\" >>\"$0.calls\"\ncase $1 in {body} esac\n");
        std::fs::write(&driver, text).unwrap();
        std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o755)).unwrap();
        Incumbents { driver, runs: 2, profile: Profile::Both, synchronous: true }
    }

    fn calls(incumbents: &Incumbents) -> Vec<String> {
        let text = std::fs::read_to_string(incumbents.driver.with_extension("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    const RESULT: &str = r#"{"fault":"kill-node","gap_ms":20.5,"errors":3,"acked_lost":1,"split_brain_writes":2}"#;

    #[tokio::test]
    async fn each_setting_is_started_measured_and_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let body = format!("version) echo name 1.2 ;; measure) echo '{RESULT}'; echo '{RESULT}' ;;");
        let incumbents = driver(&directory, &body);
        let version = incumbents.set_up().await.unwrap();
        let mut series = Vec::new();
        incumbents.measure(&version, &[Scenario::KillHost, Scenario::KillGuard], &mut series).await.unwrap();
        let systems: Vec<_> = series.iter().map(|one| (one.system.as_str(), one.scenario.as_str(), one.n)).collect();
        assert_eq!(systems, [("name 1.2 default", "kill-host", 2), ("name 1.2 tuned", "kill-host", 2)]);
        assert_eq!((series[0].acked_lost, series[0].split_brain_writes, series[0].synchronous), (2, 4, true));
        let expected = ["setup tuned on", "version tuned on"].into_iter().map(str::to_owned).chain(
            ["default", "tuned"]
                .iter()
                .flat_map(|profile| ["up", "measure kill-node 2", "down"].map(|call| format!("{call} {profile} on"))),
        );
        assert_eq!(calls(&incumbents), expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_run_without_a_number_is_not_counted_and_not_hidden() {
        let directory = tempfile::tempdir().unwrap();
        let incumbents = driver(&directory, &format!("measure) echo '{RESULT}' ;;"));
        let mut series = Vec::new();
        let error = incumbents.measure("name", &[Scenario::KillHost], &mut series).await.unwrap_err();
        assert!(error.to_string().starts_with("2 runs of name gave no number"), "{error}");
        assert_eq!(series.iter().map(|one| one.n).collect::<Vec<_>>(), [1, 1]);
    }

    #[tokio::test]
    async fn dropping_a_measurement_ends_the_driver_and_what_it_started_and_then_stops_the_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let incumbents = driver(&directory, "measure) sleep 1000 & echo $! >\"$0.sleeper\"; wait ;;");
        let sleeper = incumbents.driver.with_extension("sleeper");
        let mut series = Vec::new();
        let started = async {
            while !std::fs::read_to_string(&sleeper).is_ok_and(|pid| pid.ends_with('\n')) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = incumbents.measure("name", &[Scenario::Switchover], &mut series) => panic!("{ended:?}"),
            started = timeout(Duration::from_secs(30), started) => started.unwrap(),
        }
        assert_eq!(calls(&incumbents), ["up default on", "measure switchover 2 default on", "down default on"]);
        let pid = std::fs::read_to_string(&sleeper).unwrap();
        let deadline = Instant::now() + STOP_TIME_MAX;
        // A dead process whose parent has died, too, may wait for init to bury it.
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while lives() {
            assert!(Instant::now() < deadline, "{pid} still runs");
            std::thread::yield_now();
        }
    }
}
