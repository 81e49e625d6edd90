//! Growth: a clone that fills the disk is closed before it has.
//!
//! What a submission writes into tables, indexes, large objects and logs is counted once a second. Past the
//! limit its role is locked out and its sessions are ended: then its server fails, and nobody else's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::session::{identifier, literal};
use super::{Inner, Kind, ours};

const EVERY: Duration = Duration::from_secs(1);

/// Looks at a clone's size for as long as it lives.
#[derive(Debug)]
pub(super) struct Growth {
    is_over: Arc<AtomicBool>,
    most: i64,
    watching: tokio::task::JoinHandle<()>,
}

impl Growth {
    /// `database` is the clone's name, and `role` the submission's.
    pub(super) fn watch(inner: &Arc<Inner>, database: &str, role: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let most = inner.most_growth.load(Ordering::Relaxed);
        let (seen, inner) = (is_over.clone(), Arc::downgrade(inner));
        let (database, role) = (database.to_owned(), role.to_owned());
        let watching = tokio::spawn(async move {
            let Some(before) = size(&inner, &database).await else {
                return;
            };
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(now) = size(&inner, &database).await else {
                    return;
                };
                if now - before > most {
                    seen.store(true, Ordering::Relaxed);
                    lock_out(&inner, &role).await;
                    return;
                }
            }
        });
        Self {
            is_over,
            most,
            watching,
        }
    }

    /// Why the submission was locked out, if it was: one sentence.
    pub(super) fn excess(&self) -> Option<String> {
        self.is_over.load(Ordering::Relaxed).then(|| {
            format!(
                "More than {} MiB were added to the database, so its sessions were ended.",
                self.most >> 20
            )
        })
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// `None` when the clone or the whole database is gone: then others say so.
async fn size(inner: &Weak<Inner>, database: &str) -> Option<i64> {
    let inner = inner.upgrade()?;
    // The log and the write-ahead log are the submission's, too, where nobody else has any.
    let sql = if inner.kind == Kind::Url {
        "SELECT pg_database_size($1::name)"
    } else {
        "SELECT pg_database_size($1::name) \
         + coalesce((SELECT sum(size) FROM pg_ls_logdir()), 0)::bigint \
         + coalesce((SELECT sum(size) FROM pg_ls_waldir()), 0)::bigint"
    };
    let rows: Vec<(i64,)> = ours(inner.admin.fetch(sql, &[database]).await.ok()?).ok()?;
    rows.first().map(|(bytes,)| *bytes)
}

async fn lock_out(inner: &Weak<Inner>, role: &str) {
    let Some(inner) = inner.upgrade() else { return };
    let sql = format!(
        "ALTER ROLE {} NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE usename = {}",
        identifier(role),
        literal(role)
    );
    // When the database is lost, whoever asks it next says so.
    let _ = inner.run(&sql).await;
}
