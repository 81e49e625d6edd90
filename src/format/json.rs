//! JSON: `report.json` and its schema.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::escape;
use crate::report::{Report, VERSION};

/// Writes `report.json`: two spaces, fields in the order of the type, a line feed at the end.
pub fn render(report: &Report) -> Result<String> {
    let text = serde_json::to_string_pretty(report).context("write the report as JSON")?;
    Ok(escape::json(&text) + "\n")
}

/// The JSON Schema of `report.json`, draft 2020-12. Fields may be added to reports; these stay.
///
/// A reason is there exactly when a verdict is not `met`, and points are whole numbers.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    schema["title"] = json!("feedgrade report");
    schema["properties"]["version"] = json!({
        "description": "The version of this form.",
        "const": VERSION,
    });
    let criterion = &mut schema["$defs"]["CriterionGrade"];
    criterion["if"] = json!({"properties": {"verdict": {"const": "met"}}});
    criterion["then"] = json!({"properties": {"reason": {"type": "null"}}});
    criterion["else"] = json!({
        "properties": {"reason": {"type": "string", "minLength": 1}},
        "required": ["reason"],
    });
    schema
}
