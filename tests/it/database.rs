//! The database: one contract for all backends, kept on each that this machine has.
//!
//! What is missing is skipped by name and out loud; `FEEDGRADE_TEST_REQUIRE=container,local,url`
//! makes a skip a failure.

#![expect(clippy::print_stderr, reason = "skips and timings are for people")]

mod clones;
mod connections;
mod hostile;
mod migrations;
mod starting;
mod statements;

use std::fs;
use std::net::TcpStream;
use std::time::Instant;

use feedgrade::database::{Choice, Database, Kind};
use feedgrade::scratch::Scratch;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

use crate::skip::skip;

const IMAGE: &str = "postgres:15";
const SCHEMA: &str = "
    CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE posts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id bigint NOT NULL REFERENCES users (id),
        content varchar(280) NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now());";
const SEED: &str = "
    INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 1000) AS n;
    INSERT INTO posts (user_id, content, created_at)
    SELECT 1 + n % 1000, repeat('text ', 20) || n,
           '2025-01-01Z'::timestamptz + (n * 7919 % 30000) * interval '4 minutes'
    FROM generate_series(1, 30000) AS n;";
const DIGEST: &str = "SELECT count(*), md5(string_agg(content, '' ORDER BY id)) FROM posts;";

async fn start(choice: Choice, scratch: &Scratch) -> anyhow::Result<Database> {
    let started = Instant::now();
    let database = Database::start(&choice, IMAGE, &[], scratch, &|_| {}).await?;
    eprintln!(
        "{choice:?}: started in {:.2?}: {}",
        started.elapsed(),
        database.reason()
    );
    let started = Instant::now();
    database.make_template(SCHEMA, SEED).await?;
    eprintln!("{choice:?}: template in {:.2?}", started.elapsed());
    Ok(database)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_database_keeps_the_contract_and_leaves_nothing_behind() {
    let scratch = Scratch::new().unwrap();
    let database = match start(Choice::Local, &scratch).await {
        Ok(database) => database,
        Err(why) => return skip("local", &why),
    };
    keeps_the_contract(&database, &scratch).await;
    let port = port_of(&database.superuser_url());
    let before = processes_below(&scratch);
    assert!(!before.is_empty());
    let dropped = Instant::now();
    drop(database);
    eprintln!("local: dropped in {:.2?}", dropped.elapsed());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(processes_below(&scratch), [""; 0]);
    assert!(!scratch.path().join("postgres").exists());
}

#[cfg(feature = "docker")]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_a_container_keeps_the_contract_and_leaves_nothing_behind() {
    let scratch = Scratch::new().unwrap();
    let database = match start(Choice::Container, &scratch).await {
        Ok(database) => database,
        Err(why) => return skip("container", &format!("{why:#}")),
    };
    assert_eq!(database.kind(), Kind::Container);
    keeps_the_contract(&database, &scratch).await;
    let port = port_of(&database.superuser_url());
    assert_eq!(containers_of(&scratch).await, 1);
    let dropped = Instant::now();
    drop(database);
    eprintln!("container: dropped in {:.2?}", dropped.elapsed());
    assert_eq!(containers_of(&scratch).await, 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_server_keeps_the_contract_and_is_left_as_it_was() {
    let scratch = Scratch::new().unwrap();
    let server = match Database::start(&Choice::Local, IMAGE, &[], &scratch, &|_| {}).await {
        Ok(server) => server,
        Err(why) => return skip("url", &why),
    };
    let url = server.superuser_url();
    let inside = "SELECT datname::text AS name FROM pg_database UNION ALL SELECT rolname FROM pg_roles \
                  UNION ALL SELECT setting FROM pg_file_settings ORDER BY name";
    let mut admin = connect(&url).await.unwrap();
    let before = texts(&mut admin, inside).await;
    // Its planner is not at its defaults.
    execute(&mut admin, "ALTER SYSTEM SET random_page_cost = 1.1")
        .await
        .unwrap();
    execute(&mut admin, "SELECT pg_reload_conf()")
        .await
        .unwrap();

    let tenant = Scratch::new().unwrap();
    let database = start(Choice::Url(url.clone()), &tenant).await.unwrap();
    assert_eq!(database.kind(), Kind::Url);
    keeps_the_contract(&database, &tenant).await;
    assert_ne!(texts(&mut admin, inside).await, before);
    drop(database);
    // A run that ends in the middle of a capture sets the server's logging right.
    let other = Scratch::new().unwrap();
    let database = start(Choice::Url(url.clone()), &other).await.unwrap();
    let clone = database.clone("capture").await.unwrap();
    let capture = clone.capture().await.unwrap();
    drop(capture);
    drop(clone);
    drop(database);
    execute(&mut admin, "ALTER SYSTEM RESET random_page_cost")
        .await
        .unwrap();
    assert_eq!(texts(&mut admin, inside).await, before);

    // What a killed run left is removed by the next, unless that run lives on another machine.
    execute(&mut admin, "CREATE ROLE \"feedgrade_run-dead00_x\"")
        .await
        .unwrap();
    execute(&mut admin, "CREATE DATABASE \"feedgrade_run-dead00_x\"")
        .await
        .unwrap();
    execute(&mut admin, "CREATE ROLE \"feedgrade_run-far000_x\"")
        .await
        .unwrap();
    execute(
        &mut admin,
        "SELECT pg_advisory_lock(hashtext('feedgrade'), hashtext('run-far000'))",
    )
    .await
    .unwrap();
    drop(
        Database::start(&Choice::Url(url), IMAGE, &[], &tenant, &|_| {})
            .await
            .unwrap(),
    );
    let left = texts(&mut admin, inside).await;
    assert!(!left.iter().any(|name| name.contains("dead00")), "{left:?}");
    assert!(left.iter().any(|name| name.contains("far000")), "{left:?}");
}

async fn keeps_the_contract(database: &Database, scratch: &Scratch) {
    clones::the_settings_are_the_same_everywhere(database).await;
    clones::clones_are_quick_alike_and_apart(database).await;
    clones::a_submission_has_power_over_its_clone_only(database).await;
    connections::every_attempt_to_connect_is_counted(database).await;
    connections::a_long_log_is_read_to_its_end(database).await;
    statements::statements_are_seen_with_their_parameters(database).await;
    statements::an_index_shows_in_the_plan(database).await;
    hostile::settings_of_a_submission_do_not_move_the_grader(database).await;
    hostile::functions_of_a_submission_do_not_move_the_grader(database).await;
    hostile::rights_of_a_submission_do_not_move_the_grader(database).await;
    hostile::what_a_submission_keeps_busy_stays_its_own_matter(database).await;
    migrations::good_migrations_are_applied_as_psql_would(database, scratch).await;
    migrations::bad_migrations_stop_at_their_first_error(database, scratch).await;
}

async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    url.parse::<PgConnectOptions>()?
        .disable_statement_logging()
        .connect()
        .await
}

async fn execute(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(|_| ())
}

async fn texts(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap()
}

fn port_of(url: &str) -> u16 {
    address(url).rsplit(':').next().unwrap().parse().unwrap()
}

/// Command lines of processes that name a scratch folder.
fn processes_below(scratch: &Scratch) -> Vec<String> {
    processes_naming(scratch.path().to_str().unwrap())
}

fn processes_naming(path: &str) -> Vec<String> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(path))
        .collect()
}

#[cfg(feature = "docker")]
async fn containers_of(scratch: &Scratch) -> usize {
    use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;
    let label = format!("feedgrade.session={}", scratch.session());
    let filters = std::collections::HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let docker = testcontainers::core::client::docker_client_instance()
        .await
        .unwrap();
    docker.list_containers(Some(options)).await.unwrap().len()
}

fn address(url: &str) -> String {
    let host = url.rsplit('@').next().unwrap();
    host.split('/').next().unwrap().to_owned()
}
