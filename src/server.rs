//! A server: a learner's running program, from its start to its end.
//!
//! Starts it with the contract's environment and finds out when it is ready. What it is asked is
//! for others.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::confinement::Confinement;
use crate::exercise::ServerSpec;
use crate::isolation::Isolation;
use crate::port;
use crate::process::{Command, Process, signal_tree, tree};
use crate::scratch::Scratch;

/// Lines and characters of a server's output that are kept for the report.
const OUTPUT_LINES: usize = 30;
const OUTPUT_CHARS: usize = 4_000;

/// So many ports are tried at most, when others take them.
const PORTS: u32 = 3;

/// A server that is ready. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// The port on which it listens, on the loopback address.
    pub port: u16,
    /// Seconds from its start to ready.
    pub ready_after: f64,
}

/// What came of starting a server.
#[derive(Debug)]
pub enum Started {
    /// It is ready.
    Ready(Box<Server>),
    /// It never was, which is the learner's.
    NotReady {
        /// One sentence.
        reason: String,
        /// Its last lines.
        output: String,
    },
}

/// What to start, and where.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Its own files, and the folder in which it is started.
    pub folder: &'a Path,
    /// Processors that it is held to, if there are any.
    pub cores: &'a [usize],
    /// Whether it is confined.
    pub isolation: Isolation,
}

/// Starts a server, with `env` (its database, which listens on the port `database`) and a free
/// `PORT`, and waits until it is ready.
///
/// # Errors
/// When the machine fails: no free port, or the program cannot be started.
pub async fn start(
    place: Place<'_>,
    env: &[(String, String)],
    database: u16,
    spec: &ServerSpec,
    scratch: &Scratch,
) -> Result<Started> {
    on_one_of(port::free, async |port| {
        on_port(port, place, env, database, spec, scratch).await
    })
    .await
}

/// Starts a server on the first of some ports that nobody else takes before it does: none is kept free
/// for it until it listens. What is in the way of the last one counts as the server's own doing, which
/// it could be: chance does not take three ports one after the other.
async fn on_one_of(
    mut ports: impl FnMut() -> Result<u16>,
    mut start: impl AsyncFnMut(u16) -> Result<Started>,
) -> Result<Started> {
    let mut left = PORTS;
    loop {
        let port = ports()?;
        let started = start(port).await?;
        left -= 1;
        if left == 0 || !matches!(started, Started::NotReady { .. }) || !is_taken(port) {
            return Ok(started);
        }
    }
}

