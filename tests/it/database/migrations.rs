//! Migrations, good and bad.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use feedgrade::database::{ClonedDatabase, Database};
use feedgrade::evidence::{Applied, Migrations};
use feedgrade::migration;
use feedgrade::scratch::Scratch;
use serde_json::json;

/// Where migrations are applied.
struct At {
    clone: ClonedDatabase,
    folder: PathBuf,
}

async fn at(database: &Database, scratch: &Scratch, name: &str) -> At {
    At {
        clone: database.clone(name).await.unwrap(),
        folder: scratch
            .folder(&format!("{name}-{}", database.kind()))
            .unwrap(),
    }
}

async fn apply(at: &At, name: &str, files: &[(&str, &[u8])], seconds: u64) -> Migrations {
    let folder = at.folder.join(name);
    fs::create_dir(&folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let limit = Duration::from_secs(seconds);
    migration::apply(&at.clone, &folder, limit).await.unwrap()
}

fn failed(file: &str, line: usize, statement: &str, error: &str) -> Migrations {
    Migrations::Failed {
        file: file.into(),
        line,
        statement: statement.into(),
        error: error.into(),
    }
}

pub(super) async fn good_migrations_are_applied_as_psql_would(
    database: &Database,
    scratch: &Scratch,
) {
    let at = at(database, scratch, "migrate-good").await;
    assert_eq!(
        apply(&at, "none", &[("README.md", b"no SQL")], 9).await,
        Migrations::None
    );
    let missing = PathBuf::from("/no/such/folder");
    let applied = migration::apply(&at.clone, &missing, Duration::from_secs(9))
        .await
        .unwrap();
    assert_eq!(applied, Migrations::None);
    assert_eq!(
        apply(
            &at,
            "fine",
            &[
                (
                    "2_more.sql",
                    b"\xef\xbb\xbfBEGIN;\r\nALTER TABLE posts ADD likes int;\r\nCOMMIT;\r\n"
                ),
                (
                    "1_index.sql",
                    b"-- the feed\nCREATE INDEX CONCURRENTLY i ON posts (created_at DESC)"
                ),
                (
                    "3_do.sql",
                    b"DO $$ BEGIN PERFORM 1; END $$; ;\nSET search_path = nowhere"
                ),
                (
                    "4_vacuum.sql",
                    b"VACUUM posts; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;"
                ),
            ],
            20
        )
        .await,
        Migrations::Applied {
            files: ["1_index.sql", "2_more.sql", "3_do.sql", "4_vacuum.sql"]
                .map(str::to_owned)
                .into(),
            statements: [
                (
                    "1_index.sql",
                    2,
                    "CREATE INDEX CONCURRENTLY i ON posts (created_at DESC)"
                ),
                ("2_more.sql", 1, "BEGIN"),
                ("2_more.sql", 2, "ALTER TABLE posts ADD likes int"),
                ("2_more.sql", 3, "COMMIT"),
                ("3_do.sql", 1, "DO $$ BEGIN PERFORM 1; END $$"),
                ("3_do.sql", 2, "SET search_path = nowhere"),
                ("4_vacuum.sql", 1, "VACUUM posts"),
                (
                    "4_vacuum.sql",
                    1,
                    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"
                ),
            ]
            .map(|(file, line, statement)| Applied {
                file: file.into(),
                line,
                statement: statement.into(),
            })
            .into()
        }
    );
    at.clone.close().await.unwrap();
}

pub(super) async fn bad_migrations_stop_at_their_first_error(
    database: &Database,
    scratch: &Scratch,
) {
    let at = at(database, scratch, "migrate-bad").await;
    assert_eq!(
        apply(
            &at,
            "typo",
            &[(
                "1.sql",
                b"SELECT 1;\n\nCREATE\n  INDX x;\nCREATE TABLE never ();"
            )],
            9
        )
        .await,
        failed(
            "1.sql",
            3,
            "CREATE INDX x",
            "syntax error at or near \"INDX\""
        )
    );
    let never = at.clone.rows("SELECT * FROM never").await.unwrap();
    assert_eq!(never.unwrap_err(), "relation \"never\" does not exist");
    assert!(matches!(
        apply(&at, "psql", &[("1.sql", b"SELECT 1;\n\\c postgres\n")], 9).await,
        Migrations::Failed { line: 2, error, .. } if error.contains("command of psql")
    ));
    assert!(matches!(
        apply(&at, "latin", &[("1.sql", b"SELECT 1;\n-- caf\xe9\n")], 9).await,
        Migrations::Failed { line: 2, error, .. } if error.contains("UTF-8")
    ));
    assert!(matches!(
        apply(&at, "open", &[("1.sql", b"BEGIN;\nCREATE TABLE lost ();\n")], 9).await,
        Migrations::Failed { line: 1, error, .. } if error.contains("COMMIT is missing")
    ));
    assert!(matches!(
        apply(&at, "away", &[("1.sql", b"SELECT 1;\nSELECT pg_terminate_backend(pg_backend_pid());")], 9).await,
        Migrations::Failed { line: 2, error, .. } if error.contains("terminating connection")
    ));
    assert!(matches!(
        apply(&at, "power", &[("1.sql", b"ALTER SYSTEM SET fsync = on;")], 9).await,
        Migrations::Failed { error, .. } if error.contains("permission denied")
    ));
    let started = Instant::now();
    assert_eq!(
        apply(
            &at,
            "slow",
            &[("1.sql", b"SELECT 1;\nSELECT pg_sleep(60);")],
            1
        )
        .await,
        failed(
            "1.sql",
            2,
            "SELECT pg_sleep(60)",
            "was not done when the 1 s for migrations were over"
        )
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()";
    assert_eq!(
        at.clone.rows(running).await.unwrap().unwrap(),
        [json!({"count": 0})]
    );
    at.clone.close().await.unwrap();
}
