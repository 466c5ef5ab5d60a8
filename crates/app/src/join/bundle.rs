//! `quorate bundle`: everything that a member needs in one file, to be carried by hand where servers cannot reach each other
//! before they are set up.
//!
//! The invariant: a bundle is read as if a stranger had made it: only the files of a home, of bounded size, and only into a
//! home that is empty or of the same cluster.

use super::arguments::{BundleArguments, JoinArguments};
use super::authority;
use super::desk::enrol;
use super::enrolment::{self, Enrolment, VERSION};
use super::home::{FILE_BYTES_MAX, Home, cannot, default_directory};
use super::start::{How, start};
use crate::cli::Failure;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use pki::Request;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use types::{MemberName, Secret};

/// Above this it is no bundle of ours.
const FILES_MAX: usize = 8;
const MODE: u32 = 0o600;
const MANIFEST: &str = "bundle.json";
const AUTHORITY: &str = "tls/ca.crt";
const CERTIFICATE: &str = "tls/member.crt";
const KEY: &str = "tls/member.key";

/// What the files are.
#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u64,
    member: String,
    cluster: String,
    /// Where they belong: the configuration names files below it.
    directory: String,
}

pub fn make(arguments: &BundleArguments) -> Result<(), Failure> {
    let home = Home::at(arguments.home.directory.as_deref());
    let authority = authority::needed(&home)?;
    let member = MemberName::new(arguments.member.as_str());
    let directory = arguments.their_directory.clone().unwrap_or_else(default_directory);
    // Here, and only here, a key is made for somebody else: that is what carrying by hand means.
    let request = Request::make(member.as_str()).map_err(|error| {
        Failure::new("join-certificate", error.to_string()).hint("quorate support collects what helps to find out why")
    })?;
    let enrolment = enrol(&home, &authority, &member, &request.request_pem, &directory)?;
    let manifest = Manifest {
        version: VERSION,
        member: enrolment.member.clone(),
        cluster: enrolment.cluster.clone(),
        directory: directory.display().to_string(),
    };
    let manifest =
        serde_json::to_string_pretty(&manifest).map_err(|error| Failure::new("join-bundle", error.to_string()))?;
    let mut parts = vec![(MANIFEST, manifest.as_str())];
    parts.extend([(AUTHORITY, enrolment.authority.as_str()), (CERTIFICATE, &enrolment.certificate)]);
    parts.push((KEY, request.key_pem.expose()));
    parts.extend(enrolment.files.iter().map(|file| (file.path.as_str(), file.contents.as_str())));
    write(&arguments.file, &parts)?;
    eprintln!(
        "{} has the key of {member} in it: carry it there, then: quorate join --bundle {}; and delete both copies",
        arguments.file.display(),
        arguments.file.display()
    );
    Ok(())
}

/// Readable by its owner alone, and never over a file that is there.
fn write(file: &Path, parts: &[(&str, &str)]) -> Result<(), Failure> {
    platform::keep_new_files_private();
    let failed = |error: std::io::Error| cannot("write", file, &error);
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    let mut archive = tar::Builder::new(GzEncoder::new(created, Compression::default()));
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        archive.append_data(&mut header, name, text.as_bytes()).map_err(failed)?;
    }
    archive.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).map_err(failed)
}

