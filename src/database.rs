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
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::event::{Event, OnEvent};
use crate::scratch::Scratch;

mod capture;
mod choice;
mod cloned;
#[cfg(feature = "docker")]
mod container;
mod doctor;
mod growth;
#[cfg(feature = "docker")]
mod engine;
mod local;
mod log;
mod programs;
mod question;
mod session;
mod settings;
mod template;
mod url;

pub use capture::Capture;
pub use choice::{Choice, Kind};
pub use cloned::ClonedDatabase;
pub use doctor::{DoctorLine, doctor};
#[cfg(feature = "docker")]
pub use engine::docker_host_to_set;
pub use log::{ConnectionCount, LogPosition};

use session::{Session, literal};
pub(crate) use session::{answer, connect};

/// Nothing to set: this program was built without the container backend.
#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "as the one that asks an engine")]
pub async fn docker_host_to_set() -> Option<String> {
    None
}

/// The oldest Postgres that writes its log as JSON.
const OLDEST: u32 = 15;

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
    /// What each clone is set to, where the server's own settings are not ours.
    database_settings: Vec<(String, String)>,
    /// So many bytes a submission may add to its clone.
    most_growth: AtomicI64,
    /// Starts the names of this run's roles and databases.
    prefix: String,
    /// The roles that the grader itself logs in with.
    grader: Mutex<BTreeSet<String>>,
    /// Kept for its `Drop`; the last field, so that the sessions above are closed before.
    backend: Backend,
}

/// What ends a server that was started, or cleans up on one that was given.
#[derive(Debug)]
enum Backend {
    #[cfg(feature = "docker")]
    Container(container::Server),
    Local(local::Server),
    Url(#[expect(dead_code, reason = "held for its Drop")] url::Tenancy),
}

/// Where a server is, and who logs in.
#[derive(Debug, Clone)]
struct Login {
    /// Host, port and encryption.
    server: PgConnectOptions,
    user: String,
    /// `None` when the server's own options hold it.
    password: Option<String>,
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
            password: Some(password.into()),
            database: "postgres".into(),
        }
    }

    fn options(&self) -> PgConnectOptions {
        let options = self
            .server
            .clone()
            .username(&self.user)
            .database(&self.database);
        match &self.password {
            Some(password) => options.password(password),
            None => options,
        }
    }
}

/// What to do when there is no Postgres at all.
const WAY_OUT: &str = "install Docker, or Postgres' programs (Debian: apt-get install postgresql), \
                       or name a server: --database postgres://user:password@host:5432/postgres";

impl Database {
    /// Starts a server, or takes the one that was given, and tells which one and why.
    ///
    /// `image` is the container's name and tag; `FEEDGRADE_POSTGRES_IMAGE` overrides it. A server
    /// that is started is held to the processors `cores`; to none in particular when there are none.
    ///
    /// # Errors
    /// When there is no Postgres to be had; two lines, the second says the way out.
    pub async fn start(
        choice: &Choice,
        image: &str,
        cores: &[usize],
        scratch: &Scratch,
        on_event: OnEvent<'_>,
    ) -> Result<Self> {
        let database = match choice {
            Choice::Url(url) => {
                let (tenancy, login, reason) = url::start(url, scratch).await?;
                Self::open(Kind::Url, reason, login, Backend::Url(tenancy), scratch).await?
            }
            Choice::Container => Self::container(image, cores, scratch, on_event)
                .await
                .map_err(|why| anyhow!("no database in a container: {why:#}\n{WAY_OUT}"))?,
            Choice::Local => Self::local(None, cores, scratch)
                .await
                .map_err(|why| anyhow!("no local database: {why:#}\n{WAY_OUT}"))?,
            Choice::Auto => match Self::container(image, cores, scratch, on_event).await {
                Ok(database) => database,
                Err(why) => {
                    let why = one_line(&format!("{why:#}"));
                    Self::local(Some(&why), cores, scratch)
                        .await
                        .map_err(|not_local| {
                            anyhow!(
                                "no database: {why}; {}\n{WAY_OUT}",
                                one_line(&format!("{not_local:#}"))
                            )
                        })?
                }
            },
        };
        let (kind, reason) = (database.kind(), database.reason());
        on_event(Event::Notice(format!("database: {kind}, {reason}")));
        Ok(database)
    }

