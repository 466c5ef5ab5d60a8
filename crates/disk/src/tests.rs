//! Power cuts at every byte, flipped bits, full and broken disks, wrong directories.

use crate::{Directory, DiskError, DiskLog, Identity, MemoryDirectory, OpenedLog, RealDirectory};
use store::{HardState, LogEntry, Persist, Persisted, Snapshot};

const IDENTITY: Identity = Identity { cluster_id: 0xC1, member_id: 0x11 };
const LOG: &str = "log-0000000000000001";

fn open(directory: &MemoryDirectory) -> Result<OpenedLog<MemoryDirectory>, DiskError> {
    DiskLog::open(directory.clone(), IDENTITY, 0)
}

fn entry(index: u64, term: u64) -> LogEntry {
    LogEntry { index, term, kind: 0, data: vec![index as u8; 40] }
}

fn persist(token: u64, entries: impl IntoIterator<Item = LogEntry>) -> Persist {
    let entries: Vec<_> = entries.into_iter().collect();
    let term = entries.last().map_or(1, |entry| entry.term);
    let hard_state = HardState { term, vote: 7, commit: 0 };
    Persist { token, snapshot: None, entries, hard_state }
}

fn snapshot(token: u64, index: u64) -> Persist {
    let snapshot = Snapshot { index, term: 1, voters: vec![1, 2, 3], data: vec![0xAB; 300] };
    Persist { snapshot: Some(snapshot), ..persist(token, [entry(index + 1, 1)]) }
}

fn indexes(persisted: &Persisted) -> Vec<(u64, u64)> {
    persisted.entries.iter().map(|entry| (entry.index, entry.term)).collect()
}

#[test]
fn what_was_written_is_read_back() {
    let directory = MemoryDirectory::new();
    let mut opened = open(&directory).unwrap();
    assert!(opened.persisted.is_empty());
    let batch = [persist(1, [entry(1, 1), entry(2, 1), entry(3, 1)]), persist(2, [entry(3, 2), entry(4, 2)])];
    assert_eq!(opened.log.write(&batch).unwrap(), Some(2));
    directory.crash(|_| 0);
    let opened = open(&directory).unwrap();
    assert_eq!(indexes(&opened.persisted), [(1, 1), (2, 1), (3, 2), (4, 2)]);
    assert_eq!(opened.persisted.hard_state, HardState { term: 2, vote: 7, commit: 0 });
    assert_eq!((opened.cut_bytes, opened.run), (0, 2));
    assert_eq!(DiskLog::open(directory, IDENTITY, 1_000).unwrap().run, 1_000);
}

#[test]
fn a_power_cut_at_any_byte_of_the_last_write_loses_that_write_and_nothing_else() {
    let whole = {
        let directory = MemoryDirectory::new();
        let mut log = open(&directory).unwrap().log;
        log.write(&[persist(1, [entry(1, 1)])]).unwrap();
        let before = directory.read(LOG).unwrap().len();
        log.write(&[persist(2, [entry(2, 1), entry(3, 1)])]).unwrap();
        directory.read(LOG).unwrap().len() - before
    };
    for kept in 0..=whole {
        let directory = MemoryDirectory::new();
        let mut log = open(&directory).unwrap().log;
        log.write(&[persist(1, [entry(1, 1)])]).unwrap();
        let before = directory.read(LOG).unwrap().len();
        log.write(&[persist(2, [entry(2, 1), entry(3, 1)])]).unwrap();
        directory.alter(LOG, |bytes| bytes.truncate(before + kept)).unwrap();
        let mut opened = open(&directory).unwrap();
        let expected: &[(u64, u64)] = if kept == whole { &[(1, 1), (2, 1), (3, 1)] } else { &[(1, 1)] };
        assert_eq!(indexes(&opened.persisted), expected, "{kept} bytes kept");
        // And the log goes on from there.
        opened.log.write(&[persist(3, [entry(2, 9)])]).unwrap();
        assert_eq!(indexes(&open(&directory).unwrap().persisted), [(1, 1), (2, 9)], "{kept} bytes kept");
    }
}

