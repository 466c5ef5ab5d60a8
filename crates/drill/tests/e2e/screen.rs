//! A real terminal with one program on it: tmux's, which says what stands on it.

use super::support::{Done, eventually};
use std::path::PathBuf;
use std::process::Command;

pub struct Screen {
    socket: PathBuf,
}

impl Screen {
    /// The program's exit code is shown when it has ended, and the terminal stays. `command` is one of the shell's.
    pub fn start(socket: PathBuf, columns: u16, rows: u16, command: &str) -> Self {
        let screen = Self { socket };
        // The shell itself outlives Ctrl-C.
        let command = format!("trap : INT; {command}; echo \"ended with $?\"; exec cat");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &command]).ok();
        screen
    }

    pub fn tmux(&self, arguments: &[&str]) -> Done {
        Done::of(Command::new("tmux").arg("-S").arg(&self.socket).args(arguments))
    }

    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).ok()
    }

    /// With what has scrolled away, and each line whole.
    pub fn everything(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).ok()
    }

    pub async fn shows(&self, wanted: &[&str]) -> String {
        eventually(&format!("the screen shows {wanted:?}"), async || {
            let text = self.text();
            wanted.iter().all(|wanted| text.contains(wanted)).then_some(text)
        })
        .await
    }

    pub async fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]).ok();
        eventually("it is drawn anew for its size", async || {
            let text = self.text();
            let lines: Vec<&str> = text.trim_end().lines().collect();
            (lines.len() == usize::from(rows) && lines.last() == Some(&"q ends")).then_some(())
        })
        .await;
    }

    /// Waits for the question on the last line, and types the answer. What was said between this question and the one
    /// before it.
    pub async fn answer(&self, question: &str, answer: &str) -> String {
        let lines = || self.everything().trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        let asked = eventually(&format!("it is asked: {question}"), async || {
            let lines = lines();
            let last = lines.last()?;
            (last.contains(question) && last.ends_with(':')).then_some(lines)
        })
        .await;
        if !answer.is_empty() {
            self.tmux(&["send-keys", "-l", answer]).ok();
        }
        self.tmux(&["send-keys", "Enter"]).ok();
        // The same question may come again: this one is over when something stands below it.
        eventually("the answer is taken", async || (lines().len() > asked.len()).then_some(())).await;
        let before = asked[..asked.len() - 1].iter().rev().take_while(|line| !is_question(line));
        let mut said: Vec<&str> = before.map(String::as_str).collect();
        said.reverse();
        said.join("\n")
    }
}

/// A question that was answered ends behind its colon, or with the answer.
fn is_question(line: &str) -> bool {
    line.contains("]: ") || line.ends_with("]:") || line.starts_with("  address: ")
}

impl Drop for Screen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\n===== the screen\n{}", self.everything());
        }
        self.tmux(&["kill-server"]);
    }
}
