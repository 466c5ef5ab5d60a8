//! The log in Redis's form, because log collectors and people know it:
//! `1234:X 25 Nov 2026 22:28:57.321 # +sdown master db1 10.0.0.1 6379`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// To the file, or to standard output without one. Which lines are wanted is the Sentinel's `loglevel`.
pub fn begin(file: Option<PathBuf>) -> io::Result<()> {
    if let Some(path) = &file {
        OpenOptions::new().create(true).append(true).open(path)?;
    }
    // The file is opened for every line, as Redis does it: whoever rotates it need not tell us.
    let writer = move || -> Box<dyn Write> {
        let opened = file.as_ref().and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
        match opened {
            Some(file) => Box::new(file),
            None => Box::new(io::stdout()),
        }
    };
    let filter = tracing_subscriber::EnvFilter::new("sentinel=trace,warn,quorate=info");
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(RedisLine)
        .with_env_filter(filter)
        .with_writer(writer)
        .init();
    Ok(())
}

struct RedisLine;

impl<S, N> FormatEvent<S, N> for RedisLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mark = match *event.metadata().level() {
            Level::TRACE => '.',
            Level::DEBUG => '-',
            Level::INFO => '*',
            Level::WARN | Level::ERROR => '#',
        };
        let now = jiff::Zoned::now();
        write!(writer, "{}:X {} {mark} ", std::process::id(), now.strftime("%d %b %Y %H:%M:%S.%3f"))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
