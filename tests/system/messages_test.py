#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-7.32, R-13.1 to R-13.12: messages for somebody who is away. Real peers; phones are UDP
sockets."""
import contextlib
import os
import re
import signal
import socket
import sqlite3

from grant_test import Phone, grant, ring
from peer import BRANCH, Control, main, until

TEXT = "the treasure is under the old oak"
LIMIT_S = 60


class Talker(Phone):
    """A phone that sends MESSAGE, and answers those that come."""

    def message(self, to, text, kind="text/plain", call_id=None):
        """(status, reason)"""
        branch = f"z9hG4bKtalk{next(BRANCH)}"
        body = text.encode()
        self.socket.sendto(
            (f"MESSAGE sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};"
             f"branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{self.user}>;tag=1\r\n"
             f"To: <sip:{to}>\r\nCall-ID: {call_id or branch}\r\nCSeq: 7 MESSAGE\r\n"
             f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body,
            self.peer.at)
        while True:
            answer = self.socket.recv(65536).decode()
            found = re.match(r"SIP/2.0 (\d+) ([^\r]*)", answer)
            if found and branch in answer and int(found[1]) >= 200:
                return int(found[1]), found[2]

    def hear(self, status=200, limit_s=LIMIT_S, method="MESSAGE"):
        """The next request of that method (answered with status): (headers, body); None: silence."""
        self.socket.settimeout(limit_s)
        try:
            while True:
                text, at = self.socket.recvfrom(65536)
                text = text.decode()
                if not text.startswith(method + " "):
                    continue
                head, body = text.split("\r\n\r\n", 1)
                lines = [line for line in head.split("\r\n")
                         if re.match(r"(Via|From|To|Call-ID|CSeq):", line)]
                self.socket.sendto(("\r\n".join([f"SIP/2.0 {status} So Be It"] + lines)
                                    + "\r\nContent-Length: 0\r\n\r\n").encode(), at)
                return head, body
        except socket.timeout:
            return None
        finally:
            self.socket.settimeout(LIMIT_S)


def header(head, name):
    return re.search(rf"^{name}: *(.*?)\r?$", head, re.M)[1]


def go_away(phone):
    assert phone.register(0)[0] == 200


def leaves(phone, text, to="bob@example.net"):
    """503 says that it may be tried again (R-13.13); the id stays the same."""
    call_id = f"left{next(BRANCH)}"
    status, reason = until(lambda: (lambda r: r if r[0] != 503 else None)(
        phone.message(to, text, call_id=call_id)), "an answer", 120)
    assert (status, reason) == (202, "Accepted"), (status, reason)


def can_receive(peer, user="bob@example.net"):
    """The second key is made in its own time, and then the record has two certificates."""
    key = f"certificate:{user}"
    with contextlib.closing(Control(peer.control)) as control:
        until(lambda: any(row["receives"] for row in control.call("fetch", key=key)["result"]),
              "a key that receives", 900)


def holders(peers, address):
    return [p for p in peers if any(
        r["text"] == f"offline:{address}" and r["state"] == "live" for r in p.ask("records"))]


def disk(peer):
    data = b""
    for folder, _, names in os.walk(peer.data):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):  # no socket
                with open(path, "rb") as file:
                    data += file.read()
    return data


def test_kept_and_delivered_in_order():
    with ring(3) as (home, other, _):
        bob, alice = Talker(home), Talker(other, "alice@example.net")
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(home)
        go_away(bob)
        for i in range(3):
            leaves(alice, f"{TEXT} {i}")
        assert bob.registers()[0] == 200
        heard = [bob.hear() for _ in range(3)]
        assert [body for _, body in heard] == [f"{TEXT} {i}" for i in range(3)]
        for head, _ in heard:
            assert "alice@example.net" in header(head, "From"), head
            assert header(head, "Content-Type") == "text/plain"
        assert len({header(head, "Call-ID") for head, _ in heard}) == 3
        until(lambda: not holders((home, other), "bob@example.net"), "all are removed")
        assert bob.hear(limit_s=1) is None
        bob.close()
        alice.close()


def test_refused_and_limited():
    with ring(2) as (home, other):
        bob, alice = Talker(home), Talker(other, "alice@example.net")
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        assert alice.message("nobody@example.net", TEXT)[0] == 404
        can_receive(home)
        go_away(bob)
        leaves(alice, "x" * 4096)
        assert alice.message("bob@example.net", "x" * 4097)[0] == 413
        assert alice.message("bob@example.net", "<isComposing/>",
                             kind="application/im-iscomposing+xml")[0] == 480
        stranger = Talker(other, "mallory@example.net")  # not registered: nobody vouches for it
        assert stranger.message("bob@example.net", TEXT)[0] == 480
        # the phone does not take it now: it comes again, by the same id
        assert bob.registers()[0] == 200
        first = bob.hear(status=480)
        go_away(bob)
        assert bob.registers()[0] == 200
        again = bob.hear()
        assert header(first[0], "Call-ID") == header(again[0], "Call-ID")
        assert first[1] == again[1] == "x" * 4096
        for phone in (bob, alice, stranger):
            phone.close()


def test_from_the_command_line():
    with ring(2) as (home, other):
        bob, alice = Talker(home), Talker(other, "alice@example.net")
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(home)
        go_away(bob)
        until(lambda: other.cli("message", "send", "alice@example.net", "bob@example.net",
                                TEXT)[0] == 0, "sent", 120)
        status, output, _ = other.cli("message", "list", "bob@example.net")
        assert status == 0 and "sealed" in output and TEXT not in output, output
        assert other.cli("message", "list")[0] == 1
        assert bob.registers()[0] == 200
        assert bob.hear()[1] == TEXT
        bob.close()
        alice.close()


def test_two_of_three_that_store_die():
    """Through a third peer that was granted bob; nothing legible on the disks."""
    with ring(6) as peers:
        bob, alice = Talker(peers[0]), Talker(peers[1], "alice@example.net")
        assert bob.registers()[0] == 200 and alice.registers()[0] == 200
        can_receive(peers[0])
        go_away(bob)
        leaves(alice, TEXT)
        until(lambda: len(holders(peers, "bob@example.net")) == 3, "three copies", 60)
        storing = holders(peers, "bob@example.net")
        for peer in storing:
            held = disk(peer)
            assert b"offline:bob@example.net" in held
            assert TEXT.encode() not in held
            assert not leaks_sender(peer)
        # whoever remains and does not store was granted the keys, or is the home
        third = next(p for p in peers[2:] if p not in storing)
        until(lambda: third.cli("publish")[0] == 0, "its certificates")
        grant(peers[0], third)
        doomed = [p for p in storing if p is not third][:2]
        for peer in doomed:
            peer.process.send_signal(signal.SIGKILL)
            peer.process.wait()
        phone = Talker(third)
        assert phone.registers()[0] == 200
        heard = phone.hear()
        assert heard is not None and heard[1] == TEXT
        assert phone.hear(limit_s=1) is None
        for each in (bob, alice, phone):
            each.close()


def leaks_sender(peer):
    """Is alice's name in a record of the mailbox, as it is in the journal?"""
    journal = sqlite3.connect(f"file:{os.path.join(peer.data, 'journal.db')}?mode=ro", uri=True)
    with contextlib.closing(journal):
        records = [record for (record,) in journal.execute("SELECT bytes FROM record")
                   if b"offline:bob@example.net" in record]
    assert records
    return any(b"alice" in record for record in records)


if __name__ == "__main__":
    main(globals())
