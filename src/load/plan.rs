//! What a load is to be: where it goes, what is asked, how fast, for how long.
//!
//! Pure data and its checks. Sends nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::exercise::{LoadSpec, Request};

/// The windows of a stage's load: short enough that a stage has many, which is what a sequential test
/// lives on, and long enough that each holds a few dozen requests of a slow server.
pub const WINDOW: Duration = Duration::from_millis(250);

/// One load.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Where the server listens.
    pub address: SocketAddr,
    /// How far traffic may go.
    pub reach: Reach,
    /// The `Host` header.
    pub host: String,
    /// What is asked for; at least one.
    pub targets: Vec<Target>,
    /// Who sets the speed.
    pub pace: Pace,
    /// How long it runs before anything is counted. May be zero.
    pub warm_up: Duration,
    /// How long it is measured.
    pub duration: Duration,
    /// Ends earlier, after this many counted requests.
    pub max_requests: Option<u64>,
    /// The windows in which it is told how the load goes, a second at most.
    pub window: Duration,
    /// Deadline of one request, connecting included.
    pub timeout: Duration,
    /// What a sample of the bodies must be.
    pub body_check: Option<BodyCheck>,
    /// Threads of the generator; by default a quarter of the processors, 1 to 8.
    pub threads: Option<usize>,
    /// Processors that the generator is held to; empty for any.
    pub cores: Vec<usize>,
}

/// How far traffic may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Loopback addresses only: whoever grades sends nothing to other machines.
    ThisMachine,
    /// Anywhere: a person typed the address.
    Anywhere,
}

/// Who sets the speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed loop: each of so many users has one connection, and asks again as soon as it was
    /// answered. A slow server is asked less. A request counts when it ends in the measured time or
    /// is under way when that is over: so the load ends up to one timeout later.
    Users(u32),
    /// Open loop: requests are due at fixed instants, whatever the server does, and latency runs
    /// from those instants. All requests that are due in the measured time count, so the load ends
    /// up to one timeout later.
    Rate {
        /// Requests that are due each second.
        per_second: f64,
        /// The most requests in flight. One that is due while all connections are busy waits, and
        /// its waiting is part of its latency.
        connections: u32,
    },
}

impl Pace {
    /// The most connections that are open at once.
    #[must_use]
    pub fn connections(self) -> u32 {
        match self {
            Self::Users(connections) | Self::Rate { connections, .. } => connections,
        }
    }
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// E.g. `GET`.
    pub method: String,
    /// Path and query; starts with a slash.
    pub path: String,
    /// Besides `Host` and `Content-Length`, which are made.
    pub headers: Vec<(String, String)>,
    /// Sent as it is; empty for none.
    pub body: Vec<u8>,
    /// How often it is sent, relative to the other targets; 1 to 1,000.
    pub weight: u32,
}

impl From<&Request> for Target {
    fn from(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            headers: Vec::new(),
            body: Vec::new(),
            weight: 1,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What a sample of the successful bodies must be. One that is not counts as `bad body`.
#[derive(Clone)]
pub struct BodyCheck {
    /// One answer in so many is looked at, at random, so that no server knows which; at least 1.
    pub every: u32,
    /// Whether a body is right. Bodies above 16 MiB are not looked at.
    pub holds: BodyPredicate,
}

/// Whether a body is right. Runs on the generator's thread, so it should be quick.
pub type BodyPredicate = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

impl std::fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "every {}", self.every)
    }
}

impl LoadPlan {
    /// The load of an exercise's stage on a server of this machine.
    #[must_use]
    pub fn for_stage(spec: &LoadSpec, address: SocketAddr) -> Self {
        Self {
            address,
            reach: Reach::ThisMachine,
            host: address.to_string(),
            targets: vec![Target::from(&spec.request)],
            pace: Pace::Users(spec.users),
            warm_up: Duration::from_secs_f64(spec.warm_up),
            duration: Duration::from_secs_f64(spec.seconds),
            max_requests: None,
            window: WINDOW,
            timeout: Duration::from_secs_f64(spec.timeout),
            body_check: None,
            threads: None,
            cores: Vec::new(),
        }
    }

