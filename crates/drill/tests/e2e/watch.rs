//! `quorate watch` on a real terminal: what it shows while a leader dies, in every size, with and without colour.

use super::screen::Screen;
use super::support::{Done, World, options_with_default_lease, run};
use std::process::Command;

fn start(world: &World, name: &str, columns: u16, rows: u16, environment: &str) -> Screen {
    let (program, file) = (world.options().quorate.display(), world.named("pg2").config_file.display());
    // The terminal's settings as the program leaves them.
    let command = format!("env {environment} {program} -c {file} watch; code=$?; stty -a; (exit $code)");
    Screen::start(world.options().directory.join(format!("{name}.tmux")), columns, rows, &command)
}

#[test]
fn watch_shows_what_happens_for_as_long_as_somebody_looks() {
    run(async {
        let mut world = World::whole(options_with_default_lease("watch", 44)).await;
        let (leader, _) = world.roles().await;
        let refused = world.quorate("pg1", &["watch"]).failed(2);
        assert!(refused.contains("[cli-no-terminal]") && refused.contains("hint: "), "{refused}");

        let coloured = start(&world, "coloured", 100, 30, "NO_COLOR=");
        coloured.shows(&["demo  serving"]).await;
        let codes = coloured.tmux(&["capture-pane", "-p", "-e"]).ok();
        assert!(codes.contains("\x1b[38;5;2mserving"), "{codes:?}");
        coloured.tmux(&["send-keys", "C-c"]).ok();
        coloured.shows(&["ended with 0", " icanon", " echo "]).await;

        for signal in ["TERM", "HUP"] {
            let ended = start(&world, signal, 100, 30, "NO_COLOR=1");
            ended.shows(&["demo  serving"]).await;
            let shell = ended.tmux(&["list-panes", "-F", "#{pane_pid}"]).ok();
            let children = format!("/proc/{0}/task/{0}/children", shell.trim());
            let program = std::fs::read_to_string(children).unwrap();
            Done::of(Command::new("kill").args(["-s", signal, program.trim()])).ok();
            let shown = ended.shows(&["ended with 0", " icanon", " echo "]).await;
            assert!(!shown.contains("Member"), "{shown}");
        }

        let screen = start(&world, "plain", 100, 30, "NO_COLOR=1");
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
