//! What was made from files, made again when they change.
//!
//! Certificates are renewed while programs run. Looking at what is in the files, and not at their times, also sees links
//! that are turned and clocks that are set back.

use crate::error::TlsError;
use crate::files::{self, Lifetime};
use ring::digest::{Context, SHA256};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How soon a new certificate is in force by itself. A look costs a few small reads.
pub const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// A certificate that nobody renews is worth a line from then on, once a day.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The files that something is made from.
pub trait Source: Send + Sync {
    type Made: Send + Sync;

    fn files(&self) -> Vec<PathBuf>;

    /// `contents` are the files', in their order.
    fn make(&self, contents: &[Vec<u8>]) -> Result<(Self::Made, Option<Lifetime>), TlsError>;
}

/// Something that can look at its files again. Blocks while it reads.
pub trait Refresh: Send + Sync {
    fn refresh(&self);
}

pub struct Fresh<S: Source> {
    source: S,
    state: RwLock<State<S::Made>>,
    said: Mutex<Said>,
}

struct State<M> {
    made: Arc<M>,
    lifetime: Option<Lifetime>,
    digest: Vec<u8>,
    /// Counts what was in force.
    generation: u64,
}

#[derive(Default)]
struct Said {
    problem: Option<TlsError>,
    lifetime_at: Option<SystemTime>,
}

impl<S: Source> Fresh<S> {
    pub fn open(source: S) -> Result<Self, TlsError> {
        let (contents, digest) = read(&source.files())?;
        let (made, lifetime) = source.make(&contents)?;
        let state = State { made: Arc::new(made), lifetime, digest, generation: 0 };
        Ok(Self { source, state: RwLock::new(state), said: Mutex::default() })
    }

    /// What is in force.
    pub fn get(&self) -> Arc<S::Made> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).made.clone()
    }

    pub fn generation(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    pub fn lifetime(&self) -> Option<Lifetime> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).lifetime.clone()
    }

    /// True when something new is in force. After an error the old is.
    pub fn look_again(&self) -> Result<bool, TlsError> {
        let (contents, digest) = read(&self.source.files())?;
        if self.state.read().unwrap_or_else(PoisonError::into_inner).digest == digest {
            return Ok(false);
        }
        let (made, lifetime) = self.source.make(&contents)?;
        if let Some(lifetime) = &lifetime {
            lifetime.check(SystemTime::now())?;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = State { made: Arc::new(made), lifetime, digest, generation: state.generation + 1 };
        Ok(true)
    }

    fn say(&self, looked: Result<bool, TlsError>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = self.source.files().into_iter().next() else { return };
        match looked {
            Ok(changed) => {
                said.problem = None;
                if changed {
                    said.lifetime_at = None;
                    let until = self.lifetime().map_or_else(String::new, |it| format!(", valid until {}", it.end()));
                    tracing::info!("{} was read again{until}", first.display());
                }
            }
            Err(problem) => {
                if said.problem.as_ref() != Some(&problem) {
                    tracing::error!("{problem}; what was read before stays in force\nhint: {}", problem.hint());
                    said.problem = Some(problem);
                }
            }
        }
        let now = SystemTime::now();
        let Some(lifetime) = self.lifetime().filter(|it| it.ends < now + ENDS_SOON) else { return };
        let lately = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < SAY_AGAIN_AFTER);
        if said.lifetime_at.is_some_and(lately) {
            return;
        }
        said.lifetime_at = Some(now);
        match lifetime.check(now) {
            Ok(()) => tracing::warn!("the certificate in {} ends on {}", lifetime.file.display(), lifetime.end()),
            Err(problem) => tracing::error!("{problem}\nhint: {}", problem.hint()),
        }
    }
}

impl<S: Source> Refresh for Fresh<S> {
    fn refresh(&self) {
        let looked = self.look_again();
        self.say(looked);
    }
}

fn read(paths: &[PathBuf]) -> Result<(Vec<Vec<u8>>, Vec<u8>), TlsError> {
    let mut contents = Vec::with_capacity(paths.len());
    // A digest is kept and not the contents: a key has to be in memory only once.
    let mut digest = Context::new(&SHA256);
    for path in paths {
        let bytes = files::read(path)?;
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(&bytes);
        contents.push(bytes);
    }
    Ok((contents, digest.finish().as_ref().to_vec()))
}

/// Looks at the files every [`REFRESH_EVERY`], and when told to. Never returns.
pub async fn keep_fresh(all: Vec<Arc<dyn Refresh>>, now: Arc<Notify>) {
    if all.is_empty() {
        return std::future::pending().await;
    }
    loop {
        let all = all.clone();
        // A disk may hang; then this is what waits for it.
        let _ = tokio::task::spawn_blocking(move || all.iter().for_each(|one| one.refresh())).await;
        tokio::select! {
            () = tokio::time::sleep(REFRESH_EVERY) => {}
            () = now.notified() => {}
        }
    }
}
