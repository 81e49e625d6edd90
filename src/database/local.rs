//! The `local` backend: a private throwaway cluster from the Postgres programs on this machine.
//!
//! `postgresql_embedded` could do this too, and download Postgres besides. It was not taken: 192
//! packages for what is two child processes here, it starts them with `pg_ctl`, outside of
//! [`crate::process`], so that they would outlive a run, and it knows nothing of running as root.
//!
//! There is no Unix socket: its path may have 107 bytes at most, and nobody would use it.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use sqlx::Connection as _;

use super::Login;
use super::programs::{self, Programs};
use super::session;
use super::settings::{SETTINGS, Scope};
use crate::port;
use crate::process::{Command, Process};
use crate::scratch::Scratch;

/// Deadline of `initdb`, which takes a second.
const INITDB: Duration = Duration::from_mins(2);
/// Deadline for the first connection, which takes a fifth of a second.
const READY: Duration = Duration::from_mins(1);

/// A running cluster. Dropping it stops it; its folder goes with the scratch folder, or now.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // `SIGQUIT` ends Postgres at once, but lets it give back its shared memory, which `SIGKILL`
        // would not. The process' own guard does the rest.
        if let Some(pid) = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, Signal::QUIT);
        }
        wait(&mut self.process, Duration::from_secs(5));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a cluster in the scratch folder and starts it.
pub(super) async fn start(
    programs: &Programs,
    cores: &[usize],
    scratch: &Scratch,
) -> Result<(Server, Login)> {
    let folder = scratch.new_folder("postgres")?;
    let password = super::password()?;
    let password_file = folder.join("password");
    write_private(&password_file, &password)?;
    let data = folder.join("data");
    let way = Way::find(scratch).await?;
    way.open(scratch, &folder)?;
    initdb(&way, programs, scratch, &folder).await?;
    let mut attempt = 1;
    loop {
        // The port is free now and can be taken until Postgres binds it: then it ends, and the next
        // one is tried.
        let port = port::free()?;
        let process = way
            .command(&programs.folder.join("postgres"), &folder)
            .args(["-D".as_ref(), data.as_os_str()])
            .args(["-p", &port.to_string()])
            .args(
                SETTINGS
                    .iter()
                    .filter(|s| s.scope != Scope::Database)
                    .flat_map(arguments),
            )
            .args(
                SETTINGS
                    .iter()
                    .filter(|s| s.scope == Scope::Database)
                    .flat_map(arguments),
            )
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(way.arguments())
            .cores(cores)
            .start(scratch)?;
        let mut server = Server {
            process,
            folder: folder.clone(),
        };
        let login = Login::on_loopback(port, &password);
        match server.ready(&login).await {
            Ok(()) => return Ok((server, login)),
            Err(error) if attempt == 3 => return Err(error),
            Err(_) => attempt += 1,
        }
        // Its folder is needed again.
        server.folder = PathBuf::new();
    }
}

/// Fills the cluster's folder.
async fn initdb(way: &Way, programs: &Programs, scratch: &Scratch, folder: &Path) -> Result<()> {
    let command = way
        .command(&programs.folder.join("initdb"), folder)
        .args(["--username=postgres", "--encoding=UTF8", "--locale=C"])
        .args(["--auth=scram-sha-256", "--no-sync", "--no-instructions"])
        .arg(format!("--pwfile={}", folder.join("password").display()))
        .arg(format!("--pgdata={}", folder.join("data").display()));
    let mut initdb = Initdb(command.start(scratch)?);
    let exit = tokio::time::timeout(INITDB, initdb.0.wait())
        .await
        .with_context(|| format!("initdb was not done within {} s", INITDB.as_secs()))??;
    initdb.0.end().await;
    let output = initdb.0.output();
    ensure!(
        exit.is_success() || !output.contains("No space left on device"),
        "the scratch folder {} is full: free some space, or set FEEDGRADE_SCRATCH to another folder",
        scratch.path().display()
    );
    ensure!(
        exit.is_success(),
        "initdb ended with {exit}: {}",
        last_lines(&output)
    );
    Ok(())
}

/// A running `initdb`. Dropping it waits for its end, which is less than a second away on a machine at
/// rest: killed, it would leave shared memory behind.
struct Initdb(Process);

