//! The places for connections, of which there are a fixed number for all ports together.
//!
//! When all are taken, the client that has been connected longest without having said a word gives its place to the next one.
//! So those who connect and are silent, be it a scanner or somebody who wants to take every place, keep nobody out who speaks.
//! The invariant: never more clients are served than there are places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// See the module.
#[derive(Debug)]
pub(crate) struct Crowd {
    free: Arc<Semaphore>,
    silent: Mutex<Silent>,
}

#[derive(Debug, Default)]
struct Silent {
    /// By arrival.
    waiting: BTreeMap<u64, Sitting>,
    arrivals: u64,
}

#[derive(Debug)]
struct Sitting {
    place: OwnedSemaphorePermit,
    gone: Arc<Notify>,
}

impl Crowd {
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), silent: Mutex::default() }
    }

    /// A place for a new client, silent at first. `None`: all are taken by clients that have spoken.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<SilentPlace> {
        let mut silent = self.silent();
        let place = if let Ok(place) = self.free.clone().try_acquire_owned() {
            place
        } else {
            let (_, longest) = silent.waiting.pop_first()?;
            longest.gone.notify_one();
            longest.place
        };
        let number = silent.arrivals;
        silent.arrivals += 1;
        let gone = Arc::new(Notify::new());
        silent.waiting.insert(number, Sitting { place, gone: gone.clone() });
        Some(SilentPlace { crowd: self.clone(), number, gone })
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a client that has not spoken.
#[derive(Debug)]
pub(crate) struct SilentPlace {
    crowd: Arc<Crowd>,
    number: u64,
    gone: Arc<Notify>,
}

impl SilentPlace {
    /// Resolves when somebody else has the place.
    pub(crate) async fn lost(&self) {
        self.gone.notified().await;
    }

    /// The client has spoken: from now on the place is its own. `None`: somebody else has it.
    pub(crate) fn keep(self) -> Option<OwnedSemaphorePermit> {
        self.crowd.silent().waiting.remove(&self.number).map(|sitting| sitting.place)
    }
}

impl Drop for SilentPlace {
    fn drop(&mut self) {
        // Bound first, so that the place is free only when the lock is, too.
        let sitting = self.crowd.silent().waiting.remove(&self.number);
        drop(sitting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_silent_longest_makes_room_and_nobody_who_spoke() {
        let crowd = Arc::new(Crowd::new(3));
        let first = crowd.admit().unwrap();
        let second = crowd.admit().unwrap();
        let third = crowd.admit().unwrap();
        let first = first.keep().expect("it spoke in time");
        let fourth = crowd.admit().expect("the second was silent longest");
        assert!(second.keep().is_none());
        let _third = third.keep().expect("not its turn");
        let _fourth = fourth.keep().expect("just arrived");
        assert!(crowd.admit().is_none(), "all have spoken");
        drop(first);
        drop(crowd.admit().expect("the first has left"));
        assert!(crowd.silent().waiting.is_empty(), "a silent one that leaves is forgotten");
        assert!(crowd.admit().is_some());
    }
}
