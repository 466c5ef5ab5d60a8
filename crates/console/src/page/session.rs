//! Who is signed in.
//!
//! Deliberately in memory: a session ends with the agent, and other members do not know it. The invariants: at most
//! [`SESSIONS_MAX`] sessions, each of bounded age; tokens are kept as digests, so that a look into the memory of the process
//! gives none away; passwords are compared in constant time, and wrong ones only so often.

use crate::access::is_same;
use crate::settings::BasicAuth;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Operators of one cluster, with several browsers each. One more ends the session that was idle longest.
pub const SESSIONS_MAX: usize = 64;
/// A working day.
pub const SESSION_AGE_MAX: Duration = Duration::from_secs(8 * 3600);
/// An open page asks at least every quarter of an hour, when its stream is connected again.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(3600);
/// Wrong passwords from one address within [`WINDOW`]: people mistype, programs do not stop.
pub const FAILURES_MAX: u32 = 5;
/// And from everywhere together.
pub const FAILURES_OF_ALL_MAX: u32 = 50;
pub const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that failures are counted for; the count of all bounds what more of them could try.
const ADDRESSES_MAX: usize = 256;
const TOKEN_BYTES: usize = 32;

type Digest = [u8; 32];

#[derive(Default)]
pub struct Sessions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the digest of the token.
    sessions: BTreeMap<Digest, Session>,
    failures: BTreeMap<IpAddr, Failures>,
    failures_of_all: Failures,
}

struct Session {
    user: String,
    /// The name and password it was opened with: when they change, it is over.
    credential: Digest,
    since: Instant,
    used: Instant,
}

/// Since the first of a window.
#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Wrong,
    TooOften { wait: Duration },
    NoRandomness,
}

impl Sessions {
    /// The token, for the browser's cookie.
    pub fn sign_in(
        &self,
        now: Instant,
        peer: IpAddr,
        expected: &BasicAuth,
        user: &str,
        password: &str,
    ) -> Result<String, Refused> {
        let mut state = self.lock();
        state.forget(now);
        let wait = [state.failures_of_all.wait(now, FAILURES_OF_ALL_MAX), state.wait_of(peer, now)];
        if let Some(wait) = wait.into_iter().flatten().max() {
            return Err(Refused::TooOften { wait });
        }
        let credential = digest_of(expected.header());
        // Digests have one length, so not even the password's length shows.
        if !is_same(&digest_of(BasicAuth::new(user, password).header()), &credential) {
            state.failed(peer, now);
            return Err(Refused::Wrong);
        }
        let mut random = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut random).map_err(|_| Refused::NoRandomness)?;
        let token = URL_SAFE_NO_PAD.encode(random);
        if state.sessions.len() >= SESSIONS_MAX
            && let Some(idle) = state.sessions.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest)
        {
            state.sessions.remove(&idle);
        }
        let session = Session { user: user.to_owned(), credential, since: now, used: now };
        state.sessions.insert(digest_of(&token), session);
        Ok(token)
    }

    /// Whose session it is, if it lives.
    pub fn user(&self, now: Instant, token: &str, expected: &BasicAuth) -> Option<String> {
        let mut state = self.lock();
        state.forget(now);
        let session = state.sessions.get_mut(&digest_of(token))?;
        if session.credential != digest_of(expected.header()) {
            return None;
        }
        session.used = now;
        Some(session.user.clone())
    }

    pub fn sign_out(&self, token: &str) {
        self.lock().sessions.remove(&digest_of(token));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        self.sessions.retain(|_, session| {
            now.saturating_duration_since(session.since) < SESSION_AGE_MAX
                && now.saturating_duration_since(session.used) < SESSION_IDLE_MAX
        });
        self.failures.retain(|_, failures| failures.is_open(now));
    }

    fn wait_of(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        self.failures.get(&peer)?.wait(now, FAILURES_MAX)
    }

    fn failed(&mut self, peer: IpAddr, now: Instant) {
        self.failures_of_all.add(now);
        if self.failures.len() < ADDRESSES_MAX || self.failures.contains_key(&peer) {
            self.failures.entry(peer).or_default().add(now);
        }
    }
}

