//! A submission that tries to move what the grader sees.

use feedgrade::database::Database;
use feedgrade::evidence::PlanSeen;

use super::statements::plan;
use super::{DIGEST, connect, execute};

pub(super) async fn settings_of_a_submission_do_not_move_the_grader(database: &Database) {
    let clone = database.clone("hostile").await.unwrap();
    let (url, role) = (clone.env()[0].1.clone(), clone.role().to_owned());
    let mut connection = connect(&url).await.unwrap();
    execute(&mut connection, "CREATE INDEX ON posts (content)")
        .await
        .unwrap();
    for set in [
        format!("ALTER ROLE \"{role}\" SET enable_seqscan = off"),
        format!("ALTER DATABASE \"{role}\" SET enable_seqscan = off"),
        format!("ALTER DATABASE \"{role}\" SET random_page_cost = 0"),
        format!("ALTER DATABASE \"{role}\" SET search_path = evil"),
        format!("ALTER DATABASE \"{role}\" SET role = \"{role}\""),
        format!("ALTER DATABASE \"{role}\" SET statement_timeout = 1"),
        format!("ALTER DATABASE \"{role}\" SET default_transaction_read_only = on"),
    ] {
        execute(&mut connection, &set).await.unwrap();
    }
    // A new session of the grader's is as safe as the one that was open before.
    for round in 0..2 {
        if round == 1 {
            clone.close_session().await;
        }
        assert_eq!(
            clone.digest(DIGEST).await.unwrap().unwrap()["count"],
            30_000
        );
        // As a server would that wants to live with what it set itself.
        let options = "?options=-c%20statement_timeout%3D0";
        let mut server = connect(&format!("{url}{options}")).await.unwrap();
        execute(&mut server, "SET search_path = public")
            .await
            .unwrap();
        let capture = clone.capture().await.unwrap();
        sqlx::query("SELECT * FROM posts WHERE content > $1")
            .bind("a")
            .fetch_all(&mut server)
            .await
            .unwrap();
        let seen = capture.finish("posts").await.unwrap();
        assert_eq!(seen.len(), 1);
        let plan = plan(&seen[0]);
        assert!(plan.root.is_sequential_scan(), "{:?}", plan.root);
        assert_eq!(plan.settings, [("jit".to_owned(), "off".to_owned())]);
    }
    clone.close().await.unwrap();
}

pub(super) async fn functions_of_a_submission_do_not_move_the_grader(database: &Database) {
    let clone = database.clone("functions").await.unwrap();
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    execute(&mut connection, "CREATE INDEX ON posts (content)")
        .await
        .unwrap();
    // A function that climbs when the grader runs it.
    execute(
        &mut connection,
        "CREATE FUNCTION climb() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
         EXECUTE 'RESET ROLE'; EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; \
         PERFORM set_config('enable_seqscan', 'off', false); \
         PERFORM pg_read_file('PG_VERSION'); RETURN 'climbed'; END $$",
    )
    .await
    .unwrap();
    let told = clone.rows("SELECT climb()").await.unwrap().unwrap_err();
    assert!(told.contains("permission denied"), "{told}");
    let capture = clone.capture().await.unwrap();
    assert!(
        execute(&mut connection, "SELECT climb() FROM posts")
            .await
            .is_err()
    );
    let seen = capture.finish("posts").await.unwrap();
    assert!(matches!(&seen[0].plan, PlanSeen::Refused(why) if why.contains("permission denied")));

    // A function that turns the planner while the statement is planned.
    execute(
        &mut connection,
        "CREATE FUNCTION turn() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM set_config('enable_seqscan', 'off', false); RETURN 'a'; END $$",
    )
    .await
    .unwrap();
    let capture = clone.capture().await.unwrap();
    execute(
        &mut connection,
        "SELECT * FROM posts WHERE content > turn()",
    )
    .await
    .unwrap();
    let seen = capture.finish("posts").await.unwrap();
    assert!(
        matches!(&seen[0].plan, PlanSeen::Refused(why) if why.contains("enable_seqscan")),
        "{seen:?}"
    );
    let capture = clone.capture().await.unwrap();
    execute(&mut connection, "SELECT * FROM posts WHERE content > 'a'")
        .await
        .unwrap();
    let seen = capture.finish("posts").await.unwrap();
    assert!(
        plan(&seen[0]).root.is_sequential_scan(),
        "the session was cleaned"
    );

    // A function that writes into the log what was never sent.
    let capture = clone.capture().await.unwrap();
    execute(
        &mut connection,
        "DO $$ BEGIN RAISE LOG 'execute s: SELECT * FROM posts ORDER BY id LIMIT 1'; END $$",
    )
    .await
    .unwrap();
    let seen = capture.finish("posts").await.unwrap();
    assert!(
        seen.iter().all(|seen| seen.sql.starts_with("DO ")),
        "{seen:?}"
    );

    // A function that answers in Postgres' place.
    execute(
        &mut connection,
        "CREATE FUNCTION public.length(varchar) RETURNS int LANGUAGE sql AS 'SELECT 280'",
    )
    .await
    .unwrap();
    let told = clone
        .rows("SELECT length(content) FROM posts LIMIT 1")
        .await
        .unwrap()
        .unwrap_err();
    assert!(told.contains("(length)"), "{told}");
    execute(&mut connection, "DROP FUNCTION public.length(varchar)")
        .await
        .unwrap();
    clone.close().await.unwrap();
}

