//! The part of PgBouncer's configuration that names the primary: a file of its own, which `pgbouncer.ini` includes.

use crate::Error;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    pub path: PathBuf,
    /// What stands behind the address, by database.
    pub parameters: BTreeMap<String, String>,
}

impl Include {
    /// The whole file, with these databases at this `host:port`.
    pub(crate) fn text(&self, databases: &[String], address: &str) -> String {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut text = "; Written by quorate at each change of the primary; what is changed here by hand is lost.\n\
                        [databases]\n"
            .to_owned();
        for database in databases {
            let _ = write!(text, "{database} = host={host} port={port}");
            if let Some(parameters) = self.parameters.get(database) {
                let _ = write!(text, " {parameters}");
            }
            text.push('\n');
        }
        text
    }

    /// `true`: the file is another one now.
    pub(crate) fn write(&self, text: &str) -> Result<bool, Error> {
        if std::fs::read_to_string(&self.path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        let why = |why| Error::IncludeFile { path: self.path.clone(), why };
        replace(&self.path, text).map_err(why)?;
        Ok(true)
    }
}

/// Readers see the old file or the new one, never a part. Everybody may read it (there is no secret in it, and PgBouncer may
/// run as another user), so it is not one of the private files that `tempfile` makes.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_leads_each_database_to_the_primary() {
        let directory = tempfile::tempdir().unwrap();
        let include = Include {
            path: directory.path().join("quorate.ini"),
            parameters: [("app".to_owned(), "dbname=shop pool_size=50".to_owned())].into(),
        };
        let databases = ["app".to_owned(), "other".to_owned()];
        let text = include.text(&databases, "10.0.0.2:5433");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "[databases]",
                "app = host=10.0.0.2 port=5433 dbname=shop pool_size=50",
                "other = host=10.0.0.2 port=5433"
            ]
        );
        assert!(include.text(&databases, "[fd00::2]:5432").contains("other = host=fd00::2 port=5432\n"));
        assert!(include.write(&text).unwrap());
        assert!(!include.write(&text).unwrap(), "nothing to reload");
        assert!(include.write(&include.text(&databases, "10.0.0.3:5433")).unwrap());
        let nowhere = Include { path: directory.path().join("missing/quorate.ini"), ..include };
        let error = nowhere.write("x").unwrap_err().to_string();
        assert!(error.starts_with("include_file ") && error.contains("missing"), "{error}");
    }
}