impl Failures {
    fn is_open(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) < WINDOW)
    }

    fn add(&mut self, now: Instant) {
        if !self.is_open(now) {
            *self = Self { count: 0, since: Some(now) };
        }
        self.count += 1;
    }

    /// How long nothing is tried any more.
    fn wait(&self, now: Instant, max: u32) -> Option<Duration> {
        let since = self.since.filter(|_| self.is_open(now) && self.count >= max)?;
        Some(WINDOW.saturating_sub(now.saturating_duration_since(since)))
    }
}

fn digest_of(text: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn expected() -> BasicAuth {
        BasicAuth::new("admin", "right")
    }

    #[test]
    fn a_session_ends_with_its_age_with_idleness_and_with_the_password() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = sessions.sign_in(start, PEER, &expected(), "admin", "right").unwrap();
        assert_eq!(sessions.user(start, &token, &expected()).as_deref(), Some("admin"));
        assert_eq!(sessions.user(start, "guessed", &expected()), None);
        assert_eq!(sessions.user(start, &token, &BasicAuth::new("admin", "new")), None);

        let almost_idle = SESSION_IDLE_MAX.saturating_sub(Duration::from_secs(1));
        let mut now = start;
        while now + almost_idle < start + SESSION_AGE_MAX {
            now += almost_idle;
            assert!(sessions.user(now, &token, &expected()).is_some());
        }
        assert_eq!(sessions.user(start + SESSION_AGE_MAX, &token, &expected()), None);

        let token = sessions.sign_in(start, PEER, &expected(), "admin", "right").unwrap();
        assert_eq!(sessions.user(start + SESSION_IDLE_MAX, &token, &expected()), None);
        let token = sessions.sign_in(start, PEER, &expected(), "admin", "right").unwrap();
        sessions.sign_out(&token);
        assert_eq!(sessions.user(start, &token, &expected()), None);
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_idlest_goes_first() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let sign_in = |at| sessions.sign_in(at, PEER, &expected(), "admin", "right").unwrap();
        let tokens: Vec<String> = (0..SESSIONS_MAX).map(|n| sign_in(start + Duration::from_millis(n as u64))).collect();
        let later = start + Duration::from_secs(1);
        assert!(sessions.user(later, &tokens[0], &expected()).is_some(), "so the second is the idlest now");
        let one_more = sign_in(later);
        let lives = |token: &String| sessions.user(later, token, &expected()).is_some();
        assert_eq!((lives(&tokens[0]), lives(&tokens[1]), lives(&one_more)), (true, false, true));
    }

    #[test]
    fn wrong_passwords_are_slowed_down_for_the_address_that_sends_them() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let attempt = |at, peer: IpAddr, password| sessions.sign_in(at, peer, &expected(), "admin", password).err();
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempt(start, PEER, "wrong"), Some(Refused::Wrong));
        }
        let half = WINDOW / 2;
        assert_eq!(
            attempt(start + half, PEER, "right"),
            Some(Refused::TooOften { wait: half }),
            "not even the right one"
        );
        assert_eq!(attempt(start + half, "192.0.2.8".parse().unwrap(), "right"), None);
        assert_eq!(attempt(start + WINDOW, PEER, "right"), None);
        // From many addresses at once.
        let peers = (0..FAILURES_OF_ALL_MAX).map(|n| IpAddr::from([198, 51, 100, n as u8]));
        let last = start + WINDOW * 2;
        for peer in peers {
            assert_eq!(attempt(last, peer, "wrong"), Some(Refused::Wrong));
        }
        assert!(matches!(attempt(last, PEER, "right"), Some(Refused::TooOften { .. })));
    }
}
