//! The feed service: people write short posts, and everybody reads the newest ones.
//!
//! | file         | what is in it                                  |
//! | ------------ | ---------------------------------------------- |
//! | `main.rs`    | start-up and the list of routes                |
//! | `posts.rs`   | the three endpoints that work with posts       |
//! | `cache.rs`   | the feed, kept in memory                       |
//! | `db.rs`      | how a handler gets to the database             |
//! | `error.rs`   | what a client is told when something goes wrong |
//! | `metrics.rs` | counts and durations for `GET /metrics`        |

mod cache;
mod db;
mod error;
mod metrics;
mod posts;

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::cache::Cache;
use crate::metrics::Metrics;

/// What lives as long as the server does. Every handler can ask for it with `State<AppState>`.
#[derive(Clone)]
pub struct AppState {
    db: PgPool,
    feed: Cache,
    metrics: Arc<Metrics>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT")
        .unwrap_or_else(|_| "3000".to_owned())
        .parse()?;
    let db = db::connect().await?;
    let state = AppState {
        feed: cache::start(db.clone()).await?,
        db,
        metrics: Arc::new(Metrics::default()),
    };

    let app = Router::new()
        .route("/health", get(health))
        .route("/feed", get(posts::feed))
        .route("/users/{id}/posts", get(posts::by_user))
        .route("/posts", post(posts::create))
        .route("/metrics", get(metrics::show))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            metrics::record,
        ))
        .with_state(state);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    eprintln!("feed: listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// `GET /health`: the server is up and takes requests.
async fn health() -> &'static str {
    "ok"
}