    #[cfg(feature = "docker")]
    async fn container(
        image: &str,
        cores: &[usize],
        scratch: &Scratch,
        on_event: OnEvent<'_>,
    ) -> Result<Self> {
        let image = self::image(image);
        let (server, login, reason) = container::start(&image, cores, scratch, on_event).await?;
        Self::open(
            Kind::Container,
            reason,
            login,
            Backend::Container(server),
            scratch,
        )
        .await
    }

    #[cfg(not(feature = "docker"))]
    #[expect(clippy::unused_async, reason = "the same as with the feature `docker`")]
    async fn container(_: &str, _: &[usize], _: &Scratch, _: OnEvent<'_>) -> Result<Self> {
        anyhow::bail!("this feedgrade was built without the feature `docker`")
    }

    /// `instead` says why there is no container.
    async fn local(instead: Option<&str>, cores: &[usize], scratch: &Scratch) -> Result<Self> {
        let programs = programs::find(scratch).await?;
        let (server, login) = local::start(&programs, cores, scratch).await?;
        let mut reason = format!(
            "Postgres {} from {}",
            programs.version,
            programs.folder.display()
        );
        if let Some(instead) = instead {
            reason = format!("{reason}, because there is no container: {instead}");
        }
        Self::open(Kind::Local, reason, login, Backend::Local(server), scratch).await
    }

    async fn open(
        kind: Kind,
        reason: String,
        login: Login,
        backend: Backend,
        scratch: &Scratch,
    ) -> Result<Self> {
        let admin = Session::open(login.options(), Vec::new()).await?;
        let database_settings = if kind == Kind::Url {
            settings::of_clones(&admin).await?
        } else {
            Vec::new()
        };
        for (name, value) in &database_settings {
            // Only so that `settings` tells what holds in the clones.
            ours(
                admin
                    .run(format!("SET {name} = {}", literal(value)))
                    .await?,
            )?;
        }
        let version: Vec<(String,)> = ours(
            admin
                .fetch(
                    "SELECT split_part(current_setting('server_version'), ' ', 1)",
                    &[],
                )
                .await?,
        )?;
        let reader_settings = settings::of_readers(&admin).await?;
        let database = Self {
            inner: Arc::new(Inner {
                kind,
                reason,
                version: version.into_iter().map(|(version,)| version).collect(),
                grader: Mutex::new([login.user.clone()].into()),
                login,
                admin,
                reader_settings,
                database_settings,
                most_growth: AtomicI64::new(1 << 30),
                prefix: format!("feedgrade_{}", scratch.session()),
                backend,
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

    /// Its first process, if that is on this machine and can be seen.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.inner.backend {
            #[cfg(feature = "docker")]
            Backend::Container(server) => server.pid,
            Backend::Local(server) => Some(server.pid()),
            Backend::Url(_) => None,
        }
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

    /// The superuser's own way in, for looking inside. Never for a server that is graded.
    #[doc(hidden)]
    #[must_use]
    pub fn superuser_url(&self) -> String {
        use sqlx::ConnectOptions as _;
        self.inner.login.options().to_url_lossy().into()
    }

    /// How much a submission may add to each clone that is made from now on, in MiB.
    pub fn limit_growth(&self, mib: u64) {
        let bytes = i64::try_from(mib << 20).unwrap_or(i64::MAX);
        self.inner.most_growth.store(bytes, Ordering::Relaxed);
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

/// Does a piece of work to its end on a thread of its own, so that it can be waited for in a `Drop`,
/// with or without a runtime around it.
fn finish_elsewhere(limit: Duration, work: impl Future<Output = Result<()>> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            // A failure here has nobody to tell; the next run sweeps what is left.
            let _ = runtime.block_on(async { tokio::time::timeout(limit, work).await });
        }
    });
    let _ = thread.join();
}

/// The image's name, or what the environment says instead.
#[cfg(feature = "docker")]
fn image(image: &str) -> String {
    let named = std::env::var("FEEDGRADE_POSTGRES_IMAGE").ok();
    named
        .filter(|named| !named.is_empty())
        .unwrap_or_else(|| image.into())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
