//! Query plans: EXPLAIN's JSON as a typed tree. Pure.
//!
//! Field names are Postgres' own (<https://www.postgresql.org/docs/current/sql-explain.html>).
//! Whatever a newer Postgres adds is passed over.

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Deeper plans are refused: no honest statement comes near, and recursion must end.
const DEEPEST: usize = 100;

/// The plan of one statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueryPlan {
    /// The topmost node.
    pub root: Node,
    /// Milliseconds to plan.
    pub planning_ms: f64,
    /// Milliseconds to execute.
    pub execution_ms: f64,
    /// Planner settings that were not at their defaults, as EXPLAIN's SETTINGS names them.
    pub settings: Vec<(String, String)>,
}

/// One node of a plan, and those that feed it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// E.g. `Seq Scan`, `Index Scan`, `Sort`, `Limit`.
    pub node_type: String,
    /// The table, for scans.
    pub relation: Option<String>,
    /// The table's schema, for scans.
    pub schema: Option<String>,
    /// The index, for index scans.
    pub index: Option<String>,
    /// `Forward` or `Backward`, for index scans.
    pub scan_direction: Option<String>,
    /// What a sort sorts by.
    pub sort_key: Vec<String>,
    /// E.g. `top-N heapsort`.
    pub sort_method: Option<String>,
    /// The condition that the index answers.
    pub index_cond: Option<String>,
    /// The condition that is tried on every row.
    pub filter: Option<String>,
    /// Rows that the planner expected, a loop.
    pub plan_rows: f64,
    /// Rows that came out, a loop.
    pub actual_rows: f64,
    /// How often the node ran.
    pub loops: f64,
    /// Rows that the filter threw away, a loop.
    pub rows_removed: f64,
    /// Milliseconds until its last row, a loop.
    pub actual_ms: f64,
    /// Blocks found in the cache, its children's included.
    pub buffers_hit: u64,
    /// Blocks read from disk, its children's included.
    pub buffers_read: u64,
    /// The nodes that feed it.
    pub children: Vec<Node>,
}

impl QueryPlan {
    /// Parses what EXPLAIN (ANALYZE, FORMAT JSON) returned: an array of one object.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(json: &Value) -> Result<Self> {
        let top = json.get(0).context("EXPLAIN gave no plan")?;
        Ok(Self {
            root: node(top.get("Plan").context("EXPLAIN gave no plan")?, 0)?,
            planning_ms: number(top, "Planning Time"),
            execution_ms: number(top, "Execution Time"),
            settings: top
                .get("Settings")
                .and_then(Value::as_object)
                .map(|settings| {
                    settings
                        .iter()
                        .map(|(name, value)| {
                            (name.clone(), value.as_str().unwrap_or_default().to_owned())
                        })
                        .collect()
                })
                .unwrap_or_default(),
        })
    }

    /// Every node, parents before children.
    #[must_use]
    pub fn nodes(&self) -> Vec<&Node> {
        let mut nodes = Vec::new();
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            nodes.push(node);
            open.extend(node.children.iter().rev());
        }
        nodes
    }
}

impl Node {
    /// Whether it reads a table row by row, in parallel or not.
    #[must_use]
    pub fn is_sequential_scan(&self) -> bool {
        self.node_type.ends_with("Seq Scan")
    }

    /// Whether it reads a table through an index that gives an order. A bitmap scan gives none.
    #[must_use]
    pub fn is_ordered_index_scan(&self) -> bool {
        matches!(self.node_type.as_str(), "Index Scan" | "Index Only Scan")
    }

    /// Whether it sorts.
    #[must_use]
    pub fn is_sort(&self) -> bool {
        matches!(self.node_type.as_str(), "Sort" | "Incremental Sort")
    }

    /// Whether it, or a node that feeds it, reads `relation`.
    #[must_use]
    pub fn reads(&self, relation: &str) -> bool {
        self.relation.as_deref() == Some(relation)
            || self.children.iter().any(|child| child.reads(relation))
    }
}

fn node(json: &Value, depth: usize) -> Result<Node> {
    if depth > DEEPEST {
        bail!("the plan is more than {DEEPEST} nodes deep");
    }
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let children = match json.get("Plans").and_then(Value::as_array) {
        None => Vec::new(),
        Some(plans) => plans
            .iter()
            .map(|plan| node(plan, depth + 1))
            .collect::<Result<_>>()?,
    };
    Ok(Node {
        node_type: match (
            text("Node Type"),
            json.get("Parallel Aware").and_then(Value::as_bool),
        ) {
            (Some(node_type), Some(true)) => format!("Parallel {node_type}"),
            (Some(node_type), _) => node_type,
            (None, _) => bail!("a node of the plan has no type"),
        },
        relation: text("Relation Name"),
        schema: text("Schema"),
        index: text("Index Name"),
        scan_direction: text("Scan Direction"),
        sort_key: json
            .get("Sort Key")
            .and_then(Value::as_array)
            .map(|keys| {
                keys.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default(),
        sort_method: text("Sort Method"),
        index_cond: text("Index Cond"),
        filter: text("Filter"),
        plan_rows: number(json, "Plan Rows"),
        actual_rows: number(json, "Actual Rows"),
        loops: number(json, "Actual Loops"),
        rows_removed: number(json, "Rows Removed by Filter"),
        actual_ms: number(json, "Actual Total Time"),
        buffers_hit: count(json, "Shared Hit Blocks"),
        buffers_read: count(json, "Shared Read Blocks"),
        children,
    })
}

fn number(json: &Value, name: &str) -> f64 {
    json.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

fn count(json: &Value, name: &str) -> u64 {
    json.get(name).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_becomes_a_tree() {
        let plan = QueryPlan::parse(&json!([{
            "Plan": {"Node Type": "Limit", "Actual Rows": 20, "Actual Loops": 1, "Plans": [
                {"Node Type": "Sort", "Sort Key": ["p.created_at DESC"], "Plans": [
                    {"Node Type": "Seq Scan", "Parallel Aware": true, "Schema": "public",
                     "Relation Name": "posts", "Shared Hit Blocks": 610}
                ]}
            ]},
            "Settings": {"enable_seqscan": "off"},
            "Execution Time": 11.5
        }]))
        .unwrap();
        let types: Vec<_> = plan.nodes().iter().map(|n| n.node_type.as_str()).collect();
        assert_eq!(types, ["Limit", "Sort", "Parallel Seq Scan"]);
        assert!(plan.root.reads("posts") && !plan.root.reads("users"));
        assert!(plan.nodes()[2].is_sequential_scan());
        assert_eq!(
            plan.settings,
            [("enable_seqscan".to_owned(), "off".to_owned())]
        );
    }

    #[test]
    fn a_plan_without_end_is_refused() {
        let mut plan = json!({"Node Type": "Result"});
        for _ in 0..110 {
            plan = json!({"Node Type": "Append", "Plans": [plan]});
        }
        assert!(QueryPlan::parse(&json!([{"Plan": plan}])).is_err());
        assert!(QueryPlan::parse(&json!({})).is_err());
    }
}
