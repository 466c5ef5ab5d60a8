//! The disk under one member's store: what was not synced is lost with the power, space runs out, syncs may lie.
//!
//! Files grow at their end only (as the store's do), so what is durable is a length. The invariant: without a lie, what
//! was synced is there after every crash.

use disk::{Directory, File};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<u64, Contents>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    last_id: u64,
    full: bool,
    /// A sync says that all is well and does nothing.
    lies: bool,
    broken: bool,
}

#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    durable: usize,
}

impl SimulatedDisk {
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub fn set_lies(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// Syncs fail, as they do when the process is killed between writing and syncing.
    pub fn set_broken(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// The power goes. `keep` says how many of so many unsynced bytes made it to the disk all the same.
    pub fn crash(&self, mut keep: impl FnMut(usize) -> usize) {
        let mut state = self.state();
        state.names = state.durable_names.clone();
        let names = state.names.clone();
        state.files.retain(|id, _| names.values().any(|named| named == id));
        for contents in state.files.values_mut() {
            let unsynced = contents.bytes.len() - contents.durable;
            contents.bytes.truncate(contents.durable + keep(unsynced).min(unsynced));
            contents.durable = contents.bytes.len();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn id(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn may_sync(&self) -> io::Result<bool> {
        if self.broken { Err(io::Error::other("the process was killed")) } else { Ok(!self.lies) }
    }
}

impl Directory for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        let id = state.id(name)?;
        Ok(state.files.get(&id).map(|contents| contents.bytes.clone()).unwrap_or_default())
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.files.insert(id, Contents::default());
        state.names.insert(name.to_owned(), id);
        Ok(SimulatedFile { disk: self.clone(), id })
    }

    fn open(&self, name: &str, length: u64) -> io::Result<SimulatedFile> {
        let id = self.state().id(name)?;
        let mut file = SimulatedFile { disk: self.clone(), id };
        file.truncate(length)?;
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        // The lie is about contents: a directory without its files would not even start, which proves nothing.
        state.may_sync()?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn display(&self, name: &str) -> String {
        name.to_owned()
    }
}

pub struct SimulatedFile {
    disk: SimulatedDisk,
    id: u64,
}

impl File for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.files.entry(self.id).or_default().bytes.extend(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let honest = state.may_sync()?;
        // The lie is told about what was appended later; a file that is lost from the beginning would prove nothing.
        if let Some(contents) = state.files.get_mut(&self.id)
            && (honest || contents.durable == 0)
        {
            contents.durable = contents.bytes.len();
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let contents = state.files.entry(self.id).or_default();
        contents.bytes.truncate(length as usize);
        contents.durable = contents.durable.min(contents.bytes.len());
        Ok(())
    }
}
