//! What single texts must look like.

use std::net::IpAddr;

/// X.509 has room for so many characters, and nobody wants to type more.
pub const NAME_CHARS_MAX: usize = 64;
/// Of a host name (RFC 1035).
const HOST_CHARS_MAX: usize = 253;

/// Names become parts of keys, of file names, of certificates and of Redis's commands. `None`: fine.
pub fn name_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is missing".to_owned());
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Some(format!("has more than {NAME_CHARS_MAX} characters"));
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if let Some(wrong) = text.chars().find(|letter| !allowed(*letter)) {
        return Some(format!("has {} in it; letters, digits, '-', '_' and '.' are possible", shown(wrong)));
    }
    let first = text.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    (!first).then(|| "must begin with a letter or a digit".to_owned())
}

fn shown(letter: char) -> String {
    match letter {
        ' ' => "a blank".to_owned(),
        letter if letter.is_control() => "a control character".to_owned(),
        letter => format!("'{letter}'"),
    }
}

/// How a member's address is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    Missing,
    Port,
    Everywhere,
    Neither(String),
}

/// An IP address or a host name, without a port.
pub fn address_problem(text: &str) -> Option<AddressProblem> {
    if text.is_empty() {
        return Some(AddressProblem::Missing);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return (ip.is_unspecified() || ip.is_multicast()).then_some(AddressProblem::Everywhere);
    }
    if text == "*" {
        return Some(AddressProblem::Everywhere);
    }
    let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if has_port {
        return Some(AddressProblem::Port);
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What has only digits and dots is meant as an IP address.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_host = text.len() <= HOST_CHARS_MAX && !digits && text.trim_end_matches('.').split('.').all(is_label);
    (!is_host).then(|| AddressProblem::Neither(text.to_owned()))
}

/// How a directory is wrong. `None`: fine.
pub fn directory_problem(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("is missing".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Some("must not contain control characters".to_owned());
    }
    if !is_absolute(text) {
        return Some(format!("'{text}' is not an absolute path"));
    }
    if parts(text).is_empty() {
        return Some("is the root of the file system".to_owned());
    }
    text.split(['/', '\\']).any(|part| part == "..").then(|| "must not contain '..'".to_owned())
}

/// On the systems that a plan may be for, not only on this one.
fn is_absolute(text: &str) -> bool {
    let drive = text.as_bytes();
    text.starts_with('/')
        || text.starts_with("\\\\")
        || drive.len() >= 3 && drive[0].is_ascii_alphabetic() && drive[1] == b':' && matches!(drive[2], b'/' | b'\\')
}

fn parts(text: &str) -> Vec<&str> {
    let without_drive = text.split_once(':').map_or(text, |(_, rest)| rest);
    without_drive.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Whether one directory is the other, or lies in it.
pub fn lies_in(inner: &str, outer: &str) -> bool {
    let drive = |text: &str| text.split_once(':').map(|(drive, _)| drive.to_ascii_lowercase());
    drive(inner) == drive(outer) && parts(inner).starts_with(&parts(outer))
}
