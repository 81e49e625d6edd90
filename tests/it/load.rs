//! The load generator against servers that count, and against servers that misbehave. Nothing here
//! looks at how long anything took.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use feedgrade::evidence::Load;
use feedgrade::load::{self, BodyCheck, LoadPlan, LoadRun, Pace, Reach, Target};

use crate::counting_server::{Reply, Server, ok};

fn target(method: &str, path: &str) -> Target {
    Target {
        method: method.into(),
        path: path.into(),
        headers: Vec::new(),
        body: Vec::new(),
        weight: 1,
    }
}

/// So many requests of four users.
fn requests(address: SocketAddr, count: u64) -> LoadPlan {
    LoadPlan {
        address,
        reach: Reach::ThisMachine,
        host: address.to_string(),
        targets: vec![target("GET", "/feed")],
        pace: Pace::Users(4),
        warm_up: Duration::ZERO,
        duration: Duration::from_mins(1),
        max_requests: Some(count),
        window: Duration::from_secs(1),
        timeout: Duration::from_secs(30),
        body_check: None,
        threads: None,
        cores: Vec::new(),
    }
}

fn run(plan: LoadPlan) -> LoadRun {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(load::run(plan, |_| ControlFlow::Continue(())))
        .unwrap()
}

fn errors(load: &Load) -> Vec<(&str, u64)> {
    load.errors
        .iter()
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect()
}

/// Every one of 20 requests to such a server fails in the same way.
fn assert_fails(reply: Reply, kind: &str) {
    let server = Server::always(reply);
    let load = run(requests(server.address, 20)).load;
    assert_eq!((load.requests, load.failed), (20, 20), "{load:?}");
    assert_eq!(errors(&load), [(kind, 20)]);
    assert_eq!(server.received(), 20);
    assert!(load.success_rate.abs() < f64::EPSILON);
}

/// Every one of 20 requests to such a server succeeds.
fn assert_succeeds(reply: Reply) -> Load {
    let server = Server::always(reply);
    let load = run(requests(server.address, 20)).load;
    assert_eq!((load.requests, load.failed), (20, 0), "{load:?}");
    assert_eq!(server.received(), 20);
    load
}

#[test]
fn a_number_of_requests_is_sent_exactly() {
    let server = Server::always(Reply::Send(ok("hello")));
    for threads in [1, 3] {
        let before = server.received();
        let mut plan = requests(server.address, 1003);
        plan.pace = Pace::Users(7);
        plan.threads = Some(threads);
        let load = run(plan).load;
        assert_eq!(server.received() - before, 1003);
        assert_eq!((load.requests, load.failed), (1003, 0));
        assert_eq!(load.reconnects, 0);
        assert_eq!(
            load.histogram.iter().map(|step| step.count).sum::<u64>(),
            1003
        );
        assert_eq!(
            load.per_second.iter().map(|s| s.requests).sum::<u64>(),
            1003
        );
        assert_eq!(load.generator.threads as usize, threads);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 14);
}

#[test]
fn in_a_time_all_that_was_asked_counts() {
    let server = Server::always(Reply::Send(ok("hello")));
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.duration = Duration::from_millis(300);
    let run = run(plan);
    let load = run.load;
    assert!(load.requests > 0);
    assert!((load.seconds - 0.3).abs() < 1e-9, "{}", load.seconds);
    let received = server.received();
    assert_eq!(received, load.requests);
    let in_chart: u64 = load.per_second.iter().map(|s| s.requests).sum();
    assert_eq!(in_chart, load.requests);
    let measured = run
        .measured_until
        .duration_since(run.measured_from)
        .unwrap();
    assert!(measured >= Duration::from_millis(300), "{measured:?}");
}

