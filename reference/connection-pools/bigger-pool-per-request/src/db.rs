//! How a handler gets to the database.

use std::env;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Makes a pool for the caller.
///
/// Fix 1: one connection within 150 ms was too little, so there are more now, and more time.
/// `connect` opens the first one before it returns.
pub async fn connect_per_request() -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(20)
        .acquire_timeout(Duration::from_secs(8))
        .connect(&database_url())
        .await
}

/// Where the database is, e.g. `postgres://feed:feed@127.0.0.1:5432/feed`.
fn database_url() -> String {
    env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://feed:feed@127.0.0.1:5432/feed".to_owned())
}
