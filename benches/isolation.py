#!/usr/bin/env python3
"""What confinement costs: `feedgrade check` of the reference solution with `--isolation auto` and
`none` in turn; medians, and their ratio.

    benches/isolation.py --rounds 5 --feedgrade target/release/feedgrade
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def check(feedgrade, isolation):
    """One run's figures by name."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [feedgrade, "check", ROOT / "reference/connection-pools/solution", "--database", "local",
             "--isolation", isolation, "--exit-zero", "--out", out],
            check=True, capture_output=True)
        evidence = json.loads((Path(out) / "evidence.json").read_text())
    stages = [s["run"]["ran"]["seen"]["load"]["seen"] for s in evidence["stages"]
              if s["server"] == "submission" and s["stage"] == "index"]
    load = stages[0]
    return {
        "build, s": evidence["build"]["seconds"],
        "ready after, s": evidence["api"]["ran"]["ready_after"],
        "requests a second": load["requests_per_second"],
        "p50, ms": load["latency_ms"]["p50"],
        "p99, ms": load["latency_ms"]["p99"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feedgrade", default=ROOT / "target/release/feedgrade")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    seen = {"auto": [], "none": []}
    # The first pair fills the caches and counts for nothing.
    for number in range(arguments.rounds + 1):
        for isolation, runs in seen.items():
            figures = check(arguments.feedgrade, isolation)
            if number > 0:
                runs.append(figures)
    print(f"{'medians of ' + str(arguments.rounds):20} {'confined':>10} {'not':>10} {'ratio':>7}")
    for name in seen["auto"][0]:
        confined, free = (statistics.median(run[name] for run in seen[key]) for key in ("auto", "none"))
        print(f"{name:20} {confined:>10.3f} {free:>10.3f} {confined / free:>7.2f}")


if __name__ == "__main__":
    main()
