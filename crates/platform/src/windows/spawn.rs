//! Starts a program without administrative rights and inside of a job, which `std::process::Command` cannot.
//!
//! The invariants: the program has not run before it is in its job, and it inherits its three streams and no other handle.

use super::job::{Job, KILLED, size_in_u32};
use super::token;
use crate::command_line::command_line;
use crate::exit::Exit;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, DeleteProcThreadAttributeList,
    EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess, INFINITE, InitializeProcThreadAttributeList,
    LPPROC_THREAD_ATTRIBUTE_LIST, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROCESS_CREATION_FLAGS, PROCESS_INFORMATION,
    ResumeThread, STARTF_USESTDHANDLES, STARTUPINFOEXW, TerminateProcess, UpdateProcThreadAttribute,
    WaitForSingleObject,
};

pub struct Program<'a> {
    pub program: &'a Path,
    pub arguments: &'a [String],
    /// Beside those of this process.
    pub environment: &'a [(String, String)],
    pub directory: Option<&'a Path>,
    /// Standard input, output and error: three different handles.
    pub streams: [OwnedHandle; 3],
    pub flags: PROCESS_CREATION_FLAGS,
}

pub struct Process {
    handle: OwnedHandle,
    pub id: u32,
}

impl Process {
    pub fn wait(&self) -> Exit {
        let handle = self.handle.as_raw_handle().cast();
        // SAFETY: the handle is valid.
        if unsafe { WaitForSingleObject(handle, INFINITE) } != WAIT_OBJECT_0 {
            return Exit::Unknown(io::Error::last_os_error().to_string());
        }
        let mut code = 0;
        // SAFETY: the handle is valid, and the pointer says where the code is put.
        match unsafe { GetExitCodeProcess(handle, &raw mut code) } {
            0 => Exit::Unknown(io::Error::last_os_error().to_string()),
            _ if code == KILLED => Exit::Signal(9),
            _ => Exit::Code(code.cast_signed()),
        }
    }
}

/// The streams are closed here when it returns.
pub fn start(what: Program<'_>, job: &Job) -> io::Result<Process> {
    let token = token::ordinary()?;
    let handles = what.streams.each_ref().map(|stream| stream.as_raw_handle().cast());
    for handle in handles {
        // SAFETY: the handle is valid.
        if unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) } == 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let attributes = Attributes::inheriting(&handles)?;
    let mut startup = STARTUPINFOEXW { lpAttributeList: attributes.list(), ..Default::default() };
    startup.StartupInfo.cb = size_in_u32::<STARTUPINFOEXW>();
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    [startup.StartupInfo.hStdInput, startup.StartupInfo.hStdOutput, startup.StartupInfo.hStdError] = handles;

    let program = wide(what.program.as_os_str());
    let mut line = wide(OsStr::new(&command_line(&what.program.to_string_lossy(), what.arguments)));
    let environment = environment(what.environment);
    let directory = what.directory.map(|directory| wide(directory.as_os_str()));
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: every text ends with a zero (the environment with two) and lives until the call returns, as do the attributes
    // with the handles they name; the structures say their own size.
    let ok = unsafe {
        CreateProcessAsUserW(
            token.as_raw_handle().cast(),
            program.as_ptr(),
            line.as_mut_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            1,
            what.flags | CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT,
            environment.as_ptr().cast(),
            directory.as_ref().map_or(std::ptr::null(), |directory| directory.as_ptr()),
            &raw const startup.StartupInfo,
            &raw mut made,
        )
    };
    if ok == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the function succeeded, and both handles are nobody else's.
    let (process, thread) = unsafe {
        (OwnedHandle::from_raw_handle(made.hProcess.cast()), OwnedHandle::from_raw_handle(made.hThread.cast()))
    };
    // SAFETY: the thread's handle is valid; it was made suspended.
    let resume = || match unsafe { ResumeThread(thread.as_raw_handle().cast()) } {
        u32::MAX => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    if let Err(error) = job.assign(made.hProcess).and_then(|()| resume()) {
        // SAFETY: the handle is valid.
        unsafe { TerminateProcess(made.hProcess, KILLED) };
        return Err(error);
    }
    Ok(Process { handle: process, id: made.dwProcessId })
}

/// Which handles a new process inherits.
struct Attributes {
    buffer: Vec<u64>,
}

impl Attributes {
    /// `handles` must live as long as this does.
    fn inheriting(handles: &[HANDLE; 3]) -> io::Result<Self> {
        let mut length = 0;
        // SAFETY: asks for the length alone.
        unsafe { InitializeProcThreadAttributeList(std::ptr::null_mut(), 1, 0, &raw mut length) };
        let mut buffer = vec![0_u64; length.div_ceil(8).max(1)];
        // SAFETY: the buffer is at least as long as is said.
        let ok = unsafe { InitializeProcThreadAttributeList(buffer.as_mut_ptr().cast(), 1, 0, &raw mut length) };
        if ok == 0 {
            return Err(io::Error::last_os_error());
        }
        let attributes = Self { buffer };
        // SAFETY: the list was made above, and pointer and size describe the handles.
        let ok = unsafe {
            UpdateProcThreadAttribute(
                attributes.list(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                handles.as_ptr().cast(),
                size_of_val(handles),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(attributes) }
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.buffer.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: a list that was made, which is not used after this.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

/// This process's, with some more; each `NAME=value`, in the order that Windows wants.
fn environment(more: &[(String, String)]) -> Vec<u16> {
    // Names are the same whatever their case.
    let mut variables = BTreeMap::new();
    let more = more.iter().map(|(name, value)| (name.into(), value.into()));
    for (name, value) in std::env::vars_os().chain(more) {
        variables.insert(name.to_ascii_uppercase(), (name, value));
    }
    let mut block = Vec::new();
    for (name, value) in variables.values() {
        block.extend(name.encode_wide().chain([u16::from(b'=')]).chain(value.encode_wide()).chain([0]));
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    block
}

fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}
