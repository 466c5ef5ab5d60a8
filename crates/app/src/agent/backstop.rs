//! Ends a server when the guard should have and did not: the thread that carries out `ha::backstop`.
//!
//! Deliberately a thread of its own and not a task: it must work while the runtime, the decisions and every disk hang.
//! The invariant: between the fence and the kill it waits for nothing but the time, and it writes no log before.

use ha::backstop::Backstop;
use ha::guard::{FromGuard, PerServer, ToGuard};
use platform::boot_clock;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const THREAD_STACK_BYTES: usize = 128 * 1024;

/// What the line to the guard tells it, shared with the thread.
#[derive(Clone, Default)]
pub struct BackstopLink {
    shared: Arc<(Mutex<Backstop>, Condvar)>,
}

impl BackstopLink {
    pub fn sending(&self, message: &ToGuard) {
        self.change(|backstop| backstop.sending(message));
    }

    pub fn heard(&self, message: &FromGuard) {
        self.change(|backstop| backstop.heard(message));
    }

    /// Watches over the servers in these directories until the worker ends.
    pub fn start(&self, directories: PerServer<Option<PathBuf>>) -> std::io::Result<()> {
        let link = self.clone();
        let watch = move || link.watch(&directories);
        std::thread::Builder::new().name("backstop".to_owned()).stack_size(THREAD_STACK_BYTES).spawn(watch).map(drop)
    }

    fn watch(&self, directories: &PerServer<Option<PathBuf>>) {
        let changed = &self.shared.1;
        let mut backstop = self.lock();
        loop {
            let due = backstop.look(boot_clock());
            if !due.is_empty() {
                drop(backstop);
                for server in due {
                    let killed = directories[server].as_deref().map_or(0, platform::kill_processes_in);
                    if killed > 0 {
                        tracing::error!(
                            killed,
                            "the lease is over and the guard is silent; the worker killed {server}"
                        );
                    }
                }
                backstop = self.lock();
                continue;
            }
            backstop = match backstop.next_look() {
                Some(at) => {
                    let wait = Duration::from(at.since(boot_clock()));
                    changed.wait_timeout(backstop, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => changed.wait(backstop).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// A fence that only moves on needs no waking: the thread looks again when the old one is over.
    fn change(&self, change: impl FnOnce(&mut Backstop)) {
        let mut backstop = self.lock();
        let before = backstop.next_look();
        change(&mut backstop);
        let sooner = match (before, backstop.next_look()) {
            (None, Some(_)) => true,
            (Some(before), Some(now)) => now < before,
            (_, None) => false,
        };
        if sooner {
            self.shared.1.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Backstop> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }
}
