//! The member's boot clock.

use types::Millis;

/// Milliseconds since boot. Never goes backwards, does not follow the wall clock, and counts the time the machine
/// was suspended: a lease runs out also while the lid is closed.
pub fn boot_clock() -> Millis {
    super::os::boot_clock()
}

/// Whether something keeps the wall clock right (NTP, PTP). `None`: this system does not say.
pub fn clock_is_kept() -> Option<bool> {
    super::os::clock_is_kept()
}
