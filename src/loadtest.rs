//! `feedgrade loadtest URL`: the load generator as a tool by itself.
//!
//! Reads the options, runs one load, tells it. It grades nothing and starts no server. Text for
//! people is handed back, what happens meanwhile goes out as events.

mod values;
mod limit;
mod summary;

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use reqwest::Url;
use serde::Serialize;

use crate::event::{Event, OnEvent};
use crate::evidence::Load;
use crate::exit_code::ExitCode;
use crate::load::{self, LoadPlan, Pace, Reach, Target};
use limit::Limit;
use values::TargetValue;

const HOUR: Duration = Duration::from_hours(1);

/// Puts load on a server and measures how it does.
///
/// By default 100 users ask again and again for 30 seconds, each on one connection and without a
/// pause (a closed loop). With --rate, requests are due at fixed instants whatever the server does
/// (an open loop), and latency runs from those instants. Answers other than 2xx are failures, and
/// redirects are not followed.
#[derive(Debug, Clone, Args)]
pub struct LoadtestArgs {
    /// What to ask for, e.g. `http://127.0.0.1:3000/feed`.
    #[arg(value_parser = values::url)]
    url: Url,
    /// Concurrent users, one connection each.
    #[arg(short = 'c', long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// How long to measure, e.g. 30s, 500ms, 1m [default: 30s, or with -n until those are done]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = values::duration)]
    duration: Option<Duration>,
    /// Ends after this many requests.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Requests that are due each second; `--users` then limits how many are in flight.
    #[arg(short = 'r', long, value_name = "PER_SECOND", value_parser = values::rate)]
    rate: Option<f64>,
    /// HTTP method [default: GET, or POST with --body]
    #[arg(
        short = 'm',
        visible_short_alias = 'X',
        long,
        conflicts_with = "targets"
    )]
    method: Option<String>,
    /// A header, e.g. 'Accept: application/json'. May be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = values::header)]
    headers: Vec<(String, String)>,
    /// The request's body, or @FILE. JSON gets its Content-Type when no -H gives one.
    #[arg(
        short = 'b',
        long,
        value_name = "TEXT|@FILE",
        conflicts_with = "targets"
    )]
    body: Option<String>,
    /// One of several kinds of request, with its weight, e.g. '9 GET /feed' and
    /// '1 POST /posts @post.json'. May be repeated; the URL then has no path.
    #[arg(long = "target", value_name = "[WEIGHT] METHOD PATH [BODY]", value_parser = values::target)]
    targets: Vec<TargetValue>,
    /// How long to run before measuring.
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = values::duration)]
    warm_up: Duration,
    /// Deadline of one request.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = values::duration)]
    timeout: Duration,
    /// Threads to send from [default: a quarter of the processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
    /// Writes the figures as json=PATH; json=- is stdout, instead of the summary. May be repeated.
    #[arg(long = "write", value_name = "FORMAT=PATH", value_parser = values::write)]
    outputs: Vec<String>,
    /// Exits with 1 when a figure is beyond this, e.g. 'p99>200ms' (also mean, p50, p90, max),
    /// 'success<99%', 'rps<100', 'failed>0'. May be repeated.
    #[arg(long = "fail-on", value_name = "LIMIT", value_parser = Limit::parse)]
    limits: Vec<Limit>,
}

/// A load test that can start: all is parsed, found and opened.
#[derive(Debug)]
pub struct Loadtest {
    plan: LoadPlan,
    heading: String,
    url: Url,
    files: Vec<(String, File)>,
    json_to_stdout: bool,
    limits: Vec<Limit>,
}

/// Reads what the arguments name: bodies, the host's address. Opens outputs.
///
/// # Errors
/// One sentence about what was typed, and the way out. Nothing ran; the exit code is 2.
pub fn prepare(args: LoadtestArgs) -> Result<Loadtest> {
    let targets = targets(&args)?;
    let what = match targets.as_slice() {
        [one] => format!("{} {}", one.method, args.url),
        several => format!("{} kinds of request to {}", several.len(), args.url),
    };
    let (pace, how) = match args.rate {
        None => (Pace::Users(args.users), format!("{} users", args.users)),
        Some(per_second) => (
            Pace::Rate {
                per_second,
                connections: args.users,
            },
            format!("{per_second} requests a second"),
        ),
    };
    let address = address(&args.url)?;
    let plan = LoadPlan {
        address,
        reach: Reach::Anywhere,
        host: host(&args.url),
        targets,
        pace,
        warm_up: args.warm_up,
        duration: args.duration.unwrap_or(if args.requests.is_some() {
            HOUR
        } else {
            Duration::from_secs(30)
        }),
        max_requests: args.requests,
        window: Duration::from_secs(1),
        timeout: args.timeout,
        body_check: None,
        threads: args.threads.map(usize::from),
        cores: Vec::new(),
    };
    plan.check()?;
    let (to_stdout, paths): (Vec<_>, Vec<_>) =
        args.outputs.into_iter().partition(|path| path == "-");
    let files = paths
        .into_iter()
        .map(|path| {
            let file = File::create(&path).with_context(|| format!("cannot write {path}"))?;
            Ok((path, file))
        })
        .collect::<Result<_>>()?;
    // Last, so that a typing error is told even when no server runs.
    ensure!(
        can_connect(address),
        "nobody listens on {address}: start the server first, or look at the port in the URL"
    );
    Ok(Loadtest {
        heading: format!("{what} · {how}"),
        plan,
        url: args.url,
        files,
        json_to_stdout: !to_stdout.is_empty(),
        limits: args.limits,
    })
}

