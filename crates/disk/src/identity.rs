//! Whose data a directory holds, so that nobody starts a member on those of another.

use crate::{Directory, DiskError, File};
use std::fmt;

pub const IDENTITY_FILE: &str = "identity";
const FORMAT: u32 = 1;

/// A cluster and a member of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {:016x} of cluster {:016x}", self.member_id, self.cluster_id)
    }
}

/// The identity file's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    pub identity: Identity,
    /// Grows with every start.
    pub run: u64,
}

impl Owner {
    fn to_text(self) -> String {
        let Identity { cluster_id, member_id } = self.identity;
        format!("format {FORMAT}\ncluster {cluster_id:016x}\nmember {member_id:016x}\nrun {}\n", self.run)
    }

    fn from_text(text: &str) -> Option<(u32, Self)> {
        let mut lines = text.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let format = field("format")?.parse().ok()?;
        let cluster_id = u64::from_str_radix(&field("cluster")?, 16).ok()?;
        let member_id = u64::from_str_radix(&field("member")?, 16).ok()?;
        let run = field("run")?.parse().ok()?;
        Some((format, Self { identity: Identity { cluster_id, member_id }, run }))
    }

    /// `None`: there is none.
    pub(crate) fn read(directory: &impl Directory, names: &[String]) -> Result<Option<Self>, DiskError> {
        if !names.iter().any(|name| name == IDENTITY_FILE) {
            return Ok(None);
        }
        let file = directory.display(IDENTITY_FILE);
        let bytes = directory.read(IDENTITY_FILE).map_err(DiskError::io("read", file.clone()))?;
        match std::str::from_utf8(&bytes).ok().and_then(Self::from_text) {
            Some((FORMAT, owner)) => Ok(Some(owner)),
            Some((found, _)) => Err(DiskError::NewerFormat { file, found, known: FORMAT }),
            None => {
                let reason = "four lines 'format', 'cluster', 'member', 'run' were expected".to_owned();
                Err(DiskError::Damaged { file, offset: 0, reason })
            }
        }
    }

    pub(crate) fn write(self, directory: &impl Directory) -> Result<(), DiskError> {
        write_durably(directory, IDENTITY_FILE, self.to_text().as_bytes()).map(drop)
    }
}

/// The whole file appears under its name, or nothing does. Returns it, open behind its last byte.
pub fn write_durably<D: Directory>(directory: &D, name: &str, bytes: &[u8]) -> Result<D::File, DiskError> {
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    let shown = || directory.display(name);
    let written = (|| {
        let mut file = directory.create(&temporary).map_err(DiskError::io("create", shown()))?;
        file.append(bytes).map_err(DiskError::io("write", shown()))?;
        file.sync().map_err(DiskError::sync(shown()))?;
        directory.rename(&temporary, name).map_err(DiskError::io("rename", shown()))?;
        directory.sync().map_err(DiskError::sync(shown()))?;
        Ok(file)
    })();
    if matches!(written, Err(DiskError::StorageFull { .. })) {
        // It takes up the room that is short. If it stays, the next start removes it.
        let _ = directory.remove(&temporary);
    }
    written
}

pub const TEMPORARY_SUFFIX: &str = ".new";
