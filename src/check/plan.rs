//! A statement reads its table through an index that gives the order.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Finding};
use crate::evidence::{Evidence, Fact, Migrations, PlanSeen, StatementSeen};
use crate::exercise::ServerKind;
use crate::grade::Spot;
use crate::query_plan::Node;
use crate::yaml::Located;

/// `plan: {stage: index, statement: feed, at_most_rows: 1000}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The stage in which the statement was captured.
    pub stage: Located<String>,
    /// The statement, by its id in the exercise.
    pub statement: Located<String>,
    /// Rows of the table that may be read for one answer: an index that gives the order lets the
    /// database stop early.
    pub at_most_rows: u32,
}

impl Plan {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let Some(spec) = context.exercise.statement(&self.statement) else {
            let reason = format!("The exercise has no statement `{}`.", *self.statement);
            return Finding::ungraded("", reason);
        };
        let (request, table) = (&spec.request, &spec.reads);
        let expected = format!(
            "the statement behind {request} reads `{table}` through an index that gives the order, \
             without a sequential scan and without a sort"
        );
        let seen = match super::submission_stage(evidence, &self.stage) {
            Ok(seen) => seen,
            Err(missing) => return missing.into_finding(expected),
        };
        let Some(captured) = seen.statements.iter().find(|s| s.id == *self.statement) else {
            return Finding::ungraded(expected, "The statement was not captured.");
        };
        let statements = match &captured.statements {
            Fact::Seen(statements) => statements,
            Fact::Unknown { why } => return Finding::ungraded(expected, why.clone()),
        };
        if statements.is_empty() {
            return Finding::not_met(
                expected,
                Some("no statement".into()),
                format!(
                    "{request} was sent {} times, and the server sent the database no statement \
                     that reads `{table}`.",
                    captured.requests
                ),
            );
        }
        for statement in statements {
            let judged = ordered_by_index(statement, table)
                .and_then(|()| few_rows(statement, table, self.at_most_rows));
            if let Err((seen, reason)) = judged {
                let at = index_statement(evidence, &self.stage, table);
                return Finding::not_met(expected, Some(seen), reason).at(at);
            }
        }
        Finding::met(expected, indexes(statements))
    }
}

/// The last statement of the migrations that makes an index on `table`: the one that does not do.
fn index_statement(evidence: &Evidence, stage: &str, table: &str) -> Option<Spot> {
    let run = evidence
        .stages
        .iter()
        .find(|run| run.stage == stage && run.server == ServerKind::Submission)?;
    let Migrations::Applied { statements, .. } = &run.migrations else {
        return None;
    };
    let makes_index = |statement: &str| {
        let words: Vec<String> = statement
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_lowercase)
            .collect();
        let has = |word: &str| words.iter().any(|w| w == word);
        has("create") && has("index") && has(table)
    };
    statements
        .iter()
        .rev()
        .find(|applied| makes_index(&applied.statement))
        .map(|applied| Spot::in_migrations(&applied.file, applied.line))
}

fn indexes(statements: &[StatementSeen]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for statement in statements {
        let PlanSeen::Explained(plan) = &statement.plan else {
            continue;
        };
        for node in plan.nodes() {
            names.extend(
                node.index
                    .as_deref()
                    .filter(|_| node.is_ordered_index_scan()),
            );
        }
    }
    names.dedup();
    format!("Index Scan using {}", names.join(", "))
}

/// An index that is read from end to end gives no order that helps.
fn few_rows(statement: &StatementSeen, table: &str, at_most: u32) -> Result<(), (String, String)> {
    let PlanSeen::Explained(plan) = &statement.plan else {
        return Ok(());
    };
    for node in plan.nodes() {
        let rows = (node.actual_rows + node.rows_removed) * node.loops.max(1.0);
        if node.relation.as_deref() == Some(table) && rows > f64::from(at_most) {
            let index = node.index.as_deref().unwrap_or("an index");
            return Err((
                format!("{rows:.0} rows through {index}"),
                format!(
                    "The database read {rows:.0} rows of `{table}` through {index} for one answer: \
                     that index is not in the order of the feed, or nothing says when to stop."
                ),
            ));
        }
    }
    Ok(())
}

