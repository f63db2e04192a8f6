# SPDX-License-Identifier: BSD-2-Clause
"""Rings of processes: what is put at one peer is found from every other, whoever comes or goes."""
import os
import shutil
import subprocess
import time

from lib.call import Line
from lib.phone import Phone
from lib.place import Failure, Skip, until
from lib.ring import Ring

KEYS = 20
AT_ONCE = 10  # questions to one peer
BIG = 64
FIRST_S = 60  # the big ring has this long to form


def _uri(i):
    return f"sip:key{i}@example.net"


def _contact(i):
    return f"sip:key{i}@127.0.0.1:{7000 + i}"


def _put_all(ring):
    """From peers all over the ring."""
    living = ring.living()
    for i in range(KEYS):
        peer = living[i * len(living) // KEYS]
        if peer.call("put", uri=_uri(i), contact=_contact(i))["copies"] < 1:
            raise Failure(f"{_uri(i)} was not stored")


def _find_all(ring):
    """Every key from every peer."""
    missing = []
    for peer in ring.living():
        for first in range(0, KEYS, AT_ONCE):
            wanted = {peer.control.ask("get", uri=_uri(i)): i
                      for i in range(first, min(first + AT_ONCE, KEYS))}
            for _ in range(len(wanted)):
                reply = peer.control.answer_any()
                i = wanted[reply["id"]]
                found = [row["contact"] for row in reply.get("result", [])]
                if found != [_contact(i)]:
                    missing.append(f"{_uri(i)} from {peer.name}: {reply.get('error', found)}")
    if missing:
        raise Failure(f"{len(missing)} of {KEYS * len(ring.living())} not found; first: "
                      + "; ".join(missing[:3]))


def ring_of_64(place):
    """64 processes from a cold start with one bootstrap peer: 20 keys found from every peer"""
    ring = Ring(place, BIG, limit_s=FIRST_S)
    put = time.monotonic()
    _put_all(ring)
    found = time.monotonic()
    _find_all(ring)
    print(f"     {BIG} peers: {ring.formed_s:.1f} s from the first start until every peer is ready "
          f"and knows its neighbours, {found - put:.1f} s for {KEYS} puts, "
          f"{time.monotonic() - found:.1f} s for {KEYS * BIG} gets", flush=True)
    ring.check_alive()


def ring_leave(place):
    """peers that get SIGTERM hand their records over, one after the other"""
    ring = Ring(place, 6)
    _put_all(ring)
    for peer in ring.peers[1:5]:
        status = peer.terminate()
        if status != 0:
            raise Failure(f"{peer.name} ended with {status} after SIGTERM")
        _find_all(ring)
    ring.wait_formed()
    ring.check_alive()


def ring_kill(place):
    """two of six peers are killed with -9 at once: every key is still found"""
    ring = Ring(place, 6)
    _put_all(ring)
    for peer in ring.peers[2:4]:
        peer.kill()
    _find_all(ring)
    ring.wait_formed()
    ring.check_alive()


def ring_kill_of_20(place):
    """20 peers, twice two neighbours in the ring are killed with -9 at once: all is still found"""
    ring = Ring(place, 20)
    _put_all(ring)
    for _ in range(2):
        first = ring.responsible(_uri(0))
        for peer in first, ring.successors(first, 1)[0]:
            peer.kill()
        _find_all(ring)
        ring.wait_formed()
        _find_all(ring)
    ring.check_alive()


def ring_replaced(place):
    """eight peers join a ring of four at once, then the first four leave: all is still found"""
    # the nearest successors of some joiners are as new as they are.
    ring = Ring(place, 4)
    _put_all(ring)
    ring.grow(8)
    _find_all(ring)
    for peer in ring.peers[:4]:
        if peer.terminate() != 0:
            raise Failure(f"{peer.name} did not end with 0 after SIGTERM")
    _find_all(ring)
    ring.check_alive()


def ring_restart(place):
    """every peer ends and starts again: the records are in the journals"""
    ring = Ring(place, 3)
    _put_all(ring)
    for peer in ring.peers:
        peer.kill()
    ring.start_again()
    _find_all(ring)
    ring.check_alive()


def two_homes_four_phones(place):
    """two peers with two phones each: calls across, calls at home, two at once"""
    ring = Ring(place, 2)
    users = {"ann": 0, "bea": 0, "cid": 1, "dan": 1}
    phones = {user: Phone(place, user, ring.peers[home], "udp" if user in ("ann", "dan") else "tcp")
              for user, home in users.items()}
    for phone in phones.values():
        phone.wait_registered()
    line = Line(place, *phones.values())
    line.call_all((phones["ann"], phones["cid"]), (phones["dan"], phones["bea"]))
    line.call(phones["ann"], phones["bea"])
    ring.check_alive()


def tshark_sees_sip(place):
    """tshark takes LOCSER between peers for SIP"""
    tshark = shutil.which("tshark")
    if tshark is None:
        raise Skip("tshark is not installed")
    tcpdump = shutil.which("tcpdump", path="/usr/bin:/usr/sbin:/bin:/sbin")
    if tcpdump is None:
        raise Skip("tcpdump is not installed")
    ring = Ring(place, 3, "--lab", "--peer-transport", "tcp")  # over TLS there is nothing to see
    ports = " or ".join(f"tcp port {peer.port}" for peer in ring.peers)
    file = place.path("peers.pcap")
    capture = place.start("tcpdump", [tcpdump, "-i", "lo", "--immediate-mode", "-U", "-Z", "root" if
                                      os.geteuid() == 0 else os.environ.get("USER", "nobody"),
                                      "-w", file, ports])
    until(lambda: capture.poll() is not None or "listening on" in place.text("tcpdump.err"),
          "tcpdump starts")
    if capture.poll() is not None:
        raise Skip("capturing is not permitted")
    _put_all(ring)
    _find_all(ring)
    time.sleep(0.3)
    capture.terminate()
    capture.wait()
    read = subprocess.run([tshark, "-r", file, "-Y", "sip", "-T", "fields", "-e", "sip.Method",
                           "-e", "sip.Status-Code", "-e", "sip.CSeq.method", "-e", "_ws.expert"],
                          capture_output=True, text=True, timeout=60, check=False)
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    requests = sum(row[0] == "LOCSER" for row in rows)
    answers = sum("200" in row[1] and "LOCSER" in row[2] for row in rows if len(row) > 2)
    if requests < KEYS or answers < KEYS:
        raise Failure(f"tshark saw {requests} LOCSER requests and {answers} answers 200 as SIP: "
                      f"{read.stderr.strip()[-300:]}")


CASES = [ring_of_64, ring_leave, ring_kill, ring_kill_of_20, ring_replaced, ring_restart, two_homes_four_phones, tshark_sees_sip]
