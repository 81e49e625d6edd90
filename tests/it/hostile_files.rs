//! Hostile evidence, plans, exercises, rubrics and tables of results: bounded time, never a panic. The
//! same functions stand in the fuzz targets.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::hostile::{SOLUTION, authors_file, evidence_file, plan, results_table};

/// Puts `new` in the place of one of all values in a document.
fn replace(document: &mut Value, which: Index, new: &Value) {
    fn walk(value: &mut Value, left: &mut usize, new: &Value) -> bool {
        if *left == 0 {
            *value = new.clone();
            return true;
        }
        *left -= 1;
        match value {
            Value::Array(values) => values.iter_mut().any(|value| walk(value, left, new)),
            Value::Object(values) => values.values_mut().any(|value| walk(value, left, new)),
            _ => false,
        }
    }
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(values) => values.values().map(count).sum(),
            _ => 0,
        }
    }
    let mut left = which.index(count(document));
    walk(document, &mut left, new);
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just(0_u64), Just(u64::MAX), Just(u64::from(u32::MAX))].prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        Just(Value::Array(Vec::new())),
        Just(Value::Object(serde_json::Map::new())),
    ]
}

/// The lines of a file with some of them left out, doubled, or swapped for others.
fn mangled(text: &str, changes: &[(Index, Index, u8)]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for (at, other, how) in changes {
        let (at, other) = (at.index(lines.len()), other.index(lines.len()));
        match how % 4 {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other]),
            2 => lines.swap(at, other),
            _ => lines[at] = lines[at].trim_start(),
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn evidence_with_anything_in_any_place_is_judged_or_refused(
        changes in proptest::collection::vec((any::<Index>(), any_value()), 1..4),
    ) {
        let mut document: Value = serde_json::from_str(SOLUTION).unwrap();
        for (which, new) in &changes {
            replace(&mut document, *which, new);
        }
        evidence_file(&serde_json::to_vec(&document).unwrap());
    }

    #[test]
    fn a_plan_with_anything_in_any_place_is_read_or_refused(
        changes in proptest::collection::vec((any::<Index>(), any_value()), 1..6),
    ) {
        let mut document: Value = serde_json::from_str(PLAN).unwrap();
        for (which, new) in &changes {
            replace(&mut document, *which, new);
        }
        plan(&serde_json::to_vec(&document).unwrap());
    }

    #[test]
    fn a_mangled_exercise_or_rubric_is_refused_in_words_or_works(
        is_rubric in any::<bool>(),
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..5),
    ) {
        let text = if is_rubric {
            include_str!("../fixtures/content/rubrics/tiny.yaml")
        } else {
            include_str!("../fixtures/content/exercises/tiny/exercise.yaml")
        };
        authors_file(mangled(text, &changes).as_bytes());
    }

    #[test]
    fn any_table_of_results_is_judged(cells in proptest::collection::vec(prop_oneof![
        Just("| | Broken | After pooling | After index |\n|---|---|---|---|\n"),
        Just("| Success rate |"), Just("| p99 |"), Just("5 %"), Just("1,000.5 ms"), Just("0,7s"),
        Just("|"), Just("\n"), Just("~"), Just("-1e999"), Just("NaN"), Just("∞"), Just("١٢٣"),
        Just("12/100"), Just("99.99999999999999999999"), Just("\\|"), Just("1m 2s"), Just("\u{a0}"),
    ], 0..60)) {
        results_table(&cells.join(" "));
    }
}

#[test]
fn a_plan_of_ten_thousand_storeys_is_refused_and_not_climbed() {
    let deep = r#"{"Node Type": "Limit", "Plans": ["#.repeat(10_000);
    plan(format!(r#"[{{"Plan": {deep}"#).as_bytes());
    for nested in ["[", "{\"a\":", "- ", "? ", "&a [*a,"] {
        authors_file(nested.repeat(20_000).as_bytes());
        evidence_file(nested.repeat(20_000).as_bytes());
    }
}

const PLAN: &str = r#"[{"Plan": {"Node Type": "Limit", "Actual Rows": 20, "Actual Loops": 1,
    "Plans": [{"Node Type": "Nested Loop", "Plans": [
        {"Node Type": "Index Scan", "Relation Name": "posts", "Index Name": "by_time",
         "Actual Rows": 20, "Actual Loops": 1, "Shared Hit Blocks": 22},
        {"Node Type": "Seq Scan", "Relation Name": "users", "Actual Rows": 1, "Actual Loops": 20}]}]},
    "Planning Time": 0.2, "Execution Time": 1.5, "Settings": {"jit": "off"}}]"#;
