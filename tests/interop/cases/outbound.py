# SPDX-License-Identifier: BSD-2-Clause
"""SIP Outbound: one phone with flows to two peers (RFC 5626)."""
import re
import signal
import socket
import time
from types import SimpleNamespace

from cases.sipp import check_lapse
from lib import dns
from lib.call import TALK_S, Line
from lib.phone import Phone
from lib.place import Failure, until
from lib.ring import Peer, Ring
from lib.user import grant

BOB = "sip:bob@example.net"
WITHIN_S = 10


def _first_register(peer, user):
    """A REGISTER that leaves nothing behind but the user's keys at that peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.0.0.1", 0))
        out.settimeout(20)
        at = "%s:%d" % out.getsockname()
        for number, expires in (1, 60), (2, 0):
            out.sendto(
                f"REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP {at};"
                f"branch=z9hG4bKfirst{number};rport\r\nMax-Forwards: 70\r\n"
                f"From: <{user}>;tag=f\r\nTo: <{user}>\r\nCall-ID: first@{at}\r\n"
                f"CSeq: {number} REGISTER\r\nContact: <sip:first@{at}>;expires={expires}\r\n"
                "Content-Length: 0\r\n\r\n".encode(), ("127.0.0.1", peer.port))
            answer = out.recv(65536).decode()
            if not answer.startswith("SIP/2.0 200 "):
                raise Failure(f"REGISTER at {peer.name}: {answer.splitlines()[0]}")


def _registrations(phone):
    """By reg-id, the peer that has confirmed it as Outbound: what the phone's SIP log shows."""
    found = {}
    for message in phone.messages():
        if message.startswith("SIP/2.0 200") and re.search(r"^CSeq: \d+ REGISTER", message, re.M):
            via = re.search(r"^Service-Route: <sip:([^;>]+)", message, re.M)
            reg_id = re.findall(r"^Contact:.*;reg-id=(\d+)", message, re.M)
            if via and re.search(r"^Require: .*outbound", message, re.M) and reg_id:
                found[via[1]] = message
    return found


def _rows(peer):
    try:
        return peer.call("get", uri=BOB)
    except Failure:  # nobody
        return []


def _flows(place, transport):
    """A ring of three, alice at the third peer, bob with flows to the first two."""
    ring = Ring(place, 3)
    first, second, third = ring.peers
    _first_register(first, BOB)
    grant(place, first, second, BOB)
    alice = Phone(place, "alice", third, "udp").wait_registered()
    bob = Phone(place, "bob", first, transport, second=second)
    until(lambda: len(_registrations(bob)) == 2, "bob has two flows", 60)
    rows = third.call("get", uri=BOB)
    if len(rows) != 2:
        raise Failure(f"{len(rows)} contacts of bob, of two flows")
    return ring, alice, bob


def _count(phone, method, mark):
    return sum(message.startswith(method + " ") for message in phone.messages(mark))


def _owner(ring, phone, mark):
    """The peer over whose flow the one INVITE since the mark came."""
    vias = [re.search(r"^Via: \S+ 127\.0\.0\.1:(\d+)", message, re.M)
            for message in phone.messages(mark) if message.startswith("INVITE ")]
    if len(vias) != 1:
        raise Failure(f"{len(vias)} INVITE reached the flows of {phone.user}")
    return next(peer for peer in ring.peers if peer.port == int(vias[0][1]))


def _lose_a_peer(place, transport, how):
    """A call; the peer that it came by is lost; another call."""
    ring, alice, bob = _flows(place, transport)
    line = Line(place, alice, bob)
    mark = bob.mark()
    line.call(alice, bob)
    owner = _owner(ring, bob, mark)
    how(owner)
    mark = bob.mark()
    done = line.call(alice, bob, limit_s=WITHIN_S)
    if _owner(ring, bob, mark) == owner:
        raise Failure(f"the second call came by {owner.name}, too")
    print(f"     {owner.name} lost; called over the other flow: set up in {done['setup_s']:.2f} s")


def _stop(peer):
    peer.expected_end = True
    peer.process.send_signal(signal.SIGSTOP)


def outbound_tcp(place):
    """baresip with TCP flows to two peers: one INVITE a call; its peer killed, the next call comes
    over the other flow"""
    _lose_a_peer(place, "tcp", Peer.kill)


def outbound_udp(place):
    """the same with UDP flows"""
    _lose_a_peer(place, "udp", Peer.kill)


def outbound_silent(place):
    """the same with a peer that falls silent instead of ending"""
    _lose_a_peer(place, "tcp", _stop)


def phone_moves(place):
    """baresip, which finds its peers by DNS and uses no Outbound: its peer killed, it is switched
    off and on, registers at the second peer, and is called within 10 s"""
    ring = Ring(place, 3)
    first, second, third = ring.peers
    _first_register(first, BOB)
    grant(place, first, second, BOB)
    name = "peers.example"
    server = dns.Server(place, {
        "_sip._tcp." + name: [dns.srv(10, 0, first.port, "one." + name),
                              dns.srv(20, 0, second.port, "two." + name)],
        "one." + name: [dns.a("127.0.0.1")], "two." + name: [dns.a("127.0.0.1")]})
    alice = Phone(place, "alice", third).wait_registered()
    bob = Phone(place, "bob", SimpleNamespace(address=name), "tcp", dns=server.address)
    bob.wait_registered()
    if first.call("status")["bindings"] != 1:
        raise Failure("bob is not at the first of his peers")
    line = Line(place, alice, bob)
    first.kill()
    began = time.monotonic()
    bob.process.kill()
    bob.process.wait()
    bob.start()
    bob.wait_registered()
    if second.call("status")["bindings"] != 1:
        raise Failure("bob is not at the second of his peers")
    done = line.call(alice, bob, limit_s=WITHIN_S)
    print(f"     registered again, called and hung up {time.monotonic() - began - TALK_S:.1f} s after "
          f"its peer died, of which {done['setup_s']:.2f} s for the call's setup")
    ring.check_alive()


def outbound_stun(place):
    """baresip keeps its UDP flow by STUN, while a registration of SIPp for 60 s lapses; it is killed,
    and its binding goes long before it would lapse"""
    ring = Ring(place, 3)
    bob = Phone(place, "bob", ring.peers[1], "udp", regint=600, second=ring.peers[1])
    until(lambda: _registrations(bob), "bob has a flow", 60)
    if not re.search(r"^Flow-Timer: 30", "\n".join(bob.messages()), re.M):
        raise Failure("no Flow-Timer was promised")
    began = time.monotonic()
    check_lapse(place, ring, "carol")
    time.sleep(max(0, 75 - (time.monotonic() - began)))  # longer than silence may be
    if not ring.peers[2].call("get", uri=BOB):
        raise Failure("the binding went although the phone kept its flow")
    bob.process.kill()
    began = time.monotonic()
    until(lambda: not _rows(ring.peers[2]), "the dead phone's binding goes", 75, 0.5)
    print(f"     gone {time.monotonic() - began:.0f} s after the phone was killed")
    ring.check_alive()


CASES = [outbound_tcp, outbound_udp, outbound_silent, phone_moves, outbound_stun]
