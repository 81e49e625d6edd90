#!/usr/bin/env python3
"""Records long runs of good, bad and borderline servers, for the test that stopping early
changes no verdict (tests/it/stopping.rs, which replays tests/fixtures/recorded.jsonl).

Makes a copy of the exercises with more specimens: the reference solution with a dial, so that it is
slower than itself (it asks the database several times for one request, which costs less than several
requests do), fails a known share of its requests, evenly or in bursts, or opens a new connection for a known share of them.
Each is measured with `feedgrade exercise check --full-length`, and what the sequential tests saw goes
into the output, a line a run.

    benches/stopping.py OUT.jsonl                    three rounds of every dial
    benches/stopping.py OUT.jsonl --rounds 1 --only slower-3.0 --feedgrade target/release/feedgrade
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SLUG = "connection-pools"
# The length of a recorded run: a server by itself, and rounds of a comparison.
SECONDS, ROUNDS = 10, 8

# Tenths of a query a request (the ratio of the p99s is less: about 2.1 at 30, 3.1 at 60), failures per 10,000 requests, how many in a row, connections per 10,000.
DIALS = {
    "good": (10, 0, 1, 0),
    "slower-2.0": (20, 0, 1, 0),
    "slower-2.5": (25, 0, 1, 0),
    "slower-2.8": (28, 0, 1, 0),
    "slower-3.0": (30, 0, 1, 0),
    "slower-3.2": (32, 0, 1, 0),
    "slower-3.5": (35, 0, 1, 0),
    "slower-4.0": (40, 0, 1, 0),
    "slower-6.0": (60, 0, 1, 0),
    "slower-8.0": (80, 0, 1, 0),
    "slower-10.0": (100, 0, 1, 0),
    "fails-0.3": (10, 30, 1, 0),
    "fails-0.8": (10, 80, 1, 0),
    "fails-1.0": (10, 100, 1, 0),
    "fails-1.2": (10, 120, 1, 0),
    "fails-2.0": (10, 200, 1, 0),
    "fails-5.0": (10, 500, 1, 0),
    "bursts-0.5": (10, 50, 50, 0),
    "bursts-2.0": (10, 200, 50, 0),
    "bursts-5.0": (10, 500, 50, 0),
    "connects-1.0": (10, 0, 1, 100),
    "connects-3.0": (10, 0, 1, 300),
}

DIAL = """
    static REQUESTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = REQUESTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // Spread evenly, and the same on every run.
    let dice = |of: u64| (number / of).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    if dice({burst}) % 10_000 < {fails} {{
        return Err(ApiError::BadRequest("the dial says so".into()));
    }}
    if dice(1) % 10_000 < {connects} {{
        use sqlx::Connection as _;
        let url = std::env::var("DATABASE_URL").unwrap_or_default();
        if let Ok(connection) = sqlx::PgConnection::connect(&url).await {{
            let _ = connection.close().await;
        }}
    }}
    for _ in 1..({tenths} / 10 + u64::from(dice(1) % 10 < {tenths} % 10)) {{
        let _: Vec<FeedPost> = sqlx::query_as(FEED).fetch_all(&state.db).await?;
    }}
"""


def specimen(folder, name, dial):
    tenths, fails, burst, connects = dial
    to = folder / "reference" / SLUG / name
    shutil.copytree(ROOT / "reference" / SLUG / "solution", to)
    posts = to / "src" / "posts.rs"
    text = posts.read_text()
    head = "pub async fn feed("
    before, after = text.split(head)
    body, rest = after.split("{\n", 1)
    sql = rest.split('sqlx::query_as(\n        "', 1)[1].split('"', 1)[0]
    dialled = DIAL.format(tenths=tenths, fails=fails, burst=burst, connects=connects)
    posts.write_text(before + head + body + "{" + dialled + rest + f'\nconst FEED: &str = "{sql}";\n')
    (to / "expected.yaml").write_text(
        f"proves: The solution with a dial at {name}.\noutcome: passed\notherwise: met\n")


def content(folder, names):
    for part in ("exercises", "rubrics", "templates"):
        shutil.copytree(ROOT / part, folder / part)
    for part in ("solution", "starter-untouched"):
        shutil.copytree(ROOT / "reference" / SLUG / part, folder / "reference" / SLUG / part)
    for name in names:
        specimen(folder, name, DIALS[name])
    # The starter shows nothing here, and the reference is only needed where it is compared with.
    exercise = folder / "exercises" / SLUG / "exercise.yaml"
    text = exercise.read_text()
    text = text.replace("    servers: [starter]\n    load: {request: GET /feed, users: 100, seconds: 10, warm_up: 1}",
                        "    servers: [starter]\n    load: {request: GET /feed, users: 100, seconds: 1, warm_up: 0, timeout: 1}")
    before, stage = text.split("  - id: pooling\n")
    stage = stage.replace("servers: [reference, submission]", "servers: [submission]", 1)
    # Twice as long as it takes to be sure of a clear case, and no longer: there are many runs.
    for was, becomes in (("seconds: 20,", f"seconds: {SECONDS},"), ("seconds: 12,", f"seconds: {ROUNDS},")):
        assert was in stage
        stage = stage.replace(was, becomes, 1)
    text = before + "  - id: pooling\n" + stage
    exercise.write_text(text)


def lines(name, evidence):
    runs = {(run["stage"], run["server"]): run["run"]["ran"]["seen"]
            for run in evidence["stages"] if "ran" in run["run"]}
    for stage in ("pooling", "index"):
        seen = runs[stage, "submission"]
        windows = [[w["failed"], w["requests"]] for w in seen["load"]["seen"]["windows"]]
        yield {"server": name, "stage": stage, "share": windows, "limit": 0.01}
    legs = {server: [[leg["at"], leg["p99_ms"]] for leg in runs["index", server]["legs"]]
            for server in ("reference", "submission")}
    yield {"server": name, "stage": "index", "limit": 3.0, **legs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=DIALS)
    parser.add_argument("--feedgrade", type=Path, default=ROOT / "target" / "release" / "feedgrade")
    arguments = parser.parse_args()
    names = arguments.only or list(DIALS)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        content(folder / "content", names)
        kept = folder / "kept"
        for name in names:
            subprocess.run([arguments.feedgrade, "--content", folder / "content", "exercise", "check",
                            "--database", "local", "--full-length", "--repeat", str(arguments.rounds),
                            "--only", name, "--keep", kept], stdout=subprocess.DEVNULL, check=False)
            with arguments.out.open("a") as out:
                for path in sorted(kept.glob(f"{name}-*.json")):
                    for line in lines(name, json.loads(path.read_text())):
                        out.write(json.dumps(line, separators=(",", ":")) + "\n")


main()
