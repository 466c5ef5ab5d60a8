//! A token without administrative rights: what running as an ordinary user is on Unix.
//!
//! `postgres.exe` refuses to run with such rights. Worker and servers get this token, the guard keeps its own. It is the one
//! that `pg_ctl` makes for a postmaster, except that it keeps no privilege for large pages.

use super::job::size_in_u32;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows_sys::Win32::Foundation::{GENERIC_ALL, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, EXPLICIT_ACCESS_W, GRANT_ACCESS, SetEntriesInAclW, TRUSTEE_IS_SID, TRUSTEE_IS_USER,
};
use windows_sys::Win32::Security::{
    ACL, CreateRestrictedToken, CreateWellKnownSid, DISABLE_MAX_PRIVILEGE, GetTokenInformation, NO_INHERITANCE,
    SECURITY_MAX_SID_SIZE, SID_AND_ATTRIBUTES, SetTokenInformation, TOKEN_ALL_ACCESS, TOKEN_DEFAULT_DACL,
    TOKEN_INFORMATION_CLASS, TOKEN_USER, TokenDefaultDacl, TokenUser, WELL_KNOWN_SID_TYPE, WinBuiltinAdministratorsSid,
    WinBuiltinPowerUsersSid,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// The groups that PostgreSQL looks for.
const ADMINISTRATIVE: [WELL_KNOWN_SID_TYPE; 2] = [WinBuiltinAdministratorsSid, WinBuiltinPowerUsersSid];

/// This process's rights without the administrative ones.
pub fn ordinary() -> io::Result<OwnedHandle> {
    let own = own_token()?;
    let mut groups = Vec::new();
    for group in ADMINISTRATIVE {
        groups.push(well_known(group)?);
    }
    let disabled: Vec<SID_AND_ATTRIBUTES> =
        groups.iter_mut().map(|sid| SID_AND_ATTRIBUTES { Sid: sid.as_mut_ptr().cast(), Attributes: 0 }).collect();
    let mut token: HANDLE = std::ptr::null_mut();
    // SAFETY: the handle is valid, the groups live until the call returns, and there are as many as is said.
    let ok = unsafe {
        CreateRestrictedToken(
            raw(&own),
            DISABLE_MAX_PRIVILEGE,
            u32::try_from(disabled.len()).unwrap_or(0),
            disabled.as_ptr(),
            0,
            std::ptr::null(),
            0,
            std::ptr::null(),
            &raw mut token,
        )
    };
    let token = owned(ok, token)?;
    let_user_reach_its_own(&token)?;
    Ok(token)
}

/// The identifier of this process's user, as `S-1-5-18` for the system.
pub fn user_identifier() -> io::Result<String> {
    let user = information(&own_token()?, TokenUser)?;
    // SAFETY: the kernel filled the buffer with this structure, and a buffer of u64 is aligned for it.
    let user = unsafe { &*user.as_ptr().cast::<TOKEN_USER>() };
    let mut text = std::ptr::null_mut();
    // SAFETY: the identifier is in a buffer that lives on, and the pointer says where the text is put.
    if unsafe { ConvertSidToStringSidW(user.User.Sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a text that ends with a zero, freed as the function that made it says, after it was copied.
    unsafe {
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        let identifier = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(identifier)
    }
}

/// What an administrator makes may be reached by administrators alone. Without those rights a postmaster could not reach its
/// own shared memory, so the user is let in beside them.
fn let_user_reach_its_own(token: &OwnedHandle) -> io::Result<()> {
    let user = information(token, TokenUser)?;
    let existing = information(token, TokenDefaultDacl)?;
    // SAFETY: the kernel filled each buffer with the structure that was asked for, and buffers of u64 are aligned for both.
    let (user, existing) =
        unsafe { (&*user.as_ptr().cast::<TOKEN_USER>(), &*existing.as_ptr().cast::<TOKEN_DEFAULT_DACL>()) };
    let mut entry =
        EXPLICIT_ACCESS_W { grfAccessPermissions: GENERIC_ALL, grfAccessMode: GRANT_ACCESS, ..Default::default() };
    entry.grfInheritance = NO_INHERITANCE;
    entry.Trustee.TrusteeForm = TRUSTEE_IS_SID;
    entry.Trustee.TrusteeType = TRUSTEE_IS_USER;
    entry.Trustee.ptstrName = user.User.Sid.cast();
    let mut list: *mut ACL = std::ptr::null_mut();
    // SAFETY: one entry, the list inside of a buffer that lives on, and where the new list is put.
    let failed = unsafe { SetEntriesInAclW(1, &raw const entry, existing.DefaultDacl, &raw mut list) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed.cast_signed()));
    }
    let extended = TOKEN_DEFAULT_DACL { DefaultDacl: list };
    // SAFETY: the handle is valid, and pointer and size describe `extended`.
    let ok = unsafe {
        SetTokenInformation(
            raw(token),
            TokenDefaultDacl,
            (&raw const extended).cast(),
            size_in_u32::<TOKEN_DEFAULT_DACL>(),
        )
    };
    let done = if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: the function that made the list says that it is freed so.
    unsafe { LocalFree(list.cast()) };
    done
}

fn own_token() -> io::Result<OwnedHandle> {
    let mut token: HANDLE = std::ptr::null_mut();
    // SAFETY: the process's own handle is always valid, and the pointer says where the new one is put.
    let ok = unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &raw mut token) };
    owned(ok, token)
}

fn well_known(group: WELL_KNOWN_SID_TYPE) -> io::Result<[u64; SECURITY_MAX_SID_SIZE.div_ceil(8) as usize]> {
    let mut sid = [0; SECURITY_MAX_SID_SIZE.div_ceil(8) as usize];
    let mut length = SECURITY_MAX_SID_SIZE;
    // SAFETY: the buffer is at least as long as `length` says, and no domain is needed for these groups.
    let ok = unsafe { CreateWellKnownSid(group, std::ptr::null_mut(), sid.as_mut_ptr().cast(), &raw mut length) };
    if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(sid) }
}

/// In a buffer that is aligned for every structure.
fn information(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    let mut length = 0;
    // SAFETY: asks for the length alone.
    unsafe { GetTokenInformation(raw(token), class, std::ptr::null_mut(), 0, &raw mut length) };
    let mut buffer = vec![0_u64; (length as usize).div_ceil(8).max(1)];
    // SAFETY: the buffer is at least as long as is said.
    let ok = unsafe { GetTokenInformation(raw(token), class, buffer.as_mut_ptr().cast(), length, &raw mut length) };
    if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(buffer) }
}

fn owned(ok: i32, handle: HANDLE) -> io::Result<OwnedHandle> {
    if ok == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the function that made it succeeded, and it is nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle.cast()) })
}

fn raw(handle: &OwnedHandle) -> HANDLE {
    handle.as_raw_handle().cast()
}
