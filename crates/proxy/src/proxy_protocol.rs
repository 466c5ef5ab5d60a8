//! The PROXY protocol: how a load balancer in front of a server says for whom it speaks.
//!
//! Format: HAProxy's `proxy-protocol.txt`, sections 2.1 (version 1, one line) and 2.2 (version 2, binary). Read strictly: a header is
//! expected from exactly those who were named, and whatever deviates from the format ends the connection, because a receiver
//! that guesses lets a client say who it is. Extensions (TLVs) are checked for their form and their checksum, and not passed on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How the header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// Whom a connection is relayed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The client, and the address it wanted.
    Client { from: SocketAddr, to: SocketAddr },
    /// The load balancer itself, for example to see whether we are there; or a client of another kind of network.
    Unknown,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it does not begin with a PROXY header")]
    NoHeader,
    #[error("the PROXY header has no end within its length")]
    TooLong,
    #[error("the PROXY header of version 1 is not one line of the right words")]
    Line,
    #[error("the PROXY header has another version or command than those there are")]
    Version,
    #[error("the addresses of the PROXY header are not complete")]
    Addresses,
    #[error("an extension of the PROXY header is cut off")]
    Extension,
    #[error("the PROXY header's checksum is wrong")]
    Checksum,
}

/// "PROXY", two addresses with ports, spaces, CR LF: the format's own limit.
const LINE_BYTES_MAX: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0x0;
const PROXY: u8 = 0x1;
const STREAM: u8 = 0x1;
const IPV4: u8 = 0x1;
const IPV6: u8 = 0x2;
const IPV4_BYTES: usize = 12;
const IPV6_BYTES: usize = 36;
/// The format allows 64 KiB. What balancers send is below a kilobyte; with the client's certificate in it, a few.
const EXTENDED_BYTES_MAX: usize = 8 * 1024;
const TYPE_CHECKSUM: u8 = 0x03;
const EXTENSION_HEAD_BYTES: usize = 3;

/// The most that [`parse`] may need.
pub(crate) const HEADER_BYTES_MAX: usize = FIXED_BYTES + EXTENDED_BYTES_MAX;

/// The origin and the header's length, once all of it is there; `None` before that.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Origin, usize)>, Malformed> {
    if begins_like(bytes, LINE_START) {
        parse_line(bytes)
    } else if begins_like(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else {
        Err(Malformed::NoHeader)
    }
}

/// As far as there are bytes.
fn begins_like(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn parse_line(bytes: &[u8]) -> Result<Option<(Origin, usize)>, Malformed> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = std::str::from_utf8(&within[..end]).map_err(|_| Malformed::Line)?;
    let words: Vec<&str> = line.split(' ').collect();
    let origin = match words[..] {
        // Behind UNKNOWN anything may stand.
        ["PROXY", "UNKNOWN", ..] => Origin::Unknown,
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |text: &str| if family == "TCP4" { ipv4(text) } else { ipv6(text) };
            Origin::Client {
                from: SocketAddr::new(address(from)?, port(from_port)?),
                to: SocketAddr::new(address(to)?, port(to_port)?),
            }
        }
        _ => return Err(Malformed::Line),
    };
    Ok(Some((origin, end + 2)))
}

fn ipv4(text: &str) -> Result<IpAddr, Malformed> {
    text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| Malformed::Line)
}

fn ipv6(text: &str) -> Result<IpAddr, Malformed> {
    text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| Malformed::Line)
}

/// Digits only, without a leading zero, as the format says.
fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Malformed::Line)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(Origin, usize)>, Malformed> {
    if bytes.len() < FIXED_BYTES {
        return Ok(None);
    }
    let (version_and_command, family_and_kind) = (bytes[12], bytes[13]);
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let command = version_and_command & 0x0F;
    if version_and_command & 0xF0 != VERSION_2 || !matches!(command, LOCAL | PROXY) {
        return Err(Malformed::Version);
    }
    if length > EXTENDED_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let Some(header) = bytes.get(..FIXED_BYTES + length) else { return Ok(None) };
    let body = &header[FIXED_BYTES..];
    let (family, kind) = (family_and_kind >> 4, family_and_kind & 0x0F);
    let (origin, addresses) = match (family, kind) {
        (IPV4, STREAM) => (Some(ipv4_pair(body)?), IPV4_BYTES),
        (IPV6, STREAM) => (Some(ipv6_pair(body)?), IPV6_BYTES),
        // Other networks, such as Unix sockets: nothing of it concerns us, its extensions included.
        _ => (None, length),
    };
    check_extensions(header, FIXED_BYTES + addresses)?;
    let origin = origin.filter(|_| command == PROXY).unwrap_or(Origin::Unknown);
    Ok(Some((origin, header.len())))
}

