# SPDX-License-Identifier: BSD-2-Clause
"""Two unmodified phones, each registered at a peer of its own."""
from lib.call import Line
from lib.linphone import Linphone
from lib.phone import Phone
from lib.place import Skip, need
from lib.ring import Ring


def _two_phones(place, alice_transport, bob_transport):
    ring = Ring(place, 3)
    alice = Phone(place, "alice", ring.peers[1], alice_transport)
    bob = Phone(place, "bob", ring.peers[2], bob_transport)
    for phone in alice, bob:
        phone.wait_registered()
    return ring, alice, bob


def _call(place, *transports):
    ring, alice, bob = _two_phones(place, *transports)
    Line(place, alice, bob).call(alice, bob)
    ring.check_alive()


def phones_udp(place):
    """baresip calls baresip, both on UDP"""
    _call(place, "udp", "udp")


def phones_tcp(place):
    """baresip calls baresip, both on TCP"""
    _call(place, "tcp", "tcp")


def phones_udp_tcp(place):
    """baresip on UDP calls baresip on TCP"""
    _call(place, "udp", "tcp")


def phones_back(place):
    """baresip on TCP calls baresip on UDP, then is called back; each time the callee hangs up"""
    ring, alice, bob = _two_phones(place, "tcp", "udp")
    line = Line(place, alice, bob)
    line.call(alice, bob, hang_up=bob)
    line.call(bob, alice, hang_up=alice)
    ring.check_alive()


def _call_linphone(place, transport):
    need("linphonec", "linphone-cli")
    ring = Ring(place, 3)
    alice = Phone(place, "alice", ring.peers[1], transport).wait_registered()
    lin = Linphone(place, "lin", ring.peers[2], transport).wait_registered()
    line = Line(place, alice, lin)
    if not line.capture.available:
        raise Skip(line.capture.why)
    line.call(alice, lin)
    line.call(lin, alice)
    ring.check_alive()


def linphone_udp(place):
    """baresip and Linphone call each other, both on UDP"""
    _call_linphone(place, "udp")


def linphone_tcp(place):
    """baresip and Linphone call each other, both on TCP"""
    _call_linphone(place, "tcp")


CASES = [phones_udp, phones_tcp, phones_udp_tcp, phones_back, linphone_udp, linphone_tcp]