#[test]
fn an_answer_that_comes_when_the_time_is_over_counts_with_all_its_latency() {
    // Every answer but the first ten waits for the end of the measured time.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_, number| {
        if number == 10 {
            // Its end is as good as a message.
            let _ = held.lock().unwrap().recv();
        }
        Reply::Send(ok("hello"))
    });
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.duration = Duration::from_millis(300);
    plan.window = Duration::from_millis(100);
    let mut release = Some(release);
    let load = load::run(plan, |progress| {
        if progress.elapsed >= progress.total {
            release = None;
        }
        ControlFlow::Continue(())
    });
    let load = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(load)
        .unwrap()
        .load;
    assert!((11..=14).contains(&load.requests), "{load:?}");
    assert_eq!((load.failed, load.starved), (0, 0));
    assert!(load.latency_ms.max >= 200.0, "{load:?}");
    let in_windows: u64 = load.windows.iter().map(|window| window.requests).sum();
    assert_eq!((in_windows, load.windows.len()), (load.requests, 3));
    // Whenever they were answered: nobody asked in the last of them.
    assert_eq!(load.windows[2].requests, 0, "{load:?}");
}

#[test]
fn the_warm_up_is_left_out() {
    let server = Server::always(Reply::Send(ok("hello")));
    let mut plan = requests(server.address, 50);
    plan.warm_up = Duration::from_millis(100);
    let load = run(plan).load;
    assert_eq!(load.requests, 50);
    assert!(server.received() > 50);
}

#[test]
fn an_open_loop_sends_what_is_due_and_counts_what_is_due_after_the_warm_up() {
    for threads in [1, 2] {
        let server = Server::always(Reply::Send(ok("hello")));
        let mut plan = requests(server.address, 1);
        plan.max_requests = None;
        plan.pace = Pace::Rate {
            per_second: 200.0,
            connections: 4,
        };
        plan.warm_up = Duration::from_millis(100);
        plan.duration = Duration::from_millis(500);
        plan.threads = Some(threads);
        let load = run(plan).load;
        assert_eq!((load.requests, load.failed), (100, 0));
        assert_eq!(server.received(), 120);
        let open_loop = load.open_loop.unwrap();
        assert!(open_loop.lag_ms.max <= load.latency_ms.max);
    }
}

#[test]
fn a_stalled_server_cannot_hide_from_an_open_loop() {
    // Answers ten times and then never again: only one connection, so the rest never gets sent.
    let server = Server::start(|_, number| {
        if number < 10 {
            Reply::Send(ok("hello"))
        } else {
            Reply::Silence
        }
    });
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.pace = Pace::Rate {
        per_second: 200.0,
        connections: 1,
    };
    plan.duration = Duration::from_millis(400);
    plan.timeout = Duration::from_millis(250);
    let load = run(plan).load;
    assert_eq!(load.requests, 80);
    assert!(load.failed >= 70, "{load:?}");
    assert_eq!(errors(&load), [("timed out", load.failed)]);
    assert!(load.latency_ms.p50 >= 250.0, "{load:?}");
}

#[test]
fn each_target_gets_its_share_and_its_figures() {
    let server = Server::start(|head, _| match head.split_whitespace().nth(1) {
        Some("/feed") => Reply::Send(ok("hello")),
        _ => Reply::Send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
    });
    let mut plan = requests(server.address, 100);
    plan.targets[0].weight = 9;
    plan.targets.push(Target {
        body: b"{\"content\": \"x\"}".to_vec(),
        ..target("POST", "/nowhere")
    });
    let load = run(plan).load;
    let seen: Vec<(&str, u64, u64)> = load
        .targets
        .iter()
        .map(|target| (target.request.as_str(), target.requests, target.failed))
        .collect();
    assert_eq!(seen, [("GET /feed", 90, 0), ("POST /nowhere", 10, 10)]);
    assert_eq!(errors(&load), [("status 404", 10)]);
}

#[test]
fn any_status_but_2xx_is_a_failure() {
    for status in [302, 429, 500, 503] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nno");
        assert_fails(
            Reply::Send(answer.into_bytes()),
            &format!("status {status}"),
        );
    }
    assert_succeeds(Reply::Send(b"HTTP/1.1 204 x\r\n\r\n".to_vec()));
}

#[test]
fn nobody_listening_is_refused() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let load = run(requests(address, 20)).load;
    assert_eq!(errors(&load), [("refused", 20)]);
    assert_eq!(load.reconnects, 0);
}

