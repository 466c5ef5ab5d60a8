//! Finds the server's program and its version.
//!
//! Deliberately not an installer, and no preference beyond the order of the list: the first program found is taken.

use crate::error::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The oldest with all we use: CLIENT PAUSE WRITE and CLIENT UNPAUSE.
pub const VERSION_MIN: Version = Version { major: 6, minor: 2, patch: 0 };
/// A program that cannot say its version in this time never will.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// What it prints is one line.
const PRINTED_CHARS_MAX: usize = 300;

const NAMES: [&str; 3] = ["redis-server", "valkey-server", "memurai"];

/// Whose server it is. Valkey counts its versions on from 7.2, Memurai names the Redis it is compatible with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Redis,
    Valkey,
    Memurai,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
            Self::Memurai => "Memurai",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Reads `7.0.15`, and `7.2` or `8.0.0-rc1` as far as they go.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        Some(Self {
            major: parts.next()??,
            minor: parts.next().flatten().unwrap_or(0),
            patch: parts.next().flatten().unwrap_or(0),
        })
    }
}

/// A program that was asked and is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    pub program: PathBuf,
    pub product: Product,
    pub version: Version,
}

impl Binary {
    /// `program` when one is named, else in `bin_dir` only, else on PATH and in the usual places.
    pub async fn find(program: Option<&Path>, bin_dir: Option<&Path>) -> Result<Self> {
        let program = match program {
            Some(program) if program.is_file() => program.to_owned(),
            Some(program) => return Err(Error::BinaryMissing { looked_in: vec![program.to_owned()] }),
            None => search(bin_dir)?,
        };
        let printed = printed_version(&program).await?;
        let Some((product, version)) = parse(&printed) else {
            return Err(Error::VersionUnknown { program, printed });
        };
        if product != Product::Memurai && version < VERSION_MIN {
            return Err(Error::VersionUnsupported { product, found: version, minimum: VERSION_MIN });
        }
        Ok(Self { program, product, version })
    }
}

fn search(bin_dir: Option<&Path>) -> Result<PathBuf> {
    let places = match bin_dir {
        Some(directory) => vec![directory.to_owned()],
        None => usual_places(),
    };
    for name in NAMES {
        let file = if cfg!(windows) { format!("{name}.exe") } else { name.to_owned() };
        if let Some(found) = places.iter().map(|place| place.join(&file)).find(|program| program.is_file()) {
            return Ok(found);
        }
    }
    Err(Error::BinaryMissing { looked_in: places })
}

fn usual_places() -> Vec<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let more: &[&str] = if cfg!(windows) {
        &["C:/Program Files/Redis", "C:/Program Files/Valkey", "C:/Program Files/Memurai"]
    } else {
        &["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/redis/bin", "/opt/valkey/bin"]
    };
    let mut places = on_path.unwrap_or_default();
    places.extend(more.iter().map(PathBuf::from));
    places.retain(|place| place.is_dir());
    places
}

async fn printed_version(program: &Path) -> Result<String> {
    let mut command = tokio::process::Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // The agent's own directory may be closed to the user it runs as.
    if let Some(parent) = program.parent().filter(|parent| parent.is_dir()) {
        command.current_dir(parent);
    }
    let spawn = |source| Error::Spawn { program: program.to_owned(), source };
    match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).trim().chars().take(PRINTED_CHARS_MAX).collect()),
        Ok(Err(error)) => Err(spawn(error)),
        Err(_) => Err(spawn(std::io::ErrorKind::TimedOut.into())),
    }
}

/// `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0`
fn parse(printed: &str) -> Option<(Product, Version)> {
    let product = match printed.split_whitespace().next()?.to_lowercase().as_str() {
        "redis" => Product::Redis,
        "valkey" => Product::Valkey,
        "memurai" => Product::Memurai,
        _ => return None,
    };
    let version = printed.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some((product, Version::parse(version)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_servers_print_them() {
        for (printed, product, version) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0", Product::Redis, (7, 0, 15)),
            ("Valkey server v=8.1.0-rc1 sha=00000000:0 malloc=libc bits=64 build=0", Product::Valkey, (8, 1, 0)),
            ("Redis server v=8.2 sha=0", Product::Redis, (8, 2, 0)),
        ] {
            let (major, minor, patch) = version;
            assert_eq!(parse(printed), Some((product, Version { major, minor, patch })), "{printed}");
        }
        for printed in ["", "Redis", "Redis server v=x", "nginx version: v=1.2.3"] {
            assert_eq!(parse(printed), None, "{printed}");
        }
        assert!(Version::parse("6.0.16").is_some_and(|old| old < VERSION_MIN));
        assert!(Version::parse("6.2").is_some_and(|enough| enough >= VERSION_MIN));
    }

    #[test]
    fn the_first_name_in_the_directory_is_taken_and_none_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let error = search(Some(directory.path())).unwrap_err();
        assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");
        assert!(error.hint().contains("install"), "{}", error.hint());
        let suffix = if cfg!(windows) { ".exe" } else { "" };
        for name in ["valkey-server", "redis-server"] {
            let program = directory.path().join(format!("{name}{suffix}"));
            std::fs::write(&program, "").unwrap();
            assert_eq!(search(Some(directory.path())).unwrap(), program);
        }
    }
}
