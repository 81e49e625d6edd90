//! Reading the server's log through SQL, which works the same for all backends: the file itself may
//! be in a container or on another machine.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};

use super::{ClonedDatabase, Database, Inner, Kind, ours};
use crate::server_log::{Attempts, Line, Lines, Whose};

/// Bytes that are read at once.
const CHUNK: i64 = 1024 * 1024;
/// How long a line that the server has written may take to get into the file.
const FLUSH: Duration = Duration::from_secs(20);

/// A place in the server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    file: String,
    offset: i64,
}

/// Attempts to connect, as the log tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCount {
    /// All, refused and abandoned ones too.
    pub attempts: u64,
    /// Those that were let in.
    pub authorized: u64,
}

impl Database {
    /// Where the log ends now. What is asked about later must not have begun yet.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn log_position(&self) -> Result<LogPosition> {
        self.inner.log_position().await
    }

    /// How far the database's clock is ahead of this machine's, in seconds; to half the time of
    /// the fastest of five questions.
    ///
    /// # Errors
    /// When the database is lost.
    pub async fn clock_offset(&self) -> Result<f64> {
        self.inner.clock_offset().await
    }

    /// Counts a submission's attempts to connect between two instants of this machine's clock.
    /// The grader's own are left out.
    ///
    /// # Errors
    /// When the database is lost, or its log cannot be read.
    pub async fn connections(
        &self,
        clone: &ClonedDatabase,
        since: &LogPosition,
        from: SystemTime,
        to: SystemTime,
    ) -> Result<ConnectionCount> {
        let offset = self.inner.clock_offset().await?;
        let whose = Whose {
            role: clone.role().to_owned(),
            grader: self.inner.grader().clone(),
            shared: self.inner.kind == Kind::Url,
        };
        let mut attempts = Attempts::new(whose, shift(from, offset), shift(to, offset));
        self.inner
            .read_log(since, |line| attempts.push(&line))
            .await?;
        let (attempts, authorized) = attempts.count();
        Ok(ConnectionCount {
            attempts,
            authorized,
        })
    }
}

fn shift(time: SystemTime, seconds: f64) -> SystemTime {
    let by = Duration::from_secs_f64(seconds.abs());
    let shifted = if seconds < 0.0 {
        time.checked_sub(by)
    } else {
        time.checked_add(by)
    };
    shifted.unwrap_or(time)
}

impl Inner {
    pub(super) async fn log_position(&self) -> Result<LogPosition> {
        let sql = "SELECT f.name, (pg_stat_file(f.name)).size \
                   FROM (SELECT pg_current_logfile('jsonlog')) AS f (name) WHERE f.name IS NOT NULL";
        let rows: Vec<(String, i64)> = ours(self.admin.fetch(sql, &[]).await?)?;
        let (file, offset) = rows
            .into_iter()
            .next()
            .context("the database writes no log in the form jsonlog")?;
        Ok(LogPosition { file, offset })
    }

    pub(super) async fn clock_offset(&self) -> Result<f64> {
        let mut best: Option<(Duration, f64)> = None;
        for _ in 0..5 {
            let (asked, asked_at) = (Instant::now(), SystemTime::now());
            let rows: Vec<(f64,)> = ours(
                self.admin
                    .fetch("SELECT extract(epoch FROM clock_timestamp())::float8", &[])
                    .await?,
            )?;
            let took = asked.elapsed();
            let here = asked_at
                .duration_since(SystemTime::UNIX_EPOCH)
                .context("read the clock")?
                .as_secs_f64();
            let there = rows.first().context("the database told no time")?.0;
            let offset = there - (here + took.as_secs_f64() / 2.0);
            if best.is_none_or(|(fastest, _)| took < fastest) {
                best = Some((took, offset));
            }
        }
        Ok(best.context("the database told no time")?.1)
    }

    /// Reads the log from a place on, up to what has happened by now.
    ///
    /// # Errors
    /// When the database is lost, or the log does not come.
    pub(super) async fn read_log(
        &self,
        since: &LogPosition,
        mut each: impl FnMut(Line),
    ) -> Result<()> {
        // Whatever happened before this line was written stands before it.
        let mark = format!("feedgrade has read this far: {}", super::password()?);
        self.run(&format!("DO $mark$ BEGIN RAISE LOG '{mark}'; END $mark$"))
            .await?;
        let LogPosition {
            mut file,
            mut offset,
        } = since.clone();
        let (mut lines, mut is_marked) = (Lines::default(), false);
        let mut last_news = Instant::now();
        while !is_marked {
            let sql = format!("SELECT pg_read_binary_file($1, {offset}, {CHUNK}, true)");
            let rows: Vec<(Option<Vec<u8>>,)> = ours(self.admin.fetch(&sql, &[&file]).await?)?;
            let chunk = rows.into_iter().next().and_then(|(chunk,)| chunk);
            let chunk = chunk.with_context(|| format!("the database's log {file} is gone"))?;
            offset += i64::try_from(chunk.len())?;
            lines.push(&chunk, |line| {
                is_marked |= line.message == mark;
                each(line);
            });
            if !chunk.is_empty() {
                last_news = Instant::now();
            } else if let Some(next) = self.next_log(&file).await? {
                (file, offset) = (next, 0);
            } else {
                ensure!(
                    last_news.elapsed() < FLUSH,
                    "the database's log {file} does not go on"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// The file that follows when the log was rotated.
    async fn next_log(&self, file: &str) -> Result<Option<String>> {
        let sql = "WITH logs AS (SELECT *, regexp_replace($1, '[^/]*$', '') || name AS path \
                                 FROM pg_ls_logdir() WHERE name LIKE '%.json'), \
                        this AS (SELECT * FROM logs WHERE path = $1) \
                   SELECT logs.path FROM logs, this \
                   WHERE (logs.modification, logs.name) > (this.modification, this.name) \
                   ORDER BY logs.modification, logs.name LIMIT 1";
        let rows: Vec<(String,)> = ours(self.admin.fetch(sql, &[file]).await?)?;
        Ok(rows.into_iter().next().map(|(path,)| path))
    }
}
