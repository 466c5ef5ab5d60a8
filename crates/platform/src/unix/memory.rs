//! The memory of this process.
//!
//! Deliberately nothing that can lose anything: only pages that are read from the program file again when they are needed.

use std::path::Path;

/// This process's resident memory.
pub fn memory_resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Unmaps the program's code. What goes on running is mapped again as it runs, from the page cache; what only the start
/// needed (the command line, the configuration, the checks), more than half of it, is not.
pub fn let_start_up_code_go() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Ok(program) = std::env::current_exe() else { return };
    for (begin, end) in maps.lines().filter_map(|line| code_of(&program, line)) {
        // SAFETY: the range is a private mapping of a file that is executable and not writable, so nothing of it differs
        // from the file, and each page comes back with its next use.
        unsafe {
            libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_DONTNEED);
        }
    }
}

/// The range of a line of `/proc/self/maps` that maps code of this program: `begin-end perms offset device inode path`.
fn code_of(program: &Path, line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let (permissions, path) = (fields.next()?, fields.nth(3)?);
    let ours = permissions == "r-xp" && Path::new(path) == program;
    ours.then_some((usize::from_str_radix(begin, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_code_is_let_go() {
        let program = Path::new("/usr/bin/quorate");
        let line = |permissions, path| format!("1000-3000 {permissions} 00001000 fe:00 1234   {path}");
        assert_eq!(code_of(program, &line("r-xp", "/usr/bin/quorate")), Some((0x1000, 0x3000)));
        for (permissions, path) in
            [("r--p", "/usr/bin/quorate"), ("rw-p", "/usr/bin/quorate"), ("r-xp", "/lib/libc.so.6")]
        {
            assert_eq!(code_of(program, &line(permissions, path)), None, "{permissions} {path}");
        }
        assert_eq!(code_of(program, "1000-3000 r-xp 00000000 00:00 0"), None, "no file");
    }

    #[test]
    fn the_program_goes_on_with_less() {
        let before = memory_resident_bytes().unwrap();
        let_start_up_code_go();
        let after = memory_resident_bytes().unwrap();
        assert!(after < before, "{before} before, {after} after");
    }
}
