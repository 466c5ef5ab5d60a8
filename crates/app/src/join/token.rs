//! One-time tokens: what a person carries from the first server to the next.
//!
//! A token names its authority (so that the other server knows whom to believe), itself, and how long it is good, and has a
//! secret of 128 bits. Here only a digest of the secret is kept. The invariants: a token is good once, whoever else uses
//! it in the same moment; and what the network hears of a refusal is always the same.

use super::arguments::{HomeArgument, TokenArguments, TokenCommand};
use super::home::{self, Home, cannot};
use super::{authority, enrolment};
use crate::cli::{Failure, emit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::Fingerprint;
use platform::Readers;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::{MemberName, Secret};

/// So that people and programs that look for secrets in texts know one when they see it.
pub const PREFIX: &str = "qt1_";
const IDENTITY_BYTES: usize = 8;
const SECRET_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 32;
const TIME_BYTES: usize = 8;
/// Of the digest of the rest: a letter that was lost on the way is found before anything is asked.
const CHECK_BYTES: usize = 4;
const TOKEN_BYTES: usize = FINGERPRINT_BYTES + IDENTITY_BYTES + TIME_BYTES + SECRET_BYTES + CHECK_BYTES;
const OPEN: &str = "json";
const CLAIMED: &str = "claimed";

/// A token as it is read. `Debug` shows no secret.
pub struct Token {
    pub authority: Fingerprint,
    pub identity: String,
    pub expires: SystemTime,
    secret: [u8; SECRET_BYTES],
}

/// What is kept of one that is good.
#[derive(Serialize, Deserialize)]
struct Kept {
    member: String,
    /// SHA-256 of the secret: it is random, so nobody can guess it from that.
    digest: String,
    expires: u64,
}

/// A new token.
#[derive(Clone, Debug)]
pub struct Made {
    pub text: Secret,
    pub identity: String,
    pub expires: SystemTime,
}

/// One that nobody has used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenToken {
    pub identity: String,
    pub member: MemberName,
    pub expires: SystemTime,
}

/// Why a token is not accepted. For the log of the server that refuses; whoever shows it hears only that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is no token, or a part of it is missing")]
    Damaged,
    #[error("it belongs to another authority")]
    Foreign,
    #[error("it has expired")]
    Expired,
    #[error("it was used or revoked, or never made here")]
    Unknown,
    #[error("its secret is wrong")]
    Wrong,
}

impl Token {
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(Refused::Damaged)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Refused::Damaged)?;
        let (body, check) = bytes.split_at_checked(TOKEN_BYTES - CHECK_BYTES).ok_or(Refused::Damaged)?;
        if check != &digest(&SHA256, body).as_ref()[..CHECK_BYTES] {
            return Err(Refused::Damaged);
        }
        let (authority, rest) = body.split_at(FINGERPRINT_BYTES);
        let (identity, rest) = rest.split_at(IDENTITY_BYTES);
        let (time, secret) = rest.split_at(TIME_BYTES);
        let seconds = u64::from_be_bytes(time.try_into().map_err(|_| Refused::Damaged)?);
        Ok(Self {
            authority: Fingerprint(authority.try_into().map_err(|_| Refused::Damaged)?),
            identity: hex(identity),
            expires: UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(Refused::Damaged)?,
            secret: secret.try_into().map_err(|_| Refused::Damaged)?,
        })
    }
}

/// A token for a member of the plan. One that was made for it before is worthless from then on.
pub fn make(home: &Home, member: &MemberName, life: Duration) -> Result<Made, Failure> {
    let authority = authority::needed(home)?;
    authority::planned(&home.plan()?, member)?;
    home.directory_for(&home.tokens(), Readers::Owner)?;
    for old in list(home)?.into_iter().filter(|old| old.member == *member) {
        remove(home, &old.identity)?;
    }
    let (mut identity, mut secret) = ([0; IDENTITY_BYTES], [0; SECRET_BYTES]);
    let random = SystemRandom::new();
    random.fill(&mut identity).and_then(|()| random.fill(&mut secret)).map_err(|_| {
        Failure::new("join-random", "the operating system has no random numbers").hint("try again in a moment")
    })?;
    let expires = seconds(SystemTime::now() + life);
    let kept = Kept { member: member.to_string(), digest: hex(digest(&SHA256, &secret).as_ref()), expires };
    let text = serde_json::to_string(&kept).map_err(|error| Failure::new("join-token", error.to_string()))?;
    home::write(&file(home, &hex(&identity), OPEN), &text, true)?;
    let mut bytes = Vec::with_capacity(TOKEN_BYTES);
    bytes.extend(authority.fingerprint().0);
    bytes.extend(identity);
    bytes.extend(expires.to_be_bytes());
    bytes.extend(secret);
    let check = digest(&SHA256, &bytes);
    bytes.extend(&check.as_ref()[..CHECK_BYTES]);
    Ok(Made {
        text: Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))),
        identity: hex(&identity),
        expires: UNIX_EPOCH + Duration::from_secs(expires),
    })
}

