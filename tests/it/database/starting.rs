//! Where a database comes from when something is missing, and what a start leaves behind.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use feedgrade::database::{Choice, Database, doctor};
use feedgrade::event::Event;
use feedgrade::scratch::Scratch;

#[cfg(feature = "docker")]
use super::containers_of;
use super::{IMAGE, connect, execute, processes_below, skip};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_broken_off_leaves_nothing_behind() {
    for (name, choice) in [("local", Choice::Local), ("container", Choice::Container)] {
        for millis in [50, 300, 500, 800] {
            let scratch = Scratch::new().unwrap();
            let start = Database::start(&choice, IMAGE, &[], &scratch, &|_| {});
            match tokio::time::timeout(Duration::from_millis(millis), start).await {
                Ok(Err(why)) => {
                    skip(name, &format!("{why:#}"));
                    break;
                }
                Ok(Ok(database)) => drop(database),
                Err(_) => {}
            }
            assert_eq!(
                processes_below(&scratch),
                [""; 0],
                "{name} after {millis} ms"
            );
            #[cfg(feature = "docker")]
            if name == "container" {
                assert_eq!(containers_of(&scratch).await, 0, "after {millis} ms");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_is_refused_in_one_message() {
    let scratch = Scratch::new().unwrap();
    let refused = async |url: &str| {
        let choice = url.parse().unwrap();
        let error = Database::start(&choice, IMAGE, &[], &scratch, &|_| {})
            .await
            .unwrap_err();
        format!("{error:#}")
    };
    let nobody = refused("postgres://a:secret@127.0.0.1:1/postgres").await;
    assert!(
        nobody.contains("127.0.0.1:1, lets nobody in") && !nobody.contains("secret"),
        "{nobody}"
    );
    assert!(
        refused("postgres://a:b@%2Frun%2Fpostgresql/postgres")
            .await
            .contains("Unix socket")
    );
    for malformed in [
        "docker",
        "http://localhost",
        "postgres://a:b@host:port/x",
        "",
    ] {
        assert!(
            !malformed.parse::<Choice>().unwrap_err().contains('\n'),
            "{malformed}"
        );
    }
    let server = match Database::start(&Choice::Local, IMAGE, &[], &scratch, &|_| {}).await {
        Ok(server) => server,
        Err(why) => return skip("url", &why),
    };
    let mut admin = connect(&server.superuser_url()).await.unwrap();
    for sql in [
        "CREATE ROLE weak LOGIN PASSWORD 'weak'",
        "GRANT CONNECT ON DATABASE postgres TO weak",
        "ALTER SYSTEM SET log_timezone = 'Europe/Paris'",
        "ALTER SYSTEM SET lc_messages = 'POSIX'",
    ] {
        execute(&mut admin, sql).await.unwrap();
    }
    let url = server.superuser_url();
    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    let weak = url
        .replace("postgres:", "weak:")
        .replace(&password, "weak")
        .replacen("weak:", "postgres:", 1);
    let told = refused(&weak).await;
    assert!(told.contains("no superuser"), "{told}");
}

/// Started by the tests below in a process of its own, with another environment.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by other tests"]
async fn inner_start() {
    let scratch = Scratch::new().unwrap();
    let notices = Mutex::new(Vec::new());
    let choice: Choice = std::env::var("INNER_CHOICE").unwrap().parse().unwrap();
    let note = |event: Event| notices.lock().unwrap().push(event);
    let started = Instant::now();
    match Database::start(&choice, IMAGE, &[], &scratch, &note).await {
        Ok(database) => println!("INNER {} {}", database.kind(), database.reason()),
        Err(error) => println!("INNER error {error:#}"),
    }
    println!("INNER after {} ms", started.elapsed().as_millis());
    for event in notices.lock().unwrap().iter() {
        println!("INNER {event:?}");
    }
    for line in doctor(IMAGE, &scratch).await {
        println!("INNER {line:?}");
    }
}

fn inner(choice: &str, env: &[(&str, &str)]) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "database::starting::inner_start",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("INNER_CHOICE", choice)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(feature = "docker")]
fn inner_millis(told: &str) -> u64 {
    let after = told.split("INNER after ").nth(1).unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}

#[cfg(feature = "docker")]
#[test]
fn without_an_engine_that_answers_auto_takes_a_local_cluster_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("hangs.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let hanging = format!("unix://{}", socket.display());
    for (host, why) in [
        (hanging.as_str(), "does not answer within 2 s"),
        ("unix:///no/such.sock", "there is no Docker engine at"),
        ("tcp://127.0.0.1:1", "does not answer"),
        ("tcp://192.0.2.1:2375", "on another machine"),
        ("ssh://somewhere", "cannot be used"),
    ] {
        let told = inner("auto", &[("DOCKER_HOST", host)]);
        if told.contains("INNER error") {
            return skip("local", &told);
        }
        assert!(
            told.contains("INNER local ") && told.contains(why),
            "{told}"
        );
        assert!(inner_millis(&told) < 8000, "{told}");
        assert!(told.contains("DoctorLine { ok: false"), "{told}");
    }
    let told = inner("container", &[("DOCKER_HOST", &hanging)]);
    let error = told.split("INNER error ").nth(1).unwrap();
    let lines: Vec<&str> = error.lines().take(2).collect();
    assert!(
        lines[0].contains("does not answer") && lines[1].contains("--database postgres://"),
        "{told}"
    );
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_the_image_makes_auto_take_a_local_cluster() {
    let scratch = Scratch::new().unwrap();
    if let Err(why) = Database::start(&Choice::Container, IMAGE, &[], &scratch, &|_| {}).await {
        return skip("container", &format!("{why:#}"));
    }
    let told = inner("auto", &[]);
    assert!(told.contains("INNER container image postgres:15"), "{told}");
    let told = inner(
        "auto",
        &[("FEEDGRADE_POSTGRES_IMAGE", "127.0.0.1:1/no/such/image:15")],
    );
    assert!(
        told.contains("INNER local ") && told.contains("fetch the image 127.0.0.1:1"),
        "{told}"
    );
    assert!(inner_millis(&told) < 30_000, "{told}");
}

#[test]
fn without_docker_and_postgres_the_error_says_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let told = inner(
        "auto",
        &[
            ("DOCKER_HOST", "unix:///no/such.sock"),
            ("PATH", folder.path().to_str().unwrap()),
            ("FEEDGRADE_TEST_NO_POSTGRES", "1"),
        ],
    );
    if told.contains("INNER local") {
        // Debian's folder is looked at whatever PATH says.
        return;
    }
    let error = told.split("INNER error ").nth(1).unwrap();
    assert!(
        error
            .lines()
            .nth(1)
            .unwrap()
            .contains("apt-get install postgresql"),
        "{told}"
    );
}

/// Started by the test below, and killed by it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by another test"]
async fn inner_wait() {
    let scratch = Scratch::new().unwrap();
    let _database = Database::start(&Choice::Local, IMAGE, &[], &scratch, &|_| {})
        .await
        .unwrap();
    println!("INNER {}", scratch.path().display());
    tokio::time::sleep(Duration::from_mins(2)).await;
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    use std::io::{BufRead as _, BufReader};
    let mut inner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["database::starting::inner_wait", "--exact", "--ignored"])
        .arg("--nocapture")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let folder = BufReader::new(inner.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("INNER ")?.1.to_owned()));
    inner.kill().unwrap();
    inner.wait().unwrap();
    let Some(folder) = folder else {
        return skip("local", &"no database was started");
    };
    let session = folder.rsplit('/').next().unwrap();
    assert!(std::path::Path::new(&folder).exists());
    let swept = feedgrade::scratch::sweep(feedgrade::process::kill_tree).unwrap();
    assert!(swept.iter().any(|swept| swept == session), "{swept:?}");
    assert!(!std::path::Path::new(&folder).exists());
    let ended = Instant::now();
    while !super::processes_naming(&folder).is_empty() {
        assert!(ended.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
}