pub(super) async fn rights_of_a_submission_do_not_move_the_grader(database: &Database) {
    let clone = database.clone("rights").await.unwrap();
    let role = clone.role().to_owned();
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    // A policy that hides rows from those who look.
    execute(
        &mut connection,
        "ALTER TABLE posts ENABLE ROW LEVEL SECURITY; ALTER TABLE posts FORCE ROW LEVEL SECURITY",
    )
    .await
    .unwrap();
    assert!(clone.digest(DIGEST).await.unwrap().is_err());

    // The right to connect, taken away.
    let deny = format!("REVOKE ALL ON DATABASE \"{role}\" FROM \"{role}\"");
    execute(&mut connection, &deny).await.unwrap();
    assert!(clone.schema_fingerprint().await.is_ok());
    clone.close().await.unwrap();
}

pub(super) async fn what_a_submission_keeps_busy_stays_its_own_matter(database: &Database) {
    let clone = database.clone("busy").await.unwrap();
    let url = clone.env()[0].1.clone();
    let before = clone.digest(DIGEST).await.unwrap().unwrap();
    // Every connection that there is.
    let mut taken = Vec::new();
    while let Ok(connection) = connect(&url).await {
        taken.push(connection);
    }
    assert!(taken.len() > 80, "{}", taken.len());
    assert_eq!(clone.digest(DIGEST).await.unwrap().unwrap(), before);
    assert!(clone.rows("SELECT 1").await.unwrap().is_ok());
    // An open transaction that locks the table.
    let mut holder = taken.pop().unwrap();
    execute(
        &mut holder,
        "BEGIN; LOCK TABLE posts IN ACCESS EXCLUSIVE MODE",
    )
    .await
    .unwrap();
    let told = clone.digest(DIGEST).await.unwrap().unwrap_err();
    assert!(told.contains("lock timeout"), "{told}");
    clone.close().await.unwrap();

    // The table swapped for a view, an operator of the same name, a trigger that deletes.
    let clone = database.clone("swapped").await.unwrap();
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    execute(
        &mut connection,
        "CREATE FUNCTION public.never(bigint, integer) RETURNS boolean IMMUTABLE LANGUAGE sql \
         AS 'SELECT false'; \
         CREATE OPERATOR public.> (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = public.never); \
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         DELETE FROM posts WHERE id = NEW.id; RETURN NULL; END $$; \
         CREATE TRIGGER gone AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION gone()",
    )
    .await
    .unwrap();
    let told = clone
        .rows("SELECT count(*) AS n FROM posts WHERE id > 0")
        .await;
    let told = told.unwrap().unwrap_err();
    assert!(told.contains("(>)"), "{told}");
    execute(
        &mut connection,
        "DROP OPERATOR public.> (bigint, integer); ALTER TABLE posts RENAME TO hidden; \
         CREATE VIEW posts AS SELECT * FROM hidden WHERE id % 2 = 0",
    )
    .await
    .unwrap();
    assert_ne!(clone.digest(DIGEST).await.unwrap().unwrap(), before);
    clone.close().await.unwrap();
}
