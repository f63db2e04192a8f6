#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The simulator: its scenarios break no rule (for the swarm see swarm_test.py); a seed gives the same
hash in the optimised and in the sanitised build, and narrated or not (R-10.2); a failure can be
replayed (R-10.3)."""
import csv
import io
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
OTHER = os.environ.get("OTHER_BUILD", BUILD + "-asan")
SLOW = ("--peers", "3", "--set", "latency-min-us=40000000")
HASH = re.compile(r"^(\d+) ([0-9A-F]{16}) ", re.M)


def sim(build, *arguments):
    done = subprocess.run([os.path.join(build, "locser-sim"), *arguments], capture_output=True,
                          text=True, timeout=280, check=False)
    return done.returncode, done.stdout + done.stderr


def hashes(build, *arguments):
    status, output = sim(build, "--quiet", *arguments)
    assert status == 0, output
    return HASH.findall(output)


def test_messages():
    """R-10.24, and so R-13.1 to R-13.11: none is lost, none comes twice by another id, all in order."""
    for seed in ("1", "2"):
        status, output = sim(BUILD, "--scenario", "messages", "--seed", seed, "--set", "messages=200",
                             "--set", "users=30", "--set", "faults-s=60")
        kept, came = re.search(r"left, (\d+) kept, .*?; (\d+) came", output).groups()
        assert status == 0 and int(kept) > 150 and int(came) >= int(kept), output


def test_presence():
    """R-10.25: all see the last state in the end, nobody what he must not, and each change soon."""
    status, output = sim(BUILD, "--scenario", "presence", "--seeds", "2", "--set", "faults-s=90",
                         "--set", "watchers=40")
    assert status == 0, output
    status, output = sim(BUILD, "--scenario", "presence", "--set", "watchers=40", "--set", "faults-s=60")
    changes, blocked, heard = re.search(r"(\d+) changes, (\d+) watchers blocked, .* the last (\d+):", output).groups()
    assert status == 0 and int(changes) > 40 and int(blocked) > 2 and int(heard) > 20, output


def test_budgets():
    """R-10.20, R-10.21, R-10.22: what an idle ring costs, and a restart of all at once."""
    for peers in ("15", "100"):
        assert hashes(BUILD, "--scenario", "idle", "--peers", peers)
    status, output = sim(BUILD, "--scenario", "storm", "--seeds", "3", "--csv", "-")
    assert status == 0, output
    assert all(0 < int(row["ready_ms"]) <= 60000 for row in rows(output)), output


def test_scenarios():
    """liars and forgers: R-10.14, R-10.15, R-10.16."""
    for scenario in ("crowd", "disks", "failure", "partition", "leaves", "immutable", "liars",
                     "forgers"):
        assert hashes(BUILD, "--scenario", scenario), scenario


def test_computed_ring():
    """300 peers begin as a ring; all their lookups end where they should (R-10.11, R-10.12)."""
    status, output = sim(BUILD, "--scenario", "million", "--peers", "300", "--set", "faults-s=150",
                         "--set", "turnover=20")
    assert status == 0, output
    right, asked, excused = map(int, re.search(
        r"lookups +(\d+) of (\d+) right, (\d+) excused", output).groups())
    assert asked == 3000 and right + excused == asked and excused < 30, output
    assert re.search(r"happened [1-9]\d* crashes.* [1-9]\d* leaves, [1-9]\d* joins", output), output
    for figure in ("hops ", "upkeep ", "memory ", "speed "):
        assert "\n" + figure in output, output
    # A peer that keeps no learnt peers: 10.6 kB; what is given back is not to stay again.
    status, output = sim(BUILD, "--scenario", "million", "--peers", "300", "--set", "learnt=0",
                         "--set", "faults-s=120", "--set", "lookups=2")
    assert status == 0, output
    assert int(re.search(r"memory +(\d+) bytes a peer", output).group(1)) < 11500, output


def test_tables_of_a_paper():
    """R-10.10, small: half of 60 peers fail at once, plainly and with learnt peers; and some come
    while as many go. No lookup fails, the paper's figures stand beside ours."""
    for mode in ("plain", "learnt"):
        status, output = sim(BUILD, "--table", "2", "--row", "50", "--mode", mode, "--peers", "60")
        assert status == 0, output
        row = re.search(rf"^ 50 % +{mode} +(\d\.\d\d) +\d+ +\d+ +5\.09 +\d+\.\d\d +5\.10 +0 +0 ",
                        output, re.M)
        assert row, output
        assert 1 <= float(row.group(1)) < 2.5, output
    # Many dead neighbours: second looks know of more peers than they keep, and of more than have a
    # link, and must still ask the nearest.
    status, output = sim(BUILD, "--table", "2", "--row", "50", "--mode", "plain", "--peers", "300",
                         "--seed", "2")
    assert status == 0, output
    assert sim(BUILD, "--table", "4")[0] == 2
    assert sim(BUILD, "--table", "2", "--mode", "fast")[0] == 2


def test_same_hash_in_another_build():
    if not os.access(os.path.join(OTHER, "locser-sim"), os.X_OK):
        return print(f"     {OTHER} is not built: not compared")
    for seed in ("3", "6"):
        assert hashes(BUILD, "--seed", seed) == hashes(OTHER, "--seed", seed), seed
    ring = ("--scenario", "million", "--peers", "50", "--set", "faults-s=60")
    assert hashes(BUILD, *ring) == hashes(OTHER, *ring)
    return None


def test_narrating_changes_nothing():
    plain, told = hashes(BUILD, "--seed", "3"), hashes(BUILD, "--seed", "3", "--explain")
    assert plain == told, (plain, told)


def rows(output):
    return list(csv.DictReader(io.StringIO(output)))


def test_figures():
    """--csv and --series: a row a run, a row a second; they add up (R-10.19)."""
    status, output = sim(BUILD, "--seeds", "2", "--scenario", "calm", "--csv", "-")
    assert status == 0, output
    found = rows(output)
    assert [row["seed"] for row in found] == ["1", "2"], output
    assert found[0]["trace"] == hashes(BUILD, "--scenario", "calm")[0][1]
    for row in found:
        parts = sum(int(row["bytes_" + kind]) for kind in ("ring", "copies", "clients"))
        assert parts == int(row["bytes"]) > 0 and int(row["hops_mean_1000"]) >= 1000, row
    series = rows(sim(BUILD, "--scenario", "calm", "--quiet", "--series", "-")[1])
    seconds = [int(row["second"]) for row in series if row["second"].isdigit()]
    assert seconds == sorted(set(seconds)) and len(seconds) > 100, seconds


def test_failures():
    """Messages that take 40 s: no ring. The command that replays it is told (R-10.3)."""
    status, output = sim(BUILD, "--seeds", "2", *SLOW)
    assert status == 1 and output.count("FAILED") == 1, output
    replay = "replay: locser-sim --seed 1 --scenario swarm --peers 3 --set latency-min-us=40000000"
    assert replay + " --explain" in output, output
    status, output = sim(BUILD, "--seeds", "2", "--keep-going", *SLOW)
    assert status == 1 and "2 runs, 2 failed" in output, output


def test_usage():
    assert sim(BUILD, "--scenario", "nowhere")[0] == 2
    assert sim(BUILD, "--set", "loss")[0] == 2
    assert "swarm" in sim(BUILD, "--help")[1]


def main():
    if not os.access(os.path.join(BUILD, "locser-sim"), os.X_OK):
        print("locser-sim is not built")
        sys.exit(1)
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"ok   {name}", flush=True)
            passed += 1
        except Exception as why:  # a failed test must not end the others
            print(f"FAIL {name}: {why!r}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
