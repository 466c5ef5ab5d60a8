//! The thread that writes: as many writes as have come in meanwhile share one fsync.

use super::limits;
use disk::{Directory, DiskError, DiskLog};
use std::{io, thread};
use store::{Persist, Token};
use tokio::sync::mpsc;

/// The task's side of the thread.
pub struct DiskThread {
    /// `None`: it is to finish.
    writes: Option<mpsc::Sender<Persist>>,
    reports: mpsc::Receiver<DiskReport>,
}

#[derive(Debug)]
pub enum DiskReport {
    Persisted(Token),
    Full(bool),
    /// The process must end.
    Failed(DiskError),
}

pub fn start<D>(log: DiskLog<D>) -> io::Result<DiskThread>
where
    D: Directory + 'static,
    D::File: 'static,
{
    let (writes, queue) = mpsc::channel(limits::WRITES_WAITING_MAX);
    // The thread waits when nobody takes its reports; it has nothing better to do.
    let (tell, reports) = mpsc::channel(16);
    thread::Builder::new().name("store-disk".to_owned()).spawn(move || run(log, queue, &tell))?;
    Ok(DiskThread { writes: Some(writes), reports })
}

impl DiskThread {
    /// `false`: there are more writes than can be by the store's own bounds.
    pub fn write(&self, persist: Persist) -> bool {
        self.writes.as_ref().is_some_and(|writes| writes.try_send(persist).is_ok())
    }

    /// Whether there is room for what requests and messages may cause.
    pub fn has_room(&self) -> bool {
        self.writes.as_ref().is_some_and(|writes| writes.capacity() > limits::WRITES_RESERVED)
    }

    /// `None`: the thread has ended.
    pub async fn report(&mut self) -> Option<DiskReport> {
        self.reports.recv().await
    }

    /// Lets it finish what it has, and waits until the data directory is free.
    pub async fn finish(mut self) {
        self.writes = None;
        while self.reports.recv().await.is_some() {}
    }
}

fn run<D: Directory>(mut log: DiskLog<D>, mut queue: mpsc::Receiver<Persist>, tell: &mpsc::Sender<DiskReport>) {
    while let Some(first) = queue.blocking_recv() {
        let batch = gather(first, &mut queue);
        let report = match write(&mut log, &batch, &queue, tell) {
            Ok(Some(token)) => DiskReport::Persisted(token),
            // It is to stop, and the disk is still full.
            Ok(None) => break,
            Err(error) => DiskReport::Failed(error),
        };
        let failed = matches!(report, DiskReport::Failed(_));
        if tell.blocking_send(report).is_err() || failed {
            break;
        }
    }
    // The directory is free before the task hears that the thread has ended.
    drop(log);
}

fn gather(first: Persist, queue: &mut mpsc::Receiver<Persist>) -> Vec<Persist> {
    let mut bytes = size(&first);
    let mut batch = vec![first];
    while bytes < limits::WRITE_BATCH_BYTES
        && let Ok(next) = queue.try_recv()
    {
        bytes += size(&next);
        batch.push(next);
    }
    batch
}

fn size(persist: &Persist) -> usize {
    let entries: usize = persist.entries.iter().map(|entry| entry.data.len()).sum();
    entries + persist.snapshot.as_ref().map_or(0, |snapshot| snapshot.data.len())
}

/// Tries until there is room. `Ok(None)`: there was none when the task gave up.
fn write<D: Directory>(
    log: &mut DiskLog<D>,
    batch: &[Persist],
    queue: &mpsc::Receiver<Persist>,
    tell: &mpsc::Sender<DiskReport>,
) -> Result<Option<Token>, DiskError> {
    let mut full = false;
    loop {
        match log.write(batch) {
            Ok(token) => {
                if full {
                    tracing::info!("the disk has room again");
                    let _ = tell.blocking_send(DiskReport::Full(false));
                }
                return Ok(token);
            }
            Err(error) if error.may_pass() => {
                if !full {
                    full = true;
                    tracing::error!(%error, hint = error.hint(), "the store takes no writes");
                    let _ = tell.blocking_send(DiskReport::Full(true));
                }
                if queue.is_closed() || tell.is_closed() {
                    return Ok(None);
                }
                thread::sleep(limits::FULL_DISK_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::disk::{Identity, MemoryDirectory};
    use std::time::Duration;
    use store::{HardState, LogEntry};
    use tokio::time::timeout;

    const IDENTITY: Identity = Identity { cluster_id: 1, member_id: 2 };

    fn entry(token: Token) -> Persist {
        let entries = vec![LogEntry { index: token, term: 1, kind: 0, data: vec![7; 100] }];
        Persist { token, snapshot: None, entries, hard_state: HardState::default() }
    }

    async fn next(thread: &mut DiskThread) -> DiskReport {
        timeout(Duration::from_secs(10), thread.report()).await.expect("no report").unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_once_and_the_write_done_when_there_is_room() {
        let directory = MemoryDirectory::new();
        let mut thread = start(DiskLog::open(directory.clone(), IDENTITY, 0).unwrap().log).unwrap();
        assert!(thread.write(entry(1)));
        assert!(matches!(next(&mut thread).await, DiskReport::Persisted(1)));
        directory.set_capacity(Some(directory.used_bytes()));
        assert!(thread.write(entry(2)));
        assert!(matches!(next(&mut thread).await, DiskReport::Full(true)));
        directory.set_capacity(None);
        assert!(matches!(next(&mut thread).await, DiskReport::Full(false)));
        assert!(matches!(next(&mut thread).await, DiskReport::Persisted(2)));
        thread.finish().await;
        assert_eq!(DiskLog::open(directory, IDENTITY, 0).unwrap().persisted.entries.len(), 2);
    }

    #[tokio::test]
    async fn a_failed_sync_ends_the_thread() {
        let directory = MemoryDirectory::new();
        let mut thread = start(DiskLog::open(directory.clone(), IDENTITY, 0).unwrap().log).unwrap();
        directory.set_sync_fails(true);
        assert!(thread.write(entry(1)));
        assert!(matches!(next(&mut thread).await, DiskReport::Failed(DiskError::SyncFailed { .. })));
        assert!(timeout(Duration::from_secs(10), thread.report()).await.unwrap().is_none());
    }
}
