//! Messages waiting for one member. Bounded: when it is full the oldest go.

use super::limits;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

struct Message {
    bytes: Vec<u8>,
    replaceable: bool,
}

impl Queue {
    /// Messages that raft itself sends again go first when there is no room.
    pub fn push(&self, bytes: Vec<u8>, replaceable: bool) {
        let mut waiting = self.waiting();
        waiting.bytes += bytes.len();
        waiting.messages.push_back(Message { bytes, replaceable });
        while waiting.is_too_full() {
            waiting.drop_one();
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for messages and takes them all. Loses nothing when it is dropped while waiting.
    pub async fn take(&self) -> Vec<Vec<u8>> {
        loop {
            let taken = self.take_now();
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn take_now(&self) -> Vec<Vec<u8>> {
        let mut waiting = self.waiting();
        waiting.bytes = 0;
        waiting.messages.drain(..).map(|message| message.bytes).collect()
    }

    /// What was to be said on a connection that is gone is stale by the time there is another. Writes are kept.
    pub fn forget_replaceable(&self) {
        let mut waiting = self.waiting();
        waiting.messages.retain(|message| !message.replaceable);
        waiting.bytes = waiting.messages.iter().map(|message| message.bytes.len()).sum();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_too_full(&self) -> bool {
        let count = self.messages.len();
        count > limits::QUEUE_MESSAGES_MAX || (count > 1 && self.bytes > limits::QUEUE_BYTES_MAX)
    }

    fn drop_one(&mut self) {
        let oldest = self.messages.iter().position(|message| message.replaceable).unwrap_or(0);
        if let Some(dropped) = self.messages.remove(oldest) {
            self.bytes -= dropped.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest_of_what_is_sent_again_anyway() {
        let queue = Queue::default();
        queue.push(vec![1], false);
        for _ in 0..limits::QUEUE_MESSAGES_MAX {
            queue.push(vec![2], true);
        }
        let taken = queue.take_now();
        assert_eq!((taken.len(), taken[0].as_slice()), (limits::QUEUE_MESSAGES_MAX, &[1][..]));
        queue.push(vec![0; limits::QUEUE_BYTES_MAX], true);
        queue.push(vec![3], true);
        assert_eq!(queue.take_now(), [vec![3]]);
        queue.push(vec![4], true);
        queue.push(vec![5], false);
        queue.forget_replaceable();
        assert_eq!(queue.take_now(), [vec![5]]);
    }
}
