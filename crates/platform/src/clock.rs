//! The member's boot clock.

use types::Millis;

/// Milliseconds since boot. Never goes backwards, does not follow the wall clock, and counts the time the machine
/// was suspended: a lease runs out also while the lid is closed.
pub fn boot_clock() -> Millis {
    super::os::boot_clock()
}
