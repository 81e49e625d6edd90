//! Fix 1: no more requests at a time than the database can let in.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::AppState;

/// This many requests are worked on at a time.
pub const AT_A_TIME: usize = 4;

/// Lets everybody else wait for their turn.
pub async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match state.permits.acquire().await {
        Ok(_permit) => next.run(request).await,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
