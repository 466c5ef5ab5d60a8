//! What a data directory is, and how a new one comes into being.
//!
//! A new data directory is built in a folder inside the final one and then moved up, so that at every moment an
//! interrupted attempt is recognisable by that folder, also where the data directory is a mount point. Deliberately
//! nothing here decides to destroy data: the caller says what happens to what is there. The invariant: a directory
//! that [`state`] calls valid was completed, and no rewind of it was interrupted.

use crate::{
    binaries::{Binaries, Version},
    controldata::ControlData,
    durable::{self, parent, with_suffix},
    error::{Error, Result},
    run::Launcher,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Holds a data directory in the making; its presence means that the directory around it is worth nothing.
const UNFINISHED: &str = "quorate.unfinished";
/// Beside the data directory while pg_rewind works (inside, pg_rewind would remove it).
const REWINDING: &str = ".rewinding";
/// The last data directory that was moved aside.
const FAILED: &str = ".failed";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDirectoryState {
    Missing,
    Empty,
    Valid(Box<ControlData>),
    /// Files, but not a data directory this PostgreSQL can use.
    Unusable(Unusable),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("making it was interrupted")]
    Unfinished,
    #[error("a pg_rewind of it was interrupted or failed half-way")]
    RewindUnfinished,
    #[error("it has files, but no PG_VERSION: it is not PostgreSQL's")]
    Foreign,
    #[error("it belongs to PostgreSQL {found}, but the programs are PostgreSQL {expected}")]
    OtherVersion { found: String, expected: u32 },
    #[error("{0}")]
    Damaged(String),
}

/// What to do with files that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    /// Rename it to `<data_dir>.failed`, in place of an earlier one of that name.
    MoveAside,
    Remove,
}

/// Looks at the directory; safe at any time. Fails only when it cannot look.
pub async fn state(
    binaries: &Binaries,
    version: &Version,
    launcher: &Launcher,
    data_dir: &Path,
) -> Result<DataDirectoryState> {
    let dir = data_dir.to_owned();
    let expected = version.major;
    if let Some(known) = durable::blocking(move || look(&dir, expected)).await? {
        return Ok(known);
    }
    match ControlData::read(binaries, launcher, data_dir).await {
        Ok(control) => Ok(DataDirectoryState::Valid(Box::new(control))),
        Err(Error::DataDirectory { why, .. } | Error::Tool { printed: why, .. }) => {
            Ok(DataDirectoryState::Unusable(Unusable::Damaged(why)))
        }
        Err(other) => Err(other),
    }
}

/// All that can be said without pg_control; `None` when that must be asked.
fn look(data_dir: &Path, expected: u32) -> Result<Option<DataDirectoryState>> {
    let names = match entries(data_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(DataDirectoryState::Missing)),
        Err(error) => return Err(Error::file("read", data_dir)(error)),
    };
    let unusable = |why| Ok(Some(DataDirectoryState::Unusable(why)));
    if names.is_empty() {
        return Ok(Some(DataDirectoryState::Empty));
    }
    if names.iter().any(|name| name == UNFINISHED) {
        return unusable(Unusable::Unfinished);
    }
    if rewind_marker(data_dir).exists() {
        return unusable(Unusable::RewindUnfinished);
    }
    let found = match fs::read(data_dir.join("PG_VERSION")) {
        Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return unusable(Unusable::Foreign),
        Err(error) => return Err(Error::file("read", data_dir.join("PG_VERSION"))(error)),
    };
    if found != expected.to_string() {
        return unusable(Unusable::OtherVersion { found, expected });
    }
    Ok(None)
}

