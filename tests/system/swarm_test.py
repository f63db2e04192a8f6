#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A hundred seeds of the simulator's swarm break no rule. make sim-soak plays more."""
import os
import re
import subprocess

from peer import main

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
SEEDS = 100
SLOW = ("--peers", "3", "--set", "latency-min-us=40000000")


def test_swarm():
    """Two processes side by side, as in make sim-soak. In each round of each seed the rules of R-10.4,
    R-10.5, R-10.6 and R-10.7 are checked; that the checks find what breaks them is for plants_test.py
    to show."""
    done = subprocess.run([os.path.join(ROOT, "tools/sim-soak"), "--seeds", str(SEEDS), "--quiet"],
                          capture_output=True, text=True, timeout=280, check=False,
                          env={**os.environ, "BUILD": BUILD})
    output = done.stdout + done.stderr
    assert done.returncode == 0 and f"{SEEDS} seeds from 1, {SEEDS} different traces" in output, output


def test_soak_is_stopped():
    """It tells a failure when it is found, and counts what was done when it is stopped."""
    with subprocess.Popen([os.path.join(ROOT, "tools/sim-soak"), "--seeds", "5000", "--jobs", "1",
                           "--quiet", "--", *SLOW], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "BUILD": BUILD}) as soak:
        first = soak.stdout.readline()
        soak.terminate()
        rest = soak.stdout.read()
    assert soak.returncode == 1 and first.startswith("FAILED"), first + rest
    seeds, failed = map(int, re.search(r"^(\d+) seeds from 1, .* (\d+) failed, ", rest, re.M).groups())
    assert seeds == failed == (first + rest).count("FAILED") < 5000, rest[-1000:]


if __name__ == "__main__":
    main(globals())
