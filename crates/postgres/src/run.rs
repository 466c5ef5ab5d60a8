//! Runs one of PostgreSQL's tools to its end and keeps the last of what it printed.
//!
//! Deliberately not for the postmaster, which belongs to the guard. The invariants: the child dies with the future
//! that waits for it; memory for its output is bounded; it inherits no handle it could keep open.

use crate::error::{Error, Result};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of each stream is kept: pg_controldata prints 3 kB; of anything longer the end matters.
const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// Lines of a tool's last words in an error.
const ERROR_LINES_MAX: usize = 12;

type Prepare = dyn Fn(&mut std::process::Command) + Send + Sync;
type Adopt = dyn Fn(&Path) -> io::Result<()> + Send + Sync;

/// What differs between an agent that runs as root, as an ordinary user, or as a Windows service. The default does
/// nothing: tools run as the agent's own user.
#[derive(Clone)]
pub struct Launcher {
    /// Called on every command before it starts: sets the user, the process group, the window flags.
    pub prepare: Arc<Prepare>,
    /// Called on every file and directory the agent makes for PostgreSQL: hands it to PostgreSQL's user. Files are
    /// closed to everybody else already.
    pub adopt: Arc<Adopt>,
}

impl Default for Launcher {
    fn default() -> Self {
        Self { prepare: Arc::new(|_| {}), adopt: Arc::new(|_| Ok(())) }
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Launcher")
    }
}

impl Launcher {
    pub(crate) fn adopt(&self, path: &Path) -> Result<()> {
        (self.adopt)(path).map_err(Error::file("hand over to PostgreSQL's user", path))
    }
}

/// One run of one program.
pub struct Tool {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    timeout: Option<Duration>,
}

#[derive(Debug)]
pub struct Output {
    pub success: bool,
    /// The exit status in words, such as "exit status: 1".
    pub status: String,
    pub stdout: String,
    pub stderr: String,
}

/// A piece of a tool's standard error as it appears; for progress.
pub type OnStderr<'a> = &'a mut (dyn FnMut(&str) + Send);

impl Tool {
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), timeout: None }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Messages in English, whatever the machine speaks: for output that is parsed.
    #[must_use]
    pub fn plain_messages(self) -> Self {
        self.env("LC_ALL", "C").env("LANGUAGE", "C")
    }

    /// No limit unless said: clones take hours.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn name(&self) -> String {
        self.program.file_stem().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }

    /// Runs it and insists on success.
    pub async fn run(self, launcher: &Launcher) -> Result<Output> {
        let name = self.name();
        let output = self.output(launcher, &mut |_| {}).await?;
        output.check(&name)
    }

    /// Runs it; a failure of the tool is an `Output` too. Dropping the future kills the tool.
    pub async fn output(self, launcher: &Launcher, on_stderr: OnStderr<'_>) -> Result<Output> {
        let name = self.name();
        let Self { program, args, env, timeout } = self;
        let mut command = std::process::Command::new(&program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Inherited PG* variables (PGDATA, PGHOST, PGOPTIONS...) would silently change what the tools do.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.envs(env);
        // The agent's own directory may be closed to PostgreSQL's user, who would then fail on start.
        if let Some(parent) = program.parent().filter(|parent| parent.is_dir()) {
            command.current_dir(parent);
        }
        (launcher.prepare)(&mut command);

        let mut command = tokio::process::Command::from(command);
        let mut child =
            command.kill_on_drop(true).spawn().map_err(|source| Error::Spawn { program: program.clone(), source })?;
        let mut out = Tail::default();
        let mut err = Tail::default();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut ignore = |_: &str| {};
        let finished = async {
            tokio::join!(drain(stdout, &mut out, &mut ignore), drain(stderr, &mut err, on_stderr));
            child.wait().await
        };
        let status = match timeout {
            None => finished.await,
            Some(after) => match tokio::time::timeout(after, finished).await {
                Ok(status) => status,
                Err(_) => return Err(Error::ToolTimeout { program: name, after, printed: last_lines(&err.text()) }),
            },
        };
        let status = status.map_err(|source| Error::Spawn { program, source })?;
        Ok(Output { success: status.success(), status: status.to_string(), stdout: out.text(), stderr: err.text() })
    }
}

impl Output {
    pub fn check(self, program: &str) -> Result<Self> {
        if self.success { Ok(self) } else { Err(self.error(program)) }
    }

    pub fn error(&self, program: &str) -> Error {
        let printed = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        Error::Tool { program: program.to_owned(), status: self.status.clone(), printed: last_lines(printed) }
    }
}

/// The end of a text as one line; tools print the reason last.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "it printed nothing".to_owned();
    }
    lines[lines.len().saturating_sub(ERROR_LINES_MAX)..].join("; ")
}

/// The last `OUTPUT_BYTES_MAX` bytes of a stream.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let surplus = self.0.len().saturating_sub(OUTPUT_BYTES_MAX);
        self.0.drain(..surplus);
    }

    fn text(&self) -> String {
        let (front, back) = self.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, tail: &mut Tail, on_text: OnStderr<'_>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    // A read error means the same as the end: the exit status tells the rest.
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let bytes = &buffer[..count];
        tail.push(bytes);
        on_text(&String::from_utf8_lossy(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'x'; 1000]);
        }
        tail.push(b"the reason");
        assert_eq!(tail.text().len(), OUTPUT_BYTES_MAX);
        assert!(tail.text().ends_with("the reason"));
        let many: Vec<String> = (0..100).map(|n| format!("line {n}\n")).collect();
        assert!(last_lines(&many.join("\n")).starts_with("line 88; "));
        assert_eq!(last_lines(" \n"), "it printed nothing");
    }
}
