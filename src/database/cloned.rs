//! One copy of the template for one server that is graded, and what can be asked about it.
//!
//! Questions go through a role that may read what the submission's role owns and has no other
//! power, in transactions that are read-only and rolled back, under a time limit, with every
//! setting made explicitly.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection};

use super::session::{self, Session, identifier, literal};
use super::{Inner, Login, ours};

/// The most rows that a question may have as its answer.
const MOST_ROWS: usize = 10_000;

/// A database of its own for one server. [`ClonedDatabase::close`] removes it; a run's end does too.
#[derive(Debug)]
pub struct ClonedDatabase {
    pub(super) inner: Arc<Inner>,
    login: Login,
    /// Asks questions. Opened before the submission knows its password.
    pub(super) reader: Session,
    reader_role: String,
}

impl ClonedDatabase {
    pub(super) async fn make(inner: &Arc<Inner>, name: &str) -> Result<Self> {
        ensure!(
            (1..=30).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "`{name}` is no name for a database"
        );
        let database = format!("{}_{name}", inner.prefix);
        let reader_role = format!("{database}_ro");
        let login = Login {
            user: database.clone(),
            password: super::password()?,
            database,
            ..inner.login.clone()
        };
        let reader_login = Login {
            user: reader_role.clone(),
            password: super::password()?,
            ..login.clone()
        };
        let (role, reader) = (identifier(&login.user), identifier(&reader_role));
        let database = identifier(&login.database);
        let powers = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT";
        inner
            .run(&format!(
                "CREATE ROLE {role} {powers} PASSWORD {}; CREATE ROLE {reader} {powers} PASSWORD {}; \
                 GRANT {role} TO {reader}",
                literal(&login.password),
                literal(&reader_login.password)
            ))
            .await?;
        inner.grader().insert(reader_role.clone());
        inner
            .run(&format!(
                "CREATE DATABASE {database} OWNER {role} TEMPLATE {} STRATEGY wal_log",
                identifier(&inner.template())
            ))
            .await?;
        inner
            .run(&format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"))
            .await?;
        let session = inner.enter(&login.database).await?;
        let owner = identifier(&inner.owner());
        ours(
            session
                .run(format!("REASSIGN OWNED BY {owner} TO {role}"))
                .await?,
        )?;
        session.close().await;
        let reader = Session::open(reader_login.options(), inner.reader_settings.clone()).await?;
        Ok(Self {
            inner: inner.clone(),
            login,
            reader,
            reader_role,
        })
    }

    /// The submission's role, which owns the database.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.login.user
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.login.database
    }

    /// What a server needs in its environment to find the database: `DATABASE_URL` and what libpq
    /// knows.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let Login {
            server,
            user,
            password,
            database,
        } = &self.login;
        let (host, port) = (server.get_host(), server.get_port());
        let url_host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let url = format!("postgres://{user}:{password}@{url_host}:{port}/{database}");
        [
            ("DATABASE_URL", url),
            ("PGHOST", host.to_owned()),
            ("PGPORT", port.to_string()),
            ("PGUSER", user.clone()),
            ("PGPASSWORD", password.clone()),
            ("PGDATABASE", database.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// How the submission's role logs in.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.login.options()
    }

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

    /// Vacuums and analyzes, as autovacuum would in time: for after migrations.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn settle(&self) -> Result<Result<(), String>> {
        self.reader
            .run("VACUUM (ANALYZE, SKIP_LOCKED)".into())
            .await
    }

    /// Ends every session of the submission's role.
    pub(crate) async fn end_sessions(&self) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1";
        let _: Vec<(bool,)> = ours(self.inner.admin.fetch(sql, &[self.role()]).await?)?;
        Ok(())
    }

    /// Removes the database and its roles, whoever is still connected.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await;
        let (role, reader) = (identifier(&self.login.user), identifier(&self.reader_role));
        let database = identifier(&self.login.database);
        self.inner
            .run(&format!("DROP DATABASE {database} WITH (FORCE)"))
            .await?;
        self.inner.run(&format!("DROP ROLE {reader}, {role}")).await
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
