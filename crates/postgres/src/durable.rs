//! Files that are either entirely the old or entirely the new, also after a power failure.
//!
//! Deliberately small files only. The invariant: what is written here is readable by its owner alone from its first
//! moment on; temporary files on Unix are created with mode 0600.

use crate::{
    error::{Error, Result},
    run::Launcher,
};
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Who reads a small file is done with it long before; PostgreSQL itself waits for ten seconds.
const HELD_TIME_MAX: Duration = Duration::from_secs(1);
const HELD_PAUSE: Duration = Duration::from_millis(10);

/// Replaces `path` by `content` unless it says that already. Returns whether it changed.
pub fn write_if_changed(launcher: &Launcher, path: &Path, content: &str) -> Result<bool> {
    match fs::read(path) {
        Ok(existing) if existing == content.as_bytes() => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file("read", path)(error)),
    }
    write(launcher, path, content)?;
    Ok(true)
}

fn write(launcher: &Launcher, path: &Path, content: &str) -> Result<()> {
    let dir = parent(path);
    let failed = |source| Error::file("write", path)(source);
    let mut file = tempfile::Builder::new().prefix(".quorate-").tempfile_in(&dir).map_err(failed)?;
    file.write_all(content.as_bytes()).map_err(failed)?;
    launcher.adopt(file.path())?;
    file.as_file().sync_all().map_err(failed)?;
    let mut file = Some(file);
    let persist = || match file.take().map(|file| file.persist(path)) {
        Some(Err(error)) => {
            file = Some(error.file);
            Err(error.error)
        }
        Some(Ok(_)) | None => Ok(()),
    };
    while_held_by_others(HELD_TIME_MAX, persist).map_err(failed)?;
    sync_directory(&dir)
}

/// Windows neither replaces nor removes a file that another program has open: a backend that reads it, a scanner for viruses.
fn while_held_by_others<T>(limit: Duration, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match act() {
            Err(error) if is_held_by_others(&error) && Instant::now() < deadline => std::thread::sleep(HELD_PAUSE),
            result => return result,
        }
    }
}

/// "Access denied" and "sharing violation"; the first one may also mean what it says, which is then found out a second later.
fn is_held_by_others(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32))
}

/// Removes a file; one that is not there is fine. Returns whether it was there.
pub fn remove(path: &Path) -> Result<bool> {
    match while_held_by_others(HELD_TIME_MAX, || fs::remove_file(path)) {
        Ok(()) => {
            sync_directory(&parent(path))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file("remove", path)(error)),
    }
}

pub fn rename(from: &Path, to: &Path) -> Result<()> {
    while_held_by_others(HELD_TIME_MAX, || fs::rename(from, to)).map_err(Error::file("rename", from))?;
    sync_directory(&parent(to))
}

/// Makes renames and removals in `dir` survive a power failure. Windows has no such call and needs none.
pub fn sync_directory(dir: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::file("sync", dir))
}

pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `path` with more text at its end: `data` → `data.failed`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Runs blocking file work beside the runtime's own threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Answer { action: "a file operation", why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_it_differs() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let launcher = Launcher::default();
        assert!(write_if_changed(&launcher, &path, "one")?);
        assert!(!write_if_changed(&launcher, &path, "one")?);
        assert!(write_if_changed(&launcher, &path, "two")?);
        assert_eq!(fs::read_to_string(&path)?, "two");
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        assert!(remove(&path)?);
        assert!(!remove(&path)?);
        Ok(())
    }
}
