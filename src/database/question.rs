//! Questions about a clone: an exercise's queries, digests, the schema's fingerprint.
//!
//! They go through a role that may read what the submission's role owns and has no other power, in
//! transactions that are read-only and rolled back, under a time limit, with every setting made
//! explicitly. Where the learner's schema does not allow a question, that is an answer.

use anyhow::Result;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{ClonedDatabase, ours, session};

/// The most rows that a question may have as its answer.
const MOST_ROWS: usize = 10_000;

impl ClonedDatabase {
    /// Asks an exercise's query: one JSON object a row, in the query's order. `Ok(Err(…))` is the
    /// database's answer when the learner's schema does not allow the question.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn rows(&self, sql: &str) -> Result<Result<Vec<Value>, String>> {
        self.ask(sql, true).await
    }

    /// Asks a query for one row that is the same exactly when the rows behind it are: that row, or
    /// an array when there is not exactly one.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn digest(&self, sql: &str) -> Result<Result<Value, String>> {
        Ok(self.rows(sql).await?.map(|mut rows| match rows.pop() {
            Some(row) if rows.is_empty() => row,
            last => {
                rows.extend(last);
                Value::Array(rows)
            }
        }))
    }

    /// A text that changes when tables, columns, indexes, constraints, triggers, views or functions
    /// do.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn schema_fingerprint(&self) -> Result<String> {
        let rows = ours(self.ask(FINGERPRINT, false).await?)?;
        Ok(rows
            .first()
            .and_then(|row| row["fingerprint"].as_str())
            .unwrap_or_default()
            .to_owned())
    }

    async fn ask(&self, sql: &str, sees_public: bool) -> Result<Result<Vec<Value>, String>> {
        let mut lease = self.reader.lend().await?;
        let work = ask(&mut lease.connection, sql, sees_public);
        let answer = session::answer(session::within(session::ANSWER, work).await?)?;
        lease.give_back();
        Ok(answer.and_then(|answer| answer))
    }
}

async fn ask(
    connection: &mut PgConnection,
    sql: &str,
    sees_public: bool,
) -> sqlx::Result<Result<Vec<Value>, String>> {
    sqlx::raw_sql("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog")
        .execute(&mut *connection)
        .await?;
    let answer = answer(connection, sql, sees_public).await;
    // An answer that is an error leaves a transaction behind that must end too.
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    answer
}

async fn answer(
    connection: &mut PgConnection,
    sql: &str,
    sees_public: bool,
) -> sqlx::Result<Result<Vec<Value>, String>> {
    if sees_public {
        let shadows: Vec<(String,)> = sqlx::query_as(SHADOWS)
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        if let Some((name,)) = shadows.first() {
            return Ok(Err(format!(
                "the database has a function or operator of its own that is named like Postgres' \
                 own ({name}), so what it answers cannot be relied on"
            )));
        }
        sqlx::raw_sql("SET LOCAL search_path = pg_catalog, public, pg_temp")
            .execute(&mut *connection)
            .await?;
    }
    let sql = sql.trim().trim_end_matches(';');
    let sql = format!(
        "SELECT pg_catalog.to_jsonb(feedgrade_row) FROM (\n{sql}\n) AS feedgrade_row LIMIT {}",
        MOST_ROWS + 1
    );
    let rows: Vec<(Value,)> = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .fetch_all(connection)
        .await?;
    if rows.len() > MOST_ROWS {
        return Ok(Err(format!("the answer has more than {MOST_ROWS} rows")));
    }
    Ok(Ok(rows.into_iter().map(|(row,)| row).collect()))
}

/// Functions and operators that could be taken for Postgres' own where argument types fit better.
/// Extensions are installed by the first superuser, whose id is 10.
const SHADOWS: &str = "
    SELECT proname::text FROM pg_proc AS p
    WHERE pronamespace = to_regnamespace('public') AND proowner <> 10 AND EXISTS (
        SELECT FROM pg_proc AS b
        WHERE b.pronamespace = to_regnamespace('pg_catalog') AND b.proname = p.proname)
    UNION ALL
    SELECT oprname::text FROM pg_operator AS o
    WHERE oprnamespace = to_regnamespace('public') AND oprowner <> 10 AND EXISTS (
        SELECT FROM pg_operator AS b
        WHERE b.oprnamespace = to_regnamespace('pg_catalog') AND b.oprname = o.oprname)";

/// Written with names of `pg_catalog` only, so that nothing of the learner's is called.
const FINGERPRINT: &str = r"
    WITH spaces AS (
        SELECT oid, nspname FROM pg_namespace
        WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
    ), relations AS (
        SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind, c.relpersistence,
               c.relrowsecurity, c.reloptions
        FROM pg_class AS c JOIN spaces AS n ON n.oid = c.relnamespace
    ), lines (line) AS (
        SELECT concat_ws(' ', 'relation', r.name, r.relkind, r.relpersistence, r.relrowsecurity,
                         r.reloptions::text,
                         CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END)
        FROM relations AS r
        UNION ALL
        SELECT concat_ws(' ', 'column', r.name, a.attnum, a.attname,
                         format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                         pg_get_expr(d.adbin, d.adrelid))
        FROM relations AS r
        JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index AS i JOIN relations AS r ON r.oid = i.indrelid
        UNION ALL
        SELECT concat_ws(' ', 'constraint', r.name, c.conname, pg_get_constraintdef(c.oid))
        FROM pg_constraint AS c JOIN relations AS r ON r.oid = c.conrelid
        UNION ALL
        SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger AS t JOIN relations AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL
        SELECT concat_ws(' ', 'rule', pg_get_ruledef(w.oid))
        FROM pg_rewrite AS w JOIN relations AS r ON r.oid = w.ev_class
        UNION ALL
        SELECT concat_ws(' ', 'function', n.nspname, p.proname,
                         pg_get_function_identity_arguments(p.oid), p.prosrc)
        FROM pg_proc AS p JOIN spaces AS n ON n.oid = p.pronamespace
    )
    SELECT encode(sha256(convert_to(string_agg(line, E'\n' ORDER BY line), 'UTF8')), 'hex')
           AS fingerprint
    FROM lines";
