#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-7.31, R-12.11, R-12.14 to R-12.18: presence between peers, with running locserds. Phones are UDP sockets."""
import contextlib
import re
import select
import socket
import time

from peer import BRANCH, LIMIT_S, Peer, main, until

BOB = "bob@example.net"
ALICE = "alice@example.net"


class Phone:
    def __init__(self, peer, user):
        self.peer = peer
        self.user = user
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.contact = f"sip:127.0.0.1:{self.socket.getsockname()[1]}"
        self.dialog = next(BRANCH)
        self.notified = []  # (time, text)
        self.etag = None

    def close(self):
        self.socket.close()

    def _send(self, method, to, lines, body="", call=None):
        number = next(BRANCH)
        self.socket.sendto(
            (f"{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {self.contact[4:]};"
             f"branch=z9hG4bKpres{number};rport\r\nMax-Forwards: 70\r\n"
             f"From: <sip:{self.user}>;tag=f{self.dialog}\r\nTo: <sip:{to}>\r\n"
             f"Call-ID: {call or self.dialog}\r\nCSeq: {number} {method}\r\n{lines}"
             f"Content-Length: {len(body)}\r\n\r\n{body}").encode(), self.peer.at)
        return f"{number} {method}"

    def _read(self, limit_s):
        """One message; a NOTIFY is answered and kept."""
        self.socket.settimeout(max(limit_s, 0.001))
        data, source = self.socket.recvfrom(65536)
        text = data.decode()
        if text.startswith("NOTIFY"):
            kept = [line for line in text.split("\r\n")
                    if re.match(r"(Via|From|To|Call-ID|CSeq):", line)]
            self.socket.sendto(("SIP/2.0 200 OK\r\n" + "\r\n".join(kept) +
                                "\r\nContent-Length: 0\r\n\r\n").encode(), source)
            self.notified.append((time.monotonic(), text))
        return text

    def _ask(self, *words, **more):
        """The final answer to it."""
        number = self._send(*words, **more)
        while True:
            text = self._read(LIMIT_S)
            if text.startswith("SIP/2.0") and not text.startswith("SIP/2.0 1") and \
                    re.search(rf"^CSeq: {number}\r", text, re.M):
                return text

    def register(self, expires=600):
        answer = self._ask("REGISTER", self.user,
                           f"Contact: <{self.contact}>\r\nExpires: {expires}\r\n", call="r" + self.contact)
        assert answer.startswith("SIP/2.0 200"), answer
        return self

    def publish(self, note):
        """The time at which it was sent."""
        body = ('<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="x"><tuple id="t"><status>'
                f"<basic>open</basic></status><note>{note}</note></tuple></presence>")
        match = f"SIP-If-Match: {self.etag}\r\n" if self.etag else ""
        sent = time.monotonic()
        answer = self._ask("PUBLISH", self.user, "Event: presence\r\n" + match +
                           "Content-Type: application/pidf+xml\r\n", body=body)
        assert answer.startswith("SIP/2.0 200"), answer
        self.etag = re.search(r"SIP-ETag: (\S+)", answer)[1]
        return sent

    def watch(self, whom, call=None):
        answer = self._ask("SUBSCRIBE", whom, "Event: presence\r\nExpires: 600\r\n"
                           f"Contact: <{self.contact}>\r\n", call=call)
        assert answer.startswith("SIP/2.0 200"), answer

    def sees(self, what, limit_s=LIMIT_S):
        """The time at which the last NOTIFY had that text."""
        end = time.monotonic() + limit_s
        while not self.notified or what not in self.notified[-1][1]:
            try:
                self._read(end - time.monotonic())
            except (TimeoutError, socket.timeout):
                last = self.notified[-1][1] if self.notified else None
                raise AssertionError(f"{self.user} never saw {what}; last: {last}") from None
        return self.notified[-1][0]

    def drain(self):
        """All that has come."""
        with contextlib.suppress(TimeoutError, socket.timeout, BlockingIOError):
            while True:
                self._read(0.001)


@contextlib.contextmanager
def ring(count, *words):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(*words))]
        for _ in range(count - 1):
            peers.append(stack.enter_context(Peer("--join", peers[0].address, *words)))
        for peer in peers:
            until(lambda peer=peer: peer.ask("status")["state"] == "ready", "ready")
        yield peers


