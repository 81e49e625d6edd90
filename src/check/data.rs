//! Seeded rows are unchanged, and what was written under load is read back.

use schemars::JsonSchema;
use serde::Deserialize;

use super::api::{Fault, first_fault};
use super::{Context, Finding};
use crate::evidence::Evidence;
use crate::yaml::Located;

/// `data: {stage: index, kept_rows: [users, posts], probe: fresh-post}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The stage.
    pub stage: Located<String>,
    /// Rows that must be unchanged at its end.
    pub kept_rows: Vec<Located<String>>,
    /// The probe that was run while the load went on.
    #[serde(default)]
    pub probe: Option<Located<String>>,
}

impl Data {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let expected = "after the migrations the seeded rows are all there unchanged, and what is \
                        written under load is read back at once";
        let seen = match super::submission_stage(evidence, &self.stage) {
            Ok(seen) => seen,
            Err(missing) => return missing.into_finding(expected.into()),
        };
        for id in &self.kept_rows {
            let Some(rows) = seen.kept_rows.iter().find(|rows| rows.id == **id) else {
                return Finding::ungraded(expected, format!("The rows `{}` were not read.", **id));
            };
            match &rows.after {
                Ok(after) if *after == rows.before => {}
                Ok(after) => {
                    return Finding::not_met(
                        expected,
                        Some(format!("{}: {after} instead of {}", **id, rows.before)),
                        format!(
                            "The seeded rows of `{}` are not what they were before the migrations.",
                            **id
                        ),
                    );
                }
                Err(error) => {
                    return Finding::not_met(
                        expected,
                        Some(format!("{}: {error}", **id)),
                        format!(
                            "The seeded rows of `{}` cannot be read any more: {error}",
                            **id
                        ),
                    );
                }
            }
        }
        if let Some(id) = &self.probe {
            let Some(probe) = context.exercise.probe(id) else {
                return Finding::ungraded(
                    expected,
                    format!("The exercise has no probe `{}`.", **id),
                );
            };
            let mut runs = seen
                .during_load
                .iter()
                .filter(|run| run.probe == **id)
                .peekable();
            if runs.peek().is_none() {
                return Finding::ungraded(expected, "Nothing was written while the load ran.");
            }
            for run in runs {
                match first_fault(probe, run) {
                    Ok(()) => {}
                    Err(Fault::Machine(why)) => return Finding::ungraded(expected, why),
                    Err(Fault::Learner { seen, reason }) => {
                        return Finding::not_met(
                            expected,
                            Some(seen),
                            format!("While the load ran: {reason}"),
                        );
                    }
                }
            }
        }
        Finding::met(expected, "unchanged and fresh")
    }
}
