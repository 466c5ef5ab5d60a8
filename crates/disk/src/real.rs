//! A directory of the operating system.

use crate::{Directory, DiskError, File};
use std::{
    fs::{self, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const LOCK_FILE: &str = "lock";
/// Log files grow by this much at a time, filled with zeros: an fsync that need not record a new length is about twice as
/// fast, and a full disk is noticed before the last byte.
const ROOM_BYTES: u64 = 256 * 1024;

#[derive(Debug)]
pub struct RealDirectory {
    path: PathBuf,
    /// Unlocked when it is dropped, and by the operating system when the process ends.
    _lock: fs::File,
}

impl RealDirectory {
    /// Creates it if need be, and holds it: no second process gets it.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let shown = || path.display().to_string();
        fs::create_dir_all(path).map_err(DiskError::io("create", shown()))?;
        let lock = fs::File::create(path.join(LOCK_FILE)).map_err(DiskError::io("create a file in", shown()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DiskError::InUse { directory: shown() }),
            Err(TryLockError::Error(source)) => Err(DiskError::io("lock", shown())(source)),
        }
    }
}

impl Directory for RealDirectory {
    type File = RealFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let file = fs::File::create(self.path.join(name))?;
        Ok(RealFile { file, end: 0, room: 0 })
    }

    fn open(&self, name: &str, length: u64) -> io::Result<RealFile> {
        let file = fs::OpenOptions::new().write(true).open(self.path.join(name))?;
        let mut file = RealFile { file, end: 0, room: 0 };
        file.truncate(length)?;
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        // Windows has no such thing; NTFS journals its names by itself.
        if cfg!(windows) { Ok(()) } else { fs::File::open(&self.path)?.sync_all() }
    }

    fn display(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

#[derive(Debug)]
pub struct RealFile {
    file: fs::File,
    /// Where the next byte goes.
    end: u64,
    /// The file's length; zeros from `end` on.
    room: u64,
}

impl File for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.room {
            let room = end.next_multiple_of(ROOM_BYTES);
            self.file.seek(SeekFrom::Start(self.room))?;
            io::copy(&mut io::Read::take(io::repeat(0), room - self.room), &mut self.file)?;
            self.room = room;
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        self.end = end;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.end = length;
        self.room = length;
        Ok(())
    }
}
