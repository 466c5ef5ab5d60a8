//! A member's clocks. The world has one true time, in microseconds; nobody inside it can see that.
//!
//! The boot clock starts anywhere, runs a little too fast or too slow, and stands still while a hypervisor has stopped
//! the machine. The wall clock jumps as it likes. The invariant: the boot clock never goes back.

use types::Millis;

/// True time in microseconds since the world began.
pub type Time = u64;

pub const MS: Time = 1_000;
pub const SECOND: Time = 1_000_000;

/// A quartz is off by 20 to 100 ppm; NTP slews by up to 500. The lease's margin is far above all of it.
pub const DRIFT_PPM_MAX: u64 = 200;

#[derive(Clone, Debug)]
pub struct Clock {
    offset: Time,
    ppm: i64,
    stopped_since: Option<Time>,
    stopped: Time,
    pub wall_offset_seconds: i64,
}

impl Clock {
    pub fn new(offset: Time, ppm: i64) -> Self {
        Self { offset, ppm, stopped_since: None, stopped: 0, wall_offset_seconds: 0 }
    }

    /// Of a machine that boots now.
    pub fn starting(offset: Time, ppm: i64, now: Time) -> Self {
        Self { stopped: now, ..Self::new(offset, ppm) }
    }

    fn micros(&self, now: Time) -> Time {
        let running = self.stopped_since.unwrap_or(now) - self.stopped;
        let drift = running as i64 / 1_000 * self.ppm / 1_000;
        self.offset + running.saturating_add_signed(drift)
    }

    pub fn read(&self, now: Time) -> Millis {
        Millis(self.micros(now) / MS)
    }

    /// The true time at which this clock will show `at`; `now` when it does already.
    pub fn when(&self, at: Millis, now: Time) -> Time {
        let missing = at.0.saturating_mul(MS).saturating_sub(self.micros(now));
        let rate = 1_000_000_u64.saturating_add_signed(self.ppm);
        let mut then = now + (u128::from(missing) * 1_000_000 / u128::from(rate)) as Time;
        while self.stopped_since.is_none() && self.read(then) < at {
            then += MS / 4;
        }
        then
    }

    /// The hypervisor stops the machine, and its clocks with it.
    pub fn stop(&mut self, now: Time) {
        self.stopped_since.get_or_insert(now);
    }

    pub fn go_on(&mut self, now: Time) {
        if let Some(since) = self.stopped_since.take() {
            self.stopped += now - since;
        }
    }

    /// Since 1970, or since whenever somebody set it to.
    pub fn wall_millis(&self, now: Time) -> Millis {
        Millis((now / MS).saturating_add_signed(self.wall_offset_seconds.saturating_mul(1000)))
    }

    /// For texts that people read.
    pub fn wall(&self, now: Time) -> String {
        let seconds = (now / SECOND).saturating_add_signed(self.wall_offset_seconds + 86_400);
        format!(
            "2026-01-{:02}T{:02}:{:02}:{:02}+00:00",
            1 + seconds / 86_400 % 28,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_exactly_when_it_says_it_will() {
        for ppm in [-200, -3, 0, 7, 200] {
            let clock = Clock::new(123_456, ppm);
            for wait in [1, 300, 1_500, 60_000] {
                let at = Millis(clock.read(5 * SECOND).0 + wait);
                let then = clock.when(at, 5 * SECOND);
                assert!(clock.read(then) >= at && clock.read(then - 2 * MS) < at, "{ppm} {wait}");
            }
        }
    }

    #[test]
    fn a_stopped_clock_does_not_count_the_time() {
        let mut clock = Clock::new(0, 0);
        clock.stop(SECOND);
        assert_eq!(clock.read(9 * SECOND), Millis(1_000));
        clock.go_on(9 * SECOND);
        assert_eq!(clock.read(10 * SECOND), Millis(2_000));
    }
}
