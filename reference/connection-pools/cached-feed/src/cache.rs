//! Fix 2: the feed is read once every 30 seconds and kept in memory.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::RwLock;
use tokio::time::sleep;

use crate::posts::{FeedPost, newest};

/// How old the feed may get.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The feed as it was when it was last read.
pub type Cache = Arc<RwLock<Vec<FeedPost>>>;

/// Reads the feed for the first time, and again whenever it has become too old.
pub async fn start(db: PgPool) -> Result<Cache, sqlx::Error> {
    let cache = Arc::new(RwLock::new(newest(&db).await?));
    let kept_fresh = Arc::clone(&cache);
    tokio::spawn(async move {
        loop {
            sleep(MAX_AGE).await;
            match newest(&db).await {
                Ok(posts) => *kept_fresh.write().await = posts,
                Err(error) => eprintln!("feed: the feed stays as it is: {error}"),
            }
        }
    });
    Ok(cache)
}
