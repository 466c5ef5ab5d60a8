//! Keeps numbers of timelines from being given again by a promotion.
//!
//! At its promotion PostgreSQL goes through `pg_wal` for history files, from its own timeline upwards, and takes the number
//! after the last one that is there without a gap (`findNewestTimeLine`). So a file for a number keeps it from being taken.
//! One that holds only a comment is nobody's history: a standby that finds it says that the timeline is no child of its own
//! and stays where it is (`rescanLatestTimeLine`). A primary keeps those files, because a standby that follows it over a gap
//! asks it for the history file of each number in between.
//!
//! Deliberately not which numbers are taken: that is decided in `ha`. The invariant: a file that PostgreSQL wrote is never
//! touched.

use crate::{
    durable::{self, blocking},
    error::{Error, Result},
    history::file_name,
    run::Launcher,
};
use std::{fs, io, path::Path, path::PathBuf};
use types::Timeline;

/// No cluster passes over so many numbers between two promotions; a store that says so holds nonsense.
const NUMBERS_MAX: u32 = 1000;
const CONTENT: &str = "# This number belongs to another promotion, or to one that nobody followed.\n";

/// Makes the next promotion of this standby, which is on `own` or a later timeline, begin one after `beyond`.
pub async fn take(launcher: &Launcher, data_dir: &Path, own: Timeline, beyond: Timeline) -> Result<()> {
    let missing = beyond.0.saturating_sub(own.0);
    if missing > NUMBERS_MAX {
        return Err(Error::TimelinesApart { own, named: beyond });
    }
    let (launcher, wal) = (launcher.clone(), data_dir.join("pg_wal"));
    let numbers = own.0.saturating_add(1)..=beyond.0;
    blocking(move || {
        for number in numbers {
            let path = wal.join(file_name(Timeline(number)));
            if !path.try_exists().map_err(Error::file("look at", &path))? {
                durable::write_if_changed(&launcher, &path, CONTENT)?;
            }
        }
        Ok(())
    })
    .await
}

/// The promotion did not come about, and whoever has one of those numbers may be followed yet. Takes back what stands
/// beyond the newest history that is one: below that it is part of the way there.
pub async fn give_back(data_dir: &Path) -> Result<()> {
    let wal = data_dir.join("pg_wal");
    blocking(move || {
        let mut files = history_files(&wal).map_err(Error::file("read", &wal))?;
        files.sort_unstable();
        for (_, path) in files.iter().rev() {
            let content = fs::read(path).map_err(Error::file("read", path))?;
            if content != CONTENT.as_bytes() {
                break;
            }
            durable::remove(path)?;
        }
        Ok(())
    })
    .await
}

fn history_files(wal: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(wal)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".history"));
        if let Some(number) = number.filter(|number| number.len() == 8).and_then(|n| u32::from_str_radix(n, 16).ok()) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::parse;

    type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

    fn names(wal: &Path) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<u32> = history_files(wal)?.into_iter().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    #[tokio::test]
    async fn numbers_are_taken_and_given_back_and_real_histories_stay() -> TestResult {
        let dir = tempfile::tempdir()?;
        let wal = dir.path().join("pg_wal");
        fs::create_dir(&wal)?;
        let real = "2\t0/5000148\tno recovery target specified\n";
        fs::write(wal.join("00000004.history"), real)?;
        fs::write(wal.join("000000040000000000000001"), "")?;
        let launcher = Launcher::default();
        take(&launcher, dir.path(), Timeline(2), Timeline(2)).await?;
        assert_eq!(names(&wal)?, [4], "nothing is in between");
        take(&launcher, dir.path(), Timeline(2), Timeline(6)).await?;
        assert_eq!(names(&wal)?, [3, 4, 5, 6]);
        assert_eq!(fs::read_to_string(wal.join("00000004.history"))?, real);
        assert_eq!(parse(&fs::read_to_string(wal.join("00000003.history"))?), []);
        give_back(dir.path()).await?;
        assert_eq!(names(&wal)?, [3, 4], "the way to 4 leads past 3");
        give_back(dir.path()).await?;
        assert_eq!(names(&wal)?, [3, 4]);
        let error =
            take(&launcher, dir.path(), Timeline(2), Timeline(u32::MAX)).await.map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("timeline 4294967295")), "no four thousand million files");
        Ok(())
    }
}
