//! Fix 1: no more requests at a time than the database can let in.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::AppState;

/// This many requests get through.
pub const AT_A_TIME: usize = 2;

/// Turns away everybody else: 429.
pub async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match state.permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => StatusCode::TOO_MANY_REQUESTS.into_response(),
    }
}
