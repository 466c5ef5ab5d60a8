//! The kernel's pipes for streams that go on and on, shared by all connections.
//!
//! Deliberately few: a pipe costs two file descriptors and kernel memory, so a connection has one only while bytes rush
//! through it, and when all are taken it is served without. The invariant: a pipe that is used again is empty.

use platform::Pipe;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More streams than this at full speed share the processors anyway.
const PIPES_MAX: usize = 32;
/// The default of an ordinary Linux is 64 KiB, and its limit for one user is 64 MiB.
const PIPE_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Pipes {
    free: Arc<Semaphore>,
    empty: Arc<Mutex<Vec<Pipe>>>,
    /// The system has none, or refused once.
    none: Arc<AtomicBool>,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(PIPES_MAX)), empty: Arc::default(), none: Arc::default() }
    }

    pub(crate) fn take(&self) -> Option<Pooled> {
        if self.none.load(Ordering::Relaxed) {
            return None;
        }
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let used = self.empty.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pipe = match used {
            Some(pipe) => pipe,
            None => match Pipe::new(PIPE_BYTES) {
                Ok(pipe) => pipe,
                Err(error) => {
                    tracing::debug!(%error, "no pipes: everything is copied");
                    self.none.store(true, Ordering::Relaxed);
                    return None;
                }
            },
        };
        Some(Pooled { pipe: Some(pipe), empty: self.empty.clone(), _permit: permit })
    }
}

/// A pipe that goes back where it came from, if it is empty.
pub(crate) struct Pooled {
    pipe: Option<Pipe>,
    empty: Arc<Mutex<Vec<Pipe>>>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Pooled {
    type Target = Pipe;
    fn deref(&self) -> &Pipe {
        self.pipe.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Pipe {
        self.pipe.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take().filter(|pipe| pipe.waiting() == 0) {
            self.empty.lock().unwrap_or_else(PoisonError::into_inner).push(pipe);
        }
    }
}
