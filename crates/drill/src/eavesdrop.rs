//! What somebody at the switch hears of TCP connections: how each begins, and whether it is encrypted from there on.
//!
//! Deliberately no more than the beginnings: none of the protocols here goes back from TLS to plain text. The invariant: what
//! was not understood counts as said in clear.

use crate::listening::Listening;
use anyhow::Result;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Enough for PostgreSQL's question for TLS and the first record after it, and to recognise what else it is.
pub(crate) const BEGINNING_BYTES: usize = 32;
/// More would be minutes of a busy network.
const CONNECTIONS_MAX: usize = 100_000;
/// What a client of PostgreSQL says before TLS: the length and the code of SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// One connection. `from` is who opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing was said.
    Silent,
    Encrypted,
    /// After PostgreSQL's question for it.
    EncryptedOnRequest,
    /// The beginning, for people.
    InClear(String),
}

/// The first bytes of each direction, as far as they were heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Talk {
    asked: Stream,
    answered: Stream,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stream {
    /// The number of its first byte.
    start: Option<u32>,
    bytes: [Option<u8>; BEGINNING_BYTES],
}

impl Stream {
    fn hear(&mut self, number: u32, data: &[u8]) {
        let Some(start) = self.start else { return };
        let at = number.wrapping_sub(start) as usize;
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(data) {
            *place = Some(*byte);
        }
    }

    fn beginning(&self) -> Vec<u8> {
        self.bytes.iter().map_while(|byte| *byte).collect()
    }
}

impl Talk {
    fn how(&self) -> How {
        let (asked, answered) = (self.asked.beginning(), self.answered.beginning());
        let in_clear = |what: &[u8]| How::InClear(what.escape_ascii().to_string());
        let (how, asked, answered) = match asked.strip_prefix(&SSL_REQUEST) {
            // A server that cannot (N) is left alone, or hears the rest in clear.
            Some(rest) => (How::EncryptedOnRequest, rest, answered.get(1..).unwrap_or_default()),
            None => (How::Encrypted, &asked[..], &answered[..]),
        };
        if asked.is_empty() && answered.is_empty() {
            return How::Silent;
        }
        match [asked, answered].into_iter().find(|said| !said.is_empty() && !is_tls(said)) {
            Some(said) => in_clear(said),
            None => how,
        }
    }
}

/// A record of a handshake, or an alert that refuses one; in two pieces at worst.
fn is_tls(said: &[u8]) -> bool {
    matches!(said, [0x15 | 0x16] | [0x15 | 0x16, 0x03, ..])
}

/// Listens until it is dropped. Connections that began before it are not heard.
#[derive(Debug)]
pub struct Eavesdropper(Listening<Talks>);

impl Eavesdropper {
    pub(crate) fn start(namespace: &str) -> Result<Self> {
        let hear = |talks: &mut Talks, frame: &[u8]| {
            if let Some(segment) = segment_in(frame) {
                talks.hear(&segment);
            }
        };
        Listening::start(namespace, "eavesdropper", hear).map(Self)
    }

    /// In the order in which they were opened.
    pub fn connections(&self) -> Vec<Heard> {
        self.0.heard().all.iter().map(|(from, to, talk)| Heard { from: *from, to: *to, how: talk.how() }).collect()
    }
}

#[derive(Debug, Default)]
struct Talks {
    all: Vec<(SocketAddrV4, SocketAddrV4, Talk)>,
    /// The newest between these two ends, by who opened it.
    newest: HashMap<(SocketAddrV4, SocketAddrV4), usize>,
}

impl Talks {
    fn hear(&mut self, segment: &Segment<'_>) {
        let (from, to) = (segment.from, segment.to);
        let first = segment.number.wrapping_add(1);
        match (segment.opens, segment.acknowledges) {
            (true, false) => {
                let known = self.newest.get(&(from, to)).is_some_and(|at| self.all[*at].2.asked.start == Some(first));
                if !known && self.all.len() < CONNECTIONS_MAX {
                    let asked = Stream { start: Some(first), ..Stream::default() };
                    self.newest.insert((from, to), self.all.len());
                    self.all.push((from, to, Talk { asked, answered: Stream::default() }));
                }
            }
            (true, true) => {
                if let Some(at) = self.newest.get(&(to, from)) {
                    self.all[*at].2.answered.start = Some(first);
                }
            }
            (false, _) => {
                if let Some(at) = self.newest.get(&(from, to)) {
                    self.all[*at].2.asked.hear(segment.number, segment.data);
                } else if let Some(at) = self.newest.get(&(to, from)) {
                    self.all[*at].2.answered.hear(segment.number, segment.data);
                }
            }
        }
    }
}

/// As RFC 9293 lays it out.
#[derive(Debug, PartialEq, Eq)]
struct Segment<'a> {
    from: SocketAddrV4,
    to: SocketAddrV4,
    number: u32,
    opens: bool,
    acknowledges: bool,
    data: &'a [u8],
}

