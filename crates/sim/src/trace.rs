//! What happened, for a person to read. Nothing is written unless somebody asked, so ordinary runs do not pay for it.

use crate::clock::Time;

/// A trace longer than this keeps its end, which is where the failure is.
const LINES_MAX: usize = 400_000;

#[derive(Debug, Default)]
pub struct Trace {
    pub on: bool,
    lines: std::collections::VecDeque<String>,
}

impl Trace {
    pub fn new(on: bool) -> Self {
        Self { on, lines: std::collections::VecDeque::new() }
    }

    pub fn say(&mut self, now: Time, who: &str, text: &str) {
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>4}.{:06} {who:<4} {text}", now / 1_000_000, now % 1_000_000));
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

/// `say!(world, host, "format", arguments)`: one line about a member. Costs nothing while the trace is off.
#[macro_export]
macro_rules! say {
    ($world:expr, $host:expr, $($text:tt)*) => {
        if $world.trace.on {
            let text = format!($($text)*);
            let who = $world.hosts[$host].name.to_string();
            let now = $world.now;
            $world.trace.say(now, &who, &text);
        }
    };
}

/// One line about the world at large.
#[macro_export]
macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        if $world.trace.on {
            let text = format!($($text)*);
            let now = $world.now;
            $world.trace.say(now, "**", &text);
        }
    };
}