impl Loadtest {
    /// Runs the load and writes the files. Dropping the future stops the load.
    ///
    /// # Errors
    /// The generator or an output failed; the exit code is 3.
    pub async fn run(self, on_event: OnEvent<'_>) -> Result<Told> {
        raise_descriptor_limit(self.plan.pace.connections());
        let time = self.plan.warm_up + self.plan.duration;
        on_event(Event::PhaseStarted {
            name: self.heading.clone(),
            expected: self
                .plan
                .max_requests
                .is_none()
                .then_some(time.as_secs_f64()),
        });
        let run = load::run(self.plan.clone(), |progress| {
            on_event(Event::PhaseProgress {
                detail: summary::progress(progress),
            });
            ControlFlow::Continue(())
        })
        .await?;
        on_event(Event::PhaseFinished {
            name: self.heading.clone(),
            seconds: run.load.seconds,
            result: String::new(),
        });
        self.tell(&run.load, on_event)
    }

    fn tell(self, load: &Load, on_event: OnEvent<'_>) -> Result<Told> {
        let mut json = serde_json::to_string_pretty(&Figures {
            url: self.url.as_str(),
            load,
        })?;
        json.push('\n');
        for (path, mut file) in self.files {
            file.write_all(json.as_bytes())
                .with_context(|| format!("write {path}"))?;
        }
        let mut code = ExitCode::Passed;
        for limit in &self.limits {
            if let Some(seen) = limit.broken_by(load) {
                on_event(Event::Notice(format!("beyond the limit {limit}: {seen}")));
                code = ExitCode::Failed;
            }
        }
        let text = if self.json_to_stdout {
            json
        } else {
            summary::summary(&self.heading, load)
        };
        Ok(Told { text, code })
    }
}

/// The end of a load test.
#[derive(Debug)]
pub struct Told {
    /// For stdout: the summary, or the JSON that was wanted instead.
    pub text: String,
    /// 1 when a limit was broken.
    pub code: ExitCode,
}

/// What `--write json=` writes: the figures of a stage at the top level.
#[derive(Serialize)]
struct Figures<'a> {
    url: &'a str,
    #[serde(flatten)]
    load: &'a Load,
}

fn targets(args: &LoadtestArgs) -> Result<Vec<Target>> {
    let path = match args.url.query() {
        Some(query) => format!("{}?{query}", args.url.path()),
        None => args.url.path().to_owned(),
    };
    if args.targets.is_empty() {
        let body = args.body.as_deref().map(read_body).transpose()?;
        let method = match (&args.method, &body) {
            (Some(method), _) => method.to_ascii_uppercase(),
            (None, Some(_)) => "POST".to_owned(),
            (None, None) => "GET".to_owned(),
        };
        return Ok(vec![target(method, path, body, &args.headers, 1)]);
    }
    ensure!(
        path == "/",
        "with --target the URL says only where the server is: put {path} into a --target too"
    );
    args.targets
        .iter()
        .map(|value| {
            let body = value.body.as_deref().map(read_body).transpose()?;
            let (method, path) = (value.method.clone(), value.path.clone());
            Ok(target(method, path, body, &args.headers, value.weight))
        })
        .collect()
}

fn target(
    method: String,
    path: String,
    body: Option<Vec<u8>>,
    headers: &[(String, String)],
    weight: u32,
) -> Target {
    let mut headers = headers.to_vec();
    let body = body.unwrap_or_default();
    let typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Target {
        method,
        path,
        headers,
        body,
        weight,
    }
}

fn read_body(typed: &str) -> Result<Vec<u8>> {
    match typed.strip_prefix('@') {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read the body {path}")),
        None => Ok(typed.as_bytes().to_vec()),
    }
}

/// As the `Host` header wants it: the port only when it is not 80.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The host's first address that takes a connection, else its first: `localhost` is two addresses,
/// and many servers listen on only one.
fn address(url: &Url) -> Result<SocketAddr> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => bail!("no machine is known by the name {host} ({error}): look at the URL"),
    };
    addresses
        .iter()
        .copied()
        .find(|address| addresses.len() == 1 || can_connect(*address))
        .or_else(|| addresses.first().copied())
        .ok_or_else(|| anyhow!("the name {host} has no address: look at the URL"))
}

fn can_connect(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok()
}

/// Many systems allow 1,024 open files at first and more on request. When it is not given, the
/// generator says so as soon as it runs out.
fn raise_descriptor_limit(connections: u32) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::from(connections) + 100;
    if limit.current.is_some_and(|current| current < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                maximum: limit.maximum,
            },
        );
    }
}
