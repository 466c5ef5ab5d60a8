//! The data directory and the configuration file in it.
//!
//! The invariant: the file is readable by its owner alone from its first moment on (temporary files are made with mode
//! 0600 on Unix), and it is either entirely the old one or entirely the new one.

use crate::configuration::{FILE_NAME, render};
use crate::error::{Error, Result};
use crate::settings::{Settings, StartAs};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Makes the directory when it is missing, and sees that it can be used.
pub fn prepare(data_dir: &Path) -> Result<()> {
    fs::create_dir_all(data_dir).map_err(Error::file("make the directory", data_dir))?;
    let probe = tempfile::Builder::new().prefix(".quorate-").tempfile_in(data_dir);
    probe.map(drop).map_err(Error::file("write into", data_dir))
}

/// Writes the file for a start and returns where it is.
pub fn write_configuration(settings: &Settings, start: &StartAs) -> Result<PathBuf> {
    let path = settings.data_dir.join(FILE_NAME);
    let text = render(settings, start);
    let failed = |source| Error::file("write", &path)(source);
    let mut file = tempfile::Builder::new().prefix(".quorate-").tempfile_in(&settings.data_dir).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // Not synced: it is written anew before the next start in any case.
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp::client::Address;
    use std::collections::BTreeMap;

    #[test]
    fn the_file_is_replaced_whole_and_belongs_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("a/b");
        prepare(&data_dir).unwrap();
        let settings = Settings {
            listen_hosts: vec!["127.0.0.1".into()],
            port: 1,
            announce: Address::new("127.0.0.1", 1),
            data_dir: data_dir.clone(),
            login: None,
            tls: None,
            parameters: BTreeMap::new(),
            min_replicas_to_write: 0,
            priority: 100,
        };
        let path = write_configuration(&settings, &StartAs::ReplicaOfNobody).unwrap();
        let other = StartAs::ReplicaOf(Address::new("10.0.0.9", 6379));
        assert_eq!(write_configuration(&settings, &other).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), render(&settings, &other));
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
        assert!(prepare(&path).is_err());
    }
}
