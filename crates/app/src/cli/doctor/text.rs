//! Findings as text. Pure.

use super::finding::{Finding, Severity};
use crate::cli::render::Format;
use serde_json::{Value, json};
use std::fmt::Write;

pub fn text(findings: &[Finding], format: Format, colour: bool) -> String {
    match format {
        Format::Json => format!("{}\n", console::json_text(&json(findings))),
        Format::Yaml => config::yaml_from_json(&json(findings)),
        Format::Tsv => tsv(findings),
        Format::Pretty | Format::Topology => pretty(findings, colour),
    }
}

pub fn json(findings: &[Finding]) -> Value {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    json!({
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "hints": count(Severity::Hint),
        "findings": findings,
    })
}

fn tsv(findings: &[Finding]) -> String {
    let mut text = String::from("severity\tcode\tsubject\tmessage\thint\n");
    for Finding { severity, code, subject, message, hint } in findings {
        let _ = writeln!(text, "{}\t{code}\t{subject}\t{message}\t{hint}", severity.as_str());
    }
    text
}

fn pretty(findings: &[Finding], colour: bool) -> String {
    if findings.is_empty() {
        return "Nothing is wrong, and nothing that is known to be risky was found.\n".to_owned();
    }
    let mut text = String::new();
    for Finding { severity, code, subject, message, hint } in findings {
        let (on, off) = if colour { (ansi(*severity), "\u{1b}[0m") } else { ("", "") };
        let _ = writeln!(text, "{on}{}{off} {subject}: {message} [{code}]\n  hint: {hint}", severity.as_str());
    }
    text
}

fn ansi(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "\u{1b}[1;31m",
        Severity::Warning => "\u{1b}[33m",
        Severity::Hint => "\u{1b}[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_says_the_same() {
        let findings = [
            Finding::error("doctor-x", "pg1", "it is broken", "mend it"),
            Finding::hint("doctor-y", "cluster", "well", "so"),
        ];
        assert_eq!(
            text(&findings, Format::Pretty, false),
            "error pg1: it is broken [doctor-x]\n  hint: mend it\nhint cluster: well [doctor-y]\n  hint: so\n"
        );
        assert!(text(&findings, Format::Pretty, true).starts_with("\u{1b}[1;31merror\u{1b}[0m pg1"));
        assert_eq!(
            text(&findings, Format::Tsv, true).lines().nth(1),
            Some("error\tdoctor-x\tpg1\tit is broken\tmend it")
        );
        let json: Value = serde_json::from_str(&text(&findings, Format::Json, true)).unwrap();
        assert_eq!(
            (&json["errors"], &json["hints"], &json["findings"][0]["severity"]),
            (&1.into(), &1.into(), &"error".into())
        );
        assert!(text(&[], Format::Pretty, false).starts_with("Nothing is wrong"));
        assert_eq!(
            text(&[], Format::Json, false),
            "{\"errors\": 0, \"findings\": [], \"hints\": 0, \"warnings\": 0}\n"
        );
    }
}
