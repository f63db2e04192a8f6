# SPDX-License-Identifier: BSD-2-Clause
"""What phones are told of messages that are kept (docs/spec/13-messages.md)."""
import re

from lib import sipp
from lib.linphone import Linphone
from lib.phone import Phone
from lib.place import Failure, free_ports, until
from lib.ring import Ring

BOB = "sip:bob@example.net"
CPIM = """\
From: <sip:alice@example.net>
To: <sip:bob@example.net>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
DateTime: 2026-05-01T12:00:00Z
imdn.Disposition-Notification: positive-delivery, negative-delivery

Content-Type: text/plain

call me"""


def _can_receive(peer, user):
    until(lambda: any(row["receives"] for row in
                      peer.call("fetch", key=f"certificate:{user}@example.net")),
          f"{user} has a key that receives", 120)


def _shows(phone, mark, *lines):
    """A NOTIFY with these lines, taken with 200, and what baresip makes of it."""
    phone.wait_notified(mark, lambda notify: "Event: message-summary" in notify and
                        all(line in notify for line in lines), lines, 120)
    until(lambda: any(event.get("type") == "MWI_NOTIFY" and
                      event.get("param", "").splitlines()[:len(lines)] == list(lines)
                      for event in phone.events[mark[0]:]), f"baresip reports {lines}")


def baresip_lamp(place):
    """a baresip reports that a message waits, which another phone refused, and that it does no more"""
    ring = Ring(place, 3)
    home, other = ring.peers[:2]
    bob, alice = free_ports(2), free_ports(2)
    lamp = Phone(place, "bob", home, regint=3600, lamp=True).wait_registered()
    _shows(lamp, (0, 0), "Messages-Waiting: no")

    def phone_comes(name, status, reason):
        """bob's other phone registers, and hears one MESSAGE: it is repeated until it listens."""
        sipp.run(place, name + "-registers", home,
                 [sipp.register_with(1, contact=f"<sip:{name}@[local_ip]:[local_port]>"),
                  sipp.receive(200)], port=bob)
        return sipp.Run(place, name, home, sipp.hears(status, reason), port=bob, timeout_s=120)

    away = phone_comes("away", 480, "Not Now")
    sipp.run(place, "alice", other, sipp.REGISTERS, "alice", port=alice)
    _can_receive(home, "bob")
    sipp.run(place, "alice-says", other,
             [sipp.message("bob", "call me"), sipp.receive(100, True), sipp.receive(202)], "alice",
             port=alice)
    away.wait()
    mark = lamp.mark()
    phone_comes("busy", 480, "Not Now").wait()
    _shows(lamp, mark, "Messages-Waiting: yes", f"Message-Account: {BOB}", "Text-Message: 1/0")
    mark = lamp.mark()
    if "call me" not in phone_comes("free", 200, "OK").wait():
        raise Failure("another message came")
    _shows(lamp, mark, "Messages-Waiting: no")
    ring.check_alive()


def linphone_notice(place):
    """a Linphone says that it got what alice left, and so does its peer: back again, she hears both"""
    ring = Ring(place, 3)
    home, other = ring.peers[:2]
    alice = free_ports(2)
    comes, goes = [sipp.register(1), sipp.receive(200)], [sipp.register(2, 0), sipp.receive(200)]
    sipp.run(place, "bob-before", home, [*comes, *goes])
    sipp.run(place, "alice", other, comes, "alice", port=alice)
    _can_receive(home, "bob")
    _can_receive(other, "alice")
    sipp.run(place, "alice-says", other,
             [sipp.message("bob", CPIM, kind="message/cpim"), sipp.receive(100, True),
              sipp.receive(202)], "alice", port=alice)
    sipp.run(place, "alice-goes", other, goes, "alice", port=alice)
    bob = Linphone(place, "bob", home).wait_registered()
    until(lambda: "\ncall me" in bob.log(), "it comes to bob", 60)

    def kept():
        """Both notices; none of them again."""
        try:
            return len(other.call("fetch", key="offline:alice@example.net")) == 2
        except Failure:
            return False
    until(kept, "the two notices are kept", 60)
    sipp.run(place, "alice-returns", other, comes, "alice", port=alice)
    heard = sipp.Run(place, "alice-hears", other, sipp.hears(200, "OK"), "alice", port=alice, calls=2,
                     timeout_s=120).wait()
    for kind in "message/imdn+xml", "message/cpim":
        if f"\nContent-Type: {kind}" not in heard.replace("\r", ""):
            raise Failure(f"no notice as {kind}")
    if len(re.findall(r"<message-id>34jk324j</message-id>.*?<delivered ?/>", heard, re.S)) < 2:
        raise Failure("not both say that it was delivered")
    ring.check_alive()


CASES = [baresip_lamp, linphone_notice]