/// Ethernet, IPv4, TCP; `None` is anything else.
fn segment_in(frame: &[u8]) -> Option<Segment<'_>> {
    const ETHERNET_BYTES: usize = 14;
    const TCP: u8 = 6;
    let ip = frame.get(ETHERNET_BYTES..)?;
    if frame.get(12..14)? != [0x08, 0x00] || *ip.get(9)? != TCP {
        return None;
    }
    // The frame may be padded, and is longer than what was read of it.
    let length = usize::from(u16::from_be_bytes(ip.get(2..4)?.try_into().ok()?));
    // Zero: so much that it was not said, on a virtual card.
    let ip = if length == 0 { ip } else { &ip[..length.min(ip.len())] };
    let tcp = ip.get(usize::from(ip[0] & 0x0F) * 4..)?;
    let end = |address: usize, port: usize| {
        let address: [u8; 4] = ip.get(address..address + 4)?.try_into().ok()?;
        let port = u16::from_be_bytes(tcp.get(port..port + 2)?.try_into().ok()?);
        Some(SocketAddrV4::new(Ipv4Addr::from(address), port))
    };
    let flags = *tcp.get(13)?;
    Some(Segment {
        from: end(12, 0)?,
        to: end(16, 2)?,
        number: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        opens: flags & 0x02 != 0,
        acknowledges: flags & 0x10 != 0,
        data: tcp.get(usize::from(tcp[12] >> 4) * 4..).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40000);
    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 5432);
    const HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00];

    fn how(said: &[(SocketAddrV4, &[u8])]) -> How {
        // Numbers that wrap around in the middle.
        let mut next = HashMap::from([(CLIENT, u32::MAX - 3), (SERVER, 7)]);
        let mut talks = Talks::default();
        let mut hear = |from, opens, acknowledges, data: &[u8]| {
            let to = if from == CLIENT { SERVER } else { CLIENT };
            let number = next[&from];
            let used = data.len() as u32 + u32::from(opens);
            next.insert(from, number.wrapping_add(used));
            // Heard at each port of the switch.
            for _ in 0..2 {
                talks.hear(&Segment { from, to, number, opens, acknowledges, data });
            }
        };
        hear(CLIENT, true, false, &[]);
        hear(SERVER, true, true, &[]);
        for (from, data) in said {
            hear(*from, false, true, data);
        }
        assert_eq!(talks.all.len(), 1);
        talks.all[0].2.how()
    }

    #[test]
    fn what_is_in_clear_is_told_from_what_is_not() {
        for (said, expected) in [
            (vec![], How::Silent),
            (vec![(CLIENT, HELLO), (SERVER, HELLO)], How::Encrypted),
            (vec![(CLIENT, &HELLO[..1]), (CLIENT, &HELLO[1..])], How::Encrypted),
            (vec![(CLIENT, HELLO), (SERVER, &[0x15, 0x03, 0x03])], How::Encrypted),
            (vec![(CLIENT, HELLO), (SERVER, b"HTTP/1.1 400")], How::InClear("HTTP/1.1 400".into())),
            (vec![(CLIENT, b"PRI * HTTP/2.0\r\n")], How::InClear("PRI * HTTP/2.0\\r\\n".into())),
            (vec![(CLIENT, b"*1\r\n$4\r\nPING")], How::InClear("*1\\r\\n$4\\r\\nPING".into())),
            (vec![(SERVER, b"+OK")], How::InClear("+OK".into())),
            (vec![(CLIENT, &SSL_REQUEST), (SERVER, b"N")], How::Silent),
            (vec![(CLIENT, &SSL_REQUEST), (SERVER, b"S"), (CLIENT, HELLO)], How::EncryptedOnRequest),
            (
                vec![(CLIENT, &SSL_REQUEST), (SERVER, b"N"), (CLIENT, &[0, 0, 0, 9, 0, 3])],
                How::InClear("\\x00\\x00\\x00\\t\\x00\\x03".into()),
            ),
            (vec![(CLIENT, &[0, 0, 0, 9, 0, 3])], How::InClear("\\x00\\x00\\x00\\t\\x00\\x03".into())),
        ] {
            assert_eq!(how(&said), expected, "{said:?}");
        }
    }

    #[test]
    fn a_frame_has_a_segment_in_it() {
        let ethernet = [0; 12].into_iter().chain([8, 0]);
        let ip = [0x45, 0, 0, 43, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let tcp = [0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 9, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0];
        // Three bytes, then what fills the frame.
        let frame: Vec<u8> = ethernet.chain(ip).chain(tcp).chain(*b"abc\0\0\0").collect();
        let expected = Segment { from: CLIENT, to: SERVER, number: 9, opens: false, acknowledges: true, data: b"abc" };
        assert_eq!(segment_in(&frame), Some(expected));
        assert_eq!(segment_in(&frame[..40]), None, "cut short");
    }
}