    /// Says what cannot be run.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.reach == Reach::Anywhere || self.address.ip().is_loopback(),
            "this load may only go to this machine, and {} is another one",
            self.address
        );
        ensure!(!self.targets.is_empty(), "a load needs a request to send");
        for target in &self.targets {
            target.check()?;
        }
        ensure!(
            is_field_value(&self.host) && !self.host.is_empty(),
            "`{}` is no host name",
            self.host.escape_debug()
        );
        ensure!(
            self.pace.connections() > 0,
            "a load needs at least one user"
        );
        if let Pace::Rate { per_second, .. } = self.pace {
            ensure!(
                per_second.is_finite() && (0.001..=1e6).contains(&per_second),
                "a rate is 0.001 to 1,000,000 requests a second, not {per_second}"
            );
        }
        let day = Duration::from_hours(24);
        ensure!(
            self.duration > Duration::ZERO && self.duration <= day && self.warm_up <= day,
            "a load lasts up to 24 hours, and longer than nothing"
        );
        ensure!(
            self.timeout > Duration::ZERO && self.timeout <= day,
            "a request's timeout is up to 24 hours, and longer than nothing"
        );
        ensure!(
            self.window >= Duration::from_millis(10) && self.window <= Duration::from_secs(1),
            "a window lasts 10 ms to 1 s"
        );
        ensure!(
            self.max_requests != Some(0),
            "a load needs a request to send"
        );
        if let Some(check) = &self.body_check {
            ensure!(
                check.every > 0,
                "bodies are checked every 1 or more answers"
            );
        }
        Ok(())
    }

    /// Each target as the bytes that go over the wire.
    pub(super) fn wire(&self) -> Vec<Vec<u8>> {
        self.targets
            .iter()
            .map(|target| target.wire(&self.host))
            .collect()
    }

    /// The order in which targets are sent, by index, to be repeated: smooth weighted round robin,
    /// as nginx does it, so that shares are exact over one round and no target comes in bursts.
    pub(super) fn order(&self) -> Vec<usize> {
        let divisor = self
            .targets
            .iter()
            .fold(0, |divisor, target| gcd(divisor, target.weight))
            .max(1);
        let weights: Vec<i64> = self
            .targets
            .iter()
            .map(|target| i64::from(target.weight / divisor))
            .collect();
        let total: i64 = weights.iter().sum();
        let mut credit = vec![0_i64; weights.len()];
        (0..total)
            .map(|_| {
                let mut best = 0;
                for index in 0..weights.len() {
                    credit[index] += weights[index];
                    if credit[index] > credit[best] {
                        best = index;
                    }
                }
                credit[best] -= total;
                best
            })
            .collect()
    }

    /// How many threads share the work.
    pub(super) fn thread_count(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let connections = usize::try_from(self.pace.connections()).unwrap_or(usize::MAX);
        self.threads
            .unwrap_or_else(|| (processors / 4).clamp(1, 8))
            .clamp(1, connections.max(1))
    }
}

impl Target {
    fn check(&self) -> Result<()> {
        ensure!(
            is_token(&self.method),
            "`{}` is no HTTP method: write one word like GET",
            self.method.escape_debug()
        );
        ensure!(
            self.path.starts_with('/') && self.path.bytes().all(|byte| byte.is_ascii_graphic()),
            "a path starts with a slash and has no blanks or letters beyond ASCII, unlike `{}`",
            self.path.escape_debug()
        );
        ensure!(
            (1..=1000).contains(&self.weight),
            "the weight of `{self}` is 1 to 1000, not {}",
            self.weight
        );
        for (name, value) in &self.headers {
            ensure!(
                is_token(name) && is_field_value(value),
                "`{}: {}` is no HTTP header",
                name.escape_debug(),
                value.escape_debug()
            );
            if [
                "content-length",
                "transfer-encoding",
                "connection",
                "expect",
                "upgrade",
            ]
            .contains(&name.to_ascii_lowercase().as_str())
            {
                bail!("the header `{name}` is made by the load generator: leave it out");
            }
        }
        Ok(())
    }

