//! A query plan for showing: its tree as rows, with the node that decides marked.
//!
//! Marks follow the rule of `check::plan`; they explain, and decide nothing.

use serde::Serialize;

use super::figure;
use crate::query_plan::{Node, QueryPlan};

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// How deep it lies, from 0.
    pub depth: usize,
    /// E.g. `Index Scan Backward`.
    pub name: String,
    /// What it works on, e.g. `posts, by posts_created_at`.
    pub on: Option<String>,
    /// Conditions and sort keys, one a line.
    pub notes: Vec<String>,
    /// Rows that came out, all loops together.
    pub rows: String,
    /// Rows that the planner expected.
    pub expected_rows: String,
    /// Blocks, its children's included.
    pub blocks: String,
    /// Time until the last row, its children's included.
    pub time: String,
    /// `against` or `for` when it decides, else empty.
    pub mark: &'static str,
    /// Why it is marked.
    pub why: Option<String>,
}

/// The rows of `plan`, parents before children; marks are about reading `table` in order.
#[must_use]
pub fn rows(plan: &QueryPlan, table: &str) -> Vec<Row> {
    let deciding = deciding(plan, table);
    let mut rows = Vec::new();
    let mut open = vec![(0, &plan.root)];
    while let Some((depth, node)) = open.pop() {
        let decided = deciding
            .iter()
            .find(|decided| std::ptr::eq(decided.node, node));
        rows.push(row(node, depth, decided));
        open.extend(node.children.iter().rev().map(|child| (depth + 1, child)));
    }
    rows
}

struct Deciding<'a> {
    node: &'a Node,
    good: bool,
    why: String,
}

fn deciding<'a>(plan: &'a QueryPlan, table: &str) -> Vec<Deciding<'a>> {
    let nodes = plan.nodes();
    let scans = || {
        nodes
            .iter()
            .copied()
            .filter(|node| node.relation.as_deref() == Some(table))
    };
    let against: Vec<Deciding<'_>> = scans()
        .filter(|scan| !scan.is_ordered_index_scan())
        .map(|node| Deciding {
            node,
            good: false,
            why: if node.is_sequential_scan() {
                format!("reads every row of {table}, for every request")
            } else {
                format!("reads {table} through an index, but not in its order")
            },
        })
        .chain(
            nodes
                .iter()
                .copied()
                .filter(|node| node.is_sort() && node.reads(table))
                .map(|node| Deciding {
                    node,
                    good: false,
                    why: format!("puts rows of {table} in order again for every request"),
                }),
        )
        .collect();
    if !against.is_empty() {
        return against;
    }
    scans()
        .map(|node| Deciding {
            node,
            good: true,
            why: format!("reads {table} in order and stops when it has enough rows"),
        })
        .collect()
}

fn row(node: &Node, depth: usize, decided: Option<&Deciding<'_>>) -> Row {
    let loops = node.loops.max(1.0);
    let name = match node.scan_direction.as_deref() {
        Some("Backward") => format!("{} Backward", node.node_type),
        _ => node.node_type.clone(),
    };
    let on = match (&node.relation, &node.index) {
        (Some(table), Some(index)) => Some(format!("{table}, by {index}")),
        (Some(table), None) => Some(table.clone()),
        (None, Some(index)) => Some(index.clone()),
        (None, None) => None,
    };
    let mut notes = Vec::new();
    if !node.sort_key.is_empty() {
        let method = node
            .sort_method
            .as_ref()
            .map_or(String::new(), |method| format!(" ({method})"));
        notes.push(format!("sorts by {}{method}", node.sort_key.join(", ")));
    }
    notes.extend(node.index_cond.iter().map(|cond| format!("where {cond}")));
    notes.extend(node.filter.iter().map(|filter| {
        format!(
            "keeps {filter}, throws {} rows away",
            figure::number(node.rows_removed * loops)
        )
    }));
    Row {
        depth,
        name,
        on,
        notes,
        rows: figure::number(node.actual_rows * loops),
        expected_rows: figure::number(node.plan_rows * loops),
        blocks: match node.buffers_read {
            0 => figure::count(node.buffers_hit),
            read => format!(
                "{} ({} from disk)",
                figure::count(node.buffers_hit + read),
                figure::count(read)
            ),
        },
        time: if loops > 1.0 {
            format!("{} × {loops:.0}", figure::ms(node.actual_ms))
        } else {
            figure::ms(node.actual_ms)
        },
        mark: match decided {
            None => "",
            Some(decided) if decided.good => "for",
            Some(_) => "against",
        },
        why: decided.map(|decided| decided.why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn marks(plan: &Value) -> Vec<(String, &'static str)> {
        let plan = QueryPlan::parse(&json!([{ "Plan": plan }])).unwrap();
        rows(&plan, "posts")
            .into_iter()
            .map(|row| (row.name, row.mark))
            .collect()
    }

    #[test]
    fn the_scan_and_the_sort_that_cost_are_marked() {
        let plan = json!({"Node Type": "Limit", "Plans": [
            {"Node Type": "Sort", "Sort Key": ["created_at DESC"], "Plans": [
                {"Node Type": "Seq Scan", "Relation Name": "posts"}]}]});
        assert_eq!(
            marks(&plan),
            [
                ("Limit".into(), ""),
                ("Sort".into(), "against"),
                ("Seq Scan".into(), "against")
            ]
        );
    }

    #[test]
    fn the_index_that_wins_is_marked_and_other_tables_are_not() {
        let plan = json!({"Node Type": "Nested Loop", "Plans": [
            {"Node Type": "Index Scan", "Relation Name": "posts", "Index Name": "by_time",
             "Scan Direction": "Backward"},
            {"Node Type": "Seq Scan", "Relation Name": "users"}]});
        assert_eq!(
            marks(&plan),
            [
                ("Nested Loop".into(), ""),
                ("Index Scan Backward".into(), "for"),
                ("Seq Scan".into(), "")
            ]
        );
    }
}
