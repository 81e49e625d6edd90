//! One copy of the template for one server that is graded: made, described to the server, removed.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use anyhow::{Result, ensure};
use sqlx::postgres::PgConnectOptions;

use super::growth::Growth;
use super::session::{Session, identifier, literal};
use super::{Inner, Kind, Login, ours};

/// A database of its own for one server. [`ClonedDatabase::close`] removes it; a run's end does too.
#[derive(Debug)]
pub struct ClonedDatabase {
    pub(super) inner: Arc<Inner>,
    login: Login,
    /// Asks questions. Opened before the submission knows its password.
    pub(super) reader: Session,
    reader_role: String,
    growth: Growth,
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
        let (password, reader_password) = (super::password()?, super::password()?);
        let login = Login {
            user: database.clone(),
            password: Some(password.clone()),
            database,
            ..inner.login.clone()
        };
        let reader_login = Login {
            user: reader_role.clone(),
            password: Some(reader_password.clone()),
            ..login.clone()
        };
        let (role, reader) = (identifier(&login.user), identifier(&reader_role));
        let database = identifier(&login.database);
        let powers = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT";
        inner
            .run(&format!(
                "CREATE ROLE {role} {powers} PASSWORD {}; CREATE ROLE {reader} {powers} PASSWORD {}; \
                 GRANT {role} TO {reader}",
                literal(&password),
                literal(&reader_password)
            ))
            .await?;
        inner.grader().insert(reader_role.clone());
        // `file_copy` takes as long for the exercises' 13 MB (80 to 150 ms, as measured), checkpoints
        // the whole server twice, and leaves the copy's pages out of the cache.
        inner
            .run(&format!(
                "CREATE DATABASE {database} OWNER {role} TEMPLATE {} STRATEGY wal_log",
                identifier(&inner.template())
            ))
            .await?;
        inner
            .run(&format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"))
            .await?;
        for (name, value) in &inner.database_settings {
            let set = format!("ALTER DATABASE {database} SET {name} = {}", literal(value));
            inner.run(&set).await?;
        }
        if inner.kind == Kind::Url {
            // As many as a server with our `max_connections` has for those who are no superusers.
            inner
                .run(&format!("ALTER DATABASE {database} CONNECTION LIMIT 97"))
                .await?;
        }
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
            growth: Growth::watch(inner, &login.database, &login.user),
            inner: inner.clone(),
            login,
            reader,
            reader_role,
        })
    }

    /// Why the submission was locked out of its database, if it was: one sentence.
    #[must_use]
    pub fn excess(&self) -> Option<String> {
        self.growth.excess()
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
        let password = password.as_deref().unwrap_or_default();
        let (host, port) = (server.get_host(), server.get_port());
        // A confined server cannot ask for the address of a name.
        let address = (host, port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next());
        let host = address.map_or(host.to_owned(), |address| address.ip().to_string());
        let url_host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let url = format!("postgres://{user}:{password}@{url_host}:{port}/{database}");
        [
            ("DATABASE_URL", url),
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", user.clone()),
            ("PGPASSWORD", password.to_owned()),
            ("PGDATABASE", database.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The port on which its server listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.login.server.get_port()
    }

    /// How the submission's role logs in.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.login.options()
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

    /// Whether the database still answers its superuser.
    pub(crate) async fn is_alive(&self) -> bool {
        self.inner.run("SELECT 1").await.is_ok()
    }

    /// Ends every session of the submission's role.
    pub(crate) async fn end_sessions(&self) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1";
        let _: Vec<(bool,)> = ours(self.inner.admin.fetch(sql, &[self.role()]).await?)?;
        Ok(())
    }

    /// Gives up the grader's session, so that the next question opens a new one.
    #[doc(hidden)]
    pub async fn close_session(&self) {
        self.reader.close().await;
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
}
