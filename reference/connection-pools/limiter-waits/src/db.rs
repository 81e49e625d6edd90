//! How a handler gets to the database.

use std::env;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Makes a pool for the caller.
///
/// `connect` opens the first connection before it returns. It is an error when that takes longer
/// than the `acquire_timeout`.
pub async fn connect_per_request() -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(2))
        .connect(&database_url())
        .await
}

/// Where the database is, e.g. `postgres://feed:feed@127.0.0.1:5432/feed`.
fn database_url() -> String {
    env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://feed:feed@127.0.0.1:5432/feed".to_owned())
}
