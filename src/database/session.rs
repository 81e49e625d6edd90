//! The grader's own sessions with the database: what the learner did to the database is told from
//! a database that is lost.
//!
//! An error with an SQLSTATE is an answer, `Ok(Err(message))`: a table that is gone, a statement
//! that runs too long. No connection, no disk and no memory are the machine's, `Err`.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, FromRow, PgConnection};
use tokio::sync::{Mutex, MutexGuard};

/// How the grader's sessions name themselves. Only for people: anybody can choose it.
pub(super) const APPLICATION: &str = "feedgrade";

/// The longest that a session may take to open.
pub(super) const CONNECT: Duration = Duration::from_secs(15);
/// The longest that the database may take for one statement of the grader. Its own
/// `statement_timeout` is shorter, so this limit only ends sessions that hang.
pub(super) const ANSWER: Duration = Duration::from_secs(90);

/// One session, opened again when it breaks.
#[derive(Debug)]
pub(super) struct Session {
    options: PgConnectOptions,
    /// Settings that are set right after connecting, whatever the database or role says.
    settings: Vec<(String, String)>,
    slot: Mutex<Option<PgConnection>>,
}

/// The connection of a session, for one piece of work. Unless it is given back it is closed, so
/// that work that was broken off leaves no answers behind for the next.
pub(super) struct Lease<'a> {
    slot: MutexGuard<'a, Option<PgConnection>>,
    pub(super) connection: PgConnection,
}

impl Lease<'_> {
    pub(super) fn give_back(mut self) {
        *self.slot = Some(self.connection);
    }
}

impl Session {
    /// Opens a session, so that it is there when the server has no free connections any more.
    pub(super) async fn open(
        options: PgConnectOptions,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        let session = Self {
            // In the startup packet, so that it beats what the database and the role say.
            options: options.application_name(APPLICATION).options([
                ("search_path", "pg_catalog"),
                // Else a submission's `ALTER DATABASE … SET statement_timeout = 1` ends this
                // session before it is set to anything.
                ("statement_timeout", "0"),
                ("lock_timeout", "0"),
            ]),
            settings,
            slot: Mutex::new(None),
        };
        session.lend().await?.give_back();
        Ok(session)
    }

    pub(super) async fn lend(&self) -> Result<Lease<'_>> {
        let mut slot = self.slot.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => within(CONNECT, self.connect())
                .await?
                .context("connect to the database")?,
        };
        Ok(Lease { slot, connection })
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut connection = connect(&self.options).await?;
        self.set(&mut connection).await?;
        Ok(connection)
    }

    async fn set(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.settings.is_empty() {
            return Ok(());
        }
        let (names, values): (Vec<_>, Vec<_>) = self.settings.iter().cloned().unzip();
        sqlx::raw_sql("SET ROLE NONE")
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "SELECT pg_catalog.set_config(s.name, s.value, false) \
             FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
                             pg_catalog.unnest($2::pg_catalog.text[])) AS s (name, value)",
        )
        .persistent(false)
        .bind(names)
        .bind(values)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Forgets whatever somebody else's functions may have done to the session, and gives it back.
    pub(super) async fn clean(&self, mut lease: Lease<'_>) -> Result<()> {
        let work = async {
            let connection = &mut lease.connection;
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
            sqlx::raw_sql("DISCARD ALL")
                .execute(&mut *connection)
                .await?;
            self.set(connection).await
        };
        within(CONNECT, work).await?.context("lost the database")?;
        lease.give_back();
        Ok(())
    }

    /// Sends SQL as it is; several statements may be in it.
    pub(super) async fn run(&self, sql: String) -> Result<Result<(), String>> {
        let mut lease = self.lend().await?;
        let work = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut lease.connection);
        let answer = answer(within(ANSWER, work).await?)?;
        lease.give_back();
        Ok(answer.map(|_| ()))
    }

    /// Fetches rows.
    pub(super) async fn fetch<T>(
        &self,
        sql: &str,
        arguments: &[&str],
    ) -> Result<Result<Vec<T>, String>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut lease = self.lend().await?;
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
        for argument in arguments {
            query = query.bind((*argument).to_owned());
        }
        let rows = answer(within(ANSWER, query.fetch_all(&mut lease.connection)).await?)?;
        lease.give_back();
        Ok(rows)
    }

    /// Closes it.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.slot.lock().await.take() {
            let _ = within(CONNECT, connection.close()).await;
        }
    }
}

/// Opens a connection whose statements are not logged by this program.
pub(crate) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    options.clone().disable_statement_logging().connect().await
}

/// Sets the grader's limit for one statement of its own.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| anyhow!("the database did not answer within {} s", limit.as_secs()))
}

/// Tells what the database said from a database that is lost.
pub(crate) fn answer<T>(outcome: sqlx::Result<T>) -> Result<Result<T, String>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(sqlx::Error::Database(error)) if !is_machines(error.code().as_deref()) => {
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error).context("lost the database"),
    }
}

/// SQLSTATE classes that no SQL of a learner's brings about: no disk, no memory, shutdown, crash,
/// input and output errors, damaged data
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn is_machines(code: Option<&str>) -> bool {
    code.is_none_or(|code| {
        matches!(code, "53100" | "53200" | "XX001" | "XX002")
            || ["08", "57P", "58"]
                .iter()
                .any(|class| code.starts_with(class))
    })
}

/// A name, quoted for SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, quoted for SQL.
pub(super) fn literal(text: &str) -> String {
    let escape = if text.contains('\\') { " E" } else { "" };
    let text = text.replace('\'', "''").replace('\\', "\\\\");
    format!("{escape}'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_machines_and_a_missing_table_is_not() {
        for code in ["53100", "53200", "57P01", "08006", "58030", "XX001"] {
            assert!(is_machines(Some(code)), "{code}");
        }
        for code in [
            "42P01", "42703", "57014", "55P03", "40P01", "23505", "42501",
        ] {
            assert!(!is_machines(Some(code)), "{code}");
        }
        assert!(is_machines(None));
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }
}
