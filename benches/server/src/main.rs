//! What `benches/load.py` aims at: 3.5 KB for every `GET /feed`, at once, and for every `GET /slow`,
//! after 5 ms. On one thread.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

fn main() {
    let port: u16 = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("usage: bench-server PORT");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let body = Bytes::from(format!("[\"{}\"]", "x".repeat(3500)));
        let answer = move || ([(CONTENT_TYPE, "application/json")], body.clone());
        let at_once = answer.clone();
        let feed = get(move || async move { at_once() });
        let slow = get(move || async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer()
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a free port");
        axum::serve(
            listener,
            Router::new().route("/feed", feed).route("/slow", slow),
        )
        .await
        .expect("a server");
    });
}
