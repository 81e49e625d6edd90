//! The settings, the clones, and what a submission may do with its own.

use std::time::Instant;

use feedgrade::database::{Database, Kind};
use serde_json::{Value, json};

use super::{DIGEST, connect, execute, texts};

pub(super) async fn the_settings_are_the_same_everywhere(database: &Database) {
    let settings = database.settings().await.unwrap();
    for (name, value) in [
        ("jit", "off"),
        ("max_connections", "100"),
        ("superuser_reserved_connections", "3"),
        ("random_page_cost", "4"),
        ("seq_page_cost", "1"),
        ("effective_cache_size", "4GB"),
        ("work_mem", "4MB"),
        ("shared_buffers", "128MB"),
        ("enable_seqscan", "on"),
        ("enable_indexscan", "on"),
        ("enable_sort", "on"),
        ("max_parallel_workers_per_gather", "2"),
        ("log_connections", "on"),
        ("log_timezone", "UTC"),
        ("synchronous_commit", "off"),
        ("autovacuum", "off"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(
            settings.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    assert!(settings["server_version"].starts_with(database.version()));
    assert!(database.clock_offset().await.unwrap().abs() < 1.0);
    let clone = database.clone("settings").await.unwrap();
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    let seen = "SELECT name || '=' || current_setting(name) FROM pg_settings \
                WHERE name IN ('jit', 'random_page_cost', 'synchronous_commit') ORDER BY name";
    assert_eq!(
        texts(&mut connection, seen).await,
        ["jit=off", "random_page_cost=4", "synchronous_commit=off"]
    );
    clone.close().await.unwrap();
}

pub(super) async fn clones_are_quick_alike_and_apart(database: &Database) {
    let mut clones = Vec::new();
    for name in ["one", "two", "three"] {
        let started = Instant::now();
        clones.push(database.clone(name).await.unwrap());
        eprintln!("{}: cloned in {:.2?}", database.kind(), started.elapsed());
    }
    let digest = clones[0].digest(DIGEST).await.unwrap().unwrap();
    assert_eq!(digest["count"], 30_000);
    let print = clones[0].schema_fingerprint().await.unwrap();
    assert_eq!(print.len(), 64);
    let mut connection = connect(&clones[0].env()[0].1).await.unwrap();
    let owner = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(texts(&mut connection, owner).await, [clones[0].role()]);
    execute(&mut connection, "DELETE FROM posts").await.unwrap();
    assert_eq!(clones[0].schema_fingerprint().await.unwrap(), print);
    assert_eq!(clones[1].digest(DIGEST).await.unwrap().unwrap(), digest);
    assert_ne!(clones[0].digest(DIGEST).await.unwrap().unwrap(), digest);
    for change in [
        "CREATE INDEX i ON posts (created_at)",
        "ALTER TABLE posts ADD COLUMN likes int",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE posts ADD CHECK (id > 0)",
        "CREATE TABLE t ()",
    ] {
        let before = clones[0].schema_fingerprint().await.unwrap();
        execute(&mut connection, change).await.unwrap();
        assert_ne!(
            clones[0].schema_fingerprint().await.unwrap(),
            before,
            "{change}"
        );
    }
    assert_eq!(clones[2].schema_fingerprint().await.unwrap(), print);
    let rows = clones[2]
        .rows("SELECT id, created_at FROM posts ORDER BY created_at DESC, id LIMIT 2;")
        .await
        .unwrap()
        .unwrap();
    let newest: Vec<&Value> = rows.iter().map(|row| &row["created_at"]).collect();
    assert_eq!(
        newest,
        [
            &json!("2025-03-25T07:56:00+00:00"),
            &json!("2025-03-25T07:52:00+00:00")
        ]
    );
    execute(&mut connection, "DROP TABLE posts").await.unwrap();
    let gone = clones[0].digest(DIGEST).await.unwrap().unwrap_err();
    assert_eq!(gone, "relation \"posts\" does not exist");
    assert!(
        clones[1]
            .rows("DELETE FROM posts RETURNING id")
            .await
            .unwrap()
            .is_err()
    );
    assert!(
        clones[1]
            .rows("SELECT 1) AS x; DROP TABLE posts; --")
            .await
            .unwrap()
            .is_err()
    );
    assert_eq!(clones[1].digest(DIGEST).await.unwrap().unwrap(), digest);
    let name = clones[0].database().to_owned();
    let started = Instant::now();
    for clone in clones {
        clone.close().await.unwrap();
    }
    eprintln!(
        "{}: 3 clones removed in {:.2?}",
        database.kind(),
        started.elapsed()
    );
    let mut admin = connect(&database.superuser_url()).await.unwrap();
    let left = "SELECT datname::text FROM pg_database UNION ALL SELECT rolname FROM pg_roles";
    assert!(
        !texts(&mut admin, left)
            .await
            .iter()
            .any(|left| left.starts_with(&name))
    );
}

pub(super) async fn a_submission_has_power_over_its_clone_only(database: &Database) {
    let (clone, other) = (
        database.clone("power").await.unwrap(),
        database.clone("other").await.unwrap(),
    );
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    for sql in [
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "COPY (SELECT 1) TO '/tmp/feedgrade-test'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_logdir()",
        "ALTER SYSTEM SET log_connections = off",
        "SET log_connections = off",
        "SET log_statement = 'none'",
        "SELECT pg_reload_conf()",
        "CREATE ROLE friend",
        "CREATE DATABASE friend",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE postgres",
        "CREATE EXTENSION dblink",
        "CREATE FUNCTION f() RETURNS void LANGUAGE c AS 'x'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    ] {
        assert!(execute(&mut connection, sql).await.is_err(), "{sql}");
    }
    for sql in [
        "CREATE EXTENSION pg_trgm",
        "CREATE SCHEMA s",
        "CREATE TEMP TABLE t ()",
    ] {
        execute(&mut connection, sql).await.unwrap();
    }
    let url = clone.env()[0].1.clone();
    let elsewhere = |name: &str| format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    for name in [
        other.database(),
        &other.database().replace("other", "template"),
    ] {
        assert!(connect(&elsewhere(name)).await.is_err(), "{name}");
    }
    if database.kind() != Kind::Url {
        assert!(connect(&elsewhere("postgres")).await.is_err());
        assert!(connect(&elsewhere("template1")).await.is_err());
    }
    clone.close().await.unwrap();
    other.close().await.unwrap();
}
