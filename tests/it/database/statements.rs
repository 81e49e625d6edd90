//! Statements that a server sends, their parameters and plans.

use std::time::Instant;

use feedgrade::database::Database;
use feedgrade::evidence::{PlanSeen, StatementSeen};
use feedgrade::query_plan::QueryPlan;

use super::{DIGEST, connect, execute};

const FEED: &str = "SELECT p.*, u.name FROM posts p JOIN users u ON u.id = p.user_id \
                    ORDER BY p.created_at DESC LIMIT $1";

pub(super) async fn statements_are_seen_with_their_parameters(database: &Database) {
    let clone = database.clone("capture").await.unwrap();
    let url = clone.env()[0].1.clone();
    // As in a server: the connection is open before the capture begins.
    let mut connection = connect(&url).await.unwrap();
    execute(&mut connection, "SELECT 'before', count(*) FROM posts")
        .await
        .unwrap();
    let mut other = connect(&database.superuser_url()).await.unwrap();
    let digest = clone.digest(DIGEST).await.unwrap().unwrap();

    let started = Instant::now();
    let capture = clone.capture().await.unwrap();
    for _ in 0..3 {
        let rows = sqlx::query(FEED)
            .bind(20_i64)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(rows.len(), 20);
    }
    sqlx::query("SELECT id FROM posts WHERE content = $1 OR content = $2 OR id = $3")
        .bind("it's; -- \\ $1 = ''")
        .bind(None::<String>)
        .bind(7_i64)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    execute(
        &mut connection,
        "BEGIN; DELETE FROM posts WHERE id = 1; SELECT 1; ROLLBACK",
    )
    .await
    .unwrap();
    execute(&mut connection, "SELECT count(*) FROM users")
        .await
        .unwrap();
    execute(&mut other, "SELECT 'posts'").await.unwrap();
    assert!(
        execute(&mut connection, "SELECT no_such_column FROM posts")
            .await
            .is_err()
    );
    let seen = capture.finish("posts").await.unwrap();
    eprintln!(
        "{}: captured and explained in {:.2?}",
        database.kind(),
        started.elapsed()
    );
    execute(&mut connection, "SELECT 'after', count(*) FROM posts")
        .await
        .unwrap();

    let sql: Vec<(&str, u32)> = seen.iter().map(|s| (s.sql.as_str(), s.times)).collect();
    assert_eq!(
        sql,
        [
            (FEED, 3),
            (
                "SELECT id FROM posts WHERE content = $1 OR content = $2 OR id = $3",
                1
            ),
            ("DELETE FROM posts WHERE id = 1", 1),
            ("SELECT no_such_column FROM posts", 1),
        ]
    );
    assert_eq!(seen[0].parameters, [Some("20".to_owned())]);
    assert_eq!(
        seen[1].parameters,
        [
            Some("it's; -- \\ $1 = ''".to_owned()),
            None,
            Some("7".to_owned())
        ]
    );
    let feed = plan(&seen[0]);
    assert!(feed.root.reads("posts") && feed.root.reads("users"));
    assert!((feed.root.actual_rows - 20.0).abs() < 0.1);
    assert!(feed.nodes().iter().any(|node| node.is_sort()));
    assert_eq!(plan(&seen[2]).root.node_type, "ModifyTable");
    assert_eq!(
        seen[3].plan,
        PlanSeen::Refused("column \"no_such_column\" does not exist".into())
    );
    assert_eq!(
        clone.digest(DIGEST).await.unwrap().unwrap(),
        digest,
        "explaining changes nothing"
    );
    clone.close().await.unwrap();
}

pub(super) async fn an_index_shows_in_the_plan(database: &Database) {
    let clone = database.clone("index").await.unwrap();
    let mut connection = connect(&clone.env()[0].1).await.unwrap();
    execute(&mut connection, "CREATE INDEX ON posts (created_at DESC)")
        .await
        .unwrap();
    clone.settle().await.unwrap().unwrap();
    let capture = clone.capture().await.unwrap();
    sqlx::query(FEED)
        .bind(20_i64)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let seen = capture.finish("posts").await.unwrap();
    assert_eq!(seen.len(), 1, "a capture starts afresh");
    assert!(
        plan(&seen[0])
            .nodes()
            .iter()
            .any(|node| node.is_ordered_index_scan())
    );
    clone.close().await.unwrap();
}

pub(super) fn plan(seen: &StatementSeen) -> &QueryPlan {
    match &seen.plan {
        PlanSeen::Explained(plan) => plan,
        PlanSeen::Refused(why) => panic!("{}: {why}", seen.sql),
    }
}
