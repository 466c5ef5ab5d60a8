//! Runs the user's scripts as processes.
//!
//! Nothing of ours leaks into them: every file and socket here is closed on exec, and the three standard ones are empty but
//! for errors.

use crate::world::World;
use ha::sentinel::{Event, ScriptEnd, ScriptId};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::rc::Rc;
use tokio::process::Command;
use tokio::sync::Notify;

/// What a process that could not be executed ends with. Such a script is not tried again.
const EXIT_NOT_EXECUTED: i32 = 2;

/// How to kill those that run.
#[derive(Debug, Default)]
pub struct Scripts(BTreeMap<ScriptId, Rc<Notify>>);

impl Scripts {
    pub fn kill(&self, script: ScriptId) {
        if let Some(kill) = self.0.get(&script) {
            kill.notify_one();
        }
    }
}

pub fn run(world: &mut World, script: ScriptId, arguments: &[String]) {
    let Some((program, arguments)) = arguments.split_first() else {
        world.queue(Event::ScriptEnded { script, end: ScriptEnd::NotStarted });
        return;
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            use std::io::ErrorKind::{NotFound, PermissionDenied};
            let end = match error.kind() {
                NotFound | PermissionDenied => ScriptEnd::Exited(EXIT_NOT_EXECUTED),
                _ => ScriptEnd::NotStarted,
            };
            world.queue(Event::ScriptEnded { script, end });
            return;
        }
    };
    if let Some(pid) = child.id() {
        world.queue(Event::ScriptStarted { script, pid });
    }
    let kill = Rc::new(Notify::new());
    world.scripts.0.insert(script, kill.clone());
    let shared = world.shared();
    tokio::task::spawn_local(async move {
        let status = tokio::select! {
            status = child.wait() => status,
            () = kill.notified() => {
                // It may have ended by itself just now, which is as good.
                let _ = child.start_kill();
                child.wait().await
            }
        };
        let end = match status {
            Ok(status) => match (status.code(), platform::ended_by_signal(status)) {
                (Some(code), _) => ScriptEnd::Exited(code),
                (None, signal) => ScriptEnd::Signalled(signal.unwrap_or(0)),
            },
            Err(_) => ScriptEnd::NotStarted,
        };
        if let Some(world) = shared.upgrade() {
            let mut world = world.borrow_mut();
            world.scripts.0.remove(&script);
            world.event(Event::ScriptEnded { script, end });
        }
    });
}
