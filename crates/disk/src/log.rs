//! Opening a data directory, and writing to it.

use crate::{
    Directory, DiskError, File, Identity,
    frame::{self, Base, Frame},
    identity::{IDENTITY_FILE, Owner, TEMPORARY_SUFFIX, write_durably},
};
use store::{HardState, LogEntry, Persist, Persisted, Snapshot, Token};

/// The store's log on disk. One writer; it knows nothing of what it wrote but where the file ends.
pub struct DiskLog<D: Directory> {
    directory: D,
    file: D::File,
    generation: u64,
    /// Everything before is on disk.
    end: u64,
    /// Of the next frame in this file.
    number: u64,
    snapshot_bytes: u64,
}

/// A data directory as it was found.
pub struct OpenedLog<D: Directory> {
    pub log: DiskLog<D>,
    pub persisted: Persisted,
    /// Bytes of a write that a power cut or a kill interrupted, and that are gone now.
    pub cut_bytes: u64,
    /// Different at every start of this member, and growing.
    pub run: u64,
}

impl<D: Directory> DiskLog<D> {
    /// Reads everything, or starts afresh in an empty directory. Changes nothing when it refuses. `wall_clock` need not be
    /// right; it keeps the numbers of runs growing when a directory was lost.
    pub fn open(directory: D, identity: Identity, wall_clock: u64) -> Result<OpenedLog<D>, DiskError> {
        let names = directory.list().map_err(DiskError::io("list", directory.display("")))?;
        let generation = newest(&names, LOG_PREFIX);
        let found = Owner::read(&directory, &names)?;
        if let Some(found) = found.map(|owner| owner.identity).filter(|found| *found != identity) {
            return Err(DiskError::OtherIdentity {
                directory: directory.display(""),
                found: found.to_string(),
                expected: identity.to_string(),
            });
        }
        let mut opened = match generation {
            Some(generation) => Self::open_existing(directory, &names, generation)?,
            None if found.is_some() || newest(&names, SNAPSHOT_PREFIX).is_some() => {
                return Err(missing(&directory, &log_name(FIRST_GENERATION)));
            }
            None => {
                let generation = FIRST_GENERATION;
                let (file, end) = start_file(&directory, generation, false, Frame::default())?;
                let log = Self { directory, file, generation, end, number: 2, snapshot_bytes: 0 };
                OpenedLog { log, persisted: Persisted::default(), cut_bytes: 0, run: 0 }
            }
        };
        // The identity is written last. So a directory that has one once had a log, and one without was never used.
        if found.is_none() && !opened.persisted.is_empty() {
            return Err(missing(&opened.log.directory, IDENTITY_FILE));
        }
        opened.run = wall_clock.max(found.map_or(0, |owner| owner.run) + 1);
        match (Owner { identity, run: opened.run }).write(&opened.log.directory) {
            // A member that was here before starts on a full disk too: the clock will do.
            Err(DiskError::StorageFull { .. }) if found.is_some() => {}
            written => written?,
        }
        Ok(opened)
    }

    fn open_existing(directory: D, names: &[String], generation: u64) -> Result<OpenedLog<D>, DiskError> {
        let log_name = log_name(generation);
        let shown = directory.display(&log_name);
        let bytes = directory.read(&log_name).map_err(DiskError::io("read", shown.clone()))?;
        let mut replay = Replay::default();
        let end = frame::read_all(&bytes, |frame| replay.take(frame)).map_err(|damage| DiskError::Damaged {
            file: shown.clone(),
            offset: damage.offset as u64,
            reason: damage.reason,
        })?;
        // The file got its name when its first frame was on disk.
        let Some(base) = replay.base.take().filter(|base| base.generation == generation) else {
            let reason = "its first frame is not there".to_owned();
            return Err(DiskError::Damaged { file: shown, offset: frame::HEADER.len() as u64, reason });
        };
        let (snapshot, snapshot_bytes) = if base.has_snapshot {
            let (snapshot, size) = read_snapshot(&directory, names, generation)?;
            (Some(snapshot), size)
        } else {
            (None, 0)
        };
        let mut file = directory.open(&log_name, end.offset as u64).map_err(DiskError::io("open", shown.clone()))?;
        // A cut write must be gone for good before the next frame is written over it.
        file.sync().map_err(DiskError::sync(shown))?;
        remove_leftovers(&directory, names, generation, base.has_snapshot)?;
        let cut_bytes = if end.cut { (bytes.len() - end.offset) as u64 } else { 0 };
        let persisted = Persisted { snapshot, entries: replay.entries, hard_state: replay.hard_state };
        let log = Self { directory, file, generation, end: end.offset as u64, number: end.number, snapshot_bytes };
        Ok(OpenedLog { log, persisted, cut_bytes, run: 0 })
    }

