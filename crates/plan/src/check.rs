//! What is wrong with a plan, as far as it can be told without looking at any machine.

mod fields;
mod members;
mod places;
mod promise;
mod vips;

use crate::model::Plan;
use crate::{Finding, Severity};

/// Collects; the order is that of the fields.
struct Report<'a> {
    plan: &'a Plan,
    findings: Vec<Finding>,
}

impl Report<'_> {
    fn certificates(&mut self) {
        if let Some(written) = &self.plan.certificate_life
            && crate::duration(written).is_none_or(|life| life.is_zero())
        {
            let message = format!("'{written}' is no length of time");
            self.error(
                "plan-certificate-life",
                "certificate_life",
                message,
                "write a number with d, h or m, such as 90d",
            );
        }
    }

    fn error(
        &mut self,
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::new(Severity::Error, code, field, message, hint));
    }

    fn warn(
        &mut self,
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::new(Severity::Warning, code, field, message, hint));
    }

    fn note(
        &mut self,
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::new(Severity::Note, code, field, message, hint));
    }
}

impl Plan {
    /// Everything that is to be said, errors and remarks.
    pub fn findings(&self) -> Vec<Finding> {
        let mut report = Report { plan: self, findings: Vec::new() };
        report.scope();
        report.each_member();
        report.members_together();
        report.sites();
        report.promise();
        report.places();
        report.ports();
        report.vips();
        report.certificates();
        report.findings
    }
}

#[cfg(test)]
mod tests;