fn ipv4_pair(body: &[u8]) -> Result<Origin, Malformed> {
    let body: &[u8; IPV4_BYTES] = body.first_chunk().ok_or(Malformed::Addresses)?;
    let address = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]).into();
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    Ok(Origin::Client { from: SocketAddr::new(address(0), port(8)), to: SocketAddr::new(address(4), port(10)) })
}

fn ipv6_pair(body: &[u8]) -> Result<Origin, Malformed> {
    let body: &[u8; IPV6_BYTES] = body.first_chunk().ok_or(Malformed::Addresses)?;
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&body[at..at + 16]);
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    Ok(Origin::Client { from: SocketAddr::new(address(0), port(32)), to: SocketAddr::new(address(16), port(34)) })
}

fn check_extensions(header: &[u8], mut at: usize) -> Result<(), Malformed> {
    while at < header.len() {
        let head = header.get(at..at + EXTENSION_HEAD_BYTES).ok_or(Malformed::Extension)?;
        let value = at + EXTENSION_HEAD_BYTES;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let end = value + length;
        let found = header.get(value..end).ok_or(Malformed::Extension)?;
        if head[0] == TYPE_CHECKSUM {
            let found: [u8; 4] = found.try_into().map_err(|_| Malformed::Checksum)?;
            let mut zeroed = header.to_vec();
            zeroed[value..end].fill(0);
            if crc32c(&zeroed) != u32::from_be_bytes(found) {
                return Err(Malformed::Checksum);
            }
        }
        at = end;
    }
    Ok(())
}

/// Castagnoli's polynomial, bit by bit: it is needed for a few hundred bytes of a few connections.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL_REFLECTED: u32 = 0x82F6_3B78;
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL_REFLECTED & 0u32.wrapping_sub(crc & 1));
        }
        crc
    })
}

/// The header for a server behind us.
pub(crate) fn write(version: ProxyProtocol, origin: Origin) -> Vec<u8> {
    match (version, origin) {
        (ProxyProtocol::V1, Origin::Unknown) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyProtocol::V1, Origin::Client { from, to }) => {
            let (from_port, to_port) = (from.port(), to.port());
            let (family, from, to) = match same_family(from, to) {
                Pair::V4(from, to) => ("TCP4", from.to_string(), to.to_string()),
                Pair::V6(from, to) => ("TCP6", from.to_string(), to.to_string()),
            };
            format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
        }
        (ProxyProtocol::V2, Origin::Unknown) => binary(LOCAL, 0, &[]),
        (ProxyProtocol::V2, Origin::Client { from, to }) => {
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            match same_family(from, to) {
                Pair::V4(from, to) => {
                    binary(PROXY, IPV4 << 4 | STREAM, &[&from.octets(), &to.octets(), &ports[..]].concat())
                }
                Pair::V6(from, to) => {
                    binary(PROXY, IPV6 << 4 | STREAM, &[&from.octets(), &to.octets(), &ports[..]].concat())
                }
            }
        }
    }
}

fn binary(command: u8, family_and_kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [SIGNATURE, &[VERSION_2 | command, family_and_kind][..], &length, body].concat()
}

enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// A socket for both kinds shows IPv4 addresses as IPv6 ones; the header has one kind only.
fn same_family(from: SocketAddr, to: SocketAddr) -> Pair {
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Pair::V4(from, to),
        (from, to) => Pair::V6(as_v6(from), as_v6(to)),
    }
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(from: &str, to: &str) -> Origin {
        Origin::Client { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn v2(version_and_command: u8, family_and_kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, family_and_kind][..], &length, body].concat()
    }

    const V4_BODY: &[u8] = &[10, 0, 0, 1, 10, 0, 0, 2, 0xD4, 0x31, 0x15, 0x38];

    #[test]
    fn what_the_format_allows_is_read() {
        let ours = client("10.0.0.1:54321", "10.0.0.2:5432");
        let six = client("[2001:db8::1]:54321", "[2001:db8::2]:5432");
        let six_body = [
            &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()[..],
            &"2001:db8::2".parse::<Ipv6Addr>().unwrap().octets(),
            &[0xD4, 0x31, 0x15, 0x38],
        ]
        .concat();
        let extended = [V4_BODY, &[0x04, 0, 3, b'a', b'b', b'c'], &[0xE0, 0, 0]].concat();
        let cases: Vec<(Vec<u8>, Origin)> = vec![
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 54321 5432\r\n".to_vec(), ours),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 54321 5432\r\n".to_vec(), six),
            (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Unknown),
            (b"PROXY UNKNOWN ffff::1 whatever\r\n".to_vec(), Origin::Unknown),
            (v2(0x21, 0x11, V4_BODY), ours),
            (v2(0x21, 0x21, &six_body), six),
            (v2(0x21, 0x11, &extended), ours),
            // LOCAL: the addresses, if any, are not the client's.
            (v2(0x20, 0x00, b""), Origin::Unknown),
            (v2(0x20, 0x11, V4_BODY), Origin::Unknown),
            // A Unix socket, a datagram.
            (v2(0x21, 0x31, &[7; 216]), Origin::Unknown),
            (v2(0x21, 0x12, V4_BODY), Origin::Unknown),
        ];
        for (header, origin) in cases {
            let with_more = [&header[..], b"and the client's own first words"].concat();
            assert_eq!(parse(&with_more), Ok(Some((origin, header.len()))), "{header:?}");
            for length in 0..header.len() {
                assert_eq!(parse(&header[..length]), Ok(None), "{length} bytes of {header:?}");
            }
        }
    }

    #[test]
    fn what_deviates_is_refused() {
        let long_line = [b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat();
        let mut other_version = v2(0x21, 0x11, V4_BODY);
        other_version[12] = 0x31;
        let cases: Vec<(Vec<u8>, Malformed)> = vec![
            (b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), Malformed::NoHeader),
            (b"proxy TCP4 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(), Malformed::NoHeader),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n".repeat(4), Malformed::TooLong),
            (long_line, Malformed::TooLong),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4  10.0.0.1 10.0.0.2 1 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY TCP4 10.0.0.\xff 10.0.0.2 1 2\r\n".to_vec(), Malformed::Line),
            (b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(), Malformed::Line),
            (other_version, Malformed::Version),
            (v2(0x22, 0x11, V4_BODY), Malformed::Version),
            (v2(0x21, 0x11, &V4_BODY[..11]), Malformed::Addresses),
            (v2(0x21, 0x21, V4_BODY), Malformed::Addresses),
            (v2(0x21, 0x11, &[V4_BODY, &[1, 0]].concat()), Malformed::Extension),
            (v2(0x21, 0x11, &[V4_BODY, &[1, 0, 5, 0]].concat()), Malformed::Extension),
            (v2(0x21, 0x11, &[V4_BODY, &[3, 0, 4, 1, 2, 3, 4]].concat()), Malformed::Checksum),
            (v2(0x21, 0x11, &[V4_BODY, &[3, 0, 3, 1, 2, 3]].concat()), Malformed::Checksum),
            (v2(0x21, 0x11, &vec![0; EXTENDED_BYTES_MAX + 1]), Malformed::TooLong),
        ];
        for (header, why) in cases {
            assert_eq!(parse(&header), Err(why), "{}", String::from_utf8_lossy(&header));
        }
    }

    #[test]
    fn a_checksum_that_fits_is_accepted() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283, "the check value of this polynomial");
        let mut header = v2(0x21, 0x11, &[V4_BODY, &[3, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c(&header).to_be_bytes();
        let length = header.len();
        header[length - 4..].copy_from_slice(&sum);
        assert_eq!(parse(&header), Ok(Some((client("10.0.0.1:54321", "10.0.0.2:5432"), length))));
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        let mixed = client("[2001:db8::1]:1", "10.0.0.2:2");
        for (origin, read) in [
            (client("10.0.0.1:1", "10.0.0.2:2"), client("10.0.0.1:1", "10.0.0.2:2")),
            (client("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2"), client("10.0.0.1:1", "10.0.0.2:2")),
            (mixed, client("[2001:db8::1]:1", "[::ffff:10.0.0.2]:2")),
            (Origin::Unknown, Origin::Unknown),
        ] {
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                let header = write(version, origin);
                assert_eq!(parse(&header), Ok(Some((read, header.len()))), "{version:?} {origin:?}");
            }
        }
    }
}
