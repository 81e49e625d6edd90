//! The learner's SQL files, applied as `psql` would: file by file in the order of their names, each
//! in a session of its own, statement by statement, outside a transaction block (so that
//! `CREATE INDEX CONCURRENTLY` works), until the first error.
//!
//! Which files there are and what they hold is the learner's. Everything runs on the submission's
//! own login: a migration can do what its server could.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{Instant, timeout_at};

use crate::database::{ClonedDatabase, answer, connect};
use crate::evidence::{Applied, Migrations};
use crate::sql_script;

/// Larger files are refused.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Characters of a failing statement that are shown.
const EXCERPT: usize = 200;
/// Statements that evidence keeps.
const KEPT: usize = 100;

/// Applies every `*.sql` file right in `folder`, within `limit` for all of them together.
///
/// # Errors
/// When the database is lost, or the folder cannot be read. What is wrong with the files is
/// [`Migrations::Failed`].
pub async fn apply(clone: &ClonedDatabase, folder: &Path, limit: Duration) -> Result<Migrations> {
    let names = names(folder)?;
    if names.is_empty() {
        return Ok(Migrations::None);
    }
    let deadline = Instant::now() + limit;
    let mut statements = Vec::new();
    for name in &names {
        let applied = apply_file(clone, &folder.join(name), deadline, &mut statements).await?;
        if let Err(fault) = applied {
            return Ok(Migrations::Failed {
                file: name.clone(),
                line: fault.line,
                statement: fault.statement,
                error: if fault.timed_out {
                    format!(
                        "was not done when the {} s for migrations were over",
                        limit.as_secs()
                    )
                } else {
                    clone.excess().unwrap_or(fault.error)
                },
            });
        }
    }
    Ok(Migrations::Applied {
        files: names,
        statements,
    })
}

/// What is wrong with a file.
#[derive(Debug, Default)]
struct Fault {
    line: usize,
    statement: String,
    error: String,
    timed_out: bool,
}

/// The names of the `*.sql` files in a folder, in order. None when there is no folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", folder.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Neither folders nor symlinks, which may lead anywhere.
        if entry.file_type()?.is_file()
            && !name.starts_with('.')
            && Path::new(&name)
                .extension()
                .is_some_and(|ext| ext.eq_ignore_ascii_case("sql"))
        {
            names.push(name);
        }
    }
    names.sort();
    // sqlx's reversible migrations come in pairs; the way back is not part of the way there.
    let all = names.clone();
    names.retain(|name| {
        name.strip_suffix(".down.sql")
            .is_none_or(|stem| !all.contains(&format!("{stem}.up.sql")))
    });
    Ok(names)
}

async fn apply_file(
    clone: &ClonedDatabase,
    path: &Path,
    deadline: Instant,
    applied: &mut Vec<Applied>,
) -> Result<Result<(), Fault>> {
    let text = match read(path)? {
        Ok(text) => text,
        Err(fault) => return Ok(Err(fault)),
    };
    let statements = match sql_script::split(&text) {
        Ok(statements) => statements,
        Err(unreadable) => {
            return Ok(Err(Fault {
                line: unreadable.line,
                statement: excerpt(&unreadable.text),
                error: unreadable.why,
                ..Fault::default()
            }));
        }
    };
    let options = clone.options().application_name("feedgrade migrations");
    let mut connection = connect(&options)
        .await
        .context("connect as the submission's role")?;
    for statement in &statements {
        let fault = |error: String| Fault {
            line: statement.line,
            statement: excerpt(statement.sql),
            timed_out: error.is_empty(),
            error,
        };
        let sent = sqlx::raw_sql(AssertSqlSafe(statement.sql.to_owned())).execute(&mut connection);
        let Ok(outcome) = timeout_at(deadline, sent).await else {
            // A closed connection does not stop a statement that runs.
            drop(connection);
            clone.end_sessions().await?;
            return Ok(Err(fault(String::new())));
        };
        let outcome = match answer(outcome) {
            Ok(outcome) => outcome,
            // Its session is gone. Where the database is not, it was the statement that ended it.
            Err(error) if clone.is_alive().await => Err(format!("{error:#}")),
            Err(error) => return Err(error),
        };
        if let Err(message) = outcome {
            return Ok(Err(fault(message)));
        }
        if applied.len() < KEPT {
            applied.push(Applied {
                file: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                line: statement.line,
                statement: excerpt(statement.sql),
            });
        }
    }
    if is_in_transaction(&mut connection).await? {
        let begin = statements
            .iter()
            .rev()
            .find(|statement| begins(statement.sql));
        return Ok(Err(Fault {
            line: begin.map_or(1, |statement| statement.line),
            statement: begin
                .map(|statement| excerpt(statement.sql))
                .unwrap_or_default(),
            error: "this transaction is never committed, so the database keeps nothing of it: \
                    COMMIT is missing at the end of the file"
                .into(),
            ..Fault::default()
        }));
    }
    let _ = connection.close().await;
    Ok(Ok(()))
}

/// A savepoint can only be set inside a transaction.
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool> {
    let outcome = sqlx::raw_sql("SAVEPOINT feedgrade")
        .execute(connection)
        .await;
    Ok(answer(outcome)?.is_ok())
}

fn begins(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    ["begin", "start"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

fn read(path: &Path) -> Result<Result<String, Fault>> {
    let fault = |error: String| {
        Ok(Err(Fault {
            line: 1,
            error,
            ..Fault::default()
        }))
    };
    let length = fs::metadata(path)
        .with_context(|| format!("read {}", path.display()))?
        .len();
    if length > LARGEST {
        return fault(format!(
            "the file is larger than {} MiB",
            LARGEST / 1024 / 1024
        ));
    }
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Ok(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..at];
            Ok(Err(Fault {
                line: before.split(|byte| *byte == b'\n').count(),
                error: "the file is not UTF-8 text: save it as UTF-8".into(),
                ..Fault::default()
            }))
        }
    }
}

/// The start of a statement, on one line.
fn excerpt(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= EXCERPT {
        return line;
    }
    line.chars().take(EXCERPT).chain(['…']).collect()
}
