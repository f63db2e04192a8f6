# SPDX-License-Identifier: BSD-2-Clause
"""SIPp at both ends: what phones do that two friendly ones never do."""
import subprocess

from lib import sipp
from lib.place import LOCSER, Failure, free_ports, until
from lib.ring import Ring

BOB = "sip:bob@example.net"
FLOOD = 200


def _contacts(ring, uri=BOB):
    """What each peer finds."""
    found = []
    for peer in ring.living():
        try:
            found.append(sorted(row["contact"] for row in peer.call("get", uri=uri)))
        except Failure:
            found.append([])
    return found


def _meet(place, callee_steps, caller_steps):
    ring = Ring(place, 3)
    callee = sipp.callee(place, "callee", ring.peers[2], callee_steps)
    sipp.run(place, "caller", ring.peers[1], caller_steps)
    callee.wait()
    ring.check_alive()


def sipp_call(place):
    """SIPp calls SIPp through two peers"""
    _meet(place, sipp.answers(), sipp.CALL)


def sipp_cancel(place):
    """the caller gives up while it rings: CANCEL, 487"""
    _meet(place, sipp.IS_CANCELLED,
          [sipp.invite(), sipp.receive(100, True), sipp.receive(180), sipp.pause(100),
           sipp.cancel(), sipp.receive(200), sipp.receive(487), sipp.ack_refused()])


def sipp_busy(place):
    """the callee is busy: 486"""
    _meet(place, sipp.refuses(486, "Busy Here"), sipp.refused(486))


def sipp_nobody(place):
    """nobody is registered: 480"""
    ring = Ring(place, 3)
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(480), "nobody")
    ring.check_alive()


def _grant(place, home, other):
    """The user's keys go to another peer, too, once that has made its own (R-6.9)."""
    other.call("publish")

    def granted():
        done = subprocess.run([LOCSER, "user", "--data", place.path(home.name), "--control",
                               home.control_path, "grant", BOB, other.id],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
        if done.returncode != 0 and "publish" not in done.stderr:
            raise Failure(f"locser user grant: {done.stderr.strip()}")
        return done.returncode == 0
    until(granted, "the user is granted", 120)  # a peer's RSA key takes long on a busy machine


def sipp_fork(place):
    """two contacts at two peers, to which the user is granted, ring: one answers, the other is
    cancelled"""
    ring = Ring(place, 3)
    slow = sipp.callee(place, "cancelled", ring.peers[0], sipp.IS_CANCELLED)
    until(lambda: all(len(found) == 1 for found in _contacts(ring)), "the first is found")
    _grant(place, *ring.peers[:2])
    quick = sipp.callee(place, "answers", ring.peers[1], sipp.answers(400))
    until(lambda: all(len(found) == 2 for found in _contacts(ring)), "both contacts are found")
    sipp.run(place, "caller", ring.peers[2], sipp.CALL)
    quick.wait()
    slow.wait()
    ring.check_alive()


def sipp_refresh(place):
    """a second REGISTER refreshes: one contact, found from every peer"""
    ring = Ring(place, 3)
    answer = sipp.receive(200)
    messages = sipp.run(place, "phone", ring.peers[1],
                        [sipp.register(1), answer, sipp.pause(200), sipp.register(2, 600), answer])
    if "expires=600" not in messages.rpartition("SIP/2.0 200")[2]:
        raise Failure("the second 200 does not grant 600 s")
    found = _contacts(ring)
    if any(len(contacts) != 1 for contacts in found):
        raise Failure(f"not one contact from each peer: {found}")
    ring.check_alive()


def sipp_unregister(place):
    """REGISTER with Expires 0, then 480 from every peer"""
    ring = Ring(place, 3)
    port = free_ports(2)
    sipp.run(place, "phone", ring.peers[1],
             [sipp.register(1), sipp.receive(200), sipp.pause(200), sipp.register(2, 0),
              sipp.receive(200)], port=port)
    until(lambda: not any(_contacts(ring)), "nobody finds the contact any more")
    for peer in ring.peers:
        sipp.run(place, f"caller-{peer.name}", peer, sipp.refused(480))
    ring.check_alive()


def sipp_flood(place):
    """200 addresses register at one peer at once: each is answered 200 and found"""
    ring = Ring(place, 3)
    user = "user[call_number]"
    sipp.run(place, "phones", ring.peers[1], [sipp.register(user=user), sipp.receive(200)],
             calls=FLOOD, rate=FLOOD)
    for i in range(1, FLOOD + 1):
        uri = f"sip:user{i}@example.net"
        if len(ring.peers[i % 3].call("get", uri=uri)) != 1:
            raise Failure(f"{uri} is not found")
    ring.check_alive()


CASES = [sipp_call, sipp_cancel, sipp_busy, sipp_nobody, sipp_fork, sipp_refresh, sipp_unregister,
         sipp_flood]
