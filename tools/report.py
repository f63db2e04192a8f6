# SPDX-License-Identifier: BSD-2-Clause
"""Counting for tools/test and tools/check, and running one command with a time limit."""
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = os.environ.get("JOBS") or str(os.cpu_count() or 1)
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$")


def run(command, timeout_s=600, env=None, echo=False):
    """Returns (exit status, output). The whole process group ends with the time limit."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True,
                               env={**os.environ, **(env or {})})
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nstopped after {timeout_s} s\n"
    if echo:
        print(output, end="", flush=True)
    return process.returncode, output


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []
        self.since = time.monotonic()

    def line(self, good, text):
        """What took some time says how long."""
        seconds = time.monotonic() - self.since
        self.since = time.monotonic()
        print(("ok   " if good else "FAIL ") + text + (f", {seconds:.0f} s" if seconds > 3 else ""),
              flush=True)

    def result(self, name, good, output=""):
        """One check: its output is shown only when it failed."""
        self.line(good, name)
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("    " + "\n    ".join(output.strip().splitlines()), flush=True)
        return good

    def counts(self, name, passed, failed, output=""):
        """Many checks in one program."""
        self.line(not failed, f"{name} ({passed})")
        self.passed += passed
        self.failed += failed
        if failed:
            print("    " + "\n    ".join(output.strip().splitlines()), flush=True)

    def skip(self, name, reason):
        print(f"skip {name}: {reason}", flush=True)
        self.skipped.append(f"{name}: {reason}")

    def script(self, name, command, timeout_s, env=None):
        """A program that exits 0, 77 (skipped; last line: why), or with a failure. It may count
        its own checks in a last line `N passed, N failed`."""
        status, output = run(command, timeout_s, env)
        lines = output.strip().splitlines() or [""]
        counted = COUNTS.match(lines[-1])
        if status == 77:
            self.skip(name, lines[-1] or "no reason given")
        elif counted:
            passed, failed = int(counted[1]), int(counted[2])
            for line in lines[:-1]:
                if re.match(r"\s*skip", line, re.I):
                    self.skip(name, line.strip())
            self.counts(name, passed, failed or int(status != 0), output)
        else:
            self.result(name, status == 0, output)

    def finish(self):
        """The last two lines, and the exit status."""
        print(f"{len(self.skipped)} skipped" + "".join(f"; {s}" for s in self.skipped))
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)
