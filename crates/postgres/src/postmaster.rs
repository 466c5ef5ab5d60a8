//! The postmaster as seen from beside: its command line, and what it says in `postmaster.pid`.
//!
//! Deliberately without starting or killing it; the guard does that. The invariant: nothing here waits on a
//! connection, so a hanging server does not hang the agent.

use crate::{
    binaries::Binaries,
    configuration::Locations,
    error::{Error, Result},
    parameters::{COMMAND_LINE, Effective},
};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// The file says "ready" within this time after it is true; a read of a cached file costs some microseconds.
const POLL: Duration = Duration::from_millis(10);

/// What the guard runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostmasterCommand {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

impl PostmasterCommand {
    /// The parameters that a cluster depends on are given on the command line, as Patroni does, so that ALTER SYSTEM
    /// cannot override them. There is no secret among them.
    pub fn new(binaries: &Binaries, locations: &Locations, effective: &Effective) -> Self {
        let mut config_file = OsString::from("--config-file=");
        config_file.push(locations.config_file());
        let mut args = vec![OsString::from("-D"), locations.data_dir.clone().into_os_string(), config_file];
        let given = COMMAND_LINE.iter().filter_map(|name| Some((name, effective.parameters.get(*name)?)));
        args.extend(given.map(|(name, value)| format!("--{name}={value}").into()));
        Self { program: binaries.postgres.clone(), args }
    }
}

/// The last line of `postmaster.pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostmasterStatus {
    Starting,
    /// In recovery, and not yet (or not at all) open for queries.
    Standby,
    /// Open for connections, as a primary or as a standby.
    Ready,
    Stopping,
    /// The line is not written yet.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile {
    pub pid: u32,
    pub data_dir: PathBuf,
    /// Seconds since 1970.
    pub started_at: i64,
    pub port: Option<u16>,
    pub socket_dir: Option<PathBuf>,
    pub listen_address: Option<String>,
    pub status: PostmasterStatus,
}

impl PidFile {
    /// `None` while the postmaster is still writing it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        // A backend in single-user mode writes its pid as a negative number.
        let pid = lines.next()?.trim_start_matches('-').parse().ok()?;
        let data_dir = PathBuf::from(lines.next()?);
        let started_at = lines.next()?.parse().ok()?;
        let mut filled = || lines.next().filter(|line| !line.is_empty());
        let port = filled().and_then(|line| line.parse().ok());
        let socket_dir = filled().map(PathBuf::from);
        let listen_address = filled().map(str::to_owned);
        let _shared_memory = filled();
        let status = match filled() {
            Some("starting") => PostmasterStatus::Starting,
            Some("standby") => PostmasterStatus::Standby,
            Some("ready") => PostmasterStatus::Ready,
            Some("stopping") => PostmasterStatus::Stopping,
            _ => PostmasterStatus::Unknown,
        };
        Some(Self { pid, data_dir, started_at, port, socket_dir, listen_address, status })
    }

    /// `None`: no postmaster, or one that has only begun to start. The file outlives a postmaster that was killed, so
    /// whether `pid` is alive and still a postmaster is for the guard to say.
    pub fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join("postmaster.pid");
        match std::fs::read(&path) {
            Ok(text) => Ok(Self::parse(&String::from_utf8_lossy(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // On Windows the postmaster may hold the file at this moment.
            Err(_) if cfg!(windows) => Ok(None),
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }
}

/// How far a starting server must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Open for connections.
    Ready,
    /// Recovery goes on; a standby that is not consistent yet counts.
    Recovering,
}

/// Waits until the postmaster `pid` says it has come as far as `until`. Ends with an error when its file disappears
/// again; a kill leaves the file, so the caller also listens to the guard.
pub async fn wait(data_dir: &Path, pid: u32, until: Until, limit: Duration) -> Result<PidFile> {
    let deadline = Instant::now() + limit;
    let mut seen: Option<PostmasterStatus> = None;
    loop {
        // A file with another pid was left by an earlier postmaster.
        match PidFile::read(data_dir)?.filter(|file| file.pid == pid) {
            Some(file) => {
                let enough = match file.status {
                    PostmasterStatus::Ready => true,
                    PostmasterStatus::Standby => until == Until::Recovering,
                    PostmasterStatus::Starting | PostmasterStatus::Unknown => false,
                    PostmasterStatus::Stopping => return Err(Error::PostmasterEnded),
                };
                if enough {
                    return Ok(file);
                }
                seen = Some(file.status);
            }
            None if seen.is_some() => return Err(Error::PostmasterEnded),
            None => {}
        }
        if Instant::now() >= deadline {
            let last = seen.map_or("no postmaster.pid".to_owned(), |status| format!("{status:?}").to_lowercase());
            return Err(Error::NotReady { after: limit, last });
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str =
        "4711\n/var/lib/data\n1795402062\n5432\n/run/postgresql\n127.0.0.1\n   3932203    131077\nready   \n";

    #[test]
    fn the_pid_file_is_read_at_every_stage_of_a_start() {
        let file = PidFile::parse(READY);
        let expected = PidFile {
            pid: 4711,
            data_dir: "/var/lib/data".into(),
            started_at: 1_795_402_062,
            port: Some(5432),
            socket_dir: Some("/run/postgresql".into()),
            listen_address: Some("127.0.0.1".to_owned()),
            status: PostmasterStatus::Ready,
        };
        assert_eq!(file, Some(expected.clone()));
        let windows = PidFile::parse(&READY.replace("/run/postgresql", "").replace("ready", "standby"));
        assert_eq!(windows, Some(PidFile { socket_dir: None, status: PostmasterStatus::Standby, ..expected }));
        let first = PidFile::parse("4711\n/var/lib/data\n1795402062\n5432\n");
        assert_eq!(first.map(|file| file.status), Some(PostmasterStatus::Unknown));
        for text in ["", "x", "4711\n", "4711\n/d\n", "4711\n/d\nx\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_server_is_ready_gone_or_late() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("postmaster.pid");
        let limit = Duration::from_secs(5);
        let wait_for = |pid, until| wait(dir.path(), pid, until, limit);
        assert!(matches!(wait_for(4711, Until::Ready).await, Err(Error::NotReady { .. })));
        std::fs::write(&path, READY)?;
        assert_eq!(wait_for(4711, Until::Ready).await?.pid, 4711);
        assert!(matches!(wait_for(4712, Until::Ready).await, Err(Error::NotReady { .. })));
        std::fs::write(&path, READY.replace("ready", "standby"))?;
        assert!(wait_for(4711, Until::Recovering).await.is_ok());
        assert!(matches!(wait_for(4711, Until::Ready).await, Err(Error::NotReady { .. })));
        let (ended, removed) = tokio::join!(wait_for(4711, Until::Ready), async { std::fs::remove_file(&path) });
        removed?;
        assert!(matches!(ended, Err(Error::PostmasterEnded)), "{ended:?}");
        Ok(())
    }
}
