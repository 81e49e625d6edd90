//! The `container` backend: the official `postgres` image, or one that answers to its interface.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::core::IntoContainerPort as _;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _};

use super::engine::{self, Engine};
use super::local::arguments;
use super::settings::{SETTINGS, Scope};
use super::{Login, finish_elsewhere, session};
use crate::cores;
use crate::event::{Event, OnEvent};
use crate::scratch::{self, Scratch};

/// How long fetching the image may take.
const PULL: Duration = Duration::from_mins(2);
/// How long creating and starting the container may take, which is one second.
const START: Duration = Duration::from_mins(1);
/// How long the server in it may take to its first connection, `initdb` included: two seconds.
const READY: Duration = Duration::from_secs(90);
/// How long removing it may take, which is one second.
const REMOVE: Duration = Duration::from_secs(20);
/// The port of the server inside.
const PORT: u16 = 5432;
/// Memory that parallel queries share. Docker's own 64 MB is too little for some.
const SHARED_MEMORY: i64 = 256 * 1024 * 1024;

/// A session's containers. Dropping it removes them, also one that is just being created.
#[derive(Debug)]
pub(super) struct Server {
    engine: Engine,
    session: String,
    /// Whether a container may still appear.
    is_starting: bool,
    /// Its first process as this machine knows it, if it does.
    pub(super) pid: Option<u32>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let Self {
            engine,
            session,
            is_starting,
            pid: _,
        } = self;
        let (engine, session, is_starting) = (engine.clone(), session.clone(), *is_starting);
        finish_elsewhere(REMOVE, async move {
            let asked = Instant::now();
            while engine.remove_session(&session).await? == 0
                && is_starting
                && asked.elapsed() < Duration::from_secs(2)
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        });
    }
}

/// Starts a container of `image` on the engine of this machine. Returns why that one was taken, too.
///
/// # Errors
/// When there is no engine, it does not answer, or it neither has the image nor can fetch it.
pub(super) async fn start(
    image: &str,
    cores: &[usize],
    scratch: &Scratch,
    on_event: OnEvent<'_>,
) -> Result<(Server, Login, String)> {
    let engine = Engine::find().await?;
    engine.sweep().await?;
    let password = super::password()?;
    let mut server = Server {
        engine: engine.clone(),
        session: scratch.session(),
        is_starting: true,
        pid: None,
    };
    let mut request = request(image, &password, cores, scratch)?;
    if !engine.has_image(image).await {
        on_event(Event::Notice(format!("fetch the image {image}")));
        request = tokio::time::timeout(PULL, request.pull_image())
            .await
            .map_err(|_| {
                anyhow!(
                    "the image {image} was not there within {} s",
                    PULL.as_secs()
                )
            })?
            .with_context(|| format!("fetch the image {image}"))?;
    }
    let container = tokio::time::timeout(START, request.start())
        .await
        .map_err(|_| anyhow!("the container did not start within {} s", START.as_secs()))?
        .context("start the container")?;
    server.is_starting = false;
    server.pid = engine.pid(container.id()).await;
    // Never get_host(): it takes a file of that name on a host for being in a container.
    let port = container
        .get_host_port_ipv4(PORT.tcp())
        .await
        .context("ask for the container's port")?;
    let login = Login::on_loopback(port, &password);
    let started = Instant::now();
    while session::connect(&login.options()).await.is_err() {
        if !container.is_running().await.unwrap_or(true) {
            let output = container.stderr_to_vec().await.unwrap_or_default();
            let output = String::from_utf8_lossy(&output);
            bail!(
                "the container of {image} ended: {}",
                output.trim().lines().last().unwrap_or("no output")
            );
        }
        ensure!(
            started.elapsed() < READY,
            "Postgres in the container took no connection within {} s",
            READY.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // `Server` removes it. Its own guard needs a runtime when it is dropped, and waits for an
    // engine that hangs without a limit.
    std::mem::forget(container);
    let reason = format!("image {image} on the engine at {}", engine.host);
    Ok((server, login, reason))
}

fn request(
    image: &str,
    password: &str,
    cores: &[usize],
    scratch: &Scratch,
) -> Result<ContainerRequest<GenericImage>> {
    let (name, tag) = name_and_tag(image);
    let cpuset = (!cores.is_empty()).then(|| cores::list(cores));
    let own_settings = SETTINGS
        .iter()
        .filter(|setting| setting.scope != Scope::Database);
    let all_settings = own_settings.chain(SETTINGS.iter().filter(|s| s.scope == Scope::Database));
    let command: Vec<String> = std::iter::once("postgres".to_owned())
        .chain(all_settings.flat_map(arguments))
        .collect();
    Ok(GenericImage::new(name, tag)
        .with_exposed_port(PORT.tcp())
        .with_cmd(command)
        .with_env_var("POSTGRES_PASSWORD", password)
        .with_env_var(
            "POSTGRES_INITDB_ARGS",
            "--locale=C --encoding=UTF8 --no-sync",
        )
        .with_label(engine::SESSION, scratch.session())
        .with_label(engine::SCRATCH, scratch::base()?.display().to_string())
        .with_host_config_modifier(move |host: &mut HostConfig| {
            let binding = PortBinding {
                host_ip: Some("127.0.0.1".into()),
                host_port: None,
            };
            host.publish_all_ports = Some(false);
            host.port_bindings = Some(HashMap::from([(
                format!("{PORT}/tcp"),
                Some(vec![binding]),
            )]));
            host.shm_size = Some(SHARED_MEMORY);
            host.cpuset_cpus.clone_from(&cpuset);
        }))
}

/// `registry:5000/postgres:15` is `registry:5000/postgres` and `15`; without a tag it is `latest`.
fn name_and_tag(image: &str) -> (String, String) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.into(), tag.into()),
        _ => (image.into(), "latest".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port() {
        let parts = |image| {
            let (name, tag) = name_and_tag(image);
            format!("{name} {tag}")
        };
        assert_eq!(parts("postgres:15"), "postgres 15");
        assert_eq!(parts("postgres"), "postgres latest");
        assert_eq!(parts("school:5000/postgres"), "school:5000/postgres latest");
        assert_eq!(parts("school:5000/postgres:15"), "school:5000/postgres 15");
        assert_eq!(parts("postgres@sha256:abc"), "postgres@sha256 abc");
    }
}
