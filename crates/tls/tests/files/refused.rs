//! Every way in which a file can be wrong: named, with a hint, and nothing of it shown.

use crate::directory::Directory;
use std::time::{Duration, SystemTime};
use tls::{ClientCertificates, ServerTls, TlsError};

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name_and_a_hint() {
    let directory = Directory::new();
    let ours = directory.authority("ours");
    directory.issue(&ours, "good", "127.0.0.1");
    directory.issue(&ours, "other", "127.0.0.1");
    let read = |name: &str| std::fs::read_to_string(directory.path(name)).unwrap();
    let (certificate, key) = (read("good.pem"), read("good.key"));
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let damaged = certificate.replacen("MII", "***", 1);
    let half = &certificate[..certificate.len() / 2];
    for (certificate, key, words) in [
        (None, Some(key.as_str()), "there is no file"),
        (Some(certificate.as_str()), None, "there is no file"),
        (Some(""), Some(key.as_str()), "has no certificate in it"),
        (Some(key.as_str()), Some(key.as_str()), "has no certificate in it"),
        (Some(half), Some(key.as_str()), "cannot be used: a section of it is damaged"),
        (Some(damaged.as_str()), Some(key.as_str()), "cannot be used: a section of it is damaged"),
        (Some(certificate.as_str()), Some(""), "has no private key in it"),
        (Some(certificate.as_str()), Some(certificate.as_str()), "has no private key in it"),
        (Some(certificate.as_str()), Some(encrypted.as_str()), "is encrypted with a password"),
        (Some(certificate.as_str()), Some(read("other.key").as_str()), "does not belong to the certificate in"),
    ] {
        for (name, text) in [("x.pem", certificate), ("x.key", key)] {
            let _ = std::fs::remove_file(directory.path(name));
            text.map(|text| directory.write(name, text));
        }
        let error = ServerTls::open(directory.server("x", "ours", ClientCertificates::NotAsked), &[]).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && said.contains(directory.path("x.").to_str().unwrap()), "{said}");
        assert!(!error.hint().is_empty());
        let secret = key.and_then(|key| key.lines().nth(1));
        assert!(secret.is_none_or(|secret| !format!("{error} {error:?}").contains(secret)), "{said}");
    }
}

#[test]
fn authorities_are_needed_to_ask_for_certificates() {
    let directory = Directory::new();
    let ours = directory.authority("ours");
    directory.issue(&ours, "good", "127.0.0.1");
    let mut files = directory.server("good", "missing", ClientCertificates::Required);
    let error = ServerTls::open(files.clone(), &[]).unwrap_err();
    assert_eq!(error, TlsError::Missing { file: directory.path("missing.ca") });
    files.authorities = None;
    assert_eq!(ServerTls::open(files.clone(), &[]).unwrap_err(), TlsError::NoAuthorities);
    files.clients = ClientCertificates::NotAsked;
    assert!(ServerTls::open(files, &[]).is_ok());
}

#[test]
fn a_certificate_that_ended_or_has_not_begun_is_told() {
    let directory = Directory::new();
    let ours = directory.authority("ours");
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    for (made, words) in [(now - 10 * day, "ended on"), (now + 10 * day, "is not valid before"), (now, "")] {
        directory.keep("x", &ours.issue("x", &["127.0.0.1"], made, day).unwrap());
        let server = ServerTls::open(directory.server("x", "ours", ClientCertificates::NotAsked), &[]).unwrap();
        let said = server.lifetime().unwrap().check(now).err().map_or_else(String::new, |error| error.to_string());
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{said}");
    }
}
