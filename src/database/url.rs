//! The `url` backend: databases of our own on a server that is there already.
//!
//! The server is somebody else's. Nothing of it is changed but `log_statement` while statements are
//! captured; what is made there bears the run's name and is removed at its end, or by the next run
//! when this one was killed. Connections that never said who they are count as the submission's,
//! so the server should have nothing else to do meanwhile.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::capture::{forgotten_log_statement, restore_log_statement};
use super::session::{Session, connect, identifier};
use super::settings::{SETTINGS, Scope};
use super::{Login, OLDEST, finish_elsewhere, ours};
use crate::scratch::{self, Scratch};

/// How long removing all databases and roles of a run may take.
const REMOVE: Duration = Duration::from_mins(1);

/// A run's stay on a server. Dropping it removes what the run made there.
#[derive(Debug)]
pub(super) struct Tenancy {
    login: Login,
    session: String,
    /// Holds a lock for as long as the run lives, wherever on the network that is.
    _alive: PgConnection,
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        let (login, session) = (self.login.clone(), self.session.clone());
        finish_elsewhere(REMOVE, async move {
            let admin = Session::open(login.options(), Vec::new()).await?;
            remove(&admin, &session).await?;
            admin.close().await;
            Ok(())
        });
    }
}

/// Checks that a server can be used, and moves in.
///
/// # Errors
/// When it does not answer, or is not set up as the evidence needs: everything that is wrong, in one
/// message.
pub(super) async fn start(url: &str, scratch: &Scratch) -> Result<(Tenancy, Login, String)> {
    let options: PgConnectOptions = url.parse().context("read the URL of --database")?;
    ensure!(
        options.get_socket().is_none() && !options.get_host().starts_with('/'),
        "the URL of --database names a Unix socket; the server that is graded needs host and port"
    );
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let database = options.get_database().unwrap_or("postgres").to_owned();
    let login = Login {
        user: options.get_username().to_owned(),
        server: options,
        password: None,
        database,
    };
    let admin = Session::open(login.options(), Vec::new())
        .await
        .with_context(|| format!("the server of --database, {host}:{port}, lets nobody in"))?;
    let wrong = wrong(&admin).await?;
    ensure!(
        wrong.is_empty(),
        "the server of --database, {host}:{port}, cannot be used as it is:\n{}",
        wrong.join("; ")
    );
    let mut alive = connect(&login.options())
        .await
        .context("connect to the server of --database")?;
    sqlx::query("SELECT pg_advisory_lock(hashtext('feedgrade'), hashtext($1))")
        .bind(scratch.session())
        .execute(&mut alive)
        .await
        .context("mark this run as alive")?;
    sweep(&admin).await?;
    let tenancy = Tenancy {
        login: login.clone(),
        session: scratch.session(),
        _alive: alive,
    };
    admin.close().await;
    Ok((
        tenancy,
        login,
        format!("the server at {host}:{port}, as --database says"),
    ))
}

/// Everything that is wrong with a server, each with what to do.
async fn wrong(admin: &Session) -> Result<Vec<String>> {
    let facts: Vec<(bool, i32)> = ours(
        admin
            .fetch(
                "SELECT rolsuper, current_setting('server_version_num')::int \
                 FROM pg_roles WHERE rolname = current_user",
                &[],
            )
            .await?,
    )?;
    let (is_superuser, version) = *facts.first().context("ask the server who we are")?;
    let mut wrong = Vec::new();
    if !is_superuser {
        wrong.push(
            "the URL's role is no superuser, which making roles and reading the log takes".into(),
        );
    }
    if version < i32::try_from(OLDEST)? * 10_000 {
        wrong.push(format!(
            "its Postgres is {}, {OLDEST} or newer is needed",
            version / 10_000
        ));
        return Ok(wrong);
    }
    let rows: Vec<(String, String)> = ours(
        admin
            .fetch("SELECT name, current_setting(name) FROM pg_settings", &[])
            .await?,
    )?;
    let value = |name: &str| {
        let row = rows.iter().find(|(other, _)| other == name);
        row.map_or("", |(_, value)| value.as_str())
    };
    let set: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| {
            setting.scope == Scope::Server
                && !is_fine(setting.name, value(setting.name), setting.value)
        })
        .map(|setting| format!("{} = {}", setting.name, setting.value))
        .collect();
    if !set.is_empty() {
        wrong.push(format!(
            "set in its postgresql.conf, and restart it: {}",
            set.join(", ")
        ));
    }
    if ["fatal", "panic"].contains(&value("log_min_messages")) {
        wrong.push("set log_min_messages = warning".into());
    }
    Ok(wrong)
}

/// Whether a setting of somebody else's server does as well as ours.
fn is_fine(name: &str, value: &str, wanted: &str) -> bool {
    match name {
        "max_connections" => {
            value.parse::<u32>().unwrap_or(0) >= wanted.parse::<u32>().unwrap_or(u32::MAX)
        }
        "log_destination" => value.split(',').any(|part| part.trim() == wanted),
        "log_timezone" => {
            ["UTC", "GMT", "Etc/UTC", "Etc/GMT", "Zulu", "UCT", "Etc/UCT"].contains(&value)
        }
        "lc_messages" => {
            value.is_empty()
                || value.starts_with('C')
                || value == "POSIX"
                || value.starts_with("en")
        }
        // A list since Postgres 18; `all` is there, too.
        "log_connections" => value == wanted || value == "all",
        "log_error_verbosity" => value != "terse",
        _ => value == wanted,
    }
}

/// Removes what killed runs left here. A run that lives holds its lock, also on another machine.
async fn sweep(admin: &Session) -> Result<()> {
    let sql = "WITH made AS (SELECT datname AS name FROM pg_database \
                             UNION ALL SELECT rolname FROM pg_roles) \
               SELECT DISTINCT substring(name FROM '^feedgrade_(run-[A-Za-z0-9]+)_') FROM made \
               WHERE name ~ '^feedgrade_run-[A-Za-z0-9]+_'";
    let sessions: Vec<(String,)> = ours(admin.fetch(sql, &[]).await?)?;
    for (session,) in sessions {
        let held = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
                    AND classid = (hashtext('feedgrade')::bigint & 4294967295)::oid \
                    AND objid = (hashtext($1)::bigint & 4294967295)::oid)";
        let held: Vec<(bool,)> = ours(admin.fetch(held, &[&session]).await?)?;
        if held == [(false,)] && !scratch::is_alive(&session) {
            remove(admin, &session).await?;
        }
    }
    Ok(())
}

/// Removes all databases and roles of a run.
async fn remove(admin: &Session, session: &str) -> Result<()> {
    let prefix = format!("feedgrade_{session}_");
    if let Some(before) = forgotten_log_statement(admin, &format!("{prefix}template")).await? {
        restore_log_statement(admin, before.as_deref()).await?;
    }
    for (sql, drop, options) in [
        (
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)",
            "DATABASE",
            "WITH (FORCE)",
        ),
        // Readers are members of the others.
        (
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY length(rolname) DESC",
            "ROLE",
            "",
        ),
    ] {
        let names: Vec<(String,)> = ours(admin.fetch(sql, &[&prefix]).await?)?;
        for (name,) in names {
            let sql = format!("DROP {drop} IF EXISTS {} {options}", identifier(&name));
            ours(admin.run(sql).await?).map_err(|error| anyhow!("remove {name}: {error}"))?;
        }
    }
    Ok(())
}