fn entries(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Makes the directory ready for a new data directory and returns the folder to build it in, which does not exist yet.
pub(crate) async fn begin(launcher: &Launcher, data_dir: &Path, existing: Existing) -> Result<PathBuf> {
    let (launcher, data_dir) = (launcher.clone(), data_dir.to_owned());
    durable::blocking(move || {
        // A symbolic link stays what it is; the directory behind it is moved and made anew.
        let data_dir = behind_links(&data_dir);
        make_room(&data_dir, existing)?;
        fs::create_dir_all(&data_dir).map_err(Error::file("make", &data_dir))?;
        launcher.adopt(&data_dir)?;
        remove_marker(&data_dir)?;
        Ok(data_dir.join(UNFINISHED))
    })
    .await
}

/// Moves what was built up into its place; after this the directory is valid.
pub(crate) async fn finish(data_dir: &Path) -> Result<()> {
    let data_dir = data_dir.to_owned();
    durable::blocking(move || {
        let unfinished = data_dir.join(UNFINISHED);
        let names = entries(&unfinished).map_err(Error::file("read", &unfinished))?;
        // PostgreSQL's tools chose 0700, or 0750 where the configuration wants group access; the server insists on it.
        let mode = fs::metadata(&unfinished).map_err(Error::file("read", &unfinished))?.permissions();
        fs::set_permissions(&data_dir, mode).map_err(Error::file("close to others", &data_dir))?;
        for name in names {
            let from = unfinished.join(&name);
            fs::rename(&from, data_dir.join(&name)).map_err(Error::file("move up", from))?;
        }
        durable::sync_directory(&data_dir)?; // all files are here for good before the folder that marks them goes
        fs::remove_dir(&unfinished).map_err(Error::file("remove", &unfinished))?;
        durable::sync_directory(&data_dir)
    })
    .await
}

/// Removes what an attempt left behind. For a failed attempt; an interrupted one is removed by the next [`begin`].
pub(crate) async fn abandon(data_dir: &Path) -> Result<()> {
    let data_dir = data_dir.to_owned();
    durable::blocking(move || match entries(&data_dir) {
        Ok(names) if names.iter().any(|name| name == UNFINISHED) => remove_content(&data_dir),
        _ => Ok(()),
    })
    .await
}

fn make_room(data_dir: &Path, existing: Existing) -> Result<()> {
    let names = match entries(data_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", data_dir)(error)),
    };
    if names.is_empty() {
        return Ok(());
    }
    if names.iter().any(|name| name == UNFINISHED) {
        return remove_content(data_dir); // it was empty before the attempt began
    }
    match existing {
        Existing::Refuse => Err(Error::DataDirectory { path: data_dir.to_owned(), why: "it is not empty".to_owned() }),
        Existing::MoveAside => move_aside(data_dir),
        Existing::Remove => remove_content(data_dir),
    }
}

/// Directories elsewhere that belong to this data directory: its WAL and its tablespaces.
fn outside(data_dir: &Path) -> Vec<PathBuf> {
    let tablespaces =
        fs::read_dir(data_dir.join("pg_tblspc")).into_iter().flatten().flatten().map(|entry| entry.path());
    let links = std::iter::once(data_dir.join("pg_wal")).chain(tablespaces);
    links.filter(|path| path.is_symlink()).filter_map(|link| fs::canonicalize(link).ok()).collect()
}

/// The WAL and tablespaces elsewhere are moved aside too; the links to them in the moved directory then lead nowhere,
/// and a person who wants that directory back renames them back.
fn move_aside(data_dir: &Path) -> Result<()> {
    for dir in outside(data_dir).iter().map(PathBuf::as_path).chain([data_dir]) {
        let aside = with_suffix(dir, FAILED);
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(Error::file("remove", &aside))?;
        }
        durable::rename(dir, &aside)?;
    }
    Ok(())
}

/// Removes all in the directory, but not the directory: it may be a mount point, or its parent may be closed to us.
fn remove_content(data_dir: &Path) -> Result<()> {
    // Without this file first gone, an interrupted removal could look like a data directory.
    durable::remove(&data_dir.join("PG_VERSION"))?;
    for dir in outside(data_dir) {
        remove_all_in(&dir)?;
    }
    remove_all_in(data_dir)
}

fn remove_all_in(dir: &Path) -> Result<()> {
    let names = entries(dir).map_err(Error::file("read", dir))?;
    // The mark of an unfinished directory goes last.
    let (mark, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == UNFINISHED);
    for name in others.into_iter().chain(mark) {
        let path = dir.join(name);
        let is_dir = fs::symlink_metadata(&path).map_err(Error::file("read", &path))?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::file("remove", &path))?;
    }
    durable::sync_directory(dir)
}

fn rewind_marker(data_dir: &Path) -> PathBuf {
    with_suffix(&behind_links(data_dir), REWINDING)
}

