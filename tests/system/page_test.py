#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The page's own logic (tests/web), by node's test runner; it needs nothing from npm."""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "web")


def main():
    if shutil.which("node") is None:
        print("node is not installed (Debian package nodejs)")
        return 77
    done = subprocess.run(["node", "--test", "--test-reporter=tap"], cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    counted = dict(re.findall(r"^# (pass|fail) (\d+)$", done.stdout, re.M))
    passed, failed = int(counted.get("pass", 0)), int(counted.get("fail", 0))
    if done.returncode != 0 or failed or not passed:
        print(done.stdout[-6000:])
        failed = failed or 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