@contextlib.contextmanager
def phones(*places):
    made = [Phone(peer, user) for peer, user in places]
    try:
        yield made
    finally:
        for phone in made:
            phone.close()


def test_a_phone_at_another_peer_is_seen():
    with ring(3) as peers, phones((peers[0], BOB), (peers[1], ALICE)) as (bob, alice):
        alice.register().watch(BOB)
        alice.sees("<basic>closed</basic>")
        bob.register()
        alice.sees("<basic>open</basic>")
        bob.publish("lunch")
        alice.sees("<note>lunch</note>")
        bob.publish("back")
        alice.sees("<note>back</note>")


def test_who_is_blocked_sees_no_more():
    """R-12.11, R-12.15"""
    with ring(3) as peers, phones((peers[0], BOB), (peers[1], ALICE), (peers[2], "eve@example.net")) \
            as (bob, alice, eve):
        bob.register().publish("one")
        for phone in (alice, eve):
            phone.register().watch(BOB)
            phone.sees("<note>one</note>")
        seen = {row["watcher"]: row["state"] for row in peers[0].ask("watchers", BOB)}
        assert seen == {"sip:" + ALICE: "active", "sip:eve@example.net": "active"}, seen
        assert "<note>one</note>" in peers[0].ask("presence", BOB)[0]["document"]
        assert peers[0].cli("block", BOB, "eve@example.net")[0] == 0
        eve.sees("terminated;reason=rejected")
        count = len(eve.notified)
        bob.publish("two")
        alice.sees("<note>two</note>")
        eve.drain()
        assert len(eve.notified) == count
        assert peers[0].cli("ask", BOB, ALICE)[0] == 0
        alice.sees("Subscription-State: pending")
        assert "two" not in alice.notified[-1][1]
        assert peers[0].cli("allow", BOB, ALICE)[0] == 0
        alice.sees("<note>two</note>")
        # nobody else can read who watches: no record and no other peer says it.
        for peer in peers:
            for row in peer.ask("records"):
                assert not row["text"].startswith("subscribe:") or ALICE not in row["text"], row


def test_a_decision_outlives_the_peer():
    """R-12.11: what was decided is kept; what cannot be is refused."""
    with Peer() as peer:
        with phones((peer, BOB), (peer, ALICE)) as (bob, alice):
            bob.register()
            assert peer.cli("allow", BOB, ALICE)[0] == 0
            assert peer.cli("block", BOB, ALICE)[0] == 0
            assert peer.cli("block", BOB, "no address at all")[0] == 1
        peer.kill()
        with Peer(data=peer.data) as again:
            with phones((again, BOB), (again, ALICE)) as (bob, alice):
                bob.register().publish("one")
                alice.register().watch(BOB)
                alice.sees("terminated;reason=rejected")
                assert again.ask("allow", BOB, ALICE) is True
                alice.watch(BOB, call="once-more")
                alice.sees("<note>one</note>")


def test_who_is_responsible_may_die():
    """R-12.17: with -9, both the peer that holds the home's record and the one with the watchers'."""
    with ring(5) as peers:
        def responsible(key):
            return peers[0].ask("lookup", key)[-1]["peer"]
        doomed = {responsible("presence:" + BOB), responsible("subscribe:presence:" + BOB)}
        kept = [peer for peer in peers if peer.id not in doomed]
        with phones((kept[0], BOB), (kept[1], ALICE)) as (bob, alice):
            bob.register().publish("one")
            alice.register().watch(BOB)
            alice.sees("<note>one</note>")
            for peer in peers:
                if peer.id in doomed:
                    peer.kill()
            bob.publish("two")
            alice.sees("<note>two</note>")
            # Somebody who comes later is found in the copies.
            with phones((kept[2 % len(kept)], "carol@example.net")) as (carol,):
                carol.register().watch(BOB)
                carol.sees("<note>two</note>")


