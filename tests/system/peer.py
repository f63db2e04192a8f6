# SPDX-License-Identifier: BSD-2-Clause
"""For the tests in this folder: a locserd in a folder of its own, on free ports of loopback, and a
runner that counts test_* functions. Waiting is always for something, with a limit."""
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD") or os.path.join(ROOT, "build")
LOCSERD = os.path.join(BUILD, "locserd")
LOCSER = os.path.join(BUILD, "locser")
STARTED = re.compile(r"locserd (\S+): peer ([0-9A-F]{40}) on (.*), known as (\S+), data in (\S+),")
LIMIT_S = 60  # of waiting for what will come, on a machine that has much else to do
BRANCH = itertools.count(1)


class Skip(Exception):
    """What is missing here."""


def until(condition, what, limit_s=LIMIT_S):
    """The first true value of condition()."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never happened within {limit_s} s: {what}")
        time.sleep(0.02)


def run(*command, **more):
    """(exit status, standard output, standard error)"""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=LIMIT_S + 10, stdin=subprocess.DEVNULL, **more)
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def for_anyone(*programs):
    """Copies of the programs that an ordinary user can run, wherever the tree is."""
    with tempfile.TemporaryDirectory(prefix="locser-test-") as folder:
        os.chmod(folder, 0o755)
        yield [shutil.copy(program, folder) for program in programs]


class Peer:
    """Started on construction; stop() or kill() it, or use it in a `with`."""

    def __init__(self, *words, data=None, listen="127.0.0.1:0", env=None, expect=True,
                 program=LOCSERD):
        self.folder = None if data else tempfile.TemporaryDirectory(prefix="locser-test-")
        self.data = data or os.path.join(self.folder.name, "data")
        self.control = os.path.join(self.data, "control")
        self.errors_file = tempfile.TemporaryFile("w+")
        command = [program, "--data", self.data]
        command += ["--listen", listen] if listen else []
        self.process = subprocess.Popen(command + [str(word) for word in words], text=True,
                                        stdout=subprocess.PIPE, stderr=self.errors_file,
                                        stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        if expect:
            self._read_started()

    def _read_started(self):
        line = self.process.stdout.readline()
        found = STARTED.match(line)
        if not found:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"locserd did not start: {line!r} {self.errors()!r}")
        self.id = found[2]
        self.sockets = found[3].split(", ")
        self.address = found[4]
        host, _, port = self.address.rpartition(":")
        self.at = (host.strip("[]"), int(port))

    def errors(self):
        self.errors_file.seek(0)
        return self.errors_file.read()

    def cli(self, *words):
        return run(LOCSER, "--control", self.control, *words)

    def ask(self, *words):
        """The JSON that locser prints."""
        status, output, errors = self.cli("--json", *words)
        assert status == 0, f"locser {' '.join(words)}: {status} {errors}"
        return json.loads(output)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit_s=LIMIT_S):
        return self.process.wait(limit_s)

    def sip(self, **more):
        """A request to the peer itself."""
        return sip("sip:" + self.address, **more)

    def stop(self):
        """Its exit status after SIGTERM."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()
        self.errors_file.close()
        if self.folder:
            self.folder.cleanup()


def refused(*words, **more):
    """A locserd that must not start: (exit status, standard error)."""
    with Peer(*words, expect=False, **more) as peer:
        status = peer.wait()
        return status, peer.errors()


class Control:
    """The control socket, line by line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def read(self):
        """The next object; None at the end."""
        line = self.file.readline()
        return json.loads(line) if line else None

    def call(self, method, **params):
        self.send({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


def sip(uri, method="OPTIONS", transport="UDP", body="", length=None, port=5099, branch=None,
        more=""):
    """A small request, new each time. length: what Content-Length says, whatever the truth is."""
    branch = branch or f"z9hG4bK{next(BRANCH)}"
    return (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:{port};"
            f"branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: <sip:a@a.example>;tag=1\r\n"
            f"To: <sip:127.0.0.1>\r\nCall-ID: {branch}@127.0.0.1\r\nCSeq: 1 {method}\r\n{more}"
            f"Content-Length: {len(body) if length is None else length}\r\n\r\n{body}").encode()


def tcp(at):
    connection = socket.create_connection(at, timeout=LIMIT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_head(connection):
    """What a stream holds up to its first empty line; less if it ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data.decode(errors="replace")


def ended(connection):
    """Did the other side close? Waits for it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def main(names):
    """Runs every test_* of a module's globals(); exits as tools/report.py wants it."""
    if not os.access(LOCSERD, os.X_OK) or not os.access(LOCSER, os.X_OK):
        print(f"{LOCSERD} is not built")
        sys.exit(1)
    passed = failed = 0
    wanted = sys.argv[1:]
    for name, test in list(names.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        try:
            test()
            print(f"ok   {name}", flush=True)
            passed += 1
        except Skip as reason:
            print(f"skip {name}: {reason}", flush=True)
        except Exception:  # a failed test must not end the others
            traceback.print_exc()
            print(f"FAIL {name}", flush=True)
            failed += 1
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
