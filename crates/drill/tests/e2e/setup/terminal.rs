//! `quorate setup --terminal` on a real terminal: from nothing to files, with mistakes and an interruption in between.

use super::super::screen::Screen;
use super::super::support::{address, program, run};
use super::{directory, mode};
use std::path::Path;

/// Of nobody here (RFC 5737).
const ELSEWHERE: &str = "198.51.100.7";

fn setup(directory: &Path, name: &str) -> Screen {
    let home = directory.join("home");
    let command =
        format!("{} setup --terminal --no-start --directory {}", program("quorate").display(), home.display());
    Screen::start(directory.join(format!("{name}.tmux")), 120, 50, &command)
}

#[test]
fn a_mistake_is_said_at_its_question_and_an_interruption_costs_nothing_that_was_typed() {
    run(async {
        let directory = directory();
        let home = directory.path().join("home");
        let own: Vec<String> = (1..=3).map(|host| address(48, host).to_string()).collect();
        let place = |name: &str| directory.path().join("data").join(name).display().to_string();

        let screen = setup(directory.path(), "first");
        let said = screen.answer("The cluster's name [main]", "my shop").await;
        assert!(said.contains("A new cluster") && said.contains("Enter takes what stands in brackets"), "{said}");
        let said = screen.answer("The cluster's name [main]", "shop").await;
        assert!(said.starts_with("error: the cluster's name has a blank in it") && said.contains("\nhint: "), "{said}");
        screen.answer("name [pg1]", "").await;
        screen.answer("address", ELSEWHERE).await;
        screen.answer("roles [database", "database, store, king").await;
        let said = screen.answer("roles [database", "database, store, witness").await;
        assert!(said.contains("error: 'king' is no role\nhint: database, cache"), "{said}");
        let said = screen.answer("roles [database", "database, store").await;
        assert!(said.contains("error: a witness has no data [plan-roles]"), "{said}");
        screen.tmux(&["send-keys", "C-c"]).ok();
        screen.shows(&["ended with 130"]).await;
        let kept: Vec<_> = std::fs::read_dir(&home).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(kept.contains(&"draft.json".into()) && !home.join("cluster.yaml").exists(), "{kept:?}");
        assert_eq!(mode(&home.join("draft.json")), 0o600);
        drop(screen);

        let screen = setup(directory.path(), "second");
        let said = screen.answer("The cluster's name [shop]", "").await;
        assert!(said.contains("Going on with what was typed before."), "{said}");
        screen.answer("name [pg1]", "").await;
        screen.answer(&format!("address [{ELSEWHERE}]"), "").await;
        screen.answer("roles [database, store]", "").await;
        screen.answer("name [pg2]", "pg1").await;
        let said = screen.answer("name [pg2]", "").await;
        assert!(said.contains("error: another member is called 'pg1', too [plan-duplicate]"), "{said}");
        screen.answer("address", &own[1]).await;
        screen.answer("roles", "database, store").await;
        screen.answer("name [pg3]", "").await;
        screen.answer("address", &own[2]).await;
        screen.answer("roles", "witness").await;
        screen.answer("One more member [y/N]", "").await;
        screen.answer("Which of them is this server (pg1, pg2, pg3) [pg1]", "pg4").await;
        let said = screen.answer("Which of them is this server", "").await;
        assert!(said.contains("error: there is no member 'pg4'"), "{said}");
        screen.answer("What comes first (a number or a word) [stay-writable]", "best").await;
        screen.answer("What comes first", "3").await;
        screen.answer("PostgreSQL's data directory", &place("postgresql")).await;
        screen.answer("The store's directory", "store").await;
        let said = screen.answer("The store's directory", &place("store")).await;
        assert!(said.contains("error: ") && said.contains("'store' is not an absolute path"), "{said}");
        screen.answer("A virtual IP for the primary, such as 10.0.0.42/24, or none [none]", "10.0.0.42").await;
        let said = screen.answer("or none [none]", "").await;
        assert!(said.contains("error: '10.0.0.42' has no prefix length"), "{said}");

        // Only this server knows its addresses; everything else is there the second time.
        let said = screen.answer("Go through the questions again? [Y/n]", "").await;
        assert!(said.contains(&format!("{ELSEWHERE} is not an address of this server [setup-address]")), "{said}");
        for (question, answer) in [
            ("The cluster's name [shop]", ""),
            ("name [pg1]", ""),
            (&*format!("address [{ELSEWHERE}]"), &*own[0]),
            ("roles [database, store]", ""),
            ("name [pg2]", ""),
            (&format!("address [{}]", own[1]), ""),
            ("roles [database, store]", ""),
            ("name [pg3]", ""),
            (&format!("address [{}]", own[2]), ""),
            ("roles [witness]", ""),
            ("One more member [y/N]", "n"),
            ("Which of them is this server (pg1, pg2, pg3) [pg1]", ""),
            ("What comes first (a number or a word) [fastest]", ""),
            (&format!("PostgreSQL's data directory [{}]", place("postgresql")), ""),
            (&format!("The store's directory [{}]", place("store")), ""),
            ("or none [none]", ""),
            ("Write these files (y, n, or s to see them first) [n]", "s"),
        ] {
            assert!(!home.join("cluster.yaml").exists(), "nothing is written before the end");
            screen.answer(question, answer).await;
        }
        screen.answer("Write these files", "y").await;
        screen.shows(&["ended with 0"]).await;
        let shown = screen.everything();
        assert!(shown.contains("password: ********") && shown.contains("promise: fastest"), "{shown}");
        for name in ["pg2", "pg3"] {
            assert!(shown.contains(&format!("\n{name}:\nquorate join {}:8008 ", own[0])), "{shown}");
        }
        for (file, wanted) in [("cluster.yaml", 0o644), ("secrets.yaml", 0o600), ("tls/ca.key", 0o600)] {
            assert_eq!(mode(&home.join(file)), wanted, "{file}");
        }
        assert!(!home.join("draft.json").exists() && !directory.path().join("data").exists());
        let secrets = std::fs::read_to_string(home.join("secrets.yaml")).unwrap();
        let secrets: Vec<&str> = secrets.lines().filter_map(|line| line.split_once(": ")).map(|(_, it)| it).collect();
        assert_eq!(secrets.len(), 5);
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
    });
}
