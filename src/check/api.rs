//! Every step of a probe was answered as the exercise expects and as the database says.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Context, Finding};
use crate::evidence::{Answer, Evidence, Fact, ProbeRun, ServerRun, StepSeen};
use crate::exercise::{BodyShape, Probe, Step};
use crate::yaml::Located;

/// `api: {probe: feed}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The probe.
    pub probe: Located<String>,
}

impl Api {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let Some(probe) = context.exercise.probe(&self.probe) else {
            return Finding::ungraded("", format!("The exercise has no probe `{}`.", *self.probe));
        };
        let expected = wanted(probe);
        let runs = match &evidence.api {
            Some(ServerRun::Ran { seen, .. }) => seen,
            Some(ServerRun::NotReady { reason, .. }) => {
                return Finding::not_met(expected, None, reason.clone());
            }
            None => return Finding::ungraded(expected, "The requests were not sent."),
        };
        let Some(run) = runs.iter().find(|run| run.probe == *self.probe) else {
            return Finding::ungraded(expected, "The requests were not sent.");
        };
        match first_fault(probe, run) {
            Ok(()) => Finding::met(expected, "as expected"),
            Err(Fault::Machine(why)) => Finding::ungraded(expected, why),
            Err(Fault::Learner { seen, reason }) => Finding::not_met(expected, Some(seen), reason),
        }
    }
}

/// Why a probe's run is not as the exercise expects.
pub(super) enum Fault {
    /// The answer is wrong.
    Learner {
        /// What came back, short.
        seen: String,
        /// One sentence.
        reason: String,
    },
    /// The truth could not be established.
    Machine(String),
}