class Crowd:
    """Many subscriptions to one address, by one socket: of each user there are 100."""
    EACH = 100

    def __init__(self, places, whom):
        self.whom = whom
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.at = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.places = places  # of watcher i: its peer
        self.shown = {}  # of each: the last body
        self.told = {}   # of each: the CSeqs of its NOTIFYs
        self.answered = set()

    def user(self, i):
        return f"w{i // self.EACH}-of-{self.whom}"

    def _ask(self, method, i, to, lines):
        self.socket.sendto(
            (f"{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {self.at};"
             f"branch=z9hG4bK{method}{i}{self.whom.partition('@')[0]};rport\r\n"
             f"Max-Forwards: 70\r\nFrom: <sip:{self.user(i)}>;tag=w{i}\r\n"
             f"To: <sip:{self.whom if method == 'SUBSCRIBE' else self.user(i)}>\r\n"
             f"Call-ID: crowd{i}\r\nCSeq: 1 {method}\r\nExpires: 3600\r\n{lines}"
             f"Contact: <sip:{self.at}>\r\nContent-Length: 0\r\n\r\n").encode(), self.places[i].at)

    def _register(self, i):
        self._ask("REGISTER", i, "example.net", "")

    def _subscribe(self, i):
        self._ask("SUBSCRIBE", i, self.whom, "Event: presence\r\n")

    def _take(self, limit_s):
        self.socket.settimeout(max(limit_s, 0.001))
        try:
            data, source = self.socket.recvfrom(65536)
        except (TimeoutError, socket.timeout):
            return
        text = data.decode()
        found = re.search(r"^Call-ID: crowd(\d+)\r", text, re.M)
        i = int(found[1])
        if text.startswith("SIP/2.0 1"):
            return
        if text.startswith("SIP/2.0 200"):
            self.answered.add(i)
        elif text.startswith("SIP/2.0") and not text.startswith("SIP/2.0 503"):
            raise AssertionError(text)
        if not text.startswith("NOTIFY"):
            return
        kept = [line for line in text.split("\r\n") if re.match(r"(Via|From|To|Call-ID|CSeq):", line)]
        self.socket.sendto(("SIP/2.0 200 OK\r\n" + "\r\n".join(kept) +
                            "\r\nContent-Length: 0\r\n\r\n").encode(), source)
        self.shown[i] = text
        self.told.setdefault(i, set()).add(re.search(r"^CSeq: (\d+)", text, re.M)[1])

    def _all(self, ask, which):
        """So many at once; again where a datagram was lost, or the peer was busy."""
        begun = 0
        self.answered.clear()
        end = time.monotonic() + 2 * LIMIT_S
        while len(self.answered) < len(which) and time.monotonic() < end:
            while begun < len(which) and begun - len(self.answered) < 50:
                ask(which[begun])
                begun += 1
            if select.select([self.socket], [], [], 2)[0]:
                self._take(1)
            else:
                for i in set(which[:begun]) - self.answered:
                    ask(i)
        assert len(self.answered) == len(which), len(self.answered)

    def register(self):
        self._all(self._register, range(0, len(self.places), self.EACH))

    def watch(self):
        self._all(self._subscribe, range(len(self.places)))

    def see(self, what):
        """Until all have it."""
        end = time.monotonic() + LIMIT_S
        left = set(range(len(self.places)))
        while True:
            left = {i for i in left if what not in self.shown.get(i, "")}
            if not left:
                return
            assert time.monotonic() < end, f"{len(left)} of {len(self.places)} never saw {what}"
            for _ in range(len(left)):
                self._take(end - time.monotonic())


def test_a_thousand_watchers():
    """R-12.12, R-12.15: at two other peers and at the home itself; all at one other peer. Of a change each is
    told once."""
    with ring(3) as peers:
        for places in ([peers[i // Crowd.EACH % 3] for i in range(1000)], [peers[1]] * 1000):
            whom = f"bob{places.count(peers[1])}@example.net"
            crowd = Crowd(places, whom)
            with phones((peers[0], whom)) as (bob,):
                bob.register().publish("one")
                begun = time.monotonic()
                crowd.register()
                registered = time.monotonic()
                crowd.watch()
                crowd.see("<note>one</note>")
                before = {i: len(told) for i, told in crowd.told.items()}
                watched = time.monotonic()
                bob.publish("two")
                crowd.see("<note>two</note>")
                told = time.monotonic()
                assert all(len(crowd.told[i]) == before[i] + 1 for i in before)
                print(f"1000 subscriptions at {len(set(places))} peers: registered in "
                      f"{registered - begun:.1f} s, all see {watched - registered:.1f} s after the "
                      f"first SUBSCRIBE, and {told - watched:.2f} s after a change")
            crowd.socket.close()


if __name__ == "__main__":
    main(globals())