/// What was seen and why it does not do, when it does not.
fn ordered_by_index(statement: &StatementSeen, table: &str) -> Result<(), (String, String)> {
    let plan = match &statement.plan {
        PlanSeen::Explained(plan) => plan,
        PlanSeen::Refused(message) => {
            return Err((
                "no plan".into(),
                format!("The database would not explain the statement: {message}"),
            ));
        }
    };
    let nodes = plan.nodes();
    let scans: Vec<&&Node> = nodes
        .iter()
        .filter(|node| node.relation.as_deref() == Some(table))
        .collect();
    if let Some(scan) = scans.iter().find(|scan| !scan.is_ordered_index_scan()) {
        let reason = if scan.is_sequential_scan() {
            format!(
                "The database read all of `{table}` to answer (a sequential scan of {:.0} rows).",
                (scan.actual_rows + scan.rows_removed) * scan.loops.max(1.0)
            )
        } else {
            format!(
                "The database read `{table}` with a {}, which does not give the rows in order.",
                scan.node_type
            )
        };
        return Err((format!("{} on {table}", scan.node_type), reason));
    }
    if let Some(sort) = nodes
        .iter()
        .find(|node| node.is_sort() && node.reads(table))
    {
        return Err((
            format!("Sort by {}", sort.sort_key.join(", ")),
            format!(
                "The rows of `{table}` came from an index that is not in the order of the feed, so \
                 the database sorted {:.0} of them.",
                sort.children
                    .first()
                    .map_or(0.0, |child| child.actual_rows * child.loops)
            ),
        ));
    }
    match scans
        .iter()
        .find(|scan| scan.schema.as_deref().is_some_and(|s| s != "public"))
    {
        Some(scan) => Err((
            format!("{}.{table}", scan.schema.as_deref().unwrap_or_default()),
            format!("The statement reads another table than the seeded `public.{table}`."),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query_plan::QueryPlan;
    use serde_json::{Value, json};

    #[test]
    fn the_index_that_does_not_do_is_found_in_the_migrations() {
        use crate::evidence::sample::{evidence, loaded};
        use crate::evidence::{Applied, BuildOutcome};
        let mut seen = loaded("index", &[], &[]);
        let applied = |line, statement: &str| Applied {
            file: "1.sql".into(),
            line,
            statement: statement.into(),
        };
        seen.stages[1].migrations = Migrations::Applied {
            files: vec!["1.sql".into()],
            statements: vec![
                applied(1, "create index a on users (username)"),
                applied(
                    3,
                    "CREATE INDEX CONCURRENTLY b ON public.\"posts\"(user_id)",
                ),
                applied(9, "ANALYZE posts"),
            ],
        };
        let at = index_statement(&seen, "index", "posts");
        assert_eq!(at, Some(Spot::in_migrations("1.sql", 3)));
        assert_eq!(index_statement(&seen, "index", "likes"), None);
        let nothing = evidence(BuildOutcome::Built);
        assert_eq!(index_statement(&nothing, "index", "posts"), None);
    }

    fn statement(plan: &Value) -> StatementSeen {
        StatementSeen {
            sql: "SELECT".into(),
            parameters: vec![],
            times: 3,
            plan: PlanSeen::Explained(Box::new(
                QueryPlan::parse(&json!([{ "Plan": plan }])).unwrap(),
            )),
        }
    }

    fn scan(node_type: &str) -> Value {
        json!({"Node Type": node_type, "Relation Name": "posts", "Schema": "public",
               "Index Name": "by_time", "Actual Rows": 20, "Actual Loops": 1})
    }

    #[test]
    fn an_ordered_index_scan_is_what_is_wanted() {
        let users = json!({"Node Type": "Seq Scan", "Relation Name": "users", "Schema": "public"});
        let join = json!({"Node Type": "Limit", "Plans": [
            {"Node Type": "Nested Loop", "Plans": [scan("Index Scan"), users]}]});
        assert!(ordered_by_index(&statement(&join), "posts").is_ok());
    }

    #[test]
    fn an_index_that_is_read_from_end_to_end_is_no_help() {
        let mut whole = scan("Index Scan");
        whole["Actual Rows"] = json!(30_000);
        let (seen, reason) = few_rows(&statement(&whole), "posts", 1_000).unwrap_err();
        assert_eq!(seen, "30000 rows through by_time");
        assert!(reason.contains("30000 rows"), "{reason}");
        assert!(few_rows(&statement(&scan("Index Scan")), "posts", 1_000).is_ok());
    }

    #[test]
    fn sequential_bitmap_and_sorted_reads_are_not() {
        for node in ["Seq Scan", "Bitmap Heap Scan"] {
            assert!(
                ordered_by_index(&statement(&scan(node)), "posts").is_err(),
                "{node}"
            );
        }
        let sorted = json!({"Node Type": "Sort", "Sort Key": ["created_at DESC"],
                            "Plans": [scan("Index Scan")]});
        let (seen, reason) = ordered_by_index(&statement(&sorted), "posts").unwrap_err();
        assert_eq!(seen, "Sort by created_at DESC");
        assert!(reason.contains("sorted 20"), "{reason}");
    }

    #[test]
    fn a_table_of_the_same_name_in_another_schema_is_another_table() {
        let mut plan = scan("Index Scan");
        plan["Schema"] = json!("decoy");
        assert!(ordered_by_index(&statement(&plan), "posts").is_err());
    }
}