pub fn join(arguments: &JoinArguments, file: &Path) -> Result<i32, Failure> {
    let mut parts = read(file)?;
    let manifest: Manifest = parts
        .remove(MANIFEST)
        .and_then(|text| serde_json::from_str(text.expose()).ok())
        .filter(|manifest: &Manifest| manifest.version == VERSION)
        .ok_or_else(|| damaged(file, "it has no list of its contents that this version knows"))?;
    let directory = arguments.home.directory.clone().unwrap_or_else(|| manifest.directory.clone().into());
    let home = Home::at(Some(&directory));
    if home.directory() != Path::new(&manifest.directory) {
        return Err(Failure::usage(
            "join-bundle",
            format!("the bundle was made for the directory {}, not for {}", manifest.directory, directory.display()),
        )
        .hint(format!(
            "make another there: quorate bundle {} FILE --their-directory {}",
            manifest.member,
            directory.display()
        )));
    }
    let mut part = |name: &str| parts.remove(name).ok_or_else(|| damaged(file, &format!("{name} is missing")));
    let (authority, certificate, key) = (part(AUTHORITY)?, part(CERTIFICATE)?, part(KEY)?);
    let fingerprint = pki::fingerprint(authority.expose()).ok_or_else(|| damaged(file, "its authority is damaged"))?;
    let files = parts.into_iter().map(|(path, contents)| enrolment::EnrolmentFile {
        private: true,
        contents: contents.expose().to_owned(),
        path,
    });
    let enrolment = Enrolment {
        member: manifest.member,
        cluster: manifest.cluster,
        certificate: certificate.expose().to_owned(),
        authority: authority.expose().to_owned(),
        files: files.collect(),
    };
    enrolment.check(&key, fingerprint)?;
    enrolment::refuse_foreign(&home, fingerprint)?;
    home.prepare()?;
    enrolment.write(&home, &key)?;
    eprintln!(
        "this is {} of {} now; its files are in {}",
        enrolment.member,
        enrolment.cluster,
        home.directory().display()
    );
    start(&home, How::of(&arguments.start))
}

fn read(file: &Path) -> Result<BTreeMap<String, Secret>, Failure> {
    let opened = std::fs::File::open(file).map_err(|error| cannot("read", file, &error))?;
    // What unpacks to more than this is no bundle.
    let unpacked = GzDecoder::new(opened).take(FILE_BYTES_MAX * FILES_MAX as u64);
    let mut archive = tar::Archive::new(unpacked);
    let mut parts = BTreeMap::new();
    let unreadable = |error: std::io::Error| damaged(file, &error.to_string());
    for entry in archive.entries().map_err(unreadable)?.take(FILES_MAX) {
        let entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(damaged(file, &format!("'{name}' is not a file")));
        }
        let mut text = String::new();
        entry.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        parts.insert(name, Secret::new(text));
    }
    Ok(parts)
}

fn damaged(file: &Path, why: &str) -> Failure {
    Failure::usage("join-bundle", format!("{} is not a whole bundle: {why}", file.display()))
        .hint("copy it again, or make another: quorate bundle MEMBER FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(directory: &Path, add: impl Fn(&mut tar::Builder<GzEncoder<std::fs::File>>)) -> std::path::PathBuf {
        let file = directory.join("bundle.tar.gz");
        let gzip = GzEncoder::new(std::fs::File::create(&file).unwrap(), Compression::default());
        let mut archive = tar::Builder::new(gzip);
        add(&mut archive);
        archive.into_inner().unwrap().finish().unwrap();
        file
    }

    #[test]
    fn what_was_packed_is_read_again_and_nothing_else_is_a_bundle() {
        let directory = tempfile::tempdir().unwrap();
        let good = directory.path().join("good.tar.gz");
        write(&good, &[(KEY, "a"), (AUTHORITY, "b")]).unwrap();
        let parts = read(&good).unwrap();
        assert_eq!((parts[KEY].expose(), parts[AUTHORITY].expose()), ("a", "b"));
        assert_eq!(write(&good, &[]).unwrap_err().code, "join-file", "it is not written over");

        let link = packed(directory.path(), |archive| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, KEY, "/etc/shadow").unwrap();
        });
        assert_eq!(read(&link).map(drop).unwrap_err().code, "join-bundle");
        std::fs::write(&link, "no archive").unwrap();
        assert_eq!(read(&link).map(drop).unwrap_err().code, "join-bundle");
        assert_eq!(read(&directory.path().join("none")).map(drop).unwrap_err().code, "join-file");
    }
}
