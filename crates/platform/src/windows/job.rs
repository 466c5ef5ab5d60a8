//! Job objects: a set of processes that nothing started inside can leave.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};

/// The exit code of what we end, by which it is told from what ended by itself: a shell's for SIGKILL.
pub const KILLED: u32 = 128 + 9;

pub struct Job(OwnedHandle);

impl Job {
    /// Its processes go on when nobody has the job any more.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no security attributes and no name are both allowed to be null.
        let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle was just made, and is nobody else's.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(job.cast()) }))
    }

    /// The kernel ends its processes with the last handle, which is ours: with this process, however it ends.
    pub fn that_ends_with_us() -> io::Result<Self> {
        let job = Self::new()?;
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: the handle is valid, and pointer and size describe `limits`.
        let ok = unsafe {
            SetInformationJobObject(
                job.handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_in_u32::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>(),
            )
        };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
    }

    pub fn assign(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: both handles are valid for the call.
        let ok = unsafe { AssignProcessToJobObject(self.handle(), process) };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Ends every process in it. They may not be gone yet when this returns; see `processes`.
    pub fn terminate(&self) {
        // SAFETY: the handle is valid.
        unsafe { TerminateJobObject(self.handle(), KILLED) };
    }

    /// How many have not ended.
    pub fn processes(&self) -> io::Result<u32> {
        let mut found = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: the handle is valid, and pointer and size describe `found`.
        let ok = unsafe {
            QueryInformationJobObject(
                self.handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut found).cast(),
                size_in_u32::<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION>(),
                std::ptr::null_mut(),
            )
        };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(found.ActiveProcesses) }
    }

    fn handle(&self) -> HANDLE {
        self.0.as_raw_handle().cast()
    }
}

/// The sizes that Windows asks for are of structures of a few hundred bytes.
pub fn size_in_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}