fn wanted(probe: &Probe) -> String {
    let mut parts: Vec<String> = Vec::new();
    for step in &probe.steps {
        let body = match step.expect.body {
            BodyShape::Any => "",
            BodyShape::Rows => " with the rows that the database has",
            BodyShape::Row => " with the row that the database has",
        };
        let part = format!("{} answers {}{body}", step.request, step.expect.status);
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("; ")
}

/// Compares a run with what the exercise expects, step by step.
pub(super) fn first_fault(probe: &Probe, run: &ProbeRun) -> Result<(), Fault> {
    for (index, step) in probe.steps.iter().enumerate() {
        let Some(seen) = run.steps.get(index) else {
            return Err(Fault::Learner {
                seen: "no answer".into(),
                reason: format!("{} was not answered: the server had ended.", step.request),
            });
        };
        step_fault(step, seen)?;
    }
    Ok(())
}

pub(super) fn step_fault(step: &Step, seen: &StepSeen) -> Result<(), Fault> {
    let request = describe(seen);
    // A lost database makes every server answer wrongly.
    if let Some(Fact::Unknown { why }) = &seen.rows {
        return Err(Fault::Machine(why.clone()));
    }
    let (status, body) = match &seen.answer {
        Answer::Json { status, body } => (*status, Some(body)),
        Answer::Text { status, .. } => (*status, None),
        Answer::Failed(error) => {
            return Err(Fault::Learner {
                seen: error.clone(),
                reason: format!("{request} got no answer: {error}."),
            });
        }
    };
    if status != step.expect.status {
        return Err(Fault::Learner {
            seen: format!("status {status}"),
            reason: format!(
                "{request} answered {status} instead of {}.",
                step.expect.status
            ),
        });
    }
    if step.expect.body == BodyShape::Any {
        return Ok(());
    }
    let rows = match &seen.rows {
        Some(Fact::Seen(Ok(rows))) => rows,
        Some(Fact::Seen(Err(error))) => {
            return Err(Fault::Learner {
                seen: error.clone(),
                reason: format!("{request} answered {status}, but the database says: {error}"),
            });
        }
        Some(Fact::Unknown { why }) => return Err(Fault::Machine(why.clone())),
        None => return Err(Fault::Machine("The database was not asked.".into())),
    };
    let Some(body) = body else {
        return Err(Fault::Learner {
            seen: "a body that is no JSON".into(),
            reason: format!("{request} answered {status}, but its body is no JSON."),
        });
    };
    let difference = match step.expect.body {
        BodyShape::Any => None,
        BodyShape::Rows => rows_difference(rows, body),
        BodyShape::Row => match rows.as_slice() {
            [row] => row_difference(row, body),
            [] => Some("the database holds no such row".to_owned()),
            rows => Some(format!(
                "the database holds {} such rows instead of one",
                rows.len()
            )),
        },
    };
    match difference {
        None => Ok(()),
        Some(difference) => Err(Fault::Learner {
            seen: difference.clone(),
            reason: format!("{request} answered {status}, but {difference}."),
        }),
    }
}

fn describe(seen: &StepSeen) -> String {
    match &seen.sent {
        None => seen.request.clone(),
        Some(sent) => {
            let body: String = sent.to_string().chars().take(80).collect();
            format!("{} with {body}", seen.request)
        }
    }
}

fn rows_difference(rows: &[Value], body: &Value) -> Option<String> {
    let Some(objects) = body.as_array() else {
        return Some("its body is no JSON array".to_owned());
    };
    // The order first: every row there but in other places is one fault, not twenty.
    let same = |object: &Value, row: &Value| row_difference(row, object).is_none();
    if objects.len() == rows.len()
        && !objects
            .iter()
            .zip(rows)
            .all(|(object, row)| same(object, row))
        && rows
            .iter()
            .all(|row| objects.iter().any(|object| same(object, row)))
    {
        return Some("its rows are in another order than expected".to_owned());
    }
    for (index, row) in rows.iter().enumerate() {
        let Some(object) = objects.get(index) else {
            break;
        };
        if let Some(difference) = row_difference(row, object) {
            return Some(format!("in element {} {difference}", index + 1));
        }
    }
    (objects.len() != rows.len()).then(|| {
        format!(
            "it has {} elements instead of {}",
            objects.len(),
            rows.len()
        )
    })
}

/// Compares an object with a row: the row's fields must be there and equal. More fields may be.
fn row_difference(row: &Value, object: &Value) -> Option<String> {
    let (Some(row), Some(fields)) = (row.as_object(), object.as_object()) else {
        return Some("its body is no JSON object".to_owned());
    };
    for (name, wanted) in row {
        match fields.get(name) {
            None => return Some(format!("the field `{name}` is missing")),
            Some(found) if !equal(wanted, found) => {
                return Some(format!(
                    "the field `{name}` is {} where the database has {}",
                    short(found),
                    short(wanted)
                ));
            }
            Some(_) => {}
        }
    }
    None
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let head: String = text.chars().take(57).collect();
    format!("{head}…")
}

/// Equal values; instants are compared to the millisecond, whatever their offset.
fn equal(wanted: &Value, found: &Value) -> bool {
    if wanted == found {
        return true;
    }
    match (wanted, found) {
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        (Value::String(wanted), Value::String(found)) => {
            match (wanted.parse::<Timestamp>(), found.parse::<Timestamp>()) {
                // Truncation and rounding of the microseconds may differ by one millisecond.
                (Ok(wanted), Ok(found)) => {
                    (wanted.as_microsecond() - found.as_microsecond()).abs() <= 1000
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instants_are_compared_to_the_millisecond_whatever_their_offset() {
        let row = json!({"at": "2025-03-01T12:00:00.123456+00:00"});
        for at in [
            "2025-03-01T12:00:00.123456Z",
            "2025-03-01T12:00:00.123Z",
            "2025-03-01T13:00:00.123456+01:00",
        ] {
            assert_eq!(row_difference(&row, &json!({"at": at})), None, "{at}");
        }
        for at in ["2025-03-01T12:00:00.2Z", "2025-03-01T12:00:00", "yesterday"] {
            assert!(row_difference(&row, &json!({"at": at})).is_some(), "{at}");
        }
    }

    #[test]
    fn rows_in_another_order_are_told_as_that() {
        let rows = [json!({"id": 1}), json!({"id": 2})];
        assert_eq!(
            rows_difference(&rows, &json!([{"id": 1}, {"id": 2, "more": true}])),
            None
        );
        let difference = rows_difference(&rows, &json!([{"id": 2}, {"id": 1}])).unwrap();
        assert!(difference.contains("another order"), "{difference}");
        let difference = rows_difference(&rows, &json!([{"id": 1}])).unwrap();
        assert_eq!(difference, "it has 1 elements instead of 2");
        let difference = rows_difference(&rows, &json!([{"id": 1}, {}])).unwrap();
        assert_eq!(difference, "in element 2 the field `id` is missing");
        assert!(
            rows_difference(&rows, &json!({"posts": []}))
                .unwrap()
                .contains("no JSON array")
        );
    }
}
