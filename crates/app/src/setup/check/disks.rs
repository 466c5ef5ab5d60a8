//! Directories: what is in them, how much room there is, and how fast the store's disk confirms.

use super::Server;
use plan::Severity;
use platform::{current_user_is_root, find_user, may_make_in};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Less, and the first clone or a busy hour of write-ahead log fills the disk.
const FREE_BYTES_COMFORTABLE: u64 = 2 << 30;
/// PostgreSQL's first data directory and its log alone are some 60 MB.
const FREE_BYTES_MIN: u64 = 200 << 20;
/// Whom PostgreSQL runs as when nobody is named.
const POSTGRES_USER: &str = "postgres";
const GIB: f64 = (1u64 << 30) as f64;
/// Enough for a median, and over within a second on a slow disk.
const SYNCS: usize = 15;
const SYNC_BYTES: usize = 4096;
/// etcd's own advice is below 10 ms; every write of the store waits for a majority's.
const SYNC_SLOW: Duration = Duration::from_millis(20);

impl Server<'_> {
    pub(super) fn disks(&mut self) {
        let plan = self.plan;
        let mut directories = Vec::new();
        if self.own.has_database() {
            directories.push(("postgresql.data_dir", plan.postgresql.data_dir.as_str()));
        }
        if self.own.has_cache() {
            directories.push(("redis.data_dir", plan.redis.data_dir.as_str()));
        }
        if self.own.votes() {
            directories.push(("store_dir", plan.store_dir.as_str()));
        }
        if self.own.has_database() {
            self.parent("postgresql.data_dir", Path::new(&plan.postgresql.data_dir));
        }
        for (field, directory) in &directories {
            self.contents(field, Path::new(directory));
            self.room(field, Path::new(directory));
        }
        if self.own.votes() {
            self.speed(Path::new(&plan.store_dir));
        }
    }

    fn contents(&mut self, field: &str, directory: &Path) {
        if directory.exists() && !directory.is_dir() {
            let message = format!("{} is not a directory", directory.display());
            self.say(Severity::Error, "setup-directory", field, message, "name another one");
            return;
        }
        let Ok(mut entries) = std::fs::read_dir(directory) else { return };
        if self.runs || entries.next().is_none() {
            return;
        }
        let (severity, message, hint) = match field {
            "postgresql.data_dir" if directory.join("PG_VERSION").is_file() => (
                Severity::Warning,
                format!("there is a PostgreSQL in {}, which becomes the cluster's data", directory.display()),
                "that is right if you want to take it over; its passwords must be those in secrets.yaml then",
            ),
            "postgresql.data_dir" => (
                Severity::Error,
                format!("{} is not empty and not PostgreSQL's", directory.display()),
                "name a directory that is empty, or not there yet",
            ),
            _ => (
                Severity::Note,
                format!("{} is not empty; what is there is used", directory.display()),
                "remove it if it is not this cluster's",
            ),
        };
        self.say(severity, "setup-directory", field, message, hint);
    }

    /// PostgreSQL's user makes its data directory, and makes it anew for a new clone; what is missing above it, root makes.
    fn parent(&mut self, field: &str, directory: &Path) {
        let Some(above) = directory.parent().filter(|above| above.is_dir()) else { return };
        let Some(user) = find_user(POSTGRES_USER).filter(|_| current_user_is_root()) else { return };
        if may_make_in(&user.run_as, above) {
            return;
        }
        let message = format!("{POSTGRES_USER} may not make a directory in {}", above.display());
        let hint = format!(
            "use {}/data, or another one that is not there yet; or: chown {POSTGRES_USER} {}",
            directory.display(),
            above.display()
        );
        self.say(Severity::Error, "setup-directory", field, message, hint);
    }

    fn room(&mut self, field: &str, directory: &Path) {
        let Some(there) = existing(directory) else { return };
        let Ok(space) = platform::disk_space(&there) else { return };
        let message = format!("the disk of {} has {:.1} GB left", directory.display(), space.free as f64 / GIB);
        if space.free < FREE_BYTES_MIN {
            self.say(Severity::Error, "setup-disk", field, message, "make room, or name a directory on another disk");
        } else if space.free < FREE_BYTES_COMFORTABLE {
            self.say(
                Severity::Warning,
                "setup-disk",
                field,
                message,
                "that is little for a database and its write-ahead log",
            );
        }
    }

    fn speed(&mut self, directory: &Path) {
        // Where this user may not write, the service will, and nothing can be measured.
        let Some(median) = existing(directory).and_then(|there| sync_time(&there)) else { return };
        let shown = format!("{:.1} ms", median.as_secs_f64() * 1000.0);
        if median > SYNC_SLOW {
            let hint = "every change of the store waits for this; use an SSD, or a disk of its own for store_dir";
            self.say(
                Severity::Warning,
                "setup-fsync",
                "store_dir",
                format!("the store's disk needs {shown} to confirm a write"),
                hint,
            );
        }
    }
}

/// The directory itself, or the nearest above it that is there.
fn existing(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|above| above.is_dir()).map(Path::to_owned)
}

/// The median of a few small writes that are waited for.
fn sync_time(directory: &Path) -> Option<Duration> {
    let mut file = tempfile::tempfile_in(directory).ok()?;
    let block = [7u8; SYNC_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&block).ok()?;
        file.sync_data().ok()?;
        times.push(begun.elapsed());
    }
    times.sort();
    times.get(SYNCS / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_of_a_disk_is_measured_where_the_directory_will_be() {
        let directory = tempfile::tempdir().unwrap();
        let there = existing(&directory.path().join("not/yet/there")).unwrap();
        assert_eq!(there, directory.path());
        assert!(sync_time(&there).is_some());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }
}
