//! A real Postgres for each run: where it comes from, a database for each stretch of load, and what
//! it tells about them.
//!
//! Three backends give a server: `container`, `local` and `url`. All that comes after is the same
//! for them: one template database, filled once; a [`ClonedDatabase`] of it for each server that is
//! graded, with roles of its own; evidence through SQL, the server's log included.
//!
//! Nobody who is graded is trusted. A submission's role owns its clone and has no other power.
//! What is asked in a clone is asked by a second role without power, whose sessions are opened
//! before the submission has the clone's password; the superuser never enters a clone after that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::event::{Event, OnEvent};
use crate::scratch::Scratch;
use crate::sql_script;

mod capture;
mod cloned;
mod local;
mod log;
mod programs;
mod session;
mod settings;

pub use capture::Capture;
pub use cloned::ClonedDatabase;
pub use log::{ConnectionCount, LogPosition};

use session::{Session, identifier};
pub(crate) use session::{answer, connect};
use settings::{SETTINGS, Scope};

/// The oldest Postgres that writes its log as JSON.
const OLDEST: u32 = 15;

/// Where Postgres shall come from: `auto`, `container`, `local` or a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Choice {
    /// A container when that works, else a local cluster.
    Auto,
    /// A container.
    Container,
    /// A private cluster from the programs on this machine.
    Local,
    /// A server that is there already.
    Url(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "container" => Ok(Self::Container),
            "local" => Ok(Self::Local),
            url if ["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme)) =>
            {
                PgConnectOptions::from_str(url)
                    .map(|_| Self::Url(url.into()))
                    .map_err(|error| format!("this is not the URL of a Postgres server: {error}"))
            }
            other => Err(format!(
                "`{other}` is none of auto, container, local, or a URL like \
                 postgres://user:password@host:5432/postgres"
            )),
        }
    }
}

impl fmt::Debug for Choice {
    /// Leaves out the URL, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Container => "container",
            Self::Local => "local",
            Self::Url(_) => "url",
        })
    }
}

/// Which backend a database came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A private cluster.
    Local,
    /// A server that was there already.
    Url,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Container => "container",
            Self::Local => "local",
            Self::Url => "url",
        })
    }
}

/// A running Postgres. When it and all its clones are dropped, nothing of it is left.
#[derive(Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    reason: String,
    version: String,
    login: Login,
    /// The superuser's session, in a database that no submission may enter.
    admin: Session,
    /// What the sessions in clones are set to.
    reader_settings: Vec<(String, String)>,
    /// Starts the names of this run's roles and databases.
    prefix: String,
    /// The roles that the grader itself logs in with.
    grader: Mutex<BTreeSet<String>>,
    /// Kept for its `Drop`; the last field, so that the sessions above are closed before.
    _backend: Backend,
}

/// What ends a server that was started, or cleans up on one that was given.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their Drop")]
enum Backend {
    Local(local::Server),
}

/// Where a server is, and who logs in.
#[derive(Debug, Clone)]
struct Login {
    /// Host, port and encryption.
    server: PgConnectOptions,
    user: String,
    password: String,
    database: String,
}

impl Login {
    /// The superuser of a server that was started here.
    fn on_loopback(port: u16, password: &str) -> Self {
        Self {
            server: PgConnectOptions::new_without_pgpass()
                .host("127.0.0.1")
                .port(port)
                .ssl_mode(PgSslMode::Disable),
            user: "postgres".into(),
            password: password.into(),
            database: "postgres".into(),
        }
    }

    fn options(&self) -> PgConnectOptions {
        let Self {
            server,
            user,
            password,
            database,
        } = self;
        server
            .clone()
            .username(user)
            .password(password)
            .database(database)
    }
}

impl Database {
    /// Starts a server, or takes the one that was given. `image` is the container's name and tag.
    ///
    /// # Errors
    /// When there is no Postgres to be had; two lines, the second says the way out.
    pub async fn start(
        choice: &Choice,
        _image: &str,
        scratch: &Scratch,
        on_event: OnEvent<'_>,
    ) -> Result<Self> {
        let database = match choice {
            Choice::Local | Choice::Auto => {
                let programs = programs::find(scratch).await?;
                let reason = format!(
                    "Postgres {} in {}",
                    programs.version,
                    programs.folder.display()
                );
                let (server, login) = local::start(&programs, scratch).await?;
                Self::open(Kind::Local, reason, login, Backend::Local(server), scratch).await?
            }
            Choice::Container | Choice::Url(_) => bail!("not yet"),
        };
        on_event(Event::Notice(format!(
            "database: {}, {}",
            database.kind(),
            database.reason()
        )));
        Ok(database)
    }

    async fn open(
        kind: Kind,
        reason: String,
        login: Login,
        backend: Backend,
        scratch: &Scratch,
    ) -> Result<Self> {
        let admin = Session::open(login.options(), Vec::new()).await?;
        let version: Vec<(String,)> = ours(
            admin
                .fetch(
                    "SELECT split_part(current_setting('server_version'), ' ', 1)",
                    &[],
                )
                .await?,
        )?;
        let reader_settings = reader_settings(&admin).await?;
        let database = Self {
            inner: Arc::new(Inner {
                kind,
                reason,
                version: version.into_iter().map(|(version,)| version).collect(),
                grader: Mutex::new([login.user.clone()].into()),
                login,
                admin,
                reader_settings,
                prefix: format!("feedgrade_{}", scratch.session()),
                _backend: backend,
            }),
        };
        if kind != Kind::Url {
            let close = "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC";
            database.inner.run(close).await?;
        }
        Ok(database)
    }