impl Drop for Initdb {
    fn drop(&mut self) {
        wait(&mut self.0, Duration::from_secs(15));
    }
}

/// Gives a process time to end by itself.
fn wait(process: &mut Process, limit: Duration) {
    let asked = Instant::now();
    while process.exit().is_none() && asked.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    async fn ready(&mut self, login: &Login) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(exit) = self.process.exit() {
                bail!(
                    "postgres ended with {exit} right after its start: {}{}",
                    last_lines(&self.process.output()),
                    last_lines(&self.log())
                );
            }
            if let Ok(connection) = session::connect(&login.options()).await {
                let _ = connection.close().await;
                return Ok(());
            }
            ensure!(
                started.elapsed() < READY,
                "postgres took no connection within {} s: {}",
                READY.as_secs(),
                last_lines(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Its log so far, for people.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("data/log/feedgrade.json")).unwrap_or_default()
    }
}

/// `-c name=value`, for the server's command line.
pub(super) fn arguments(setting: &super::settings::Setting) -> [String; 2] {
    ["-c".into(), format!("{}={}", setting.name, setting.value)]
}

/// How Postgres can be started by root, for people.
pub(super) async fn can_start(scratch: &Scratch) -> Result<String> {
    Ok(match Way::find(scratch).await? {
        Way::Directly => "directly".into(),
        Way::Namespace { .. } => "in a user namespace".into(),
        Way::As { uid, .. } => format!("as user {uid}"),
    })
}

/// How Postgres' programs are started. They refuse to run as root.
#[derive(Debug, Clone)]
enum Way {
    /// By this user, who is not root.
    Directly,
    /// In namespaces of its own for users, where root is nobody, and for shared memory, which
    /// thereby goes with the last process, however that ends. Files stay this user's, and it works
    /// below folders that only this user may enter.
    Namespace { uid: u32, gid: u32 },
    /// As another user.
    As { uid: u32, gid: u32 },
}

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

impl Way {
    async fn find(scratch: &Scratch) -> Result<Self> {
        let mut ways = Vec::new();
        if programs::is_root() {
            ways.push(Self::Namespace {
                uid: NOBODY,
                gid: NOBODY,
            });
            let users = programs::unprivileged_users().into_iter();
            ways.extend(users.map(|(uid, gid)| Self::As { uid, gid }));
        } else {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            ways.extend([Self::Namespace { uid, gid }, Self::Directly]);
        }
        for way in ways {
            let tried = way.command(Path::new("true"), Path::new("/"));
            let tried = tried.run(scratch, Duration::from_secs(10)).await;
            if tried.is_ok_and(|tried| tried.exit.is_success()) {
                return Ok(way);
            }
        }
        bail!(
            "Postgres refuses to run as root, and this root may neither make a user namespace nor \
             become the user postgres or nobody: run feedgrade as another user"
        )
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        match self {
            Self::Directly => Command::new(program, folder),
            Self::Namespace { uid, gid } => Command::new("unshare", folder)
                .args(["--user", "--ipc"])
                .args([format!("--map-user={uid}"), format!("--map-group={gid}")])
                .arg(program),
            Self::As { uid, gid } => Command::new("setpriv", folder)
                .args([format!("--reuid={uid}"), format!("--regid={gid}")])
                .arg("--clear-groups")
                .arg(program),
        }
    }

    /// Shared memory for parallel queries is in files by default, which nobody would remove.
    fn arguments(&self) -> &[&str] {
        match self {
            Self::Namespace { .. } => &["-c", "dynamic_shared_memory_type=sysv"],
            Self::Directly | Self::As { .. } => &[],
        }
    }

    /// Lets another user in: it owns the folder, and may pass through those above it, which show
    /// nothing else of what they hold.
    fn open(&self, scratch: &Scratch, folder: &Path) -> Result<()> {
        let Self::As { uid, gid } = *self else {
            return Ok(());
        };
        for path in [Some(scratch.path()), scratch.path().parent()]
            .into_iter()
            .flatten()
        {
            let mode = fs::metadata(path)?.permissions().mode();
            fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o011))
                .with_context(|| format!("let Postgres pass through {}", path.display()))?;
        }
        for path in [folder.to_owned(), folder.join("password")] {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .with_context(|| format!("give {} to Postgres", path.display()))?;
        }
        Ok(())
    }
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