    /// Writes all of these with one fsync, and returns the last token: everything up to it is on disk then. When it fails
    /// nothing counts; after an error that [`DiskError::may_pass`] the same batch can be tried again.
    pub fn write(&mut self, batch: &[Persist]) -> Result<Option<Token>, DiskError> {
        // A snapshot stands for itself: what was to be written before it need not be.
        let first = batch.iter().rposition(|persist| persist.snapshot.is_some()).unwrap_or(0);
        let rest = &batch[first..];
        match rest.first() {
            Some(Persist { snapshot: Some(snapshot), .. }) => self.start_generation(snapshot, rest)?,
            Some(_) => self.append(rest)?,
            None => {}
        }
        Ok(batch.last().map(|persist| persist.token))
    }

    /// Of the log and the snapshot together.
    pub fn size_bytes(&self) -> u64 {
        self.end + self.snapshot_bytes
    }

    fn append(&mut self, persists: &[Persist]) -> Result<(), DiskError> {
        let frame = to_frame(persists);
        let mut bytes = Vec::new();
        frame::encode(&frame, self.number, &mut bytes).ok_or(DiskError::TooLarge { bytes: usize::MAX })?;
        let shown = || self.directory.display(&log_name(self.generation));
        if let Err(error) = self.file.append(&bytes) {
            // If even this fails the file's end is unknown, and the process must not go on.
            self.file.truncate(self.end).map_err(DiskError::sync(shown()))?;
            return Err(DiskError::io("write", shown())(error));
        }
        self.file.sync().map_err(DiskError::sync(shown()))?;
        self.end += bytes.len() as u64;
        self.number += 1;
        Ok(())
    }

    fn start_generation(&mut self, snapshot: &Snapshot, persists: &[Persist]) -> Result<(), DiskError> {
        let generation = self.generation + 1;
        let name = snapshot_name(generation);
        let body = postcard::to_allocvec(snapshot).map_err(|_| DiskError::TooLarge { bytes: snapshot.data.len() })?;
        let mut bytes = Vec::with_capacity(body.len() + SNAPSHOT_HEADER_BYTES);
        bytes.extend(SNAPSHOT_MAGIC);
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        write_durably(&self.directory, &name, &bytes)?;
        let started = start_file(&self.directory, generation, true, to_frame(persists));
        let (file, end) = match started {
            Ok(started) => started,
            Err(error) => {
                // Without its log it means nothing; the next start would remove it.
                let _ = self.directory.remove(&name);
                return Err(error);
            }
        };
        let old = std::mem::replace(&mut self.generation, generation);
        self.file = file;
        self.end = end;
        self.number = 2;
        self.snapshot_bytes = bytes.len() as u64;
        // What cannot be removed now is removed at the next start.
        let _ = self.directory.remove(&log_name(old));
        let _ = self.directory.remove(&snapshot_name(old));
        Ok(())
    }
}

const FIRST_GENERATION: u64 = 1;
const LOG_PREFIX: &str = "log-";
const SNAPSHOT_PREFIX: &str = "snapshot-";
/// The last byte is the format.
const SNAPSHOT_MAGIC: [u8; 8] = *b"quorsnp\x01";
const SNAPSHOT_HEADER_BYTES: usize = 12;

fn log_name(generation: u64) -> String {
    format!("{LOG_PREFIX}{generation:016x}")
}

