# SPDX-License-Identifier: BSD-2-Clause
"""Users at peers."""
import subprocess

from lib.place import LOCSER, Failure, until


def grant(place, home, other, user):
    """The user's keys go to another peer, too, once that has made its own (R-6.9)."""
    other.call("publish")

    def granted():
        done = subprocess.run([LOCSER, "user", "--data", place.path(home.name), "--control",
                               home.control_path, "grant", user, other.id],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
        if done.returncode != 0 and "publish" not in done.stderr:
            raise Failure(f"locser user grant: {done.stderr.strip()}")
        return done.returncode == 0
    until(granted, "the user is granted", 120)  # a peer's RSA key takes long on a busy machine


def make_user(place, home, user, *words):
    """What `locser user add` prints."""
    done = subprocess.run([LOCSER, "user", "--data", place.path(home.name), "--control",
                           home.control_path, "add", user, *words], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode != 0:
        raise Failure(f"locser user add: {done.stderr.strip()}")
    return done.stdout