/// Not on Windows: its canonical form (`\\?\C:\...`) is not understood by PostgreSQL's tools.
fn behind_links(path: &Path) -> PathBuf {
    let real = if cfg!(windows) { None } else { fs::canonicalize(path).ok() };
    real.unwrap_or_else(|| path.to_owned())
}

/// From here until [`remove_marker`] the directory counts as unusable.
pub(crate) fn set_marker(data_dir: &Path) -> Result<()> {
    let marker = rewind_marker(data_dir);
    let file = fs::File::create(&marker).map_err(Error::file("write", &marker))?;
    file.sync_all().map_err(Error::file("sync", &marker))?;
    durable::sync_directory(&parent(&marker))
}

pub(crate) fn remove_marker(data_dir: &Path) -> Result<()> {
    durable::remove(&rewind_marker(data_dir)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn valid_looking(dir: &Path, content: &str) -> io::Result<()> {
        fs::create_dir_all(dir.join("global"))?;
        fs::write(dir.join("global/pg_control"), content)?;
        fs::write(dir.join("PG_VERSION"), "15\n")
    }

    #[test]
    fn each_kind_of_directory_is_recognised() -> TestResult {
        let root = tempfile::tempdir()?;
        let dir = root.path().join("data");
        assert_eq!(look(&dir, 15)?, Some(DataDirectoryState::Missing));
        fs::create_dir(&dir)?;
        assert_eq!(look(&dir, 15)?, Some(DataDirectoryState::Empty));
        let unusable = |why| Some(DataDirectoryState::Unusable(why));
        fs::write(dir.join("notes"), "")?;
        assert_eq!(look(&dir, 15)?, unusable(Unusable::Foreign));
        valid_looking(&dir, "")?;
        assert_eq!(look(&dir, 15)?, None);
        assert_eq!(look(&dir, 16)?, unusable(Unusable::OtherVersion { found: "15".to_owned(), expected: 16 }));
        set_marker(&dir)?;
        assert_eq!(look(&dir, 15)?, unusable(Unusable::RewindUnfinished));
        remove_marker(&dir)?;
        fs::create_dir(dir.join(UNFINISHED))?;
        assert_eq!(look(&dir, 15)?, unusable(Unusable::Unfinished));
        Ok(())
    }

    #[tokio::test]
    async fn an_interrupted_attempt_is_cleared_away_by_the_next_one() -> TestResult {
        let root = tempfile::tempdir()?;
        let dir = root.path().join("new/data");
        let launcher = Launcher::default();
        for _ in 0..2 {
            let unfinished = begin(&launcher, &dir, Existing::Refuse).await?;
            assert!(!unfinished.exists());
            valid_looking(&unfinished, "half")?;
            fs::rename(unfinished.join("PG_VERSION"), dir.join("PG_VERSION"))?; // interrupted in the middle of the move
            assert_eq!(look(&dir, 15)?, Some(DataDirectoryState::Unusable(Unusable::Unfinished)));
        }
        let unfinished = begin(&launcher, &dir, Existing::Refuse).await?;
        valid_looking(&unfinished, "whole")?;
        finish(&dir).await?;
        assert_eq!(look(&dir, 15)?, None);
        assert_eq!(fs::read_to_string(dir.join("global/pg_control"))?, "whole");
        Ok(())
    }

    #[tokio::test]
    async fn files_that_are_there_survive_unless_the_caller_says_otherwise() -> TestResult {
        let root = tempfile::tempdir()?;
        let dir = root.path().join("data");
        let launcher = Launcher::default();
        for round in ["first", "second"] {
            valid_looking(&dir, round)?;
            assert!(begin(&launcher, &dir, Existing::Refuse).await.is_err());
            assert_eq!(fs::read_to_string(dir.join("global/pg_control"))?, round);
            begin(&launcher, &dir, Existing::MoveAside).await?;
            assert_eq!(look(&dir, 15)?, Some(DataDirectoryState::Empty));
            assert_eq!(fs::read_to_string(root.path().join("data.failed/global/pg_control"))?, round);
        }
        valid_looking(&dir, "third")?;
        set_marker(&dir)?;
        begin(&launcher, &dir, Existing::Remove).await?;
        assert_eq!(look(&dir, 15)?, Some(DataDirectoryState::Empty));
        assert!(!rewind_marker(&dir).exists());
        Ok(())
    }
}
