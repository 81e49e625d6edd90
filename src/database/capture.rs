//! The statements that a server really sends, and how the database runs them.
//!
//! Statements are read from the server's log, which is told to write them for as long as a capture
//! lasts. That is a setting of the whole server (`ALTER SYSTEM`): the only one that reaches
//! connections which are open already, and a server's pool was opened before anybody asked. Plans
//! are taken on the grader's own session.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::session::{self, Session, identifier, literal};
use super::settings::{SETTINGS, Scope};
use super::{ClonedDatabase, Inner, Kind, LogPosition, ours};
use crate::evidence::{PlanSeen, StatementSeen};
use crate::query_plan::QueryPlan;
use crate::server_log::Sent;
use crate::sql_script;

/// The most different statements of one capture that are looked at.
const MOST_STATEMENTS: usize = 100;
/// How long the setting may take to reach the server.
const RELOAD: Duration = Duration::from_secs(10);
/// How long it may take from the server to its sessions, once one of them has it. They take it in
/// when their next statement comes, so only the signal has to arrive.
const SIGNAL: Duration = Duration::from_millis(60);

/// A stretch in which a submission's statements are written down.
#[derive(Debug)]
#[must_use = "statements are logged until it is finished"]
pub struct Capture<'a> {
    clone: &'a ClonedDatabase,
    since: LogPosition,
    before: LogStatement,
}

/// `log_statement`: what holds, and what `ALTER SYSTEM` had set it to, if it had.
#[derive(Debug)]
struct LogStatement {
    holds: String,
    in_file: Option<String>,
}

impl ClonedDatabase {
    /// Starts to write down what the submission sends.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn capture(&self) -> Result<Capture<'_>> {
        let inner = &self.inner;
        let before = LogStatement {
            holds: inner.log_statement().await?,
            in_file: log_statement_in_file(&inner.admin).await?,
        };
        if before.holds != "all" {
            if inner.kind == Kind::Url {
                remember_log_statement(inner, before.in_file.as_deref()).await?;
            }
            inner.run("ALTER SYSTEM SET log_statement = 'all'").await?;
            inner.run("SELECT pg_reload_conf()").await?;
            inner.await_log_statement("all").await?;
        }
        Ok(Capture {
            clone: self,
            since: self.inner.log_position().await?,
            before,
        })
    }
}

impl Capture<'_> {
    /// Stops, and explains each different statement that reads the table `reads`, in the order of
    /// first sight. Data that a statement would change is left as it was.
    ///
    /// # Errors
    /// When the database is lost, or its log cannot be read.
    pub async fn finish(self, reads: &str) -> Result<Vec<StatementSeen>> {
        let inner = &self.clone.inner;
        if self.before.holds != "all" {
            restore_log_statement(&inner.admin, self.before.in_file.as_deref()).await?;
            inner.await_log_statement(&self.before.holds).await?;
            if inner.kind == Kind::Url {
                let template = identifier(&inner.template());
                inner
                    .run(&format!("COMMENT ON DATABASE {template} IS NULL"))
                    .await?;
            }
        }
        let (role, database) = (self.clone.role(), self.clone.database());
        let mut order = Vec::new();
        let mut times: BTreeMap<Sent, u32> = BTreeMap::new();
        let read = inner.read_log(&self.since, |line| {
            if line.user.as_deref() != Some(role) || line.dbname.as_deref() != Some(database) {
                return;
            }
            for sent in Sent::of(&line).into_iter().flat_map(singly) {
                if let Some(seen) = times.get_mut(&sent) {
                    *seen += 1;
                } else if order.len() < MOST_STATEMENTS {
                    times.insert(sent.clone(), 1);
                    order.push(sent);
                }
            }
        });
        read.await?;
        let mut statements = Vec::new();
        for sent in order {
            let times = times.get(&sent).copied().unwrap_or_default();
            if let Some(plan) = self.clone.explain(&sent, reads).await? {
                let Sent { sql, parameters } = sent;
                statements.push(StatementSeen {
                    sql,
                    parameters,
                    times,
                    plan,
                });
            }
        }
        Ok(statements)
    }
}

/// The simple protocol takes several statements at once.
fn singly(sent: Sent) -> Vec<Sent> {
    match sql_script::split(&sent.sql) {
        Ok(statements) if sent.parameters.is_empty() => statements
            .into_iter()
            .map(|statement| Sent {
                sql: statement.sql.into(),
                parameters: Vec::new(),
            })
            .collect(),
        _ => vec![sent],
    }
}

impl Inner {
    async fn log_statement(&self) -> Result<String> {
        let rows: Vec<(String,)> = ours(
            self.admin
                .fetch("SELECT current_setting('log_statement')", &[])
                .await?,
        )?;
        Ok(rows.into_iter().next().context("read log_statement")?.0)
    }

