//! Ctrl-C, limits and the service manager, of which Windows has none in Unix's form.

use std::io;
use std::sync::{Mutex, PoisonError};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};

/// What a console's Ctrl-C sets going; Windows calls the handler without anything of ours.
static AT_CONSOLE_END: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Ctrl-C, also from a program that sends it. Nothing else asks a Windows program to end: a closed console ends it at once.
pub fn on_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    on_console_end(then)
}

pub fn on_every_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    on_console_end(then)
}

/// The last one that was set is called, once.
pub fn on_console_end(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    *AT_CONSOLE_END.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(then));
    // SAFETY: the handler is a function of this program, which is never unloaded.
    let ok = unsafe { SetConsoleCtrlHandler(Some(handler), 1) };
    if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Called on a thread that Windows makes for it. Returns whether that is all that is done.
unsafe extern "system" fn handler(event: u32) -> i32 {
    if event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT {
        return 0;
    }
    let then = AT_CONSOLE_END.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(then) = then {
        then();
    }
    1
}

pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Windows does not limit sockets by a number per process.
pub fn allow_open_files(wanted: u64) -> u64 {
    wanted
}

pub fn open_files_limit() -> Option<u64> {
    None
}

/// The service control manager is told in another way (`service_control`).
pub struct Notifications;

impl Notifications {
    pub fn open() -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub fn send(&self, _state: &str) -> io::Result<()> {
        Ok(())
    }
}
