//! Writes what must survive a restart.

use crate::file::{Entry, StateFile, quoted, replace, rewrite, sentinel_entries};
use crate::world::World;
use ha::sentinel::{Event, Level};
use std::io;
use std::path::Path;

/// Renders the state as it is now and writes it elsewhere; `Event::Saved` follows.
pub fn begin(world: &mut World, version: u64) {
    let mut entries = Vec::new();
    if let StateFile::Main(_) = world.state {
        server_entries(world, &mut entries);
    }
    entries.extend(sentinel_entries(&world.sentinel.configuration()));
    if let StateFile::Main(_) = world.state {
        user_entries(world, &mut entries);
    }
    let path = world.state.path().to_owned();
    let shared = world.shared();
    // A slow disk must not delay the timers, so the write has a thread of its own.
    let write = tokio::task::spawn_blocking(move || write(&path, &entries));
    tokio::task::spawn_local(async move {
        let result = write.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let Some(world) = shared.upgrade() else { return };
        let mut world = world.borrow_mut();
        match &result {
            Ok(()) => world.log(Level::Notice, format_args!("Sentinel new configuration saved on disk")),
            Err(error) => world.log(
                Level::Warning,
                format_args!("WARNING: Sentinel was not able to save the new configuration on disk!!!: {error}"),
            ),
        }
        world.event(Event::Saved { version, ok: result.is_ok() });
    });
}

/// What Redis adds to a file that does not say it: its defaults are not a Sentinel's.
fn server_entries(world: &World, entries: &mut Vec<Entry>) {
    let settings = &world.settings;
    let protected = if settings.protected_mode { "yes" } else { "no" };
    let line = format!("protected-mode {protected}");
    entries.push(if settings.protected_mode {
        Entry::line_if_there("protected-mode", line)
    } else {
        Entry::line("protected-mode", line)
    });
    entries.push(Entry::line("port", format!("port {}", settings.port)));
    if let Some(directory) = &settings.directory {
        entries.push(Entry::line("dir", format!("dir {}", crate::file::in_quotes(&directory.display().to_string()))));
    }
}

/// Users that were changed with ACL SETUSER; with an `aclfile` they are saved there, by ACL SAVE.
fn user_entries(world: &World, entries: &mut Vec<Entry>) {
    if world.settings.acl_file.is_some() || !world.acl_changed {
        return;
    }
    for (name, user) in world.acl.users() {
        entries.push(Entry::line("user", format!("user {} {}", quoted(name), user.description())));
    }
    entries.push(Entry::gone("user"));
}

fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    replace(path, &rewrite(&old, entries))
}
