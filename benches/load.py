#!/usr/bin/env python3
"""Compares feedgrade's load generator with oha, wrk and autocannon on this machine.

The target (benches/server, 3.5 KB a response) has one core to itself, the generator another. Rounds
alternate between the generators, so that a busy machine is busy for all of them: trust the ratios
more than the figures. Prints a table of medians: CPU time per request (user and system), requests a
second, p50 and p99, each also as a ratio to feedgrade's own (above 1: the other needs or takes more).
A second table says why they differ: what a request costs the target, how often the generator slept (it
is the target that pays for waking it), and how many users were really waiting for the target by
Little's law, rate times mean latency. What is missing to 100 were between an answer and the next
request, a time that a generator whose clock starts at the write counts nowhere.

Peers are installed into a cache folder with public tools: oha with `cargo install`, wrk from Debian's
packages, autocannon from npm. One that cannot be had is left out, out loud.

    benches/load.py                      5 rounds of 5 seconds
    benches/load.py --rounds 9 --seconds 10
    benches/load.py --path /slow         each answer after 5 ms, so that no generator is at its limit
                                         and all see the same load: latencies must agree
    benches/load.py --memory 10000000    peak memory after so many requests, and after a tenth
    benches/load.py --allocations 200000 allocations in so many requests more (with heaptrack)
    benches/load.py --calm 0.1           waits until others use at most a tenth of the machine, and
                                         drops rounds in which they used more
    benches/load.py --open-loop          from due to sent at 100, 500 and 2,000 requests a second
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "feedgrade-bench"
USERS = 100


def note(text):
    print(text, file=sys.stderr, flush=True)


def quiet(command, **more):
    """Whether the command succeeded."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def oha():
    program = CACHE / "bin" / "oha"
    if not program.exists():
        note("installing oha with cargo (some minutes)")
        quiet(["cargo", "install", "oha", "--locked", "--root", CACHE])
    return program if program.exists() else None


def wrk():
    if found := shutil.which("wrk"):
        return Path(found)
    program = CACHE / "wrk" / "usr" / "bin" / "wrk"
    if not program.exists():
        note("fetching wrk from Debian's packages")
        with tempfile.TemporaryDirectory() as folder:
            quiet(["apt-get", "download", "wrk", "libluajit-5.1-2"], cwd=folder, timeout=120)
            for package in Path(folder).glob("*.deb"):
                quiet(["dpkg", "-x", package, CACHE / "wrk"])
    return program if program.exists() else None


def autocannon():
    program = CACHE / "npm" / "node_modules" / "autocannon" / "autocannon.js"
    if not program.exists() and shutil.which("npm"):
        note("installing autocannon with npm")
        (CACHE / "npm").mkdir(parents=True, exist_ok=True)
        quiet(["npm", "install", "--no-fund", "--no-audit", "autocannon"],
              cwd=CACHE / "npm", timeout=180)
    return program if program.exists() else None


def build(manifest, program, *more):
    target = Path(os.environ.get("CARGO_TARGET_DIR", manifest.parent / "target"))
    note(f"building {program}")
    subprocess.run(["cargo", "build", "--release", "--manifest-path", manifest, *more], check=True)
    return target / "release" / program


class Server:
    """The target, pinned to a core."""

    def __init__(self, program, core, path):
        self.url = f"http://127.0.0.1:38080{path}"
        self.process = subprocess.Popen(["taskset", "-c", str(core), program, "38080"])
        for _ in range(100):
            try:
                urllib.request.urlopen(self.url, timeout=1).read()
                return
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        sys.exit("the target did not start: is port 38080 taken?")

    def cpu(self):
        """CPU seconds so far. It has one thread."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def measure(command, core):
    """Its output, what it used (`getrusage`)."""
    process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**os.environ, "LD_LIBRARY_PATH": library_path()})
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return output, usage


def cpu_seconds(usage):
    return usage.ru_utime + usage.ru_stime


class Others:
    """The share of the machine, 0 to 1, that others use: all CPU time but the target's and the
    generators'. Time that a hypervisor takes away is others' too."""

    def __init__(self, server):
        self.server = server
        self.before = self.read()

    def read(self):
        ticks = os.sysconf("SC_CLK_TCK")
        cpu = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        idle = cpu[3] + cpu[4]
        stat = Path(f"/proc/{self.server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        own = int(stat[11]) + int(stat[12])
        children = os.times()
        own += (children.children_user + children.children_system) * ticks
        return sum(cpu), sum(cpu) - idle - own

    def share(self):
        total, others = (now - before for now, before in zip(self.read(), self.before))
        return max(others, 0) / max(total, 1)


def wait_for_calm(server, share, patience=600):
    """Whether it became calm."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        others = Others(server)
        time.sleep(1)
        if others.share() <= share:
            return True
    return False


