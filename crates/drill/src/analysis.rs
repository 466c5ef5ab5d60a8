//! What a series of writes says about a fault. Pure: recorded moments in, numbers out.
//!
//! Moments are microseconds on one clock that only goes forward, the same for all records that are compared.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A write that the server confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Number of the attempt; never used twice in one record.
    pub number: u64,
    /// When the write was sent.
    pub sent_us: u64,
    /// When the confirmation arrived.
    pub at_us: u64,
    /// The server that confirmed, as `address:port`.
    pub node: String,
}

/// An attempt that failed. Whether a failed write was carried out is unknown, as for any client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub at_us: u64,
    pub stage: Stage,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connect,
    Write,
}

/// Everything one writer saw, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub acknowledged: Vec<Acknowledged>,
    pub failed: Vec<Failed>,
}

impl Record {
    /// The server that confirmed last before `moment_us`.
    pub fn node_at(&self, moment_us: u64) -> Option<&str> {
        self.acknowledged.iter().rev().find(|write| write.at_us <= moment_us).map(|write| write.node.as_str())
    }

    /// The longest time between two consecutive confirmations that ended after the fault, in microseconds. `None` when
    /// nothing was confirmed after the fault: then there is no end to measure to.
    pub fn gap_us(&self, fault_us: u64) -> Option<u64> {
        self.acknowledged
            .windows(2)
            .filter(|pair| pair[1].at_us > fault_us)
            .map(|pair| pair[1].at_us.saturating_sub(pair[0].at_us))
            .max()
    }

    pub fn errors_after(&self, fault_us: u64) -> usize {
        self.failed.iter().filter(|failure| failure.at_us > fault_us).count()
    }

    /// Confirmed writes that are not among the rows that are there in the end.
    pub fn lost(&self, rows: &HashSet<u64>) -> Vec<u64> {
        self.acknowledged.iter().map(|write| write.number).filter(|number| !rows.contains(number)).collect()
    }
}

/// Writes that the old primary confirmed after another one had confirmed its first since the fault. Must be zero.
///
/// `records` are all writers that ran, whichever way they reached a server, each with the rows that are there in the
/// end. A confirmation that was on its way when the fault came, and arrives late because its sender was frozen, is none
/// if the new primary has the write: nobody can tell it from a slow network.
#[allow(clippy::implicit_hasher, reason = "only ever used with the rows that `read_back` returns")]
pub fn split_brain_writes(records: &[(&Record, &HashSet<u64>)], old_primary: &str, fault_us: u64) -> usize {
    let writes =
        || records.iter().flat_map(|(record, rows)| record.acknowledged.iter().map(move |write| (write, rows)));
    let first_of_new = writes()
        .filter(|(write, _)| write.at_us > fault_us && write.node != old_primary)
        .map(|(write, _)| write.at_us)
        .min();
    let on_its_way =
        |write: &Acknowledged, rows: &HashSet<u64>| write.sent_us < fault_us && rows.contains(&write.number);
    first_of_new.map_or(0, |first| {
        writes()
            .filter(|(write, rows)| write.node == old_primary && write.at_us > first && !on_its_way(write, rows))
            .count()
    })
}

/// One fault and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub fault: String,
    /// Longest time without a confirmed write, milliseconds.
    pub gap_ms: f64,
    /// Errors the writer at the proxy saw from the fault on.
    pub errors: usize,
    /// Confirmed writes that were gone in the end.
    pub acked_lost: usize,
    /// Writes confirmed by the old primary after the new one had confirmed its first.
    pub split_brain_writes: usize,
}

/// All runs of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    pub scenario: String,
    pub system: String,
    /// Whether a write was confirmed only when a replica had it.
    pub synchronous: bool,
    pub n: usize,
    pub gap_ms_min: f64,
    pub gap_ms_median: f64,
    pub gap_ms_max: f64,
    pub acked_lost: usize,
    pub split_brain_writes: usize,
}

impl Series {
    /// `None` without a single run.
    pub fn summarize(scenario: &str, system: &str, synchronous: bool, outcomes: &[Outcome]) -> Option<Self> {
        let mut gaps: Vec<f64> = outcomes.iter().map(|outcome| outcome.gap_ms).collect();
        gaps.sort_by(f64::total_cmp);
        let middle = gaps.len() / 2;
        let median = match gaps.len() {
            0 => return None,
            length if length % 2 == 1 => gaps[middle],
            _ => f64::midpoint(gaps[middle - 1], gaps[middle]),
        };
        Some(Self {
            scenario: scenario.to_owned(),
            system: system.to_owned(),
            synchronous,
            n: gaps.len(),
            gap_ms_min: gaps[0],
            gap_ms_median: round_ms(median),
            gap_ms_max: gaps[gaps.len() - 1],
            acked_lost: outcomes.iter().map(|outcome| outcome.acked_lost).sum(),
            split_brain_writes: outcomes.iter().map(|outcome| outcome.split_brain_writes).sum(),
        })
    }
}

