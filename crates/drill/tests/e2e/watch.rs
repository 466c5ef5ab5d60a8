//! `quorate watch` on a real terminal: what it shows while a leader dies, in every size, with and without colour.
//!
//! The terminal is tmux's, which says what stands on it.

use super::support::{Done, World, eventually, options_with_default_lease, run};
use std::path::PathBuf;
use std::process::Command;

/// A terminal with one program on it.
struct Screen {
    socket: PathBuf,
}

impl Screen {
    /// The program's exit code is shown when it has ended, and the terminal stays.
    fn start(world: &World, name: &str, columns: u16, rows: u16, environment: &str) -> Self {
        let screen = Self { socket: world.options().directory.join(format!("{name}.tmux")) };
        let (program, file) = (world.options().quorate.display(), world.named("pg2").config_file.display());
        let command = format!("env {environment} {program} -c {file} watch; echo \"ended with $?\"; exec cat");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &command]).ok();
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Done {
        Done::of(Command::new("tmux").arg("-S").arg(&self.socket).args(arguments))
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).ok()
    }

    async fn shows(&self, wanted: &[&str]) -> String {
        eventually(&format!("the screen shows {wanted:?}"), async || {
            let text = self.text();
            wanted.iter().all(|wanted| text.contains(wanted)).then_some(text)
        })
        .await
    }

    async fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]).ok();
        eventually("it is drawn anew for its size", async || {
            let text = self.text();
            let lines: Vec<&str> = text.trim_end().lines().collect();
            (lines.len() == usize::from(rows) && lines.last() == Some(&"q ends")).then_some(())
        })
        .await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn watch_shows_what_happens_for_as_long_as_somebody_looks() {
    run(async {
        let mut world = World::whole(options_with_default_lease("watch", 44)).await;
        let (leader, _) = world.roles().await;
        let refused = world.quorate("pg1", &["watch"]).failed(2);
        assert!(refused.contains("[cli-no-terminal]") && refused.contains("hint: "), "{refused}");

        let coloured = Screen::start(&world, "coloured", 100, 30, "NO_COLOR=");
        coloured.shows(&["demo  serving"]).await;
        let codes = coloured.tmux(&["capture-pane", "-p", "-e"]).ok();
        assert!(codes.contains("\x1b[38;5;2mserving"), "{codes:?}");
        coloured.tmux(&["send-keys", "C-c"]).ok();
        coloured.shows(&["ended with 0"]).await;

        let screen = Screen::start(&world, "plain", 100, 30, "NO_COLOR=1");
        let shown =
            screen.shows(&["demo  serving", "accepts writes", "What happened", "Store: leader", "q ends"]).await;
        assert!(shown.contains("What can I lose right now?") && shown.contains("streaming"), "{shown}");
        assert!(!shown.contains(&format!("seen by {leader}")), "the leader's death is to be seen\n{shown}");
        let codes = screen.tmux(&["capture-pane", "-p", "-e"]).ok();
        assert!(!codes.contains("\x1b[38;"), "{codes:?}");

        for (columns, rows) in [(40, 12), (20, 5), (140, 50), (100, 30)] {
            screen.resize(columns, rows).await;
        }

        world.quorate("pg1", &["pause", "demo"]).ok();
        screen.shows(&["demo  paused"]).await;
        world.quorate("pg1", &["resume", "demo"]).ok();
        screen.shows(&["demo  serving"]).await;

        world.member_mut(&leader).unwrap().kill().unwrap();
        let shown = screen.shows(&["demo  serving", "not seen", "no further one may fail"]).await;
        println!("{shown}");
        let (_, after) = shown.split_once("Member").unwrap();
        let line = after.lines().find(|line| line.contains("accepts writes")).unwrap();
        assert!(!line.starts_with(&leader), "{shown}");
        // The member that the news came from dies, too: then it is said that nobody answers, and by whom the last news was.
        for member in world.members_mut() {
            member.kill().unwrap();
        }
        screen.shows(&["does not answer since", "this is as it was then"]).await;
        screen.tmux(&["send-keys", "q"]).ok();
        screen.shows(&["ended with 0"]).await;
        assert!(!screen.text().contains("Member"), "the terminal is as it was before\n{}", screen.text());
    });
}
