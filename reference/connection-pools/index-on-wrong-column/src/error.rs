//! What a client is told when something goes wrong.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request did not get what it asked for.
pub enum ApiError {
    /// The client sent something that we cannot use: 400, and the reason.
    BadRequest(String),
    /// The database said no, or nothing: 500. The client gets no details, the log does.
    Database(sqlx::Error),
}

/// Lets handlers use `?` on whatever sqlx returns.
impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

#[derive(Serialize)]
struct ErrorBody {
    error: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::BadRequest(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Database(error) => {
                log(&error);
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the database is not available".to_owned(),
                )
            }
        };
        (status, Json(ErrorBody { error })).into_response()
    }
}

/// Writes a database error to stderr, one a second at most: under load there can be hundreds, and
/// writing them all would be work of its own.
fn log(error: &sqlx::Error) {
    /// When the last line was written, and how many errors were left out since then.
    static LAST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

    let Ok(mut last) = LAST.lock() else { return };
    match &mut *last {
        Some((when, left_out)) if when.elapsed() < Duration::from_secs(1) => *left_out += 1,
        earlier => {
            let left_out = earlier.map_or(0, |(_, left_out)| left_out);
            eprintln!("feed: database error: {error} ({left_out} more since the last line)");
            *earlier = Some((Instant::now(), 0));
        }
    }
}