#[test]
fn a_power_cut_anywhere_while_a_snapshot_is_taken_leaves_the_old_state_or_the_new() {
    for kept in [0, 1, 20, 10_000] {
        for until in 0..200 {
            let directory = MemoryDirectory::new();
            let mut log = open(&directory).unwrap().log;
            log.write(&[persist(1, (1..=5).map(|index| entry(index, 1)))]).unwrap();
            // A full disk stops it at any byte; then the power goes.
            directory.set_capacity(Some(directory.used_bytes() + until * 5));
            let written = log.write(&[snapshot(2, 4)]);
            directory.crash(|_| kept);
            directory.set_capacity(None);
            let persisted = open(&directory).unwrap().persisted;
            match persisted.snapshot {
                Some(snapshot) => assert_eq!((snapshot.index, persisted.entries.len()), (4, 1)),
                None => assert_eq!((persisted.entries.len(), written.is_err()), (5, true), "{until}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_before_the_end_is_refused_with_its_place() {
    let directory = MemoryDirectory::new();
    let mut log = open(&directory).unwrap().log;
    let mut starts = vec![8];
    for index in 1..=4 {
        starts.push(directory.read(LOG).unwrap().len());
        log.write(&[persist(index, [entry(index, 1)])]).unwrap();
    }
    let intact = directory.read(LOG).unwrap();
    let last = *starts.last().unwrap();
    for at in 0..last {
        directory.alter(LOG, |bytes| bytes[at] ^= 1 << (at % 8)).unwrap();
        let Err(DiskError::Damaged { file, offset, .. }) = open(&directory).map(|_| ()) else {
            panic!("bit at {at} not noticed")
        };
        let frame = starts.iter().rev().find(|start| **start <= at).copied().unwrap_or(0);
        assert_eq!((file.as_str(), offset), (LOG, frame as u64), "bit at {at}");
        directory.alter(LOG, |bytes| bytes.clone_from(&intact)).unwrap();
    }
    assert_eq!(open(&directory).unwrap().persisted.entries.len(), 4, "refusals changed nothing");
}

#[test]
fn a_new_snapshot_replaces_everything_before() {
    let directory = MemoryDirectory::new();
    let mut log = open(&directory).unwrap().log;
    log.write(&[persist(1, (1..=9).map(|index| entry(index, 1)))]).unwrap();
    log.write(&[persist(2, [entry(10, 1)]), snapshot(3, 9), persist(4, [entry(11, 1)])]).unwrap();
    directory.crash(|_| 0);
    let mut opened = open(&directory).unwrap();
    assert_eq!(opened.persisted.snapshot.as_ref().map(|snapshot| snapshot.index), Some(9));
    assert_eq!(indexes(&opened.persisted), [(10, 1), (11, 1)]);
    opened.log.write(&[snapshot(5, 11)]).unwrap();
    let mut names = directory.list().unwrap();
    names.sort();
    assert_eq!(names, ["identity", "log-0000000000000003", "snapshot-0000000000000003"]);
}

#[test]
fn a_damaged_or_missing_file_is_named() {
    let damage = |change: fn(&MemoryDirectory)| {
        let directory = MemoryDirectory::new();
        let mut log = open(&directory).unwrap().log;
        log.write(&[snapshot(1, 9)]).unwrap();
        change(&directory);
        open(&directory).map(|_| ()).unwrap_err().to_string()
    };
    let snapshot = "snapshot-0000000000000002";
    assert_eq!(
        damage(|directory| directory.remove("snapshot-0000000000000002").unwrap()),
        format!("{snapshot} is missing")
    );
    assert_eq!(
        damage(|directory| directory.alter("snapshot-0000000000000002", |bytes| bytes[100] ^= 1).unwrap()),
        format!("{snapshot} is damaged at byte 0: its checksum is wrong")
    );
    assert_eq!(
        damage(|directory| directory.remove("log-0000000000000002").unwrap()),
        "log-0000000000000001 is missing"
    );
    assert_eq!(damage(|directory| directory.remove("identity").unwrap()), "identity is missing");
    assert_eq!(
        damage(|directory| directory.alter("log-0000000000000002", Vec::clear).unwrap()),
        "log-0000000000000002 is damaged at byte 0: not a log file of this format"
    );
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let directory = MemoryDirectory::new();
    drop(open(&directory).unwrap());
    let other = Identity { cluster_id: 0xC2, ..IDENTITY };
    let error = DiskLog::open(directory.clone(), other, 0).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        " belongs to member 0000000000000011 of cluster 00000000000000c1, \
         not to member 0000000000000011 of cluster 00000000000000c2"
    );
    assert!(open(&directory).is_ok());
}

#[test]
fn a_full_disk_refuses_whole_writes_and_takes_them_again_when_there_is_room() {
    for room in 0..120 {
        let directory = MemoryDirectory::new();
        let mut log = open(&directory).unwrap().log;
        log.write(&[persist(1, [entry(1, 1)])]).unwrap();
        directory.set_capacity(Some(directory.used_bytes() + room));
        let next = [persist(2, [entry(2, 1), entry(3, 1)])];
        let refused = log.write(&next);
        assert!(refused.is_err() || room > 50, "{room}");
        if let Err(error) = refused {
            assert!(error.may_pass(), "{room}");
            assert!(log.write(&next).is_err(), "{room}");
            directory.set_capacity(None);
            assert_eq!(log.write(&next).unwrap(), Some(2));
        }
        assert_eq!(indexes(&open(&directory).unwrap().persisted), [(1, 1), (2, 1), (3, 1)], "{room}");
    }
}

#[test]
fn a_failed_sync_is_final() {
    let directory = MemoryDirectory::new();
    let mut log = open(&directory).unwrap().log;
    directory.set_sync_fails(true);
    let error = log.write(&[persist(1, [entry(1, 1)])]).unwrap_err();
    assert!(matches!(error, DiskError::SyncFailed { .. }) && !error.may_pass());
}

#[test]
fn a_real_directory_keeps_what_was_written_and_lets_one_process_in() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("store");
    for round in 0..5_u64 {
        let mut opened = DiskLog::open(RealDirectory::open(&path).unwrap(), IDENTITY, 0).unwrap();
        assert_eq!(opened.persisted.snapshot.map_or(0, |snapshot| snapshot.index), round / 2 * 100);
        assert!(matches!(RealDirectory::open(&path), Err(DiskError::InUse { .. })));
        let index = round.div_ceil(2) * 100 + 2;
        opened.log.write(&[persist(1, [entry(index, 1)])]).unwrap();
        if round % 2 == 1 {
            opened.log.write(&[snapshot(2, index - 2)]).unwrap();
        }
        drop(opened.log);
        let again = DiskLog::open(RealDirectory::open(&path).unwrap(), IDENTITY, 0).unwrap();
        assert_eq!(again.cut_bytes, 0);
        assert!(again.persisted.entries.iter().any(|entry| entry.index >= index - 1), "{round}");
    }
}
