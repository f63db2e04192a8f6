# SPDX-License-Identifier: BSD-2-Clause
"""locserd processes on loopback."""
import hashlib
import os
import re
import signal
import time

from lib.control import Control
from lib.place import LOCSERD, Failure, until

MANY = 10
STARTED = re.compile(r"locserd (\S+): peer ([0-9A-F]{40}) on (.*), known as (\S+), data in ")


def key_of(uri):
    """The key of an address that is written in its canonical form."""
    return hashlib.sha1(uri.encode()).hexdigest().upper()


class Peer:
    def __init__(self, place, name, words):
        self.place, self.name, self.words = place, name, words
        self.control_path = place.path(name + ".control")
        self.id = self.address = None
        self.start("127.0.0.1:0")

    def start(self, listen):
        self.expected_end = False
        self._control = None
        self.process = self.place.start(self.name, [
            LOCSERD, "--data", self.place.path(self.name), "--listen", listen, "--control",
            self.control_path, *self.words])

    def wait_started(self):
        def line():
            found = STARTED.search(self.place.text(self.name + ".log"))
            if not found and self.process.poll() is not None:
                raise Failure(f"{self.name} ended: {self.place.text(self.name + '.err')[-500:]}")
            return found
        found = until(line, f"{self.name} starts")
        self.id, self.address = found[2], found[4]
        return self

    @property
    def short(self):
        return self.id[:4]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    @property
    def control(self):
        if self._control is None:
            until(lambda: os.path.exists(self.control_path), f"{self.name} opens its control socket")
            self._control = Control(self.control_path)
            self.place.closers.append(self._control.close)
        return self._control

    def call(self, method, **params):
        return self.control.call(method, **params)

    def add_users(self, *users, password="secret"):
        """As `locser user add` writes them, many at once."""
        def line(user):
            name, domain = user.split("@")
            text = f"{name}:{domain}:{password}".encode()
            return (f"sip:{user} {hashlib.sha256(text).hexdigest()} "
                    f"{hashlib.md5(text).hexdigest()}\n")
        path = self.place.path(os.path.join(self.name, "users", "passwords"))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w",
                  encoding="ascii") as out:
            out.writelines(map(line, users))
        self.call("users")

    def is_ready(self):
        return self.call("status")["state"] == "ready"

    def neighbours(self):
        """(predecessor, [successors]), by Peer-ID."""
        rows = self.call("ring")
        before = [row["peer"] for row in rows if row["role"] == "predecessor"]
        return before[0] if before else None, [r["peer"] for r in rows if r["role"] == "successor"]

    def kill(self):
        self.expected_end = True
        self.process.kill()
        self.process.wait()

    def terminate(self, limit_s=30):
        """Its exit status after SIGTERM."""
        self.expected_end = True
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)


class Ring:
    """A few peers join one after the other, which is quicker; many at once, as after a power cut."""

    def __init__(self, place, count, *words, limit_s=60):
        began = time.monotonic()
        self.place = place
        self.peers = [Peer(place, "peer00", words).wait_started()]
        for i in range(1, count):
            peer = Peer(place, f"peer{i:02}", [*words, "--join", self.peers[0].address])
            self.peers.append(peer)
            if count < MANY:
                peer.wait_started()
                until(peer.is_ready, f"{peer.name} is ready", limit_s)
        for peer in self.peers:
            peer.wait_started()
        self.wait_formed(limit_s)
        self.formed_s = time.monotonic() - began

    def grow(self, count, limit_s=60):
        """All the new ones at once."""
        words = ["--join", self.living()[0].address]
        fresh = [Peer(self.place, f"peer{len(self.peers) + i:02}", words) for i in range(count)]
        for peer in fresh:
            self.peers.append(peer.wait_started())
        self.wait_formed(limit_s)

    def start_again(self, limit_s=60):
        """All of them, at the addresses they had."""
        for peer in self.peers:
            peer.start(peer.address)
        for peer in self.peers:
            peer.wait_started()
        self.wait_formed(limit_s)

    def living(self):
        return [peer for peer in self.peers if not peer.expected_end]

    def by_id(self):
        return sorted(self.living(), key=lambda peer: peer.id)

    def peer(self, ident):
        return next(peer for peer in self.peers if peer.id == ident)

    def successors(self, peer, count):
        order = self.by_id()
        at = order.index(peer)
        return [order[(at + 1 + i) % len(order)] for i in range(count)]

    def _wrong(self):
        """Names of peers that do not know their neighbours yet."""
        order = self.by_id()
        wrong = []
        for i, peer in enumerate(order):
            if len(order) == 1:
                continue
            after, before = order[(i + 1) % len(order)], order[i - 1]
            predecessor, successors = peer.neighbours()
            if predecessor != before.id or successors[:1] != [after.id] or not peer.is_ready():
                wrong.append(peer.name)
        return wrong

    def wait_formed(self, limit_s=60):
        """Every living peer is ready and knows its two neighbours."""
        wrong = []

        def formed():
            wrong[:] = self._wrong()
            return not wrong
        try:
            until(formed, "", limit_s, 0.1)
        except Failure:
            raise Failure(f"no ring of {len(self.living())} within {limit_s} s; not settled: "
                          + ", ".join(wrong)) from None

    def responsible(self, uri):
        return self.peer(self.living()[0].call("lookup", uri=uri)[0]["peer"])

    def check_alive(self):
        for peer in self.living():
            if peer.process.poll() is not None:
                raise Failure(f"{peer.name} ended by itself, status {peer.process.returncode}")
