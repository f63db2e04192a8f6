# SPDX-License-Identifier: BSD-2-Clause
"""Who is there, between baresips at different peers (docs/spec/12-presence.md)."""
import re

from lib.phone import Phone
from lib.place import Failure, until
from lib.ring import Ring

ALICE, BOB = "sip:alice@example.net", "sip:bob@example.net"


def _shown(phone, mark, what):
    """A NOTIFY of bob with that, taken with 200."""
    phone.wait_notified(mark, lambda notify: re.search(rf"entity=.{BOB}.", notify) and
                        what in notify, what, 30)


def _status(phone, mark, status):
    """What its user reads."""
    until(lambda: re.search(rf"{BOB}.*changed status from .* to .*{status}", phone.log()[mark[1]:]),
          f"the phone of {phone.user} shows that bob is {status}", 30)


def baresip_presence(place):
    """a baresip shows that a baresip at another peer comes, and goes, though the peer between died"""
    ring = Ring(place, 5)
    key = "presence:bob@example.net"
    between = ring.peers[0].call("lookup", uri=key)[-1]["peer"]
    homes = [peer for peer in ring.peers if peer.id != between]
    alice = Phone(place, "alice", homes[0], watches=(BOB,)).wait_registered()
    bob = Phone(place, "bob", homes[1], watches=(ALICE,)).wait_registered()
    _shown(alice, (0, 0), "<basic>open</basic>")
    _status(alice, (0, 0), "Online")
    bob.command("presence_online")
    until(lambda: any(text.startswith("SIP/2.0 200") and "SIP-ETag: " in text
                      for text in bob.messages()), "bob publishes")
    seen = homes[1].call("watchers", uri=BOB)
    if [row["watcher"] for row in seen] != [ALICE]:
        raise Failure(f"who watches bob: {seen}")
    for peer in ring.peers:
        if peer.id == between:
            peer.kill()
    mark = alice.mark()
    bob.command("quit")
    _shown(alice, mark, "<basic>closed</basic>")
    _status(alice, mark, "Offline")


CASES = [baresip_presence]
