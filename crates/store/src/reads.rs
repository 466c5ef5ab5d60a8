//! Linearizable reads on any member: raft's ReadIndex, one barrier on its way at a time, shared by all that wait.
//!
//! A caller that comes while a barrier is on its way takes the next one: the leader may have fixed the index of the first
//! before the caller asked.

use crate::{RequestId, StoreError, limits};
use std::collections::BTreeMap;
use types::Millis;

#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    id: RequestId,
    deadline: Millis,
}

#[derive(Debug)]
struct Barrier {
    number: u64,
    asked: Millis,
    readers: Vec<Waiting>,
}

#[derive(Debug, Default)]
pub struct Reads {
    waiting: Vec<Waiting>,
    barrier: Option<Barrier>,
    /// Through the barrier, waiting until this index is applied here.
    applying: BTreeMap<u64, Vec<Waiting>>,
    last_number: u64,
}

impl Reads {
    /// `false`: there are too many already.
    pub fn add(&mut self, id: RequestId, deadline: Millis) -> bool {
        let in_barrier = self.barrier.as_ref().map_or(0, |barrier| barrier.readers.len());
        let applying: usize = self.applying.values().map(Vec::len).sum();
        if self.waiting.len() + in_barrier + applying >= limits::READS_IN_FLIGHT_MAX {
            return false;
        }
        self.waiting.push(Waiting { id, deadline });
        true
    }

    /// Starts the next barrier and returns its number, if somebody waits for one and none is on its way.
    pub fn start(&mut self, now: Millis) -> Option<u64> {
        if self.barrier.is_some() || self.waiting.is_empty() {
            return None;
        }
        self.last_number += 1;
        let readers = std::mem::take(&mut self.waiting);
        self.barrier = Some(Barrier { number: self.last_number, asked: now, readers });
        Some(self.last_number)
    }

    /// The leader answered barrier `number`: what was committed up to `index` must be seen.
    pub fn answered(&mut self, number: u64, index: u64) {
        if let Some(barrier) = self.barrier.take_if(|barrier| barrier.number == number) {
            self.applying.entry(index).or_default().extend(barrier.readers);
        }
    }

    /// The barrier on its way is lost or doubtful: its readers take part in the next one.
    pub fn restart(&mut self) {
        if let Some(barrier) = self.barrier.take() {
            self.waiting.splice(..0, barrier.readers);
        }
    }

    pub fn restart_if_old(&mut self, now: Millis) {
        if self.barrier.as_ref().is_some_and(|barrier| now.since(barrier.asked) >= limits::READ_RETRY) {
            self.restart();
        }
    }

    /// Removes and returns those that need nothing beyond `applied`.
    pub fn take_ready(&mut self, applied: u64) -> Vec<RequestId> {
        if self.applying.first_key_value().is_none_or(|(index, _)| *index > applied) {
            return Vec::new();
        }
        let later = self.applying.split_off(&(applied + 1));
        std::mem::replace(&mut self.applying, later).into_values().flatten().map(|waiting| waiting.id).collect()
    }

    pub fn take_overdue(&mut self, now: Millis) -> Vec<(RequestId, StoreError)> {
        let mut overdue = Vec::new();
        let mut sort_out = |readers: &mut Vec<Waiting>, error: &StoreError| {
            overdue.extend(
                readers.extract_if(.., |reader| reader.deadline <= now).map(|reader| (reader.id, error.clone())),
            );
        };
        sort_out(&mut self.waiting, &StoreError::NoLeader);
        if let Some(barrier) = &mut self.barrier {
            sort_out(&mut barrier.readers, &StoreError::Timeout);
        }
        for readers in self.applying.values_mut() {
            sort_out(readers, &StoreError::Timeout);
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_comes_while_a_barrier_is_out_takes_the_next() {
        let mut reads = Reads::default();
        assert!(reads.add(1, Millis(9)));
        assert_eq!(reads.start(Millis(0)), Some(1));
        assert!(reads.add(2, Millis(9)));
        assert_eq!(reads.start(Millis(0)), None);
        reads.answered(1, 5);
        assert_eq!(reads.take_ready(4), []);
        assert_eq!(reads.take_ready(5), [1]);
        assert_eq!(reads.start(Millis(0)), Some(2));
        reads.answered(1, 5);
        assert_eq!(reads.take_ready(9), [], "an old answer counts for nothing");
        reads.restart();
        assert_eq!(reads.start(Millis(0)), Some(3));
        reads.answered(3, 6);
        assert_eq!(reads.take_ready(9), [2]);
    }
}
