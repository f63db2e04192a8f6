# SPDX-License-Identifier: BSD-2-Clause
"""Messages for somebody who is away (docs/spec/13-messages.md), between SIPps."""
import contextlib
import os
import re
import sqlite3

from lib import sipp
from lib.place import Failure, free_ports, until
from lib.ring import Ring
from lib.user import grant

BOB = "sip:bob@example.net"
TEXTS = ["the treasure is under the old oak", "no, under the young one", "dig at night"]


def _holders(peers):
    return [peer for peer in peers if any(
        row["text"] == "offline:bob@example.net" and row["state"] == "live"
        for row in peer.call("records"))]


def _disk(place, peer):
    data = b""
    for folder, _, names in os.walk(place.path(peer.name)):
        for name in names:
            if os.path.isfile(os.path.join(folder, name)):  # no socket
                with open(os.path.join(folder, name), "rb") as file:
                    data += file.read()
    return data


def _kept(place, peer):
    """The records of the mailbox, as they are in its journal."""
    journal = sqlite3.connect(f"file:{place.path(peer.name, 'journal.db')}?mode=ro", uri=True)
    with contextlib.closing(journal):
        tables = [name for (name,) in journal.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = [cell if isinstance(cell, bytes) else str(cell).encode() for table in tables
                 for row in journal.execute(f"SELECT * FROM {table}") for cell in row]
    return [cell for cell in cells if b"offline:bob@example.net" in cell]


def _check_sealed(place, peer):
    """The text is nowhere on its disk, the sender not in what is kept of the message: that he
    exists his contact says, which anybody may read."""
    data, kept = _disk(place, peer), _kept(place, peer)
    if len(kept) < len(TEXTS):
        raise Failure(f"{peer.name} has {len(kept)} of the messages in its journal")
    if any(text.encode() in data for text in TEXTS):
        raise Failure(f"the text is legible on the disk of {peer.name}")
    if any(b"caller" in record for record in kept):
        raise Failure(f"the sender is legible in what {peer.name} keeps")


def sipp_message_kept(place):
    """messages for a phone that is away: two of the three peers that keep them are killed, and its
    REGISTER at a peer that was granted the user brings them, in order"""
    ring = Ring(place, 6)
    home, sender = ring.peers[:2]
    sipp.run(place, "bob-was-here", home,
             [sipp.register(1), sipp.receive(200), sipp.register(2, 0), sipp.receive(200)])
    until(lambda: any(row["receives"] for row in home.call("fetch", key="certificate:" + BOB[4:])),
          "a key that receives", 240)  # RSA keys take long on a busy machine
    steps = [sipp.register(1, user="caller"), sipp.receive(200)]
    for number, text in enumerate(TEXTS, 2):
        steps += [sipp.message("[service]", text, "caller", number=number),
                  sipp.receive(100, True), sipp.receive(202)]
    sipp.run(place, "caller", sender, steps, timeout_s=120)
    storing = until(lambda: (lambda found: found if len(found) == 3 else None)(
        _holders(ring.peers)), "three peers keep them", 60)
    for peer in storing:
        _check_sealed(place, peer)
    third = next(peer for peer in ring.peers[2:] if peer not in storing)
    grant(place, home, third, BOB)
    for peer in storing[:2]:
        peer.kill()  # by SIGKILL
    port = free_ports(2)
    sipp.run(place, "bob-is-back", third, sipp.until_registered(sipp.register("[cseq]"), 5),
             port=port, timeout_s=120, strict=False)
    phone = sipp.Run(place, "bob", third, sipp.hears(200, "OK"), port=port,
                     calls=len(TEXTS), timeout_s=120)
    heard = re.findall(r"^MESSAGE .*?^Call-ID: ([^\r\n]*).*?\n\r?\n([^\r\n]*)", phone.wait(),
                       re.M | re.S)
    once = list(dict.fromkeys(heard))  # one that was sent again has the same id
    if [text for _, text in once] != TEXTS or len(dict(once)) != len(TEXTS):
        raise Failure(f"the phone heard {heard}")
    until(lambda: not _holders(ring.living()), "the messages are removed", 60)
    ring.check_alive()


CASES = [sipp_message_kept]
