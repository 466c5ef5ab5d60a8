//! Looks at this machine, for the member whose configuration it has. Nothing is judged here, and nothing is changed; one
//! file is written beside the store's and removed again.

use super::facts::{Disk, Fsync, MachineFacts, RedisMachine};
use crate::service::data_directories;
use config::{MemberConfig, User};
use std::io::{Seek, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The measurement of the disk ends with whichever comes first.
const WRITES_MAX: usize = 20;
const MEASURED_FOR_MAX: Duration = Duration::from_millis(500);
/// As much as a change of the cluster's state takes.
const WRITE_BYTES: usize = 4096;
/// A certificate is a few kilobytes.
const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;
const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

pub fn at(path: &Path, member: &MemberConfig) -> MachineFacts {
    MachineFacts {
        member: member.name.to_string(),
        disks: data_directories(member).into_iter().filter_map(|(what, directory)| disk(what, directory)).collect(),
        fsync: member.store.as_ref().map_or(Fsync::None, |store| fsync(&store.data_dir)),
        files_needed: asked_connections(member).map_or(0, |asked| proxy::files_needed(Some(asked))),
        readable_secrets: readable_secrets(path, member),
        open_rest_api: open_rest_api(member),
        redis: member.redis.as_ref().map(|_| redis()),
        certificates: certificates(member),
    }
}

/// Without a number the proxy takes as many as there is room for.
fn asked_connections(member: &MemberConfig) -> Option<usize> {
    member.proxy.as_ref()?.connections_max
}

fn disk(what: &'static str, directory: PathBuf) -> Option<Disk> {
    let space = platform::disk_space(existing(&directory)?).ok()?;
    Some(Disk { what, directory, free: space.free, total: space.total })
}

/// The directory, or the nearest one above it that is there.
fn existing(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|directory| directory.is_dir())
}

fn fsync(directory: &Path) -> Fsync {
    let Some(there) = existing(directory) else { return Fsync::None };
    match measure(there) {
        Ok(median) => Fsync::Median(median),
        Err(error) => Fsync::NotMeasured(there.to_owned(), error.to_string()),
    }
}

fn measure(directory: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::tempfile_in(directory)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < WRITES_MAX && (times.is_empty() || begun.elapsed() < MEASURED_FOR_MAX) {
        let write = Instant::now();
        file.rewind()?;
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(write.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn readable_secrets(path: &Path, member: &MemberConfig) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if has_password(member) {
        let parts = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(parts.filter(|part| part.extension().is_some_and(|extension| extension == "yml")));
        if path.is_file() {
            files.push(path.to_owned());
        }
    }
    files.extend(member.postgresql.iter().filter_map(|postgresql| postgresql.pgpass.clone()));
    let instances = member.pgbouncer.iter().flat_map(|pgbouncer| pgbouncer.instances.values());
    files.extend(instances.filter_map(|instance| instance.password_file.clone()));
    let hetzner = member.vips.iter().filter_map(|vip| vip.hetzner.as_ref());
    files.extend(hetzner.map(|hetzner| hetzner.credentials_file.clone()));
    files.sort();
    files.retain(|file| platform::readable_by_others(file) == Some(true));
    files
}

fn has_password(member: &MemberConfig) -> bool {
    let mut users: Vec<&User> = Vec::new();
    if let Some(postgresql) = &member.postgresql {
        let authentication = &postgresql.authentication;
        users.extend([&authentication.superuser, &authentication.replication]);
        users.extend(&authentication.rewind);
    }
    users.extend(member.redis.iter().filter_map(|redis| redis.authentication.as_ref()));
    users.extend(&member.restapi.authentication);
    users.iter().any(|user| user.password.is_some())
        || member.etcd.as_ref().is_some_and(|etcd| etcd.password.is_some())
        || member.pgbouncer.iter().flat_map(|it| it.instances.values()).any(|instance| instance.password.is_some())
}

fn open_rest_api(member: &MemberConfig) -> Option<String> {
    let listen = &member.restapi.listen;
    let is_loopback =
        listen.host == "localhost" || listen.host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    (member.restapi.authentication.is_none() && !is_loopback).then(|| listen.to_string())
}

/// Linux's; elsewhere the files are not there.
fn redis() -> RedisMachine {
    let read = |path| std::fs::read_to_string(path).ok();
    RedisMachine {
        overcommit: read(OVERCOMMIT).and_then(|text| text.trim().parse().ok()),
        huge_pages_always: read(HUGE_PAGES).is_some_and(|text| text.contains("[always]")),
    }
}

fn certificates(member: &MemberConfig) -> Vec<(PathBuf, i64)> {
    let files = member.redis.iter().filter_map(|redis| redis.tls.as_ref()).map(|tls| tls.cert_file.clone());
    files.filter_map(|file| Some((file.clone(), days_left(&file)?))).collect()
}

/// `None`: it cannot be read, which the start-up checks say.
fn days_left(file: &Path) -> Option<i64> {
    if std::fs::metadata(file).ok()?.len() > CERTIFICATE_BYTES_MAX {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&bytes).ok()?;
    let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Some((end - jiff::Timestamp::now().as_second()).div_euclid(SECONDS_PER_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_measured_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("not/yet/there");
        assert!(matches!(fsync(&below), Fsync::Median(median) if median < Duration::from_secs(60)));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let disk = disk("the store", below).unwrap();
        assert!(disk.total >= disk.free && disk.total > 0, "{disk:?}");
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.pem");
        assert_eq!(days_left(&file), None);
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert_eq!(days_left(&file), None);
    }
}
