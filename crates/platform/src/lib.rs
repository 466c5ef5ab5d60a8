//! What differs between operating systems: clocks, users, processes and how they are ended, addresses on network cards.
//!
//! The only home of `unsafe` and of `cfg(unix)` and `cfg(windows)`. Deliberately without decisions: the guard's rules
//! are in ring 1, this crate does what they say. The invariant: a postmaster started here does not outlive its guard.

mod addresses;
mod child;
mod clock;
#[cfg(any(windows, test))]
mod command_line;
mod disk;
mod exit;
mod files;
mod lines;
mod service;
pub mod service_control;
mod sockets;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

pub use addresses::{
    AddressEvent, AddressThread, Addresses, CardAddress, Holder, PresentAddress, missing_privilege_for_addresses,
};
pub use child::{ChildEvent, Children, Server, ServerCommand, Signal, Terminator, WorkerCommand};
pub use clock::{boot_clock, clock_is_kept};
pub use disk::{DiskSpace, disk_space, readable_by_others};
pub use exit::Exit;
pub use files::{Readers, is_executable, is_writable, keep_new_files_private, set_readers};
pub use os::become_program;
#[cfg(unix)]
pub use os::children::end_with_parent;
pub use os::memory::{let_start_up_code_go, memory_resident_bytes};
pub use os::process_end::{ask_to_end, cpu_times, ended_by_signal};
pub use os::processes_in::{kill_processes_in, processes_in};
pub use os::set_process_name;
pub use os::user::{
    RunAs, SystemUser, current_user_is_root, find_user, give_as, give_to, give_to_unfollowed, may_make_in, may_read,
    owner_of,
};
pub use service::{
    ServiceManager, allow_open_files, host_name, notify_service_manager, on_every_termination, on_termination,
    open_files_limit, watchdog_timeout,
};
pub use sockets::{
    ACCEPTED_INHERITS_OPTIONS, AsSocket, LISTENERS_CAN_BE_SHARED, Pipe, begin_to_connect, set_user_timeout, socket_for,
    speak_at_once, user_timeout,
};
