//! The processes of a PostgreSQL that works in a directory, by what its postmaster wrote there.
//!
//! Windows does not say which directory a process works in. On Windows every backend is a child of the postmaster, also when
//! that is gone. Redis leaves nothing to find it by; its job object is what ends it.

use super::job::{KILLED, size_in_u32};
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    OpenProcess, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
};

/// A number that was given to another program since is not taken for a postmaster's.
const SERVER: &str = "postgres.exe";

pub fn processes_in(directory: &Path) -> Vec<u32> {
    let mut found = found_in(directory);
    found.retain(|pid| open(*pid, PROCESS_SYNCHRONIZE).is_ok_and(|process| is_alive(&process)));
    found
}

pub fn kill_processes_in(directory: &Path) -> usize {
    let kill = |pid: &u32| {
        let Ok(process) = open(*pid, PROCESS_SYNCHRONIZE | PROCESS_TERMINATE) else { return false };
        // SAFETY: the handle is valid, and has the right for it.
        is_alive(&process) && unsafe { TerminateProcess(process.as_raw_handle().cast(), KILLED) } != 0
    };
    // The postmaster stands first, so that it starts no other.
    found_in(directory).iter().filter(|pid| kill(pid)).count()
}

fn found_in(directory: &Path) -> Vec<u32> {
    let Some(postmaster) = postmaster_of(directory) else { return Vec::new() };
    let all = snapshot().unwrap_or_default();
    let servers = all.into_iter().filter(|process| process.name.eq_ignore_ascii_case(SERVER));
    let mut found: Vec<u32> = servers
        .filter(|process| process.id == postmaster || process.parent == postmaster)
        .map(|process| process.id)
        .collect();
    found.sort_by_key(|pid| *pid != postmaster);
    found
}

fn postmaster_of(directory: &Path) -> Option<u32> {
    std::fs::read_to_string(directory.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

struct Listed {
    id: u32,
    parent: u32,
    name: String,
}

fn snapshot() -> io::Result<Vec<Listed>> {
    // SAFETY: takes numbers alone.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made, and is nobody else's.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot.cast()) };
    let handle: HANDLE = snapshot.as_raw_handle().cast();
    let mut entry = PROCESSENTRY32W { dwSize: size_in_u32::<PROCESSENTRY32W>(), ..Default::default() };
    let mut found = Vec::new();
    // SAFETY: the handle is valid, and the structure says its own size.
    let mut more = unsafe { Process32FirstW(handle, &raw mut entry) };
    while more != 0 {
        let length = entry.szExeFile.iter().position(|unit| *unit == 0).unwrap_or(entry.szExeFile.len());
        let name = String::from_utf16_lossy(&entry.szExeFile[..length]);
        found.push(Listed { id: entry.th32ProcessID, parent: entry.th32ParentProcessID, name });
        // SAFETY: as above.
        more = unsafe { Process32NextW(handle, &raw mut entry) };
    }
    Ok(found)
}

fn open(pid: u32, rights: u32) -> io::Result<OwnedHandle> {
    // SAFETY: takes numbers alone.
    let process = unsafe { OpenProcess(rights, 0, pid) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made, and is nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(process.cast()) })
}

/// A process that has ended is listed as long as somebody has a handle to it.
fn is_alive(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is valid, and has the right to be waited for.
    unsafe { WaitForSingleObject(process.as_raw_handle().cast(), 0) == WAIT_TIMEOUT }
}