/// A token that somebody is using: nobody else can, until it is given back.
pub struct Claimed {
    pub member: MemberName,
    open: PathBuf,
    while_used: PathBuf,
}

impl Claimed {
    pub fn used(self) {
        // What stays behind is no token any more.
        let _ = std::fs::remove_file(&self.while_used);
    }

    /// Nothing came of it, and not for a fault of whoever used it.
    pub fn give_back(self) {
        if let Err(error) = std::fs::rename(&self.while_used, &self.open) {
            tracing::warn!(%error, "a token is lost; make another");
        }
    }
}

/// Of two that claim the same token in the same moment one gets it.
pub fn claim(home: &Home, token: &Token, authority: Fingerprint) -> Result<Claimed, Refused> {
    if token.authority != authority {
        return Err(Refused::Foreign);
    }
    let (open, claimed) = (file(home, &token.identity, OPEN), file(home, &token.identity, CLAIMED));
    let kept = kept(&open).ok_or(Refused::Unknown)?;
    let shown = hex(digest(&SHA256, &token.secret).as_ref());
    // Of digests: how far they are alike tells nothing of the secret.
    if shown != kept.digest {
        return Err(Refused::Wrong);
    }
    if kept.expires <= seconds(SystemTime::now()) {
        let _ = std::fs::remove_file(&open);
        return Err(Refused::Expired);
    }
    std::fs::rename(&open, &claimed).map_err(|_| Refused::Unknown)?;
    Ok(Claimed { member: MemberName::new(kept.member), open, while_used: claimed })
}

/// Those that are still good; what has expired is removed.
pub fn list(home: &Home) -> Result<Vec<OpenToken>, Failure> {
    let directory = home.tokens();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", &directory, &error)),
    };
    let now = seconds(SystemTime::now());
    let mut open = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(identity) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
        if path.extension().is_none_or(|extension| extension != OPEN) {
            continue;
        }
        let Some(kept) = kept(&path) else { continue };
        if kept.expires <= now {
            let _ = std::fs::remove_file(&path);
            continue;
        }
        let expires = UNIX_EPOCH + Duration::from_secs(kept.expires);
        open.push(OpenToken { identity, member: MemberName::new(kept.member), expires });
    }
    open.sort_by(|a, b| (&a.member, &a.identity).cmp(&(&b.member, &b.identity)));
    Ok(open)
}

/// Returns how many there were of that identity, or for that member.
pub fn revoke(home: &Home, which: &str) -> Result<usize, Failure> {
    let is_it = |token: &OpenToken| token.identity == which || token.member.as_str() == which;
    let found: Vec<OpenToken> = list(home)?.into_iter().filter(is_it).collect();
    for token in &found {
        remove(home, &token.identity)?;
    }
    Ok(found.len())
}

fn remove(home: &Home, identity: &str) -> Result<(), Failure> {
    let file = file(home, identity, OPEN);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", &file, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn kept(file: &Path) -> Option<Kept> {
    serde_json::from_str(&home::read(file).ok()??).ok()
}

