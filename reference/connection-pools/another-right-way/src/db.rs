//! How a handler gets to the database.

use std::env;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::OnceCell;

/// The one pool of this server.
static POOL: OnceCell<PgPool> = OnceCell::const_new();

/// The pool. It is made when the first request asks for it, and shared from then on.
pub async fn pool() -> Result<&'static PgPool, sqlx::Error> {
    POOL.get_or_try_init(|| async {
        PgPoolOptions::new()
            .min_connections(2)
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(5))
            .connect(&database_url())
            .await
    })
    .await
}

/// Where the database is, e.g. `postgres://feed:feed@127.0.0.1:5432/feed`.
fn database_url() -> String {
    env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://feed:feed@127.0.0.1:5432/feed".to_owned())
}
