# SPDX-License-Identifier: BSD-2-Clause
"""A ladder diagram, drawn line by line while things happen, from the trace events of the peers.
Nothing here knows what should happen next."""
import heapq
import itertools
import re
import sys
import threading
import time

COLUMNS = 12, 31, 54, 76, 95  # caller, its home, the ring, the other home, callee
CALLER, HOME, RING, FAR_HOME, CALLEE = range(5)
WIDTH = 100
REORDER_S = 0.15  # events of different peers are sorted within this time
PLAIN = str.maketrans("│├┤─▶◀═✗·", "|++-><=x.")
LOCSER_SHOWN = {"get": "get", "get-auth": "get", "put-auth": "put", "remove-auth": "remove"}


class Ladder:
    """phones: {user: column}; homes: {user: Peer}; keys: {key: Address-of-Record}."""

    def __init__(self, peers, phones, homes, keys, out=sys.stdout):
        self.out = out
        self.plain = "utf" not in (getattr(out, "encoding", None) or "").lower()
        self.phones, self.keys = phones, keys
        self.peer_at = {peer.address: peer for peer in peers}
        self.column = {peer.id: RING for peer in peers}
        for user, peer in homes.items():
            self.column[peer.id] = HOME if phones[user] == CALLER else FAR_HOME
        self.phone_at = {}  # address -> user
        self.lookups = {}   # Call-ID of a LOCSER shown -> [methodName, the peer that executed it]
        self.waiting, self.serial = [], itertools.count()
        self.lock = threading.Lock()
        self.zero_us = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    # ---- text ----

    def write(self, text=""):
        text = text.rstrip()
        print(text.translate(PLAIN) if self.plain else text, file=self.out, flush=True)

    def _canvas(self, at_us, left=None):
        if self.zero_us is None:
            self.zero_us = at_us
        row = list(" " * WIDTH)
        for column in COLUMNS:
            row[column] = "│"
        self._put(row, 0, left if left is not None else f"{(at_us - self.zero_us) / 1000:8.1f}")
        return row

    @staticmethod
    def _put(row, at, text):
        row[at:at + len(text)] = text

    def _centre(self, row, column, text):
        at = min(max(COLUMNS[column] - len(text) // 2, 0), WIDTH - len(text))
        self._put(row, at, text)

    def head(self, names):
        """names: a text for each column."""
        row = list(" " * WIDTH)
        self._put(row, 6, "ms")
        self.write()
        for column, name in enumerate(names):
            self._centre(row, column, name)
        self.write("".join(row))

    def _arrow(self, at_us, source, target, text, source_name="", target_name=""):
        row = self._canvas(at_us)
        first, last = sorted((COLUMNS[source], COLUMNS[target]))
        right = source < target
        name = {source: source_name, target: target_name}.get(RING)
        self._put(row, first, "├" + "─" * (last - first - 1) + "┤")
        if name:  # that line is no single peer's: a name stands at the arrow's end
            self._centre(row, RING, f" {name} ")
            first += len(name) // 2 if COLUMNS[RING] == first else 0
            last -= len(name) // 2 if COLUMNS[RING] == last else 0
        self._put(row, first + 2, f" {text} ")
        self._put(row, last - 1 if right else first + 1, "▶" if right else "◀")
        self.write("".join(row))

    def note(self, column, text, at_us=None):
        row = self._canvas(at_us or int(time.time() * 1e6))
        self._centre(row, column, f" {text} ")
        self.write("".join(row))

    def media(self, to_caller, to_callee, by):
        row = self._canvas(int(time.time() * 1e6))
        first, last = COLUMNS[CALLER], COLUMNS[CALLEE]
        self._put(row, first + 1, "◀" + "═" * (last - first - 3) + "▶")
        text = f" RTP, {by}: {to_callee} packets to the right, {to_caller} to the left "
        self._put(row, (first + last - len(text)) // 2, text)
        self.write("".join(row))

    # ---- events ----

    def take(self, peer, event):
        """From the peers' control sockets, in any order."""
        if event["name"] == "phone.registered":
            user = event["a"].partition(":")[2].partition("@")[0]
            if user in self.phones:
                contact = re.search(r"@([^;>]*)", event["b"])[1]
                for address in event["peer"], contact:
                    self.phone_at[address, event["transport"]] = user
        with self.lock:
            heapq.heappush(self.waiting, (event["time"], next(self.serial), time.monotonic(),
                                          peer, event))

    def _due(self, everything):
        with self.lock:
            if self.waiting and (everything or
                                 self.waiting[0][2] + REORDER_S < time.monotonic()):
                return heapq.heappop(self.waiting)
        return None

    def _run(self):
        while True:
            last_round = self.stopped.is_set()
            while (item := self._due(last_round)) is not None:
                self._show(item[3], item[4])
            if last_round:
                return
            self.stopped.wait(0.02)

    def start(self):
        self.thread.start()

    def settle(self):
        """Until what has happened by now is on paper."""
        time.sleep(REORDER_S * 2)

    def close(self):
        self.stopped.set()
        self.thread.join()

    def _show(self, peer, event):
        show = {"sip.in": self._sip_in, "sip.out": self._sip_out, "locser.origin": self._origin,
                "locser.forward": self._forward, "locser.deliver": self._deliver,
                "locser.answer": self._answer, "locser.retry": self._retry,
                "record.stored": self._stored, "ring.successor": self._neighbour,
                "ring.predecessor": self._neighbour}.get(event["name"])
        if show:
            show(peer, event)

    @staticmethod
    def _words(event):
        status = event.get("status")
        return f"{status} ({event['a']})" if status else event["a"]

    def _sip_in(self, peer, event):
        user = self.phone_at.get((event["peer"], event["transport"]))
        if user and event.get("a"):
            self._arrow(event["time"], self.phones[user], self.column[peer.id], self._words(event))
            return
        other = self.peer_at.get(event["peer"])  # an answer comes back by the link it was asked on
        if other and event.get("a") != "LOCSER" and event.get("status", 100) > 100:
            self._between(event["time"], other, peer, self._words(event))

    def _sip_out(self, peer, event):
        if event.get("status") == 100:
            return
        user = self.phone_at.get((event["peer"], event["transport"]))
        if user and event.get("a"):
            self._arrow(event["time"], self.column[peer.id], self.phones[user], self._words(event))
            return
        other = self.peer_at.get(event["peer"])
        if other and event.get("a") != "LOCSER" and not event.get("status"):
            self._between(event["time"], peer, other, self._words(event))

    def _between(self, at_us, source, target, text):
        a, b = self.column[source.id], self.column[target.id]
        if a != b:
            self._arrow(at_us, a, b, text, source.short, target.short)
        else:
            row = self._canvas(at_us)
            self._centre(row, a, f" {source.short} ─▶ {target.short} ")
            self.write("".join(row))

    def _origin(self, peer, event):
        target = self.peer_at.get(event.get("peer"))
        if event.get("key") not in self.keys or event.get("a") not in LOCSER_SHOWN or not target:
            return
        user = self.keys[event["key"]].partition(":")[2].partition("@")[0]
        self.lookups[event["b"]] = [LOCSER_SHOWN[event["a"]], target]
        self._between(event["time"], peer, target, f"LOCSER {LOCSER_SHOWN[event['a']]} {user}")

    def _forward(self, peer, event):
        target = self.peer_at.get(event.get("peer"))
        if event.get("b") in self.lookups and target:
            self._between(event["time"], peer, target, "LOCSER " + self.lookups[event["b"]][0])

    def _deliver(self, peer, event):
        if event.get("b") in self.lookups:
            self.lookups[event["b"]][1] = peer

    def _answer(self, peer, event):
        if event.get("b") in self.lookups:
            took = f"{event['status']}, {event['n'] / 1000:.1f} ms"
            self._between(event["time"], self.lookups[event["b"]][1], peer, took)

    def _retry(self, peer, event):
        if event.get("key") in self.keys:
            self.note(self.column[peer.id], f"{peer.short}: silence, asks another", event["time"])

    def _neighbour(self, peer, event):
        other = self.peer_at.get(event.get("peer"))
        if other:
            side = event["name"].partition(".")[2]
            self.note(RING, f"{peer.short}: new {side} {other.short}", event["time"])

    def _stored(self, peer, event):
        if event.get("key") in self.keys:
            self.note(self.column[peer.id], f"{peer.short}: {event['n']} copies", event["time"])
