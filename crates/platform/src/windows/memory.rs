//! The memory of this process.

/// Not read on Windows yet.
pub fn memory_resident_bytes() -> Option<u64> {
    None
}

/// Windows takes pages that are not used from a process by itself.
pub fn let_start_up_code_go() {}
