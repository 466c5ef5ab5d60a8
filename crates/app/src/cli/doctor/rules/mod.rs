//! The rules that judge. Pure: the same facts give the same findings, in the same order.

mod machine;
mod members;
mod safety;
mod store;
#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::finding::Finding;

const RULES: &[fn(&Facts) -> Vec<Finding>] = &[
    store::answers,
    store::voters,
    members::leader,
    members::each_answers,
    members::each_runs,
    members::replicas,
    members::versions,
    members::clocks,
    members::watchdogs,
    members::keys,
    safety::synchronous,
    safety::lag,
    safety::wal,
    safety::pause,
    machine::disks,
    machine::fsync,
    machine::open_files,
    machine::secrets,
    machine::rest_api,
    machine::redis,
    machine::certificates,
];

/// The worst first, and within one severity in the order of the rules.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(facts)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}