    async fn await_log_statement(&self, value: &str) -> Result<()> {
        let asked = Instant::now();
        while self.log_statement().await? != value {
            ensure!(
                asked.elapsed() < RELOAD,
                "the database does not take log_statement = {value}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(SIGNAL).await;
        Ok(())
    }
}

/// Starts the note that [`forgotten_log_statement`] reads.
const NOTE: &str = "feedgrade: log_statement was ";

/// Notes on the template, which is out of the submission's reach, what a killed run's successor has
/// to set right on a server that was given.
async fn remember_log_statement(inner: &Inner, before: Option<&str>) -> Result<()> {
    let template = identifier(&inner.template());
    let note = literal(&format!("{NOTE}{}", before.unwrap_or_default()));
    inner
        .run(&format!("COMMENT ON DATABASE {template} IS {note}"))
        .await
}

/// What a run has to set right that was ended in the middle of a capture: the value that
/// `ALTER SYSTEM` had set before, if any. `None` when there is nothing to set right.
pub(super) async fn forgotten_log_statement(
    admin: &Session,
    template: &str,
) -> Result<Option<Option<String>>> {
    let sql = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1";
    let rows: Vec<(Option<String>,)> = ours(admin.fetch(sql, &[template]).await?)?;
    let note = rows.into_iter().next().and_then(|(note,)| note);
    Ok(note.and_then(|note| {
        let value = note.strip_prefix(NOTE)?.to_owned();
        Some(Some(value).filter(|value| !value.is_empty()))
    }))
}

/// What `ALTER SYSTEM` has set `log_statement` to.
async fn log_statement_in_file(admin: &Session) -> Result<Option<String>> {
    let sql = "SELECT setting FROM pg_file_settings WHERE name = 'log_statement' \
               AND sourcefile LIKE '%postgresql.auto.conf'";
    let rows: Vec<(Option<String>,)> = ours(admin.fetch(sql, &[]).await?)?;
    Ok(rows.into_iter().next().and_then(|(value,)| value))
}

/// Sets `log_statement` as it was before.
pub(super) async fn restore_log_statement(admin: &Session, before: Option<&str>) -> Result<()> {
    let sql = match before {
        Some(value) => format!("ALTER SYSTEM SET log_statement = {}", literal(value)),
        None => "ALTER SYSTEM RESET log_statement".into(),
    };
    ours(admin.run(sql).await?)?;
    ours(admin.run("SELECT pg_reload_conf()".into()).await?)
}

impl ClonedDatabase {
    /// The plan of a statement. `None` when it has nothing to do with the table `reads`.
    async fn explain(&self, sent: &Sent, reads: &str) -> Result<Option<PlanSeen>> {
        let mut lease = self.reader.lend().await?;
        let role = identifier(self.role());
        let work = explain(&mut lease.connection, sent, &role);
        let explained = session::answer(session::within(session::ANSWER, work).await?)?;
        self.reader.clean(lease).await?;
        let refused = |why: String| mentions(&sent.sql, reads).then_some(PlanSeen::Refused(why));
        let plan = match explained {
            Ok(json) => QueryPlan::parse(&json).context("read what EXPLAIN told")?,
            Err(message) => return Ok(refused(message)),
        };
        if let Some((name, value)) = plan.settings.iter().find(|setting| !is_ours(setting)) {
            return Ok(refused(format!(
                "planning this statement changes settings of the planner ({name} = {value})"
            )));
        }
        Ok(plan
            .root
            .reads(reads)
            .then(|| PlanSeen::Explained(Box::new(plan))))
    }
}

/// Explains a statement with its parameters as values, in a transaction that is rolled back, as the
/// submission's role: whatever its functions do, they do with no more power than the submission has.
///
/// Preparing goes through the extended protocol, which refuses several statements in one string.
async fn explain(connection: &mut PgConnection, sent: &Sent, role: &str) -> sqlx::Result<Value> {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "BEGIN; SET LOCAL search_path = \"$user\", public; SET LOCAL row_security = on; \
         SET LOCAL ROLE {role}"
    )))
    .execute(&mut *connection)
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "PREPARE feedgrade_statement AS {}",
        sent.sql
    )))
    .persistent(false)
    .execute(&mut *connection)
    .await?;
    let values: Vec<String> = sent
        .parameters
        .iter()
        .map(|value| value.as_deref().map_or("NULL".into(), literal))
        .collect();
    let values = if values.is_empty() {
        String::new()
    } else {
        format!("({})", values.join(", "))
    };
    let (plan,) = sqlx::query_as(AssertSqlSafe(format!(
        "EXPLAIN (ANALYZE, BUFFERS, VERBOSE, SETTINGS, FORMAT JSON) \
         EXECUTE feedgrade_statement {values}"
    )))
    .persistent(false)
    .fetch_one(connection)
    .await?;
    Ok(plan)
}

/// Whether a setting of a plan is one that all databases here have.
fn is_ours((name, value): &(String, String)) -> bool {
    SETTINGS.iter().any(|setting| {
        setting.scope == Scope::Database && setting.name == name && setting.value == value
    })
}

/// Whether a text has a word in it.
fn mentions(sql: &str, word: &str) -> bool {
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_mentioned_by_its_whole_name() {
        assert!(mentions(
            "COPY (SELECT * FROM public.\"posts\") TO STDOUT",
            "posts"
        ));
        assert!(mentions("select 1 from Posts;", "posts"));
        assert!(!mentions("SELECT * FROM posts_archive", "posts"));
    }

    #[test]
    fn several_statements_in_one_string_are_told_apart() {
        let sent = |sql: &str| Sent {
            sql: sql.into(),
            parameters: Vec::new(),
        };
        let sql: Vec<String> = singly(sent("BEGIN; SELECT 1; COMMIT"))
            .into_iter()
            .map(|s| s.sql)
            .collect();
        assert_eq!(sql, ["BEGIN", "SELECT 1", "COMMIT"]);
    }
}