#[test]
fn a_thrown_away_connection_is_reset() {
    assert_fails(Reply::Reset, "reset");
}

#[test]
fn half_an_answer_is_closed_early() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel".to_vec();
    assert_fails(Reply::SendAndClose(half), "closed early");
    assert_fails(Reply::SendAndClose(Vec::new()), "closed early");
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    assert_fails(Reply::SendAndClose(chunk), "closed early");
}

#[test]
fn more_than_announced_and_garbage_are_bad_answers() {
    let more = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello".to_vec();
    assert_fails(Reply::Send(more), "bad answer");
    assert_fails(
        Reply::Send(b"\x00\x01\x02 garbage\r\n\r\n".to_vec()),
        "bad answer",
    );
    assert_fails(Reply::SendAndClose(b"hello?\n".to_vec()), "bad answer");
}

#[test]
fn no_answer_in_time_is_timed_out_and_its_connection_is_given_up() {
    let server = Server::always(Reply::Silence);
    let mut plan = requests(server.address, 8);
    plan.timeout = Duration::from_millis(50);
    let load = run(plan).load;
    assert_eq!(errors(&load), [("timed out", 8)]);
    assert_eq!(load.reconnects, 4);
    assert!(load.latency_ms.p50 >= 50.0, "{load:?}");
}

#[test]
fn a_server_that_never_answers_gives_finite_figures() {
    let server = Server::always(Reply::Silence);
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.duration = Duration::from_millis(100);
    plan.timeout = Duration::from_millis(300);
    let load = run(plan).load;
    // They are seen to their end, which is a bad one.
    assert_eq!((load.requests, load.failed), (4, 4));
    for figure in [load.success_rate, load.requests_per_second] {
        assert!(figure.abs() < f64::EPSILON, "{load:?}");
    }
    for figure in [load.latency_ms.mean, load.per_second[0].p99] {
        assert!(figure.is_finite(), "{load:?}");
    }
}

#[test]
fn answers_in_any_shape_are_read_to_their_end() {
    assert_succeeds(Reply::Trickle(ok("hello")));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_succeeds(Reply::Trickle(chunked.to_vec()));
    assert_succeeds(Reply::Send(chunked.to_vec()));
    let mut interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    interim.extend(ok("hello"));
    assert_succeeds(Reply::Send(interim));
    let huge = format!(
        "HTTP/1.1 200 OK\r\nX-Large: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(50_000)
    );
    assert_succeeds(Reply::Send(huge.into_bytes()));
    assert_succeeds(Reply::Send(ok(&"x".repeat(1_000_000))));
}

#[test]
fn connections_that_the_server_ends_are_opened_again_and_counted() {
    let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let load = assert_succeeds(Reply::SendAndClose(close));
    assert_eq!(load.reconnects, 16);
    let until_close = b"HTTP/1.1 200 OK\r\n\r\nok".to_vec();
    let load = assert_succeeds(Reply::SendAndClose(until_close));
    assert_eq!(load.reconnects, 16);
}

#[test]
fn a_connection_that_ends_without_a_word_is_never_retried_in_silence() {
    let server = Server::always(Reply::SendAndClose(ok("hello")));
    let load = run(requests(server.address, 40)).load;
    assert_eq!(load.requests, 40);
    // Whether the next request was out before the end was seen is a matter of microseconds; both
    // show, as failures or as reconnects.
    assert!(load.reconnects >= 36 - load.failed.min(36), "{load:?}");
    assert_eq!(server.received(), 40 - load.failed);
}