    /// Which backend it came from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Why that one, in one line.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.inner.reason
    }

    /// Postgres' own version, e.g. `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// The settings that can move a verdict, as the server tells them.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>> {
        let sql = format!(
            "SELECT name, current_setting(name) FROM pg_settings WHERE {}",
            settings::reported()
        );
        let rows: Vec<(String, String)> = ours(self.inner.admin.fetch(&sql, &[]).await?)?;
        Ok(rows.into_iter().collect())
    }

    /// Makes the database that all clones are copies of, once: its tables, its rows, and
    /// statistics about them.
    ///
    /// # Errors
    /// When a statement fails: its author's fault, with the line. Or when the database is lost.
    pub async fn make_template(&self, schema: &str, seed: &str) -> Result<()> {
        let inner = &self.inner;
        let (owner, template) = (inner.owner(), inner.template());
        inner
            .run(&format!("CREATE ROLE {} NOLOGIN", identifier(&owner)))
            .await?;
        inner
            .run(&format!(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' \
                 LOCALE_PROVIDER libc LOCALE 'C'",
                identifier(&template),
                identifier(&owner)
            ))
            .await?;
        let session = inner.enter(&template).await?;
        ours(
            session
                .run(format!(
                    "SET search_path = public; SET ROLE {}",
                    identifier(&owner)
                ))
                .await?,
        )?;
        for (file, script) in [("schema", schema), ("seed", seed)] {
            let statements = sql_script::split(script)
                .map_err(|unreadable| anyhow!("line {}: {}", unreadable.line, unreadable.why))
                .with_context(|| format!("read the exercise's {file}"))?;
            for statement in statements {
                ours(session.run(statement.sql.into()).await?).with_context(|| {
                    format!(
                        "run the exercise's {file}, statement in line {}",
                        statement.line
                    )
                })?;
            }
        }
        ours(session.run("RESET ROLE".into()).await?)?;
        ours(session.run("VACUUM (FREEZE, ANALYZE)".into()).await?)?;
        session.close().await;
        // Copies then need nobody to leave the template, and a clone's tables can be given to its
        // role without the template itself.
        let close = format!(
            "ALTER DATABASE {template} OWNER TO CURRENT_USER; \
             ALTER DATABASE {template} ALLOW_CONNECTIONS false",
            template = identifier(&template)
        );
        inner.run(&close).await?;
        inner.run("CHECKPOINT").await
    }

    /// A copy of the template with roles of its own. `name` is made of lower-case letters, digits
    /// and `-`, and is used once.
    ///
    /// # Errors
    /// When there is no template, or the database is lost.
    pub async fn clone(&self, name: &str) -> Result<ClonedDatabase> {
        ClonedDatabase::make(&self.inner, name).await
    }
}

impl Inner {
    fn owner(&self) -> String {
        format!("{}_owner", self.prefix)
    }

    fn template(&self) -> String {
        format!("{}_template", self.prefix)
    }

    /// Runs the superuser's SQL outside of all clones.
    async fn run(&self, sql: &str) -> Result<()> {
        ours(self.admin.run(sql.into()).await?).with_context(|| {
            format!(
                "run {}",
                sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
            )
        })
    }

    /// A superuser's session in a database that no submission has had yet.
    async fn enter(&self, database: &str) -> Result<Session> {
        let login = Login {
            database: database.into(),
            ..self.login.clone()
        };
        Session::open(login.options(), Vec::new()).await
    }

    fn grader(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.grader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that a session can set, at the values that a new session outside of clones has, and
/// planner settings at Postgres' defaults.
async fn reader_settings(admin: &Session) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT name, value FROM (SELECT name, CASE WHEN {} THEN boot_val ELSE reset_val END, context \
         FROM pg_settings) AS s (name, value, context) WHERE value IS NOT NULL AND context = 'user' \
         AND name <> 'application_name' AND name NOT LIKE 'transaction\\_%'",
        settings::PLANNER
    );
    let mut values: Vec<(String, String)> = ours(admin.fetch(&sql, &[]).await?)?;
    let ours = [
        ("search_path", "pg_catalog, public, pg_temp"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        // A row that a policy hides is an error, not a missing row.
        ("row_security", "off"),
    ];
    let table = SETTINGS
        .iter()
        .filter(|setting| setting.scope == Scope::Database);
    values.extend(
        table
            .map(|setting| (setting.name, setting.value))
            .chain(ours)
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Ok(values)
}

/// An answer that no learner has a part in: an error is the machine's, or an author's.
fn ours<T>(answer: Result<T, String>) -> Result<T> {
    answer.map_err(|message| anyhow!("the database said: {message}"))
}

/// A random password of 32 letters and digits.
fn password() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("read /dev/urandom")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
