//! Looks at the command lines and environments of all processes of the machine, all the time: what is there for a moment can
//! be seen by every user.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Programs that live for a few milliseconds only are met by one look or the other.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub struct ProcessWatch {
    stop: Arc<AtomicBool>,
    secrets: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<BTreeSet<String>>>,
}

impl ProcessWatch {
    pub fn start(secrets: Vec<String>) -> Self {
        let (stop, secrets) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(secrets)));
        let (stopped, wanted) = (stop.clone(), secrets.clone());
        let thread = std::thread::spawn(move || {
            let mut found = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                look(&wanted.lock().unwrap(), &mut found);
                std::thread::sleep(LOOK_EVERY);
            }
            found
        });
        Self { stop, secrets, thread: Some(thread) }
    }

    pub fn also(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// Where a secret was seen.
    pub fn found(mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn look(secrets: &[String], found: &mut BTreeSet<String>) {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        if process.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        for what in ["cmdline", "environ"] {
            let Ok(bytes) = std::fs::read(process.path().join(what)) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            if let Some(at) = secrets.iter().position(|secret| text.contains(secret.as_str())) {
                // Not the secret itself.
                let program = text.split('\0').next().unwrap_or_default();
                found.insert(format!("{what} of '{program}' has secret {at}"));
            }
        }
    }
}
