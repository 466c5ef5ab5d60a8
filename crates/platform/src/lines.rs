//! What both systems' children have in common: the threads that hand lines to the worker and take them from it.
//!
//! Deliberately nothing that knows what a process is. The invariant: nobody waits for a worker that does not read, and memory
//! for what it writes is bounded.

use crate::child::ChildEvent;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

/// Lines that may wait for the worker. A worker that does not read for longer is as good as dead, and is told nothing.
pub const LINES_MAX: usize = 256;
/// A line from the worker may be this long; more is the end of the connection.
const LINE_BYTES_MAX: u64 = 256 * 1024;

pub fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    const STACK_BYTES: usize = 64 * 1024;
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body).map(drop)
}

pub fn write_lines(mut to: impl Write, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if to.write_all(line.as_bytes()).and_then(|()| to.write_all(b"\n")).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

pub fn read_lines(from: impl Read, events: &SyncSender<ChildEvent>) {
    let mut reader = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.last() != Some(&b'\n') => return,
            Ok(_) => {
                line.pop();
                let line = String::from_utf8_lossy(&line).into_owned();
                if events.send(ChildEvent::WorkerSaid(line)).is_err() {
                    return;
                }
            }
        }
    }
}