/// Microseconds as milliseconds with one decimal: more would pretend a precision that the network does not have.
pub fn us_to_ms(us: u64) -> f64 {
    round_ms(us as f64 / 1000.0)
}

fn round_ms(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as `number@milliseconds:node`.
    fn record(text: &str) -> Record {
        let acknowledged = text
            .split_whitespace()
            .map(|word| {
                let (number, rest) = word.split_once('@').unwrap();
                let (at, node) = rest.split_once(':').unwrap();
                let at_us = at.parse::<u64>().unwrap() * 1000;
                Acknowledged { number: number.parse().unwrap(), sent_us: at_us - 1000, at_us, node: node.to_owned() }
            })
            .collect();
        Record { acknowledged, failed: Vec::new() }
    }

    #[test]
    fn the_gap_is_the_longest_pause_that_ends_after_the_fault() {
        for (writes, fault_ms, gap_ms) in [
            ("1@5:a 2@10:a 3@15:a 9@215:b 10@220:b", 12, Some(200)), // from the last before, not from the fault
            ("1@5:a 2@405:a 3@410:a 4@460:b", 407, Some(50)),        // a longer pause before the fault is not its doing
            ("1@5:a 2@10:a 3@110:b 4@115:b 5@415:b", 12, Some(300)), // a second, longer one afterwards is
            ("1@5:a 2@10:a", 12, None),
            ("", 0, None),
        ] {
            assert_eq!(record(writes).gap_us(fault_ms * 1000), gap_ms.map(|ms: u64| ms * 1000), "{writes}");
        }
    }

    #[test]
    fn a_lost_write_is_one_that_was_confirmed_and_is_not_there() {
        let record = record("1@5:a 2@10:a 4@15:b");
        assert_eq!(record.lost(&HashSet::from([1, 3, 4])), [2]);
        assert_eq!(record.lost(&HashSet::from([1, 2, 3, 4])), [0; 0]);
    }

    #[test]
    fn split_brain_is_the_old_primary_confirming_after_the_new_one() {
        for (through_proxy, direct, count) in [
            ("1@5:a 2@300:b 3@305:b", "1@6:a 2@11:a 3@290:a", 0), // the old one stopped before the new one served
            ("1@5:a 2@300:b 3@305:b", "1@6:a 2@301:a 3@900:a", 2),
            ("1@5:a 2@300:a 3@305:a", "1@6:a 2@301:a", 0), // restarted in place: there is no other primary
            ("1@1:b 2@5:a 3@300:b", "1@6:a 2@11:a", 0),    // what b did before the fault does not count
        ] {
            let (proxied, direct) = (record(through_proxy), record(direct));
            let none = HashSet::new();
            assert_eq!(
                split_brain_writes(&[(&proxied, &none), (&direct, &none)], "a", 10_000 / 2),
                count,
                "{through_proxy} / {direct:?}"
            );
        }
    }

    #[test]
    fn a_confirmation_that_was_on_its_way_is_no_split_brain_if_the_new_primary_has_the_write() {
        let mut direct = record("1@6:a 2@900:a");
        let proxied = record("1@5:a 2@300:b");
        let (has, has_not) = (HashSet::from([1, 2]), HashSet::from([1]));
        let count = |direct: &Record, rows| split_brain_writes(&[(&proxied, &has), (direct, rows)], "a", 50_000);
        assert_eq!(count(&direct, &has), 1, "it was sent after the fault");
        direct.acknowledged[1].sent_us = 40_000;
        assert_eq!(count(&direct, &has), 0);
        assert_eq!(count(&direct, &has_not), 1, "it is lost");
    }

    #[test]
    fn a_series_has_minimum_median_maximum_and_sums() {
        let outcome = |gap_ms, acked_lost| Outcome {
            fault: "kill-host".to_owned(),
            gap_ms,
            errors: 1,
            acked_lost,
            split_brain_writes: 0,
        };
        assert_eq!(Series::summarize("kill-host", "quorate", false, &[]), None);
        let series =
            Series::summarize("kill-host", "quorate", false, &[outcome(3.0, 0), outcome(1.0, 2), outcome(2.0, 1)])
                .unwrap();
        assert_eq!((series.n, series.gap_ms_min, series.gap_ms_median, series.gap_ms_max), (3, 1.0, 2.0, 3.0));
        assert_eq!(series.acked_lost, 3);
        let even = Series::summarize("kill-host", "quorate", false, &[outcome(2.0, 0), outcome(1.0, 0)]).unwrap();
        assert!((even.gap_ms_median - 1.5).abs() < f64::EPSILON);
    }
}
