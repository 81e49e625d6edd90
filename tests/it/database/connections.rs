//! Attempts to connect, counted.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use feedgrade::database::{ConnectionCount, Database, Kind};

use super::{DIGEST, address, connect, execute, texts};

/// Writes 50 MB into the log between two attempts.
pub(super) async fn a_long_log_is_read_to_its_end(database: &Database) {
    let clone = database.clone("long-log").await.unwrap();
    let since = database.log_position().await.unwrap();
    let from = SystemTime::now();
    drop(connect(&clone.env()[0].1).await.unwrap());
    let mut admin = connect(&database.superuser_url()).await.unwrap();
    let write =
        "DO $$ BEGIN FOR n IN 1..50000 LOOP RAISE LOG '%', repeat('x', 800); END LOOP; END $$";
    execute(&mut admin, write).await.unwrap();
    drop(connect(&clone.env()[0].1).await.unwrap());
    pause().await;
    let started = Instant::now();
    let to = SystemTime::now();
    let seen = database
        .connections(&clone, &since, from, to)
        .await
        .unwrap();
    eprintln!(
        "{}: 50 MB of log read in {:.2?}",
        database.kind(),
        started.elapsed()
    );
    assert_eq!(seen.attempts, 2);
    clone.close().await.unwrap();
}

pub(super) async fn every_attempt_to_connect_is_counted(database: &Database) {
    let clone = database.clone("count").await.unwrap();
    let url = clone.env()[0].1.clone();
    let since = database.log_position().await.unwrap();
    let count = async |from, to| {
        database
            .connections(&clone, &since, from, to)
            .await
            .unwrap()
    };
    drop(connect(&url).await.unwrap());
    pause().await;

    let from = SystemTime::now();
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(connect(&url).await.unwrap());
    }
    pause().await;
    let abandoned_from = SystemTime::now();
    assert_eq!(
        count(from, abandoned_from).await,
        ConnectionCount {
            attempts: 5,
            authorized: 5
        }
    );
    for _ in 0..7 {
        drop(TcpStream::connect(address(&url)).unwrap());
    }
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address(&url)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 64]);
    }
    for _ in 0..3 {
        assert!(connect(&url.replace(clone.role(), "nobody")).await.is_err());
    }
    let wrong = url.replace(&clone.env()[4].1, "wrong");
    assert!(connect(&wrong).await.is_err());
    pause().await;
    let refused_from = SystemTime::now();
    let seen = count(abandoned_from, refused_from).await;
    // On a shared server, roles that are not the submission's are somebody else's.
    let strangers = if database.kind() == Kind::Url { 3 } else { 0 };
    assert_eq!(
        seen,
        ConnectionCount {
            attempts: 13 - strangers,
            authorized: 0
        }
    );

    let (mut authorized, mut refused) = (0, 0);
    while refused < 4 {
        match connect(&url).await {
            Ok(connection) => {
                open.push(connection);
                authorized += 1;
            }
            Err(_) => refused += 1,
        }
        assert!(authorized < 110);
    }
    pause().await;
    // The grader's sessions are there although no connection is left, and it is not counted.
    assert!(clone.digest(DIGEST).await.unwrap().is_ok());
    let mut admin = connect(&database.superuser_url()).await.unwrap();
    assert_eq!(texts(&mut admin, "SELECT 'in'").await, ["in"]);
    let to = SystemTime::now();
    let seen = count(refused_from, to).await;
    assert_eq!(
        seen,
        ConnectionCount {
            attempts: authorized + refused,
            authorized
        }
    );
    let (later, earlier) = (Duration::from_mins(1), Duration::from_secs(30));
    assert_eq!(count(to + earlier, to + later).await.attempts, 0);
    drop(open);
    clone.close().await.unwrap();
}

/// Instants are told apart to the millisecond in the log.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
