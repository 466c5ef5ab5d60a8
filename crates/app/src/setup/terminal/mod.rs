//! The same steps as in the browser, as questions at the terminal. What is wrong is said behind the answer it is about, and
//! the question comes again.
//!
//! The invariants: every answer that was taken is kept at once, so a terminal that goes away costs the last one at most;
//! and no password is ever shown.

mod questions;
mod review;

use super::draft::Draft;
use super::first_plan::Origin;
use super::{Setting, SetupArguments, finish, first_plan, machine, refused, write};
use crate::cli::{Failure, ask};
use plan::has_errors;
use questions::{OPTION, Questions};
use types::MemberName;

pub fn run(setting: &Setting, arguments: &SetupArguments) -> Result<i32, Failure> {
    ask::must_be_on_terminal("how the cluster shall be", OPTION)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let machine = runtime.block_on(machine::look());
    let draft = first_plan::begin(&setting.home, &machine)?;
    begin(setting);
    let mut questions = Questions::new(&setting.home, draft, &machine, arguments.member.as_deref());
    loop {
        questions.all()?;
        let Draft { plan, member } = questions.draft.clone();
        let member = MemberName::new(member);
        let findings = runtime.block_on(write::findings(&setting.home, &plan, &member));
        questions.say_rest(&findings);
        if has_errors(&findings) {
            eprintln!("\nNothing can be written yet. What was typed is kept.");
            if ask::confirm_or("Go through the questions again?", true)? {
                continue;
            }
            return Err(refused(&findings));
        }
        review::review(setting, &plan, &member, arguments.yes)?;
        runtime.block_on(write::write(&setting.home, &plan, &member))?;
        return finish::finish(setting, &plan, &member);
    }
}

fn begin(setting: &Setting) {
    match first_plan::origin(&setting.home) {
        Origin::Proposed => eprintln!("A new cluster, beginning with this server."),
        Origin::Draft => eprintln!("Going on with what was typed before."),
        Origin::Written => eprintln!("Changing the plan in {}.", setting.home.plan_file().display()),
    }
    eprintln!(
        "Enter takes what stands in brackets. Ctrl-C ends it; what was typed is kept, and nothing else is written"
    );
    eprintln!("before the end. Sites, ports and versions are on the page in the browser, and in cluster.yaml.\n");
}

pub fn must_agree(question: &str) -> Result<(), Failure> {
    ask::must_confirm(question, "nothing was written")
}