    fn wire(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let has = |wanted: &str| {
            self.headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        // Writing to a String cannot fail.
        if !has("host") {
            let _ = write!(head, "Host: {host}\r\n");
        }
        if !has("accept") {
            head.push_str("Accept: */*\r\n");
        }
        if !has("user-agent") {
            let _ = write!(
                head,
                "User-Agent: feedgrade/{}\r\n",
                env!("CARGO_PKG_VERSION")
            );
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&self.method.as_str()) {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut wire = head.into_bytes();
        wire.extend_from_slice(&self.body);
        wire
    }
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// RFC 9110, 5.5, without the obsolete parts.
fn is_field_value(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, path: &str, weight: u32) -> Target {
        Target {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            weight,
        }
    }

    fn plan(targets: Vec<Target>) -> LoadPlan {
        LoadPlan {
            address: ([127, 0, 0, 1], 3000).into(),
            reach: Reach::ThisMachine,
            host: "127.0.0.1:3000".into(),
            targets,
            pace: Pace::Users(1),
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
            max_requests: None,
            window: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            body_check: None,
            threads: None,
            cores: Vec::new(),
        }
    }

    #[test]
    fn weights_are_exact_over_a_round_and_do_not_burst() {
        let plan = plan(vec![
            target("GET", "/a", 50),
            target("GET", "/b", 30),
            target("GET", "/c", 20),
        ]);
        let order = plan.order();
        assert_eq!(order.len(), 10);
        assert_eq!(order.iter().filter(|&&index| index == 0).count(), 5);
        assert_eq!(order.iter().filter(|&&index| index == 1).count(), 3);
        assert!(order.windows(3).all(|w| w != [0, 0, 0]), "{order:?}");
    }

    #[test]
    fn a_request_on_the_wire_has_what_http_needs() {
        let mut post = target("POST", "/posts", 1);
        post.body = b"{}".to_vec();
        post.headers = vec![("Content-Type".into(), "application/json".into())];
        let wire = String::from_utf8(post.wire("h:1")).unwrap();
        assert!(
            wire.starts_with("POST /posts HTTP/1.1\r\nHost: h:1\r\n"),
            "{wire}"
        );
        assert!(
            wire.contains("\r\nContent-Type: application/json\r\n"),
            "{wire}"
        );
        assert!(wire.ends_with("\r\nContent-Length: 2\r\n\r\n{}"), "{wire}");
    }

    #[test]
    fn a_stage_never_sends_to_another_machine() {
        let mut plan = plan(vec![target("GET", "/", 1)]);
        plan.check().unwrap();
        plan.address = ([192, 0, 2, 1], 80).into();
        assert!(plan.check().unwrap_err().to_string().contains("192.0.2.1"));
        plan.reach = Reach::Anywhere;
        plan.check().unwrap();
    }

    #[test]
    fn what_would_break_the_wire_is_refused() {
        for bad in [
            target("GE T", "/", 1),
            target("GET", "feed", 1),
            target("GET", "/a b", 1),
            target("GET", "/a\r\nX: y", 1),
            target("GET", "/", 0),
        ] {
            assert!(plan(vec![bad.clone()]).check().is_err(), "{bad:?}");
        }
        let mut header = target("GET", "/", 1);
        header.headers = vec![("X".into(), "y\r\nZ: 1".into())];
        assert!(plan(vec![header]).check().is_err());
        assert!(plan(Vec::new()).check().is_err());
    }
}
