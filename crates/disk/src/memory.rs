//! A directory in memory that can lose what was not synced, tear the last write, fill up and fail to sync.
//!
//! For tests and the simulator. Clones share the same files, so a test keeps one in hand while a log uses another.

use crate::{Directory, File};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Clone, Default)]
pub struct MemoryDirectory {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<FileId, Contents>,
    names: BTreeMap<String, FileId>,
    /// The names that survive a power cut.
    durable_names: BTreeMap<String, FileId>,
    last_id: FileId,
    /// Bytes all files may have together.
    capacity: Option<usize>,
    sync_fails: bool,
}

type FileId = u64;

#[derive(Clone, Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl MemoryDirectory {
    pub fn new() -> Self {
        Self::default()
    }

    /// The power goes. `keep` is asked for every file how many of its unsynced bytes made it to disk, and is told how many
    /// there are. Names that were not synced are gone.
    pub fn crash(&self, mut keep: impl FnMut(usize) -> usize) {
        let mut state = self.state();
        state.names = state.durable_names.clone();
        for contents in state.files.values_mut() {
            if contents.now.starts_with(&contents.durable) {
                let unsynced = contents.now.len() - contents.durable.len();
                let kept = contents.durable.len() + keep(unsynced).min(unsynced);
                contents.now.truncate(kept);
            } else {
                contents.now = contents.durable.clone();
            }
            contents.durable = contents.now.clone();
        }
    }

    /// `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    pub fn used_bytes(&self) -> usize {
        self.state().used()
    }

    pub fn set_sync_fails(&self, fails: bool) {
        self.state().sync_fails = fails;
    }

    /// Changes a file behind its user's back.
    pub fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state();
        let id = state.id(name)?;
        let contents = state.files.entry(id).or_default();
        change(&mut contents.now);
        contents.durable = contents.now.clone();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn id(&self, name: &str) -> io::Result<FileId> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> usize {
        self.names.values().filter_map(|id| self.files.get(id)).map(|contents| contents.now.len()).sum()
    }
}

impl Directory for MemoryDirectory {
    type File = MemoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        Ok(state.files.get(&state.id(name)?).map(|contents| contents.now.clone()).unwrap_or_default())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.files.insert(id, Contents::default());
        state.names.insert(name.to_owned(), id);
        Ok(MemoryFile { state: Arc::clone(&self.state), id })
    }

    fn open(&self, name: &str, length: u64) -> io::Result<MemoryFile> {
        let id = self.state().id(name)?;
        let mut file = MemoryFile { state: Arc::clone(&self.state), id };
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
        if state.sync_fails {
            return Err(io::Error::other("the disk is broken"));
        }
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn display(&self, name: &str) -> String {
        name.to_owned()
    }
}

pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    id: FileId,
}

impl MemoryFile {
    fn with<R>(&self, act: impl FnOnce(&mut Contents) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(state.files.entry(self.id).or_default())
    }
}

impl File for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.capacity.map_or(bytes.len(), |capacity| capacity.saturating_sub(state.used()))
        };
        let fitting = room.min(bytes.len());
        self.with(|contents| contents.now.extend(&bytes[..fitting]));
        if fitting < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).sync_fails {
            return Err(io::Error::other("the disk is broken"));
        }
        self.with(|contents| contents.durable = contents.now.clone());
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.with(|contents| contents.now.resize(length as usize, 0));
        Ok(())
    }
}
