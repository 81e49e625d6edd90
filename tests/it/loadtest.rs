//! `feedgrade loadtest` as it is typed.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

use crate::counting_server::{Reply, Server, ok};

fn loadtest() -> Command {
    let mut command = Command::cargo_bin("feedgrade").unwrap();
    command.arg("loadtest");
    command
}

/// `arguments` are refused before anything is sent, with a sentence that has these words.
fn assert_refused(arguments: &[&str], words: &str) {
    loadtest()
        .args(arguments)
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains(words));
}

#[test]
fn a_load_test_tells_its_figures_and_writes_them() {
    let server = Server::always(Reply::Send(ok("hello")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("load.json");
    loadtest()
        .arg(format!("http://{}/feed", server.address))
        .args(["-c", "5", "-n", "123", "--write"])
        .arg(format!("json={}", file.display()))
        .assert()
        .success()
        .stdout(contains("requests         123").and(contains("latency   mean ")));
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(written["requests"], 123);
    assert_eq!(written["failed"], 0);
    assert_eq!(written["success_rate"], 1.0);
    assert_eq!(written["users"], 5);
    assert!(written["requests_per_second"].as_f64().unwrap() > 0.0);
    for figure in ["mean", "p50", "p90", "p99", "max"] {
        assert!(written["latency_ms"][figure].as_f64().unwrap() > 0.0);
    }
    assert!(written["errors"].as_object().unwrap().is_empty());
    assert_eq!(server.received(), 123);
}

#[test]
fn json_on_stdout_stands_alone() {
    let server = Server::always(Reply::Send(ok("hello")));
    let output = loadtest()
        .arg(format!("{}", server.address))
        .args(["-c", "1", "-n", "7", "--write", "json=-"])
        .output()
        .unwrap();
    let written: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(written["requests"], 7);
}

#[test]
fn a_broken_limit_exits_with_1_and_says_which() {
    let busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec();
    let server = Server::always(Reply::Send(busy));
    let url = format!("http://{}/", server.address);
    loadtest()
        .args([&url, "-c", "2", "-n", "10", "--fail-on", "success<99%"])
        .args(["--fail-on", "max>1h"])
        .assert()
        .code(1)
        .stdout(contains("status 503"))
        .stderr(contains("success<99%").and(contains("max>1h").not()));
    loadtest()
        .args([&url, "-c", "2", "-n", "10", "--fail-on", "failed>10"])
        .assert()
        .success();
}

#[test]
fn method_headers_body_and_targets_reach_the_server() {
    let server = Server::start(|head, _| {
        let json = head.contains("\r\nContent-Type: application/json\r\n");
        let fine = head.starts_with("POST /posts HTTP/1.1\r\n")
            && head.contains("\r\nX-Class: 7b\r\n")
            && head.contains("\r\nContent-Length: 13\r\n")
            && json;
        if fine || (head.starts_with("GET /feed ") && !json) {
            Reply::Send(ok("hello"))
        } else {
            Reply::Send(b"HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n".to_vec())
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("post.json");
    std::fs::write(&body, "{\"user_id\": 1}".trim_end()).unwrap();
    loadtest()
        .arg(format!("http://{}/posts", server.address))
        .args([
            "-c",
            "2",
            "-n",
            "10",
            "-H",
            "X-Class: 7b",
            "--fail-on",
            "failed>0",
            "-b",
        ])
        .arg("{\"user_id\":1}")
        .assert()
        .success();
    std::fs::write(&body, "{\"user_id\":1}").unwrap();
    loadtest()
        .arg(format!("http://{}", server.address))
        .args([
            "-c",
            "2",
            "-n",
            "100",
            "-H",
            "X-Class: 7b",
            "--fail-on",
            "failed>0",
        ])
        .args(["--target", "9 GET /feed", "--target"])
        .arg(format!("POST /posts @{}", body.display()))
        .assert()
        .success()
        .stdout(contains("90 requests").and(contains("10 requests")));
    assert_eq!(server.received(), 110);
}

#[test]
fn what_cannot_be_run_is_refused_with_the_way_out() {
    let server = Server::always(Reply::Send(ok("hello")));
    let url = format!("http://{}", server.address);
    let url = url.as_str();
    assert_refused(&["https://127.0.0.1/feed"], "only http:// is spoken here");
    assert_refused(&["http://"], "write it like http://127.0.0.1:3000/feed");
    assert_refused(&[url, "-d", "soon"], "write 30s, 500ms");
    assert_refused(&[url, "-d", "0s"], "longer than nothing");
    assert_refused(&[url, "-c", "0"], "1..=100000");
    assert_refused(&[url, "-r", "fast"], "write requests a second");
    assert_refused(&[url, "-H", "nothing"], "write 'Name: value'");
    assert_refused(&[url, "-H", "Connection: close"], "leave it out");
    assert_refused(&[url, "-X", "GE T"], "write one word like GET");
    assert_refused(
        &[url, "-b", "@/no/such/file"],
        "cannot read the body /no/such/file",
    );
    assert_refused(&[url, "--target", "feed"], "9 GET /feed");
    assert_refused(
        &[&format!("{url}/feed"), "--target", "GET /"],
        "put /feed into a --target",
    );
    assert_refused(&[url, "--fail-on", "p98>1s"], "p99>200ms");
    assert_refused(&[url, "--write", "html=x"], "write json=PATH");
    assert_refused(
        &[url, "--write", "json=/no/such/folder/x"],
        "/no/such/folder/x",
    );
    assert_eq!(server.received(), 0);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_refused(&[&nobody.to_string()], "start the server first");
}