/// The identity is hexadecimal, so it cannot lead out of the directory.
fn file(home: &Home, identity: &str, kind: &str) -> PathBuf {
    home.tokens().join(format!("{identity}.{kind}"))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn run(arguments: &TokenArguments) -> Result<(), Failure> {
    let home = |argument: &HomeArgument| Home::at(argument.directory.as_deref());
    match (&arguments.command, &arguments.member) {
        (Some(TokenCommand::List { home: at }), _) => print_list(&home(at)),
        (Some(TokenCommand::Revoke { which, home: at }), _) => {
            let revoked = revoke(&home(at), which)?;
            if revoked == 0 {
                return Err(Failure::new("join-no-token", format!("there is no open token '{which}'"))
                    .hint("quorate token list"));
            }
            eprintln!("{revoked} revoked");
            Ok(())
        }
        (None, Some(member)) => print_new(&home(&arguments.home), &MemberName::new(member.as_str()), arguments.life),
        (None, None) => Err(Failure::usage("join-no-member", "no member was named").hint("quorate token MEMBER")),
    }
}

fn print_new(home: &Home, member: &MemberName, life: Duration) -> Result<(), Failure> {
    let made = make(home, member, life)?;
    let address = enrolment::address_of_this(home).unwrap_or_else(|_| "ADDRESS".to_owned());
    eprintln!("good once, until {}; on the server of {member}: quorate join {address} TOKEN", shown(made.expires));
    emit(&format!("{}\n", made.text.expose()))
}

fn print_list(home: &Home) -> Result<(), Failure> {
    let mut text = String::new();
    for token in list(home)? {
        let _ = writeln!(text, "{}  {}  good until {}", token.identity, token.member, shown(token.expires));
    }
    emit(&text)
}

fn shown(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "an unknown time".to_owned(),
        |time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::authority::{establish, tests::a_plan};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn first_server() -> (tempfile::TempDir, Home, Fingerprint) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(Some(directory.path()));
        let fingerprint = establish(&home, &a_plan(), &MemberName::new("pg1")).unwrap();
        home::write(&home.plan_file(), &a_plan().to_yaml(), false).unwrap();
        (directory, home, fingerprint)
    }

    fn read(made: &Made) -> Token {
        Token::parse(made.text.expose()).unwrap()
    }

    fn refusal(home: &Home, token: &Token, authority: Fingerprint) -> Refused {
        claim(home, token, authority).map(Claimed::used).unwrap_err()
    }

    #[test]
    fn a_token_is_good_once_for_the_member_it_was_made_for() {
        let (_directory, home, fingerprint) = first_server();
        let made = make(&home, &MemberName::new("pg2"), HOUR).unwrap();
        let token = read(&made);
        assert_eq!((token.authority, token.expires), (fingerprint, made.expires));
        assert!(!format!("{made:?}").contains(made.text.expose()));
        let open = list(&home).unwrap();
        assert_eq!((open.len(), open[0].member.as_str(), &open[0].identity), (1, "pg2", &made.identity));
        let kept = std::fs::read_to_string(file(&home, &made.identity, OPEN)).unwrap();
        assert!(!kept.contains(&hex(&token.secret)), "only a digest of the secret is kept");

        let claimed = claim(&home, &token, fingerprint).unwrap();
        assert_eq!(claimed.member.as_str(), "pg2");
        assert_eq!(refusal(&home, &token, fingerprint), Refused::Unknown, "two at once");
        claimed.give_back();
        claim(&home, &token, fingerprint).unwrap().used();
        assert_eq!(refusal(&home, &token, fingerprint), Refused::Unknown);
        assert!(list(&home).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(home.tokens()).unwrap().count(), 0);
        assert_eq!(make(&home, &MemberName::new("pg9"), HOUR).unwrap_err().code, "join-no-member");
    }

    #[test]
    fn of_many_at_once_one_gets_in() {
        let (_directory, home, fingerprint) = first_server();
        for _ in 0..20 {
            let made = make(&home, &MemberName::new("pg2"), HOUR).unwrap();
            let won = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| claim(&home, &read(&made), fingerprint).map(Claimed::used).is_ok()))
                    .collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|won| *won).count()
            });
            assert_eq!(won, 1);
        }
    }

    #[test]
    fn a_token_that_is_not_good_is_refused_for_its_own_reason() {
        let (_directory, home, fingerprint) = first_server();
        let (_other_directory, _, other) = first_server();
        let pg2 = MemberName::new("pg2");
        let made = make(&home, &pg2, HOUR).unwrap();
        assert_eq!(refusal(&home, &read(&made), other), Refused::Foreign);
        let wrong = Token { secret: [0; SECRET_BYTES], ..read(&made) };
        assert_eq!(refusal(&home, &wrong, fingerprint), Refused::Wrong);
        let never = Token { identity: "00".repeat(IDENTITY_BYTES), ..read(&made) };
        assert_eq!(refusal(&home, &never, fingerprint), Refused::Unknown);
        let second = make(&home, &pg2, HOUR).unwrap();
        assert_eq!(refusal(&home, &read(&made), fingerprint), Refused::Unknown, "a newer one took its place");
        assert_eq!(revoke(&home, "pg2").unwrap(), 1);
        assert_eq!(refusal(&home, &read(&second), fingerprint), Refused::Unknown);
        let short = make(&home, &pg2, Duration::ZERO).unwrap();
        assert_eq!(refusal(&home, &read(&short), fingerprint), Refused::Expired);
        assert_eq!(refusal(&home, &read(&short), fingerprint), Refused::Unknown, "and then it is gone");

        let text = made.text.expose();
        let half = &text[..text.len() / 2];
        for damaged in ["", "x", half, &text[PREFIX.len()..], &text.replace('A', "B").replace('a', "b"), "qt1_é"] {
            assert_eq!(Token::parse(damaged).map(drop).unwrap_err(), Refused::Damaged, "{damaged}");
        }
        assert!(Token::parse(&format!("  {text}\n")).is_ok(), "as it comes out of a file");
    }
}
