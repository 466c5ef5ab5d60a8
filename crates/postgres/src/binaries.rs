//! Finds PostgreSQL's programs and their version.
//!
//! Deliberately not an installer. The invariant: every program named by a [`Binaries`] existed when it was made, and
//! all of them lie in one directory, so versions are not mixed.

use crate::{
    error::{Error, Result},
    run::{Launcher, Tool},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The oldest major version with all we use: pg_rewind that recovers by itself, wal_status of slots.
pub const MAJOR_MIN: u32 = 13;
/// A program that cannot say its version in this time never will.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

const PROGRAMS: [&str; 6] = ["postgres", "initdb", "pg_controldata", "pg_basebackup", "pg_rewind", "pg_ctl"];

/// PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    pub bin_dir: PathBuf,
    pub postgres: PathBuf,
    pub initdb: PathBuf,
    pub pg_controldata: PathBuf,
    pub pg_basebackup: PathBuf,
    pub pg_rewind: PathBuf,
    pub pg_ctl: PathBuf,
}

/// `full` as PostgreSQL prints it ("15.18", "17beta1").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub full: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.full)
    }
}

impl Version {
    /// As `server_version_num` and Patroni's `server_version`: 150018.
    pub fn number(&self) -> u32 {
        self.major * 10_000 + self.minor
    }

    /// Reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
    pub fn parse(printed: &str) -> Option<Self> {
        let (_, rest) = printed.split_once("(PostgreSQL)")?;
        let full = rest.split_whitespace().next()?;
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let major_text = digits(full);
        let major = major_text.parse().ok()?;
        let minor = full[major_text.len()..].strip_prefix('.').and_then(|rest| digits(rest).parse().ok()).unwrap_or(0);
        Some(Self { major, minor, full: full.to_owned() })
    }
}

impl Binaries {
    /// Looks in `bin_dir` only when given; otherwise on PATH, then in the usual places, newest version first.
    pub fn find(bin_dir: Option<&Path>) -> Result<Self> {
        Self::find_named(bin_dir, &BTreeMap::new())
    }

    /// `names` is `postgresql.bin_name`: what a program is called here instead ("pg_rewind" → "pg_rewind-wrapped").
    pub fn find_named(bin_dir: Option<&Path>, names: &BTreeMap<String, String>) -> Result<Self> {
        let candidates = match bin_dir {
            Some(dir) => vec![dir.to_owned()],
            None => candidates(),
        };
        let mut first_error = None;
        for dir in &candidates {
            match Self::in_directory(dir, names) {
                Ok(found) => return Ok(found),
                // A directory with the server but without, say, pg_rewind is the better explanation than one with nothing.
                Err(missing) if dir.join(file_name("postgres", names)).is_file() => {
                    first_error.get_or_insert(missing);
                }
                Err(_) => {}
            }
        }
        Err(first_error
            .unwrap_or(Error::BinaryMissing { program: file_name("postgres", names), looked_in: candidates }))
    }

    /// Every complete installation in these places, the one that `find` would take first.
    pub fn find_all() -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for dir in candidates() {
            let Ok(binaries) = Self::in_directory(&dir, &BTreeMap::new()) else { continue };
            // `/usr/bin` may be full of links into another directory.
            let real = |binaries: &Self| binaries.postgres.canonicalize().ok();
            if !found.iter().any(|other| real(other) == real(&binaries)) {
                found.push(binaries);
            }
        }
        found
    }

    fn in_directory(dir: &Path, names: &BTreeMap<String, String>) -> Result<Self> {
        let mut found = PROGRAMS.map(|program| dir.join(file_name(program, names)));
        if let Some(missing) = found.iter().position(|path| !path.is_file()) {
            let program = file_name(PROGRAMS[missing], names);
            return Err(Error::BinaryMissing { program, looked_in: vec![dir.to_owned()] });
        }
        let mut next = found.iter_mut().map(std::mem::take);
        let mut take = || next.next().unwrap_or_default();
        Ok(Self {
            bin_dir: dir.to_owned(),
            postgres: take(),
            initdb: take(),
            pg_controldata: take(),
            pg_basebackup: take(),
            pg_rewind: take(),
            pg_ctl: take(),
        })
    }

    /// Asks `postgres --version`; refuses versions older than [`MAJOR_MIN`].
    pub async fn version(&self, launcher: &Launcher) -> Result<Version> {
        let output = Tool::new(&self.postgres).arg("--version").timeout(VERSION_TIMEOUT).run(launcher).await?;
        let printed = output.stdout.trim();
        let version = Version::parse(printed)
            .ok_or_else(|| Error::VersionUnknown { program: self.postgres.clone(), printed: printed.to_owned() })?;
        if version.major < MAJOR_MIN {
            return Err(Error::VersionUnsupported { found: version.full, minimum: MAJOR_MIN });
        }
        Ok(version)
    }
}