def library_path():
    folders = [str(folder) for folder in (CACHE / "wrk" / "usr" / "lib").glob("*")]
    return ":".join(folders + [os.environ.get("LD_LIBRARY_PATH", "")])


def in_ms(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


class Seen(NamedTuple):
    """What a generator measured, latencies in ms, and what it used."""
    requests: int
    usage: object
    mean: float
    p50: float
    p99: float
    failed: int


def run_feedgrade(program, url, seconds, core):
    output, usage = measure([program, "loadtest", url, "-c", USERS, "-d", f"{seconds}s",
                             "--write", "json=-"], core)
    load = json.loads(output)
    latency = load["latency_ms"]
    return Seen(load["requests"], usage, latency["mean"], latency["p50"], latency["p99"],
                load["failed"])


def run_oha(program, url, seconds, core):
    output, usage = measure([program, "--no-tui", "-c", USERS, "-z", f"{seconds}s",
                             "--output-format", "json", url], core)
    seen = json.loads(output)
    percentiles = seen["latencyPercentiles"]
    codes = seen["statusCodeDistribution"]
    return Seen(sum(codes.values()), usage, seen["summary"]["average"] * 1e3,
                percentiles["p50"] * 1e3, percentiles["p99"] * 1e3,
                sum(count for code, count in codes.items() if code != "200"))


def run_wrk(program, url, seconds, core):
    output, usage = measure([program, "-t1", f"-c{USERS}", f"-d{seconds}s", "--latency", url], core)
    requests = int(re.search(r"(\d+) requests in", output)[1])
    percentiles = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", output, re.MULTILINE))
    mean = re.search(r"Latency\s+(\S+)", output)[1]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Seen(requests, usage, in_ms(mean), in_ms(percentiles["50"]), in_ms(percentiles["99"]),
                int(failed[1]) if failed else 0)


def run_autocannon(program, url, seconds, core):
    output, usage = measure(["node", program, "-c", USERS, "-d", seconds, "--json", url], core)
    seen = json.loads(output)
    latency = seen["latency"]
    return Seen(seen["requests"]["total"], usage, latency["average"], latency["p50"], latency["p99"],
                seen["non2xx"] + seen["errors"])


def compare(generators, server, arguments):
    rows = {name: [] for name in generators}
    busy, number = [], 0
    while len(busy) < arguments.rounds and number < 20 * arguments.rounds:
        if arguments.calm < 1 and not wait_for_calm(server, arguments.calm):
            break
        names = list(generators)
        # Another one first each time: what comes before leaves its traces.
        names = names[number % len(names):] + names[:number % len(names)]
        number += 1
        others, seen = Others(server), {}
        for name in names:
            run, program = generators[name]
            before = server.cpu()
            one = run(program, server.url, arguments.seconds, 1)
            target, rate = server.cpu() - before, one.requests / arguments.seconds
            seen[name] = (cpu_seconds(one.usage) / one.requests * 1e6, rate, one.p50, one.p99,
                          one.failed, target / one.requests * 1e6, target / arguments.seconds * 100,
                          one.usage.ru_nvcsw / one.requests, rate * one.mean / 1e3)
        share = others.share()
        note(f"round {number}: others used {share:.0%} of the machine" +
             ("" if share <= arguments.calm else ", dropped"))
        for name, (cpu, rate, p50, p99, *_) in seen.items():
            note(f"  {name:10} {cpu:6.2f} µs a request, {rate:8.0f} a second, "
                 f"p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        if share <= arguments.calm:
            busy.append(share)
            for name, row in seen.items():
                rows[name].append(row)
    if not busy:
        print("no round was calm enough")
        return
    print(f"\nMedians of {len(busy)} alternating rounds of {arguments.seconds} s, "
          f"{USERS} connections,\nothers using {statistics.median(busy):.0%} of the machine; in brackets the ratio to feedgrade's,")
    print("itself the median of the rounds' ratios.\n")
    print(f"{'':12}{'CPU µs/request':>18}{'requests/s':>20}{'p50 ms':>18}{'p99 ms':>18}{'failed':>8}")
    for name, results in rows.items():
        cells = [statistics.median(column) for column in zip(*results)]
        ratios = [statistics.median(other[i] / mine[i] for other, mine in zip(results, rows["feedgrade"]))
                  for i in range(4)]
        print(f"{name:12}" + "".join(
            f"{f'{cell:.{digits}f} ({ratio:.2f})':>{width}}"
            for cell, ratio, digits, width in zip(cells, ratios, (2, 0, 2, 2), (18, 20, 18, 18)))
            + f"{cells[4]:>8.0f}")
    print(f"\n{'':12}{'target CPU µs/request':>24}{'target busy':>14}{'sleeps/request':>18}"
          f"{'users waiting':>16}")
    for name, results in rows.items():
        cells = [statistics.median(column) for column in zip(*results)]
        ratio = statistics.median(other[5] / mine[5] for other, mine in zip(results, rows["feedgrade"]))
        print(f"{name:12}{f'{cells[5]:.2f} ({ratio:.2f})':>24}{f'{cells[6]:.0f} %':>14}"
              f"{cells[7]:>18.3f}{cells[8]:>16.0f}")


def memory(feedgrade, server, requests):
    print("\nPeak memory of feedgrade loadtest:")
    for count in (requests // 10, requests):
        output, usage = measure([feedgrade, "loadtest", server.url, "-c", USERS, "-n", count,
                                 "--write", "json=-"], 1)
        seen = json.loads(output)
        print(f"  {seen['requests']:>10} requests, {seen['failed']} failed: {usage.ru_maxrss / 1024:.1f} MiB, "
              f"{cpu_seconds(usage) / count * 1e6:.2f} µs a request, {seen['seconds']:.0f} s")


def allocations(feedgrade, server, requests):
    """The start, the end and each second allocate; a request must not."""
    if not (heaptrack := shutil.which("heaptrack")):
        print("\nAllocations: left out, heaptrack is not installed here")
        return
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (requests // 10, requests + requests // 10):
            command = [heaptrack, "-o", f"{folder}/{count}", feedgrade, "loadtest", server.url,
                       "-c", USERS, "-n", count, "--write", f"json={folder}/load.json"]
            output = subprocess.run(list(map(str, command)), check=True, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
            seconds = json.loads(Path(f"{folder}/load.json").read_text())["seconds"]
            counts.append((int(re.search(r"^\s*allocations:\s+(\d+)", output, re.MULTILINE)[1]),
                           seconds))
    (few, short), (many, long) = counts
    print(f"\nAllocations: {few} in {short:.1f} s, and {many - few} more for {requests} requests and "
          f"{long - short:.1f} s more: {(many - few) / requests:.5f} a request")


def open_loop(feedgrade, server, seconds):
    print("\nOpen loop, from due to sent:")
    for rate in (100, 500, 2000):
        output, usage = measure([feedgrade, "loadtest", server.url, "-r", rate, "-d", f"{seconds}s",
                                 "--warm-up", "1s", "--write", "json=-"], 1)
        seen = json.loads(output)
        lag = seen["open_loop"]["lag_ms"]
        print(f"  {rate:>5} a second: {seen['requests']} requests, {seen['failed']} failed, "
              f"p50 {lag['p50']:.3f} ms, p99 {lag['p99']:.3f} ms, max {lag['max']:.3f} ms, "
              f"CPU {cpu_seconds(usage) / (seconds + 1) * 100:.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--path", default="/feed", choices=["/feed", "/slow"])
    parser.add_argument("--memory", type=int, metavar="REQUESTS")
    parser.add_argument("--allocations", type=int, metavar="REQUESTS")
    parser.add_argument("--open-loop", action="store_true")
    parser.add_argument("--calm", type=float, default=1.0, metavar="SHARE")
    parser.add_argument("--feedgrade", type=Path, help="this program instead of a fresh build")
    parser.add_argument("--server", type=Path, help="this target instead of a fresh build")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("the target and the generator need a core each, and this machine has one")
    feedgrade = arguments.feedgrade or build(HERE.parent / "Cargo.toml", "feedgrade", "--bin", "feedgrade")
    target = arguments.server or build(HERE / "server" / "Cargo.toml", "bench-server")
    CACHE.mkdir(parents=True, exist_ok=True)
    generators = {"feedgrade": (run_feedgrade, feedgrade)}
    if arguments.rounds:
        for name, run, find in (("oha", run_oha, oha), ("wrk", run_wrk, wrk),
                                ("autocannon", run_autocannon, autocannon)):
            if program := find():
                generators[name] = (run, program)
            else:
                note(f"left out: {name} could not be installed here")
    print(f"load average at the start {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    with Server(target, 0, arguments.path) as server:
        if arguments.rounds:
            compare(generators, server, arguments)
        if arguments.open_loop:
            open_loop(feedgrade, server, 2 * arguments.seconds)
        if arguments.allocations:
            allocations(feedgrade, server, arguments.allocations)
        if arguments.memory:
            memory(feedgrade, server, arguments.memory)
    print(f"load average at the end {os.getloadavg()[0]:.2f}")


main()
