//! A set of keys made of ranges, for the check that a transaction does not put what it deletes.
//!
//! Ranges that touch are merged, so that the check stays cheap however a request is built.

use crate::api::Key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Start of a range (inclusive) to its end (exclusive). No two overlap or touch.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    by_start: BTreeMap<Key, Key>,
}

impl Intervals {
    pub fn insert_key(&mut self, key: &[u8]) {
        // The least key after `key` is `key` with a zero byte.
        self.insert(key.to_vec(), [key, &[0]].concat());
    }

    /// A range that ends before it starts has no keys.
    pub fn insert(&mut self, mut start: Key, mut end: Key) {
        if start >= end {
            return;
        }
        // Every interval that starts at or before our end and ends at or after our start becomes part of ours.
        while let Some((other_start, other_end)) = self.by_start.range::<Key, _>(..=&end).next_back() {
            if *other_end < start {
                break;
            }
            let other_start = other_start.clone();
            end = self.by_start.remove(&other_start).map_or(end.clone(), |other_end| end.max(other_end));
            start = start.min(other_start);
        }
        self.by_start.insert(start, end);
    }

    pub fn absorb(&mut self, other: Self) {
        for (start, end) in other.by_start {
            self.insert(start, end);
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        let before = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(_, end)| key < end.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_ranges_contain_the_same_keys() {
        let tables: &[&[(&str, &str)]] = &[
            &[],
            &[("b", "c"), ("b", "c")],
            &[("b", "d"), ("d", "f"), ("a", "a\0")],
            &[("a", "c"), ("e", "g"), ("b", "f")],
            &[("d", "b"), ("e", "f"), ("c", "z")],
            &[("a", "b"), ("c", "d"), ("e", "f"), ("a", "z")],
        ];
        for ranges in tables {
            let mut intervals = Intervals::default();
            for (start, end) in *ranges {
                intervals.insert(start.as_bytes().to_vec(), end.as_bytes().to_vec());
            }
            intervals.insert_key(b"x");
            for key in ["", "a", "b", "b\0", "c", "d", "e", "f", "g", "h", "x", "x\0", "zz"] {
                let expected = key == "x" || ranges.iter().any(|(start, end)| *start <= key && key < *end);
                assert_eq!(intervals.contains(key.as_bytes()), expected, "{key:?} in {ranges:?}");
            }
        }
    }
}
