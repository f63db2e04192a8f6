# SPDX-License-Identifier: BSD-2-Clause
"""Messages that wait, told to a baresip (docs/spec/13-messages.md)."""
import re

from lib import sipp
from lib.phone import Phone
from lib.place import Failure, free_ports, until
from lib.ring import Ring

BOB = "sip:bob@example.net"


def _shows(phone, mark, *lines):
    """A NOTIFY with these lines, taken with 200, and what baresip makes of it."""
    def found():
        for message in phone.messages(mark):
            if message.startswith("NOTIFY ") and "Event: message-summary" in message and \
                    all(line in message for line in lines):
                return message
        return None
    message = until(found, f"{phone.user} is told {lines}", 120)
    number = re.search(r"^CSeq: (\d+) NOTIFY", message, re.M)[1]
    until(lambda: any(text.startswith("SIP/2.0 200") and f"CSeq: {number} NOTIFY" in text
                      for text in phone.messages(mark)), "and says 200")
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
    until(lambda: any(row["receives"] for row in
                      home.call("fetch", key="certificate:bob@example.net")),
          "bob has a key that receives", 120)
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


CASES = [baresip_lamp]
