#!/usr/bin/env python3
"""How `feedgrade regrade` of a class grows with the class: seconds and the peak memory of feedgrade, on
copies of one member's recorded evidence.

    benches/class.py RESULTS                        RESULTS is the results folder of a `feedgrade batch`
    benches/class.py --feedgrade target/release/feedgrade RESULTS
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def grow(results, folder, members):
    lines = [json.loads(line) for line in (results / "journal.jsonl").read_text().splitlines()]
    opened = [line for line in lines if "opened" in line][-1]
    graded = [line["row"] for line in lines if line.get("row", {}).get("basis", {}).get("evidence")]
    names = [f"member-{n:04}" for n in range(members)]
    opened["opened"]["roll"] = names
    with open(folder / "journal.jsonl", "w") as journal:
        journal.write(json.dumps(opened) + "\n")
        for n, name in enumerate(names):
            row = graded[n % len(graded)]
            (folder / name).mkdir()
            source = results / row["folder"] / "evidence.json"
            (folder / name / "evidence.json").write_bytes(source.read_bytes())
            journal.write(json.dumps({"row": {**row, "id": name, "folder": name}}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feedgrade", type=Path, default=ROOT / "target" / "release" / "feedgrade")
    parser.add_argument("--content", type=Path, default=ROOT)
    parser.add_argument("results", type=Path)
    args = parser.parse_args()
    print(f"{'members':>8}{'seconds':>9}{'ms each':>9}{'MiB':>7}{'exit':>6}")
    for members in (10, 100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            grow(args.results, Path(folder), members)
            began = time.monotonic()
            process = subprocess.Popen(
                [args.feedgrade.resolve(), "--content", args.content, "regrade", folder],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            took = time.monotonic() - began
            code = os.waitstatus_to_exitcode(status)
            print(f"{members:>8,}{took:>9.2f}{took * 1000 / members:>9.1f}{usage.ru_maxrss / 1024:>7.0f}{code:>6}",
                  flush=True)


main()
