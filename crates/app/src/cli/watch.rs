//! A picture that is drawn again and again.

use super::arguments::WatchArguments;
use super::failure::Failure;
use super::output;
use std::io::IsTerminal;
use std::time::Duration;

/// What `-W` means.
const EVERY_DEFAULT: f64 = 2.0;
/// More often is of no use to a reader and a burden for the store.
const EVERY_MIN: f64 = 0.1;
const EVERY_MAX: f64 = 86_400.0;

/// Clears the terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[1;1H";

/// `None`: once.
pub fn interval(arguments: WatchArguments) -> Result<Option<Duration>, Failure> {
    let seconds = match (arguments.watch, arguments.watch_2s) {
        (Some(seconds), _) => seconds,
        (None, true) => EVERY_DEFAULT,
        (None, false) => return Ok(None),
    };
    if !(EVERY_MIN..=EVERY_MAX).contains(&seconds) {
        let message = format!("--watch {seconds} is out of range; expected {EVERY_MIN} to {EVERY_MAX} seconds");
        return Err(Failure::usage("cli-watch", message));
    }
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// Draws, and while watching goes on after a failure: the store may come back.
pub async fn draw_every(
    interval: Option<Duration>,
    draw: impl AsyncFn() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(interval) = interval else {
        return output::emit(&draw().await?);
    };
    let mut clock = tokio::time::interval(interval);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        match draw().await {
            Ok(picture) if std::io::stdout().is_terminal() => output::emit(&format!("{CLEAR}{picture}"))?,
            Ok(picture) => output::emit(&picture)?,
            Err(failure) => eprintln!("{failure}"),
        }
    }
}
