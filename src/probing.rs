//! Probing: sends the requests of a probe and asks the database for the truth after each.
//!
//! Keeps what came back as it is. Whether it is right is for [`crate::check`].

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::database::ClonedDatabase;
use crate::evidence::{Answer, Fact, ProbeRun, StepSeen};
use crate::exercise::{Probe, Step};
use crate::server::client;

/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest body that is read, in bytes.
pub const MOST_BYTES: usize = 1024 * 1024;
/// Bodies that are nested deeper are kept as text: evidence must be readable again.
const DEEPEST: usize = 50;
/// Characters that are kept of a body that is no JSON.
const MOST_CHARS: usize = 2_000;

/// Runs a probe against the server at `url`, whose data is in `database`, up to the first step that
/// gets no answer.
///
/// # Errors
/// When this machine has no sockets.
pub async fn run(probe: &Probe, url: &str, database: &ClonedDatabase) -> Result<ProbeRun> {
    let client = client(DEADLINE)?;
    let nonce = nonce();
    let mut steps = Vec::new();
    for step in &probe.steps {
        let path = step.request.path.replace("{nonce}", &nonce);
        let sent = step.json.as_ref().map(|json| filled(json, &nonce));
        let answer = ask(&client, step, &format!("{url}{path}"), sent.as_ref()).await;
        let rows = match &step.rows {
            None => None,
            Some(sql) => Some(rows(&sql.replace("{nonce}", &nonce), database).await),
        };
        let request = format!("{} {path}", step.request.method);
        let is_lost = matches!(answer, Answer::Failed(_));
        steps.push(StepSeen {
            request,
            sent,
            answer,
            rows,
        });
        if is_lost {
            // The first fault decides, and each step of a server that hangs would take its deadline.
            break;
        }
    }
    Ok(ProbeRun {
        probe: probe.id.value.clone(),
        steps,
    })
}

async fn ask(client: &reqwest::Client, step: &Step, url: &str, sent: Option<&Value>) -> Answer {
    let Ok(method) = reqwest::Method::from_bytes(step.request.method.as_bytes()) else {
        return Answer::Failed(format!("{} is no method", step.request.method));
    };
    let mut request = client.request(method, url);
    if let Some(json) = sent {
        request = request.json(json);
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Answer::Failed(failure(&error)),
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_BYTES => body.extend(chunk),
            Ok(Some(_)) => return Answer::Failed("the body is larger than 1 MiB".into()),
            Ok(None) => break,
            Err(error) => return Answer::Failed(failure(&error)),
        }
    }
    answer(status, &body)
}

/// An HTTP response as evidence keeps it.
#[must_use]
pub fn answer(status: u16, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) if depth(&body) <= DEEPEST => Answer::Json { status, body },
        _ => Answer::Text {
            status,
            body: String::from_utf8_lossy(body)
                .chars()
                .take(MOST_CHARS)
                .collect(),
        },
    }
}

/// The truth that an answer is compared with.
pub async fn rows(sql: &str, database: &ClonedDatabase) -> Fact<Result<Vec<Value>, String>> {
    match database.rows(sql).await {
        Ok(rows) => Fact::Seen(rows),
        Err(error) => Fact::Unknown {
            why: format!("The database did not answer: {error:#}"),
        },
    }
}

/// How deep arrays and objects are nested; the parser's own limit keeps this from going far.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn failure(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "the server took no connection".into()
    } else if error.is_timeout() {
        format!("nothing within {} s", DEADLINE.as_secs())
    } else {
        "the connection ended before the answer did, or the answer was no HTTP".into()
    }
}

fn filled(json: &Value, nonce: &str) -> Value {
    match json {
        Value::String(text) => Value::String(text.replace("{nonce}", nonce)),
        Value::Array(values) => values.iter().map(|value| filled(value, nonce)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, nonce)))
            .collect(),
        other => other.clone(),
    }
}

/// Eight random letters, so that no answer can be prepared.
fn nonce() -> String {
    let mut random = RandomState::new().build_hasher().finish();
    let mut letters = String::new();
    for _ in 0..8 {
        letters.push(char::from(b'a' + u8::try_from(random % 26).unwrap_or(0)));
        random /= 26;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nonce_is_filled_in_wherever_text_stands() {
        let nonce = nonce();
        assert!(nonce.len() == 8 && nonce.bytes().all(|b| b.is_ascii_lowercase()));
        assert_eq!(
            filled(&json!({"a": ["x {nonce}", 1]}), "abc"),
            json!({"a": ["x abc", 1]})
        );
    }
}
