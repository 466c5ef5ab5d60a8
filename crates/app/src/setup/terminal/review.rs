//! What would be written, before it is.

use crate::cli::{Failure, ask};
use crate::setup::Setting;
use crate::setup::preview::{Preview, PreviewFile, preview};
use plan::Plan;
use types::MemberName;

/// Asks until it is known whether to write, unless that was agreed to before.
pub fn review(setting: &Setting, plan: &Plan, member: &MemberName, agreed: bool) -> Result<(), Failure> {
    let preview = preview(setting, plan, member)?;
    list(&preview);
    eprintln!("\nThe same without questions: {}\n", preview.command);
    if agreed {
        return Ok(());
    }
    loop {
        let answer = ask::prompt("Write these files (y, n, or s to see them first)", "n", "--yes")?;
        match answer.to_lowercase().as_str() {
            "y" | "yes" => return Ok(()),
            "n" | "no" => {
                return Err(Failure::usage("cli-aborted", "nothing was written").hint("what was typed is kept"));
            }
            "s" => preview.files.iter().for_each(show),
            other => eprintln!("'{other}' is none of y, n and s."),
        }
    }
}

/// A whole file scrolls everything else away, so only what changes in one that is there already is shown unasked.
fn list(preview: &Preview) {
    eprintln!("\nThese files:");
    for file in &preview.files {
        match &file.before {
            None => eprintln!("+ {}{}", file.path, if file.private { " (only its owner reads it)" } else { "" }),
            Some(_) => show(file),
        }
    }
    for made in &preview.certificates {
        eprintln!("+ {made}");
    }
}

fn show(file: &PreviewFile) {
    match &file.before {
        None => eprintln!("\n+ {}\n{}", file.path, file.text),
        Some(before) if *before == file.text => eprintln!("= {} (unchanged)", file.path),
        Some(before) => {
            let difference = similar::TextDiff::from_lines(before.as_str(), file.text.as_str());
            eprintln!("~ {}\n{}", file.path, difference.unified_diff());
        }
    }
}
