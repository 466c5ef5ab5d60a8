//! `quorate setup --from cluster.yaml`: no questions.

use super::bridge::home;
use super::preview::preview;
use super::{Setting, SetupArguments, finish, first_plan, refused, say, write};
use crate::cli::{EXIT_DONE, Failure};
use plan::{Plan, has_errors};
use std::path::Path;
use types::MemberName;

pub fn run(setting: &Setting, file: &Path, arguments: &SetupArguments) -> Result<i32, Failure> {
    let plan = read(file)?;
    let member = match &arguments.member {
        Some(name) => name.clone(),
        None => first_plan::own_member(&plan).ok_or_else(|| {
            Failure::usage("setup-member", "it is not said which member of the plan this server is")
                .hint("name it with --member")
        })?,
    };
    let member = MemberName::new(member);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.dry_run {
        return dry(setting, &plan, &member, &runtime);
    }
    if !arguments.yes {
        let question = format!("Write the files of {member} to {}", setting.home.directory().display());
        super::terminal::must_agree(&question)?;
    }
    let findings = runtime.block_on(write::findings(&setting.home, &plan, &member));
    say(&findings);
    runtime.block_on(write::write(&setting.home, &plan, &member))?;
    finish::finish(setting, &plan, &member)
}

fn read(file: &Path) -> Result<Plan, Failure> {
    let text =
        home::read(file)?.ok_or_else(|| Failure::usage("setup-from", format!("there is no {}", file.display())))?;
    Plan::read(&text).map_err(|findings| refused(&findings))
}

/// Every file on standard output, with asterisks for passwords; what is to be said on standard error.
fn dry(setting: &Setting, plan: &Plan, member: &MemberName, runtime: &tokio::runtime::Runtime) -> Result<i32, Failure> {
    let findings = runtime.block_on(write::findings(&setting.home, plan, member));
    say(&findings);
    if has_errors(&findings) {
        return Err(refused(&findings));
    }
    let preview = preview(setting, plan, member)?;
    for file in &preview.files {
        let note = match &file.before {
            None => "new",
            Some(before) if *before == file.text => "unchanged",
            Some(_) => "changed",
        };
        println!("# --- {} ({note}{})\n{}", file.path, if file.private { ", private" } else { "" }, file.text);
    }
    for made in &preview.certificates {
        println!("# --- {made}");
    }
    Ok(EXIT_DONE)
}