async fn on_port(
    port: u16,
    place: Place<'_>,
    env: &[(String, String)],
    database: u16,
    spec: &ServerSpec,
    scratch: &Scratch,
) -> Result<Started> {
    let Place { binary, folder, .. } = place;
    let tmp = scratch.new_folder("tmp")?;
    let confinement = place
        .isolation
        .confines()
        .then(|| Confinement::of_server(spec, &[binary, folder], &tmp, port, database));
    let command = Command::new(binary, folder)
        .env("PORT", port.to_string())
        .env("HOME", folder)
        .env("TMPDIR", &tmp)
        .cores(place.cores)
        .confined(confinement);
    let command = env
        .iter()
        .fold(command, |command, (name, value)| command.env(name, value));
    let started = Instant::now();
    let mut process = match command.start(scratch) {
        Ok(process) => process,
        Err(error) if is_the_binarys(&error) => {
            let reason = format!("The server's binary could not be started: {error:#}.");
            return Ok(Started::NotReady {
                reason,
                output: String::new(),
            });
        }
        Err(error) => return Err(error),
    };
    let client = client(Duration::from_secs(2))?;
    let url = format!("http://127.0.0.1:{port}{}", spec.ready);
    let deadline = Duration::from_secs(spec.seconds);
    let mut last = String::from("nothing listens there");
    loop {
        if let Some(exit) = process.exit() {
            process.end().await;
            let only = if place.isolation.confines() {
                " The port in the environment variable PORT is the only one on which it may listen."
            } else {
                ""
            };
            let reason = format!(
                "The server ended with {exit} before GET {} answered 200.{only}",
                spec.ready
            );
            return Ok(Started::NotReady {
                reason,
                output: tail(&process.output()),
            });
        }
        match client.get(&url).send().await {
            // Whoever else listens there by chance is not who is graded.
            Ok(response) if response.status() == 200 && is_ours(process.id(), port) => {
                let ready_after = thousandths(started.elapsed());
                let server = Server {
                    process,
                    port,
                    ready_after,
                };
                return Ok(Started::Ready(Box::new(server)));
            }
            Ok(response) => last = format!("the answer was {}", response.status().as_u16()),
            Err(error) if error.is_connect() => {}
            Err(error) if error.is_timeout() => last = "there was no answer within 2 s".into(),
            Err(_) => last = "the answer was no HTTP".into(),
        }
        if started.elapsed() >= deadline {
            let elsewhere = match listening_ports(process.id()).as_slice() {
                [] => String::new(),
                ports if ports.contains(&port) => String::new(),
                ports => format!(
                    " It listens on port {} instead: the port is in the environment variable PORT.",
                    ports
                        .iter()
                        .map(u16::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            process.end().await;
            let reason = format!(
                "The server did not answer GET {} with 200 on the port in PORT within {} s: {last}.\
                 {elsewhere}",
                spec.ready, spec.seconds
            );
            return Ok(Started::NotReady {
                reason,
                output: tail(&process.output()),
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether somebody has a port, now that the server is gone that was meant to.
fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// Whether it is the binary itself that cannot be started, e.g. because its interpreter is missing.
fn is_the_binarys(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    const NO_EXECUTABLE: i32 = 8;
    error.downcast_ref::<std::io::Error>().is_some_and(|error| {
        matches!(error.kind(), NotFound | PermissionDenied)
            || error.raw_os_error() == Some(NO_EXECUTABLE)
    })
}

/// Whether a process or one of its descendants listens on a port. `true` where there is no `/proc`.
fn is_ours(pid: u32, port: u16) -> bool {
    !Path::new("/proc/self/fd").exists()
        || tree(pid)
            .into_iter()
            .any(|pid| listening_ports(pid).contains(&port))
}

impl Server {
    /// Where it listens, e.g. `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Holds it and all its children still, so that it takes nothing from whoever is measured
    /// meanwhile.
    pub fn pause(&self) {
        signal_tree(self.process.id(), Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        signal_tree(self.process.id(), Signal::CONT);
    }

    /// Ends it with all its children: its end, when it came by itself, and its last lines.
    pub async fn stop(mut self) -> (Option<String>, String) {
        let died = self
            .process
            .exit()
            .map(|exit| format!("The server ended by itself with {exit}."));
        self.process
            .stop(Signal::TERM, Duration::from_secs(2))
            .await;
        (died, tail(&self.process.output()))
    }
}

/// A client for single requests: no proxy, no redirects, and no retries that would hide a fault.
///
/// # Errors
/// When the system gives no sockets.
pub fn client(timeout: Duration) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        // As the load does: a server must not tell the two apart by it.
        .user_agent(concat!("feedgrade/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .timeout(timeout)
        .build()
        .context("make an HTTP client")
}

/// The last lines of what a server printed, without control characters.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let text = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n");
    let clean: Vec<char> = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    clean[clean.len().saturating_sub(OUTPUT_CHARS)..]
        .iter()
        .collect()
}

fn thousandths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The TCP ports on which a process listens. Empty where there is no `/proc`.
///
/// Source of the format: `proc_net_tcp` in the kernel's documentation (state 0A is LISTEN).
fn listening_ports(pid: u32) -> Vec<u16> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let mut ports: Vec<u16> = ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| {
                    let fields: Vec<&str> = line.split_whitespace().collect();
                    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
                    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
                    (*state == "0A" && sockets.contains(*inode)).then_some(port)
                })
                .collect::<Vec<_>>()
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn not_ready(script: &str, seconds: u64) -> (String, String) {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("server");
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let spec = ServerSpec {
            seconds,
            ..ServerSpec::default()
        };
        let place = Place {
            binary: &path,
            folder: Path::new("/"),
            cores: &[],
            isolation: Isolation::None,
        };
        match start(place, &[], 0, &spec, &scratch).await.unwrap() {
            Started::Ready(_) => panic!("ready"),
            Started::NotReady { reason, output } => (reason, output),
        }
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let (reason, output) = not_ready("echo no database >&2; exit 3", 10).await;
        assert_eq!(
            reason,
            "The server ended with exit code 3 before GET /health answered 200."
        );
        assert_eq!(output, "no database");
    }

    #[tokio::test]
    async fn a_server_that_never_listens_is_given_up() {
        let (reason, _) = not_ready("sleep 100", 1).await;
        assert!(
            reason.ends_with("within 1 s: nothing listens there."),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn a_port_that_another_program_took_is_tried_no_more() {
        let others = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = others.local_addr().unwrap().port();
        let free = port::free().unwrap();
        let mut tried = Vec::new();
        let mut start = async |port| {
            tried.push(port);
            let (reason, output) = not_ready(&format!("echo {port}; exit 1"), 10).await;
            Ok(Started::NotReady { reason, output })
        };
        let mut ports = [taken, free].into_iter();
        let started = on_one_of(|| Ok(ports.next().unwrap()), &mut start).await;
        assert!(
            matches!(started, Ok(Started::NotReady { output, .. }) if output == free.to_string())
        );
        // A server must not be able to end without a grade by leaving its ports in use.
        let started = on_one_of(|| Ok(taken), &mut start).await;
        assert!(matches!(started, Ok(Started::NotReady { .. })));
        assert_eq!(tried, [taken, free, taken, taken, taken]);
    }

    #[test]
    fn listening_ports_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening_ports(std::process::id()).contains(&port));
    }
}
