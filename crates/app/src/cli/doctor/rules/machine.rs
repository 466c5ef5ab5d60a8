//! The machine that the command runs on.

use super::super::facts::{Facts, Fsync, MachineFacts};
use super::super::finding::Finding;
use super::members::bytes;
use std::time::Duration;

const DISK_FULL_PERCENT: u64 = 3;
const DISK_TIGHT_PERCENT: u64 = 10;
/// Less is full whatever the percentage: one segment of WAL, a snapshot, a log.
const DISK_FULL_BYTES: u64 = 128 * 1024 * 1024;
/// Every change of the cluster's state waits for it on a majority; etcd's advice is 10 ms.
const FSYNC_SLOW: Duration = Duration::from_millis(20);
/// The lease is renewed every 300 ms by default.
const FSYNC_TOO_SLOW: Duration = Duration::from_millis(200);
/// Time to make a new certificate.
const CERTIFICATE_DAYS_MIN: i64 = 30;
/// `vm.overcommit_memory`: the kernel promises what is asked for, which Redis needs to fork.
const OVERCOMMIT_ALWAYS: u32 = 1;

fn machine(facts: &Facts, rule: impl Fn(&MachineFacts) -> Vec<Finding>) -> Vec<Finding> {
    facts.machine.as_ref().map(rule).unwrap_or_default()
}

pub fn disks(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let mut findings = Vec::new();
        for disk in &machine.disks {
            let percent = disk.free.saturating_mul(100) / disk.total.max(1);
            let message = format!(
                "the disk of {} has {} free ({percent} %): {}",
                disk.what,
                bytes(disk.free),
                disk.directory.display()
            );
            let hint = "make room, or move the directory to a larger disk";
            if percent < DISK_FULL_PERCENT || disk.free < DISK_FULL_BYTES {
                findings.push(Finding::error("doctor-disk", &machine.member, message, hint));
            } else if percent < DISK_TIGHT_PERCENT {
                findings.push(Finding::warning("doctor-disk", &machine.member, message, hint));
            }
        }
        findings
    })
}

pub fn fsync(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let median = match &machine.fsync {
            Fsync::None => return Vec::new(),
            Fsync::NotMeasured(directory, why) => {
                let message =
                    format!("the speed of the store's disk could not be measured in {}: {why}", directory.display());
                return vec![Finding::hint(
                    "doctor-not-measured",
                    &machine.member,
                    message,
                    "run quorate doctor as root",
                )];
            }
            Fsync::Median(median) => *median,
        };
        let message = format!("a write takes {} ms to be on the store's disk", median.as_millis());
        let hint = "give store.data_dir a disk that is faster, and not shared with much else";
        if median >= FSYNC_TOO_SLOW {
            vec![Finding::error("doctor-fsync", &machine.member, message, hint)]
        } else if median >= FSYNC_SLOW {
            vec![Finding::warning("doctor-fsync", &machine.member, message, hint)]
        } else {
            Vec::new()
        }
    })
}

pub fn open_files(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let own = facts.cluster.iter().flat_map(|cluster| &cluster.answers);
        let limit =
            own.filter(|(name, _)| name.as_str() == machine.member).find_map(|(_, answer)| answer.open_files_max);
        let needed = machine.files_needed;
        let too_few = limit.filter(|limit| *limit < needed as f64);
        let finding = |limit: f64| {
            Finding::warning(
                "doctor-open-files",
                &machine.member,
                format!("the agent may open {limit:.0} files, and proxy.connections_max needs {needed}"),
                "quorate service install sets the limit; otherwise LimitNOFILE= or ulimit -n",
            )
        };
        too_few.map(finding).into_iter().collect()
    })
}

pub fn secrets(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let finding = |file: &std::path::PathBuf| {
            let message = format!("every user of this machine may read the passwords in {}", file.display());
            Finding::error(
                "doctor-secrets-readable",
                &machine.member,
                message,
                &format!("chmod o-rwx {}", file.display()),
            )
        };
        machine.readable_secrets.iter().map(finding).collect()
    })
}

pub fn rest_api(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let finding = |listens: &String| {
            Finding::warning(
                "doctor-rest-open",
                &machine.member,
                format!("everybody who reaches {listens} may switch over, restart and change the configuration"),
                "set restapi.authentication on every member, and keep the network protected",
            )
        };
        machine.open_rest_api.iter().map(finding).collect()
    })
}

pub fn redis(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let Some(redis) = machine.redis else { return Vec::new() };
        let mut findings = Vec::new();
        if redis.overcommit.is_some_and(|value| value != OVERCOMMIT_ALWAYS) {
            findings.push(Finding::warning(
                "doctor-overcommit",
                &machine.member,
                "vm.overcommit_memory is not 1, so Redis may fail to fork when it saves or gains a replica",
                "sysctl -w vm.overcommit_memory=1, and the same in /etc/sysctl.d; think of PostgreSQL's memory, too",
            ));
        }
        if redis.huge_pages_always {
            findings.push(Finding::warning(
                "doctor-huge-pages",
                &machine.member,
                "transparent huge pages are on for every program, which makes Redis slow while it saves",
                "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, also at boot",
            ));
        }
        findings
    })
}

pub fn certificates(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let mut findings = Vec::new();
        for (file, days) in &machine.certificates {
            let hint = "make a new one, and reload the agent";
            let file = file.display();
            if *days < 0 {
                let message = format!("the certificate {file} has expired");
                findings.push(Finding::error("doctor-certificate", &machine.member, message, hint));
            } else if *days < CERTIFICATE_DAYS_MIN {
                let message = format!("the certificate {file} expires in {days} days");
                findings.push(Finding::warning("doctor-certificate", &machine.member, message, hint));
            }
        }
        findings
    })
}
