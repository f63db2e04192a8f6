# SPDX-License-Identifier: BSD-2-Clause
"""Where a case runs: a temporary folder and the processes in it. Leaving it ends every process by
its id; the folder stays only when the case failed."""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(ROOT, "build"))
LOCSERD = os.path.join(BUILD, "locserd")
LOCSER = os.path.join(BUILD, "locser")
TAIL_LINES = 12
PR_SET_PDEATHSIG = 1


class Skip(Exception):
    """What is missing here."""


class Failure(Exception):
    """What did not happen."""


def need(program, package):
    if shutil.which(program) is None:
        raise Skip(f"{program} is not installed (Debian package {package})")


def until(condition, what, limit_s=20.0, pause_s=0.02):
    """The first true value of condition(); waits for it, with a limit."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"did not happen within {limit_s:g} s: {what}")
        time.sleep(pause_s)


def is_free(port):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


_given = set()


def free_ports(count):
    """The first of `count` neighbouring ports, even, below those the kernel hands out by itself."""
    for _ in range(1000):
        first = random.randrange(12000, 32000, 2)
        ports = range(first, first + count)
        if _given.isdisjoint(ports) and all(is_free(port) for port in ports):
            _given.update(ports)
            return first
    raise Failure("no free ports between 12000 and 32000")


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Place:
    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"locser-{name}-")
        self.started = []  # (name, Popen)
        self.closers = []  # called before the processes are ended

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, name, command, stdin=subprocess.DEVNULL, stdout=None, **more):
        """Its output goes to NAME.log, its errors to NAME.err."""
        with open(self.path(name + ".log"), "wb") as log, open(self.path(name + ".err"), "wb") as err:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=stdin, stdout=stdout or log,
                stderr=err, start_new_session=True, preexec_fn=_die_with_parent, **more)
        self.started.append((name, process))
        return process

    def text(self, file):
        try:
            with open(self.path(file), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except FileNotFoundError:
            return ""

    def tails(self, to=sys.stderr):
        """The last lines of every log that says anything."""
        for name, process in self.started:
            for file in name + ".log", name + ".err":
                lines = self.text(file).splitlines()[-TAIL_LINES:]
                if lines:
                    status = process.poll()
                    state = "running" if status is None else f"ended: {status}"
                    print(f"--- {file} ({state})", *lines, sep="\n", file=to)

    def end_all(self):
        for close in reversed(self.closers):
            close()
        self.closers.clear()
        running = [process for _, process in self.started if process.poll() is None]
        for process in running:
            process.kill()
        for process in running:
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.end_all()
        if kind is None or not issubclass(kind, Exception) or issubclass(kind, Skip):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        self.tails()
        print(f"The logs are kept in {self.folder}", file=sys.stderr, flush=True)