#[test]
fn a_sample_of_the_bodies_is_checked() {
    let server = Server::start(|_, number| {
        Reply::Send(ok(if number.is_multiple_of(2) {
            "[1]"
        } else {
            "[]"
        }))
    });
    let looked_at = |every: u32, count: u64| {
        let looked = Arc::new(AtomicU64::new(0));
        let counter = looked.clone();
        let mut plan = requests(server.address, count);
        plan.body_check = Some(BodyCheck {
            every,
            holds: Arc::new(move |body| {
                counter.fetch_add(1, Ordering::SeqCst);
                body == b"[1]"
            }),
        });
        (run(plan).load, looked.load(Ordering::SeqCst))
    };
    let (load, looked) = looked_at(1, 20);
    assert_eq!(looked, 20);
    assert_eq!(errors(&load), [("bad body", 10)]);
    // About a thousand, and which ones cannot be foreseen.
    let (load, looked) = looked_at(3, 3_000);
    assert!((800..1_200).contains(&looked), "{looked}");
    assert!((300..700).contains(&load.failed), "{load:?}");
}

#[test]
fn a_dropped_load_stops_and_leaves_no_connection() {
    let server = Server::always(Reply::Send(ok("hello")));
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let load = load::run(plan, |_| ControlFlow::Continue(()));
            let enough = async {
                while server.received() < 100 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { _ = load => panic!("ended by itself"), () = enough => {} }
        });
    // The server needs a moment to see the ends.
    while server.open.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let received = server.received();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.received(), received);
}

#[test]
fn progress_is_told_for_warm_up_and_measured_seconds() {
    let server = Server::always(Reply::Send(ok("hello")));
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.warm_up = Duration::from_millis(200);
    plan.duration = Duration::from_millis(1200);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = seen.clone();
    let run = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(load::run(plan, move |progress| {
            told.lock().unwrap().push(*progress);
            ControlFlow::Continue(())
        }))
        .unwrap();
    let seen = seen.lock().unwrap();
    let warm_up: Vec<bool> = seen.iter().map(|progress| progress.warm_up).collect();
    assert_eq!(warm_up[..3], [true, false, false]);
    // Up to four were under way when the time was over.
    let late = run.load.requests - seen[2].requests;
    assert!(late <= 4, "{late}");
    assert_eq!(run.load.per_second.len(), 2);
}

#[test]
fn a_request_that_hangs_is_a_failure_however_short_the_load() {
    // Every third request never gets an answer.
    let server = Server::start(|_, number| match number % 3 {
        2 => Reply::Silence,
        _ => Reply::Send(ok("hello")),
    });
    for breaks_off in [false, true] {
        let mut plan = requests(server.address, 1);
        plan.max_requests = None;
        plan.duration = Duration::from_millis(200);
        plan.window = Duration::from_millis(100);
        plan.timeout = Duration::from_millis(500);
        let load = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(load::run(plan, |_| {
                if breaks_off {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }))
            .unwrap()
            .load;
        assert_eq!(errors(&load), [("timed out", 4)], "{load:?}");
        assert_eq!(load.failed, 4);
    }
}

#[test]
fn a_load_that_is_broken_off_ends_with_that_window() {
    let server = Server::always(Reply::Send(ok("hello")));
    let mut plan = requests(server.address, 1);
    plan.max_requests = None;
    plan.window = Duration::from_millis(50);
    let mut windows = 0;
    let run = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(load::run(plan, |_| {
            windows += 1;
            if windows == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }))
        .unwrap();
    assert_eq!((run.load.seconds, run.load.windows.len()), (0.15, 3));
    let counted: u64 = run.load.windows.iter().map(|window| window.requests).sum();
    assert_eq!(run.load.requests, counted);
    assert_eq!(run.load.per_second.len(), 1);
    // Several stretches are one load.
    let joined = load::join(vec![run.clone(), run.clone()]).unwrap();
    assert_eq!(joined.requests, 2 * counted);
    assert_eq!((joined.seconds, joined.windows.len()), (0.3, 6));
    assert_eq!(joined.latency_ms, run.load.latency_ms);
}

#[test]
fn a_plan_that_leaves_this_machine_is_an_error() {
    let plan = requests(([192, 0, 2, 1], 80).into(), 1);
    let error = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(load::run(plan, |_| ControlFlow::Continue(())))
        .unwrap_err();
    assert!(
        error.to_string().contains("only go to this machine"),
        "{error}"
    );
}
