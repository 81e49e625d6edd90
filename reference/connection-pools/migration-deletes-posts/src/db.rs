//! How a handler gets to the database.

use std::env;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Makes the pool that all requests share. Called once, at start-up.
///
/// 10 connections keep Postgres busy. Whoever finds all of them taken waits for up to two seconds,
/// and a connection that nobody needed for half a minute is closed.
pub async fn connect() -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(2))
        .idle_timeout(Duration::from_secs(30))
        .connect(&database_url())
        .await
}

/// Where the database is, e.g. `postgres://feed:feed@127.0.0.1:5432/feed`.
fn database_url() -> String {
    env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://feed:feed@127.0.0.1:5432/feed".to_owned())
}
