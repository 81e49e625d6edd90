//! Counts and durations of all requests, in the text format that Prometheus reads.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::AppState;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Everything that was counted since the server started.
#[derive(Default)]
pub struct Metrics {
    series: Mutex<BTreeMap<Labels, Series>>,
}

/// One line of the table: which requests are counted together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    method: String,
    /// As it is written in the list of routes, e.g. `/users/{id}/posts`: one label for all users.
    route: String,
    status_code: u16,
}

#[derive(Default)]
struct Series {
    requests: u64,
    seconds: f64,
    /// How many requests fell into each bucket, each counted once.
    buckets: [u64; BUCKETS.len()],
}

impl Metrics {
    fn add(&self, labels: Labels, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let mut all = self.lock();
        let series = all.entry(labels).or_default();
        series.requests += 1;
        series.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            series.buckets[bucket] += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Labels, Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prometheus wants each bucket to hold all faster requests as well, so they are added up.
    fn to_text(&self) -> Result<String, std::fmt::Error> {
        let mut counts = String::new();
        let mut durations = String::new();
        for (labels, series) in self.lock().iter() {
            let labels = format!(
                r#"method="{}",route="{}",status_code="{}""#,
                labels.method, labels.route, labels.status_code
            );
            writeln!(
                counts,
                "http_requests_total{{{labels}}} {}",
                series.requests
            )?;
            let name = "http_request_duration_seconds";
            let mut total = 0;
            for (bound, count) in BUCKETS.iter().zip(series.buckets) {
                total += count;
                writeln!(
                    durations,
                    r#"{name}_bucket{{{labels},le="{bound}"}} {total}"#
                )?;
            }
            writeln!(
                durations,
                r#"{name}_bucket{{{labels},le="+Inf"}} {}"#,
                series.requests
            )?;
            writeln!(durations, "{name}_sum{{{labels}}} {}", series.seconds)?;
            writeln!(durations, "{name}_count{{{labels}}} {}", series.requests)?;
        }
        Ok(format!(
            "# HELP http_requests_total Requests that were answered.\n\
             # TYPE http_requests_total counter\n{counts}\
             # HELP http_request_duration_seconds How long the answers took.\n\
             # TYPE http_request_duration_seconds histogram\n{durations}"
        ))
    }
}

/// Runs around every request, and counts it.
pub async fn record(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "none".to_owned(),
    };
    let start = Instant::now();
    let response = next.run(request).await;
    let status_code = response.status().as_u16();
    state.metrics.add(
        Labels {
            method,
            route,
            status_code,
        },
        start.elapsed(),
    );
    response
}

/// `GET /metrics`
pub async fn show(State(state): State<AppState>) -> Response {
    match state.metrics.to_text() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => error.to_string().into_response(),
    }
}
