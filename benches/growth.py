#!/usr/bin/env python3
"""How `feedgrade check` of the reference solution grows with users and rows: its phases in seconds, and
the peak memory of feedgrade itself.

    benches/growth.py                          10, 100, 1,000 users; 10,000, 100,000, 1,000,000 posts
    benches/growth.py --feedgrade target/release/feedgrade
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SLUG = "connection-pools"
PHASES = ["seed the database", "stage baseline", "stage pooling: the reference",
          "stage pooling: the submission", "stage index"]


def check(feedgrade, users, posts):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for part in ("exercises", "rubrics", "templates", "reference"):
            shutil.copytree(ROOT / part, folder / part)
        exercise = folder / "exercises" / SLUG / "exercise.yaml"
        text = exercise.read_text().replace("users: 100,", f"users: {users},")
        exercise.write_text(text.replace("id <= 30000", f"id <= {posts}"))
        seed = folder / "exercises" / SLUG / "starter" / "db" / "seed.sql"
        text = seed.read_text().replace("30000", str(posts)).replace("29999", str(posts - 1))
        text = text.replace("n * 7919", "n::bigint * 7919")
        seed.write_text(text)
        process = subprocess.Popen(
            [feedgrade, "--content", folder, "check", folder / "reference" / SLUG / "solution",
             "--database", "local", "--out", folder / "out"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # The kernel's figure for ended processes holds the compilers' memory, too.
        peak, told = 0, b""
        os.set_blocking(process.stderr.fileno(), False)
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            peak = max([peak] + [int(kib) for kib in peaks])
            told += process.stderr.read() or b""
            time.sleep(0.2)
        told = (told + (process.stderr.read() or b"")).decode()
        code = process.returncode
        report = folder / "out" / "report.json"
        if not report.exists():
            return f"exit {code}: {told.strip().splitlines()[-1]}"
        report = json.loads(report.read_text())
        took = [sum(p["seconds"] for p in report["phases"] if p["name"].startswith(name)) for name in PHASES]
        p99 = [stage["latency_ms"]["p99"] for stage in report["stages"] if stage["server"] == "submission"]
        return ("".join(f"{seconds:>9.1f}" for seconds in took)
                + f"{sum(p['seconds'] for p in report['phases']):>9.1f}{peak / 1024:>9.0f}"
                + f"   {report['outcome']}, {report['points']} points, p99 "
                + ", ".join(f"{ms:.0f} ms" for ms in p99))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feedgrade", type=Path, default=ROOT / "target" / "release" / "feedgrade")
    feedgrade = parser.parse_args().feedgrade.resolve()
    print(f"{'users':>7}{'posts':>11}" + "".join(
        f"{head:>9}" for head in ("seed", "base", "pool ref", "pool sub", "index", "all", "MiB")))
    for users, posts in ((10, 30000), (100, 30000), (1000, 30000), (100, 10000), (100, 100000), (100, 1000000)):
        print(f"{users:>7,}{posts:>11,}{check(feedgrade, users, posts)}", flush=True)


main()
