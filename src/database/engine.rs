//! Container engines on this machine: found, asked under limits of our own, and cleaned up after.
//!
//! testcontainers starts containers, but it waits 120 seconds for an engine that hangs, knows
//! neither rootless Docker's socket nor podman's, and leaves containers behind when a run is
//! interrupted. Its client library, bollard, does here what it does not.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::bollard::{API_DEFAULT_VERSION, Docker};

use crate::scratch;

/// How long an engine may take to answer `/_ping`.
const PING: Duration = Duration::from_secs(2);
/// How long it may take for anything else, in seconds.
const ANSWER: u64 = 20;
/// The label that says whose a container is.
pub(super) const SESSION: &str = "feedgrade.session";
/// The label that says where the scratch folder of that session is: another user's sessions are not
/// known here, so they cannot be told dead from alive.
pub(super) const SCRATCH: &str = "feedgrade.scratch";

/// An engine that answers.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) host: String,
    docker: Docker,
}

impl Engine {
    /// The engine that testcontainers will use, if it answers.
    ///
    /// # Errors
    /// When there is none, or it does not answer: one sentence.
    pub(super) async fn find() -> Result<Self> {
        let (known, others) = hosts();
        let Some(host) = known else {
            if let Some(host) = first_answering(&others).await {
                bail!("the engine at {host} is not Docker's usual one: set DOCKER_HOST={host}");
            }
            bail!("no Docker engine was found");
        };
        match Self::connect(&host).await {
            Ok(engine) => Ok(engine),
            Err(error) => match first_answering(&others).await {
                Some(host) => bail!("{error}; the one at {host} does: set DOCKER_HOST={host}"),
                None => Err(error),
            },
        }
    }

    async fn connect(host: &str) -> Result<Self> {
        let docker = if let Some(path) = host.strip_prefix("unix://") {
            ensure!(
                Path::new(path).exists(),
                "there is no Docker engine at {host}"
            );
            Docker::connect_with_unix(path, ANSWER, API_DEFAULT_VERSION)
        } else if host.starts_with("tcp://") || host.starts_with("http://") {
            ensure!(
                is_loopback(host),
                "the Docker engine at {host} is on another machine, where a server that is graded \
                 here does not reach its containers"
            );
            Docker::connect_with_http(host, ANSWER, API_DEFAULT_VERSION)
        } else {
            bail!("a Docker engine at {host} cannot be used, only unix:// and tcp://");
        };
        let docker = docker.with_context(|| format!("connect to the Docker engine at {host}"))?;
        match tokio::time::timeout(PING, docker.ping()).await {
            Ok(Ok(_)) => Ok(Self {
                host: host.into(),
                docker,
            }),
            Ok(Err(error)) => Err(anyhow!(
                "the Docker engine at {host} does not answer: {error}"
            )),
            Err(_) => Err(anyhow!(
                "the Docker engine at {host} does not answer within {} s",
                PING.as_secs()
            )),
        }
    }

    /// Whether it has an image.
    pub(super) async fn has_image(&self, image: &str) -> bool {
        self.docker.inspect_image(image).await.is_ok()
    }

    /// The first process of a container, when it is the same number here: not on another machine,
    /// in a virtual machine, or below other namespaces.
    pub(super) async fn pid(&self, container: &str) -> Option<u32> {
        let seen = self.docker.inspect_container(container, None).await.ok()?;
        let pid = u32::try_from(seen.state?.pid?).ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        name.contains(container).then_some(pid)
    }

    /// Removes the containers of a session. Returns how many there were.
    pub(super) async fn remove_session(&self, session: &str) -> Result<usize> {
        let mut removed = 0;
        for (id, owner) in self.containers().await? {
            if owner == session {
                self.remove(&id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes containers of this user's runs that were killed.
    pub(super) async fn sweep(&self) -> Result<()> {
        for (id, session) in self.containers().await? {
            if !scratch::is_alive(&session) {
                self.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// This user's containers: ids and sessions.
    async fn containers(&self) -> Result<Vec<(String, String)>> {
        let base = format!("{SCRATCH}={}", scratch::base()?.display());
        let filters = HashMap::from([("label".to_owned(), vec![base])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let containers = self.docker.list_containers(Some(options)).await;
        let containers = containers.context("list containers")?;
        Ok(containers
            .into_iter()
            .filter_map(|container| {
                let session = container.labels?.get(SESSION)?.clone();
                Some((container.id?, session))
            })
            .collect())
    }

    async fn remove(&self, id: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        match self.docker.remove_container(id, Some(options)).await {
            // Gone already, or going.
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            })
            | Ok(()) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("remove container {id}")),
        }
    }
}

/// What `DOCKER_HOST` must be so that a container can be started here. testcontainers reads it from
/// the environment, and changing the environment of a running program is not safe: a program that
/// wants rootless Docker or podman found by themselves starts itself again with it.
///
/// `None` when it is set already, when Docker's usual engine answers, and when none does.
pub async fn docker_host_to_set() -> Option<String> {
    if std::env::var_os("DOCKER_HOST").is_some() {
        return None;
    }
    let (known, others) = hosts();
    if let Some(host) = known
        && Engine::connect(&host).await.is_ok()
    {
        return None;
    }
    first_answering(&others).await
}

async fn first_answering(hosts: &[String]) -> Option<String> {
    for host in hosts {
        if Engine::connect(host).await.is_ok() {
            return Some(host.clone());
        }
    }
    None
}

/// The host that testcontainers takes, by its own rules, and those that it does not know.
fn hosts() -> (Option<String>, Vec<String>) {
    if let Ok(host) = std::env::var("DOCKER_HOST") {
        return (Some(host), Vec::new());
    }
    let folder = |name: &str| std::env::var(name).ok().filter(|folder| !folder.is_empty());
    let (runtime, home) = (folder("XDG_RUNTIME_DIR"), folder("HOME"));
    let below =
        |folder: &Option<String>, path: &str| folder.as_ref().map(|f| format!("{f}/{path}"));
    let there = |paths: Vec<Option<String>>| {
        paths
            .into_iter()
            .flatten()
            .filter(|path| Path::new(path).exists())
            .map(|path| format!("unix://{path}"))
            .collect::<Vec<_>>()
    };
    let known = there(vec![
        Some("/var/run/docker.sock".to_owned()),
        below(&runtime, ".docker/run/docker.sock"),
        below(&home, ".docker/run/docker.sock"),
        below(&home, ".docker/desktop/docker.sock"),
    ]);
    let others = there(vec![
        below(&runtime, "docker.sock"),
        below(&runtime, "podman/podman.sock"),
        Some("/run/podman/podman.sock".to_owned()),
    ]);
    (known.into_iter().next(), others)
}

fn is_loopback(host: &str) -> bool {
    let address = host.split("://").nth(1).unwrap_or_default();
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|name| address.starts_with(name))
}
