#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-10.8: the checkers are checked. One file of the core at a time is compiled with a fault
(-DPLANT=n, base/plant.h); the simulator must find each within 200 seeds, and must find nothing in
the same seeds without it. `sim_plants_test.py 3 7` plants only those."""
import json
import os
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
SEEDS = int(os.environ.get("SEEDS", "200"))
PLANTS = {  # number: (file, scenario, what)
    1: ("core/dht/copies.c", "churn", "lost copies are not made again"),
    3: ("core/dht/put.c", "disks", "a put is acknowledged before it is stored"),
    4: ("core/dht/put.c", "calm", "copies forget removals"),
    5: ("core/node/command.c", "leaves", "a leaver goes before handing over"),
    7: ("core/dht/put.c", "churn", "the last version to arrive wins"),
    8: ("core/dht/find.c", "crowd --set operations=2000", "404 from a range that is still being fetched"),
    9: ("core/node/node.c", "storm", "the journal is never read"),
    10: ("core/dht/ring.c", "partition", "who was only believed dead is not told what it missed"),
}


def compile_with(number, file, folder):
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as commands:
        entry = next(e for e in json.load(commands) if e["file"] == os.path.join(ROOT, file))
    words = shlex.split(entry["command"])
    target = os.path.join(folder, f"{number}.o")
    words[words.index("-o") + 1] = target
    words.insert(1, f"-DPLANT={number}")
    subprocess.run(words, check=True, cwd=entry["directory"])
    return target


def link(planted, folder):
    """The object is named before the archive, so the archive's own is never taken."""
    target = os.path.join(folder, "locser-sim")
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as commands:
        cc = shlex.split(json.load(commands)[0]["command"])[0]
    main = os.path.join(BUILD, "CMakeFiles/locser-sim.dir/cmd/locser-sim.c.o")
    libraries = [os.path.join(BUILD, f"lib{name}.a")
                 for name in ("part-sim", "part-crypto", "core")]
    subprocess.run([cc, "-o", target, main, planted, *libraries, "-lexpat", "-lcrypto"],
                   check=True)
    return target


def run(program, scenario, seeds):
    done = subprocess.run([program, "--scenario", *scenario.split(), "--seeds", str(seeds), "--quiet"],
                          capture_output=True, text=True, timeout=250, check=False)
    return done.returncode, done.stdout


def test(number):
    file, scenario, what = PLANTS[number]
    with tempfile.TemporaryDirectory() as folder:
        program = link(compile_with(number, file, folder), folder)
        status, output = run(program, scenario, SEEDS)
    if status == 0:
        print(f"FAIL plant {number}, {what}: not found in {SEEDS} seeds of {scenario}")
        return None
    lines = output.strip().splitlines()
    seeds = sum(1 for line in lines if line[0].isdigit() and " peers, " in line)
    found = next((line for line in lines if "FAILED" in line or "broken promise" in line), "ended")
    print(f"ok   plant {number}, {what}: found in {max(seeds, 1)} seeds of {scenario}\n"
          f"     {found}", flush=True)
    return scenario, max(seeds, 1)


def main():
    if not os.access(os.path.join(BUILD, "locser-sim"), os.X_OK):
        print("locser-sim is not built")
        sys.exit(1)
    wanted = [int(n) for n in sys.argv[1:]] or list(PLANTS)
    found = [test(number) for number in wanted]
    failed = found.count(None)
    needed = {}
    for scenario, seeds in filter(None, found):
        needed[scenario] = max(seeds, needed.get(scenario, 0))
    for scenario, seeds in needed.items():
        status, output = run(os.path.join(BUILD, "locser-sim"), scenario, min(seeds, 5))
        if status != 0:
            print(f"FAIL without a plant:\n{output}")
            failed += 1
    print(f"{len(wanted) + len(needed) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