fn file_name(program: &str, names: &BTreeMap<String, String>) -> String {
    let name = names.get(program).map_or(program, String::as_str);
    if cfg!(windows) && Path::new(name).extension().is_none() { format!("{name}.exe") } else { name.to_owned() }
}

/// Directories worth a look, best first.
fn candidates() -> Vec<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let roots: &[&str] = if cfg!(windows) {
        &["C:/Program Files/PostgreSQL"]
    } else {
        &["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/postgresql"]
    };
    let mut dirs = on_path.unwrap_or_default();
    for root in roots {
        dirs.extend(versions_under(Path::new(root)));
    }
    if !cfg!(windows) {
        // Red Hat's packages from postgresql.org put each version beside the others.
        dirs.extend((MAJOR_MIN..MAJOR_MIN + 20).rev().map(|major| PathBuf::from(format!("/usr/pgsql-{major}/bin"))));
        dirs.push("/usr/local/pgsql/bin".into());
    }
    dirs.retain(|dir| dir.is_dir());
    dirs
}

/// `root`/NUMBER/bin, highest number first.
fn versions_under(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_postgresql_prints_them() {
        for (printed, major, minor, full) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, 18, "15.18"),
            ("postgres (PostgreSQL) 17beta1", 17, 0, "17beta1"),
            ("postgres (PostgreSQL) 18.6\n", 18, 6, "18.6"),
            ("postgres (PostgreSQL) 16rc1 (Ubuntu)", 16, 0, "16rc1"),
        ] {
            let version = Version { major, minor, full: full.to_owned() };
            assert_eq!(Version::parse(printed), Some(version), "{printed}");
        }
        for printed in ["", "postgres", "postgres (PostgreSQL)", "postgres (PostgreSQL) devel", "mysqld 8"] {
            assert_eq!(Version::parse(printed), None, "{printed}");
        }
        assert_eq!(Version::parse("postgres (PostgreSQL) 15.18").map(|v| v.number()), Some(150_018));
    }

    #[test]
    fn a_missing_program_is_named_with_the_place_and_a_package() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let error = Binaries::find(Some(dir.path())).map(|_| ()).err().ok_or("found nothing, yet succeeded")?;
        assert!(error.to_string().contains("'postgres"), "{error}");
        assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
        assert!(error.hint().contains("install PostgreSQL"), "{}", error.hint());
        for program in PROGRAMS {
            std::fs::write(dir.path().join(file_name(program, &BTreeMap::new())), "")?;
        }
        assert!(Binaries::find(Some(dir.path())).is_ok());
        let names = BTreeMap::from([("pg_rewind".to_owned(), "my_rewind".to_owned())]);
        let error = Binaries::find_named(Some(dir.path()), &names).map(|_| ()).err().ok_or("ignored bin_name")?;
        assert!(error.to_string().contains("my_rewind"), "{error}");
        Ok(())
    }

    #[test]
    fn the_newest_version_comes_first() -> Result<(), Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        for name in ["9.6", "15", "9", "17", "x"] {
            std::fs::create_dir_all(root.path().join(name).join("bin"))?;
        }
        let expected: Vec<_> = ["17", "15", "9"].map(|name| root.path().join(name).join("bin")).into();
        assert_eq!(versions_under(root.path()), expected);
        Ok(())
    }
}
