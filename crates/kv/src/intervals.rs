//! A set of keys made of ranges, for the check that a transaction does not put what it deletes.
//!
//! Ranges that touch are merged, so that the check stays cheap however a request is built.

use crate::api::{Key, KeyRange};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Start of a range (inclusive) to its end (exclusive; `None`: no end). No two overlap or touch.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    by_start: BTreeMap<Key, Option<Key>>,
}

impl Intervals {
    pub fn insert(&mut self, keys: &KeyRange) {
        match keys {
            // The least key after `key` is `key` with a zero byte.
            KeyRange::One(key) => self.insert_between(key.clone(), Some([key.as_slice(), &[0]].concat())),
            KeyRange::Between(start, end) if start < end => self.insert_between(start.clone(), Some(end.clone())),
            KeyRange::Between(_, _) => {}
            KeyRange::From(start) => self.insert_between(start.clone(), None),
        }
    }

    pub fn absorb(&mut self, other: Self) {
        for (start, end) in other.by_start {
            self.insert_between(start, end);
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        let before = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(_, end)| end.as_deref().is_none_or(|end| key < end))
    }

    fn insert_between(&mut self, mut start: Key, mut end: Option<Key>) {
        // Every interval that starts at or before our end and ends at or after our start becomes part of ours.
        loop {
            let last = match &end {
                Some(end) => self.by_start.range::<Key, _>(..=end).next_back(),
                None => self.by_start.last_key_value(),
            };
            let Some((other_start, other_end)) = last else { break };
            if other_end.as_ref().is_some_and(|other_end| *other_end < start) {
                break;
            }
            let other_start = other_start.clone();
            let other_end = self.by_start.remove(&other_start).flatten();
            start = start.min(other_start);
            end = match (end, other_end) {
                (Some(ours), Some(theirs)) => Some(ours.max(theirs)),
                (None, _) | (_, None) => None,
            };
        }
        self.by_start.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(start: &str, end: &str) -> KeyRange {
        KeyRange::Between(start.into(), end.into())
    }

    #[test]
    fn merged_ranges_contain_the_same_keys() {
        let tables: &[&[KeyRange]] = &[
            &[],
            &[KeyRange::One("b".into()), KeyRange::One("b".into())],
            &[between("b", "d"), between("d", "f"), KeyRange::One("a".into())],
            &[between("a", "c"), between("e", "g"), between("b", "f")],
            &[between("d", "b"), KeyRange::From("e".into()), between("c", "z")],
            &[KeyRange::From("c".into()), KeyRange::One("a".into()), KeyRange::From("b".into())],
        ];
        for ranges in tables {
            let mut intervals = Intervals::default();
            for range in *ranges {
                intervals.insert(range);
            }
            for key in ["", "a", "b", "b\0", "c", "d", "e", "f", "g", "h", "zz"] {
                let expected = ranges.iter().any(|range| range.contains(key.as_bytes()));
                assert_eq!(intervals.contains(key.as_bytes()), expected, "{key:?} in {ranges:?}");
            }
        }
    }
}
