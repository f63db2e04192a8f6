# SPDX-License-Identifier: BSD-2-Clause
"""Two unmodified phones, each registered at a peer of its own."""
import re
import urllib.error
import urllib.request

from lib.call import Line
from lib.linphone import Linphone
from lib.phone import Phone
from lib.place import Failure, Skip, free_ports, need
from lib.ring import Ring
from lib.tls import certificate
from lib.user import make_user


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
    # on TCP its Contact is a port that nobody listens on, so ACK and BYE need its home.
    _call(place, "udp", "tcp")


# An RTP packet of 20 ms of PCMU has 12 + 160 bytes; SRTP adds a tag of 10 (RFC 3711).
SRTP_BYTES = 182


def _check_srtp(line, *phones):
    """Offer and answer in the SIP log of each are of SRTP, and of nothing else."""
    for phone in phones:
        media = re.findall(r"^m=audio \d+ (\S+)", phone.log(), re.M)
        keys = re.findall(r"^a=crypto:\d+ \S+ inline:", phone.log(), re.M)
        if len(media) < 2 or set(media) != {"RTP/SAVP"} or len(keys) < 2:
            raise Failure(f"not SRTP alone in the SIP log of {phone.user}: {media}")
        if isinstance(phone, Phone) and line.capture.available:
            lengths = line.capture.lengths_of(phone.rtp_ports)
            if lengths != {SRTP_BYTES}:
                raise Failure(f"packets to {phone.user} have {lengths} bytes")


def phones_tls(place):
    """baresip calls baresip, both on TLS, with SRTP"""
    ring, alice, bob = _two_phones(place, "tls", "tls")
    line = Line(place, alice, bob)
    line.call(alice, bob)
    _check_srtp(line, alice, bob)
    ring.check_alive()


def phones_back(place):
    """baresip on TCP calls baresip on UDP, then is called back; each time the callee hangs up"""
    ring, alice, bob = _two_phones(place, "tcp", "udp")
    line = Line(place, alice, bob)
    line.call(alice, bob, hang_up=bob)
    line.call(bob, alice, hang_up=alice)
    ring.check_alive()


def phones_digest(place):
    """baresip on UDP calls baresip on TCP, both with passwords"""
    # Debian's baresip knows MD5 alone, and gives up where another algorithm is offered beside it.
    ring = Ring(place, 3, "--digest", "md5")
    phones = []
    for name, peer, transport in ("alice", ring.peers[1], "udp"), ("bob", ring.peers[2], "tcp"):
        peer.add_users(f"{name}@example.net", password="secret")
        phones.append(Phone(place, name, peer, transport, password="secret").wait_registered())
        if not any("Authorization: Digest" in message for message in phones[-1].messages()):
            raise Failure(f"{name} was not asked for a password")
    Line(place, *phones).call(*phones)
    ring.check_alive()


def phones_give_up(place):
    """baresip, which gives up at a challenge in two algorithms, registers at its second try"""
    ring = Ring(place, 1)
    ring.peers[0].add_users("alice@example.net", password="secret")
    Phone(place, "alice", ring.peers[0], password="secret").wait_registered(90)
    ring.check_alive()


def phones_provisioned(place):
    """Linphone, which knows but the URL of a QR code, has its account from there; it and baresip call"""
    need("linphonec", "linphone-cli")
    ring = Ring(place, 2, "--web", "127.0.0.1:0", "--provision", "--provision-group",
                f"224.0.1.75:{free_ports(1)}")
    home = ring.peers[1]
    shown = make_user(place, home, "lin@example.net", "--generate", "--provision", "qr")
    url = re.search(r"^http://\S+/linphone\.xml$", shown, re.M)[0]
    alice = Phone(place, "alice", ring.peers[0]).wait_registered()
    lin = Linphone(place, "lin", home, settings=url).wait_registered()
    if "response=" not in lin.log():
        raise Failure("Linphone was not asked for a password")
    try:
        urllib.request.urlopen(url, timeout=20).close()
        raise Failure("the settings are there a second time")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise Failure(f"the settings were fetched, and then: {error}") from error
    line = _line_of(place, alice, lin)
    line.call(alice, lin)
    line.call(lin, alice)
    ring.check_alive()


def _line_of(place, *phones):
    line = Line(place, *phones)
    if not line.capture.available:  # Linphone counts no packets
        raise Skip(line.capture.why)
    return line


def _check_gruu(lin):
    if not re.search(r"^Contact: <sip:\w+@example\.net;gr=urn:uuid:", lin.log(), re.M):
        raise Failure("Linphone did not use the GRUU it was given")


def _tls_words(place, transport):
    """For the peers, and for the phones."""
    if transport != "tls":
        return [], {}
    words = certificate(place)
    return words, {"trusts": words[1]}


def _call_linphone(place, transport):
    need("linphonec", "linphone-cli")
    words, trust = _tls_words(place, transport)
    ring = Ring(place, 3, *words)
    alice = Phone(place, "alice", ring.peers[1], transport).wait_registered()
    lin = Linphone(place, "lin", ring.peers[2], transport, **trust).wait_registered()
    line = _line_of(place, alice, lin)
    line.call(alice, lin)
    if not lin.saw("ACK"):
        raise Failure("Linphone never had the ACK to its 200")
    line.call(lin, alice)
    _check_gruu(lin)
    if transport == "tls":
        _check_srtp(line, alice, lin)
    ring.check_alive()


def linphone_udp(place):
    """baresip and Linphone call each other, both on UDP"""
    _call_linphone(place, "udp")


def linphone_tcp(place):
    """baresip and Linphone call each other, both on TCP"""
    _call_linphone(place, "tcp")


def linphone_tls(place):
    """baresip and Linphone call each other, both on TLS, with SRTP"""
    _call_linphone(place, "tls")


def _call_linphones(place, transport):
    need("linphonec", "linphone-cli")
    words, trust = _tls_words(place, transport)
    ring = Ring(place, 3, *words)
    lin = Linphone(place, "lin", ring.peers[1], transport, **trust)
    tux = Linphone(place, "tux", ring.peers[2], transport, **trust)
    for phone in lin, tux:
        phone.wait_registered()
    line = _line_of(place, lin, tux)
    line.call(lin, tux)
    _check_gruu(tux)
    if transport == "tls":
        _check_srtp(line, lin, tux)
    ring.check_alive()


def linphones_udp(place):
    """Linphone calls Linphone, both on UDP"""
    _call_linphones(place, "udp")


def linphones_tcp(place):
    """Linphone calls Linphone, both on TCP"""
    _call_linphones(place, "tcp")


def linphones_tls(place):
    """Linphone calls Linphone, both on TLS with a certificate that they check, with SRTP"""
    _call_linphones(place, "tls")


def linphone_digest(place):
    """Linphone registers with a password, by the stronger of two algorithms"""
    ring = Ring(place, 1)
    ring.peers[0].add_users("lin@example.net", password="secret")
    lin = Linphone(place, "lin", ring.peers[0], password="secret").wait_registered()
    if not re.search(r"^Authorization: +Digest.*algorithm=SHA-256", lin.log(), re.M):
        raise Failure("it did not use SHA-256")
    ring.check_alive()


CASES = [phones_udp, phones_tcp, phones_tls, phones_udp_tcp, phones_back, phones_digest,
         phones_give_up, phones_provisioned, linphones_udp, linphones_tcp, linphones_tls,
         linphone_udp, linphone_tcp, linphone_tls, linphone_digest]