fn snapshot_name(generation: u64) -> String {
    format!("{SNAPSHOT_PREFIX}{generation:016x}")
}

/// The highest generation among files of this kind.
fn newest(names: &[String], prefix: &str) -> Option<u64> {
    names.iter().filter_map(|name| generation_of(name, prefix)).max()
}

fn generation_of(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix).filter(|digits| digits.len() == 16).and_then(|d| u64::from_str_radix(d, 16).ok())
}

fn missing(directory: &impl Directory, name: &str) -> DiskError {
    DiskError::Missing { file: directory.display(name) }
}

fn to_frame(persists: &[Persist]) -> Frame {
    Frame {
        base: None,
        groups: persists.iter().map(|persist| persist.entries.clone()).filter(|group| !group.is_empty()).collect(),
        hard_state: persists.last().map(|persist| persist.hard_state),
    }
}

fn start_file<D: Directory>(
    directory: &D,
    generation: u64,
    has_snapshot: bool,
    content: Frame,
) -> Result<(D::File, u64), DiskError> {
    let mut bytes = frame::HEADER.to_vec();
    let frame = Frame { base: Some(Base { generation, has_snapshot }), ..content };
    frame::encode(&frame, 1, &mut bytes).ok_or(DiskError::TooLarge { bytes: usize::MAX })?;
    let file = write_durably(directory, &log_name(generation), &bytes)?;
    Ok((file, bytes.len() as u64))
}

fn read_snapshot(directory: &impl Directory, names: &[String], generation: u64) -> Result<(Snapshot, u64), DiskError> {
    let name = snapshot_name(generation);
    if !names.contains(&name) {
        return Err(missing(directory, &name));
    }
    let file = directory.display(&name);
    let bytes = directory.read(&name).map_err(DiskError::io("read", file.clone()))?;
    // The room set aside behind it is not part of it; postcard knows where it ends, the checksum does not.
    let damaged = |reason: &str| DiskError::Damaged { file: file.clone(), offset: 0, reason: reason.to_owned() };
    let body = bytes.strip_prefix(&SNAPSHOT_MAGIC).ok_or_else(|| damaged("not a snapshot of this format"))?;
    let (expected, body) = body.split_first_chunk::<4>().ok_or_else(|| damaged("it is cut short"))?;
    let (snapshot, rest) = postcard::take_from_bytes::<Snapshot>(body).map_err(|_| damaged("it has no meaning"))?;
    let body = &body[..body.len() - rest.len()];
    if crc32fast::hash(body) != u32::from_le_bytes(*expected) {
        return Err(damaged("its checksum is wrong"));
    }
    Ok((snapshot, (SNAPSHOT_HEADER_BYTES + body.len()) as u64))
}

/// Temporary files, and pairs before or after the present one. Room they take is all the harm they do.
fn remove_leftovers(
    directory: &impl Directory,
    names: &[String],
    generation: u64,
    has_snapshot: bool,
) -> Result<(), DiskError> {
    for name in names {
        let log = generation_of(name, LOG_PREFIX).is_some_and(|found| found != generation);
        let snapshot = generation_of(name, SNAPSHOT_PREFIX).is_some_and(|found| found != generation || !has_snapshot);
        if log || snapshot || name.ends_with(TEMPORARY_SUFFIX) {
            directory.remove(name).map_err(DiskError::io("remove", directory.display(name)))?;
        }
    }
    Ok(())
}

/// The frames of a file, one after the other.
#[derive(Default)]
struct Replay {
    base: Option<Base>,
    entries: Vec<LogEntry>,
    hard_state: HardState,
}

impl Replay {
    fn take(&mut self, frame: Frame) {
        if frame.base.is_some() {
            self.base = frame.base;
        }
        for group in frame.groups {
            if let Some(first) = group.first() {
                let kept = self.entries.partition_point(|entry| entry.index < first.index);
                self.entries.truncate(kept);
            }
            self.entries.extend(group);
        }
        if let Some(hard_state) = frame.hard_state {
            self.hard_state = hard_state;
        }
    }
}
