#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-10.9, R-10.17, R-10.18: exhaustive small worlds, optimised; and faults that they must find:
one file of the core is compiled with -DPLANT=n (base/plant.h) and linked before the others."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import planted  # noqa: E402
from planted import BUILD  # noqa: E402

DEPTH = ["--deep"] if os.environ.get("LOCSER_DEEP") else []
PLANTS = {  # number: (file, how to look, what is said, what is wrong)
    20: ("core/overlay/chord.c", "--budget 1,2,0,0,0,0 --depth 9 three-grow",
         "dropped its last live successor", "a member is entered before it has answered"),
    21: ("core/overlay/routing.c", "--budget 0,1,0,0,0,0 three",
         "responsible is somebody else", "a range is closed at the wrong end"),
    22: ("core/overlay/members.c", "--budget 1,1,0,0,0,0 two-grow",
         "there are two rings", "a joiner takes over nobody but the peer that admits it"),
    24: ("core/overlay/members.c", "--budget 1,2,0,2,0,0 --depth 12 three-grow",
         "", "a ring stops being small before all have answered"),
}


def worlds(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True,
                          timeout=None if DEPTH else 280, check=False)
    return done.returncode, done.stdout + done.stderr


def test_rings():
    status, output = worlds(os.path.join(BUILD, "tests", "ring_worlds"), *DEPTH)
    print(output, end="")
    assert status == 0 and " 0 failed" in output, output


def test_merges():
    status, output = worlds(os.path.join(BUILD, "tests", "merge_worlds"), *DEPTH)
    print(output, end="")
    assert status == 0 and "162 sets" in output, output


def test_faults_are_found():
    for number, (file, how, said, what) in PLANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            status, output = worlds(planted.build("tests/ring_worlds", number, [file], folder),
                                    *how.split())
        assert status == 1 and "FAILED" in output and said in output, (number, what, output)
        sound, output = worlds(os.path.join(BUILD, "tests", "ring_worlds"), *how.split())
        assert sound == 0, output


def main():
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"ok   {name}", flush=True)
            passed += 1
        except AssertionError as why:
            print(f"FAIL {name}: {why}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
