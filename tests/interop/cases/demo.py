# SPDX-License-Identifier: BSD-2-Clause
"""make demo: a ring of 20 peers, two ordinary phones, a call; then the peer that is responsible
for the callee's key is killed, and another call."""
import json
import subprocess
import time

from lib.call import Line
from lib.control import Traces
from lib.ladder import CALLEE, CALLER, RING, Ladder
from lib.phone import Phone
from lib.place import LOCSER, Failure, Place, Skip, need, until
from lib.ring import Ring, key_of

PEERS = 20
BOB, ALICE = "sip:bob@example.net", "sip:alice@example.net"


def say(text=""):
    print(text, flush=True)


def locser(peer, *words):
    done = subprocess.run([LOCSER, "--control", peer.control_path, "--json", *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
    if done.returncode != 0:
        raise Failure(f"locser {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def show_ring(ring):
    order = [peer.short for peer in ring.by_id()]
    half = len(order) // 2
    say("   " + " - ".join(order[:half]) + " -\n   " + " - ".join(order[half:]) + " - (round again)")


def choose_homes(ring, responsible):
    """Two peers that hold no copy of bob's record and are not on each other's way to it; alice's
    is the one with the longest way."""
    copies = [responsible, *ring.successors(responsible, 2)]
    ways = {peer: [row["peer"] for row in locser(peer, "lookup", "--trace", BOB)][1:]
            for peer in ring.peers if peer not in copies}
    order = sorted(ways, key=lambda peer: -len(ways[peer]))
    for alice in order:
        for bob in order[::-1]:
            if alice != bob and bob.id not in ways[alice] and alice.id not in ways[bob]:
                return alice, bob, len(ways[alice])
    raise Failure("every peer is on the way of every other")


def run(place, talk=say, ladder_head=True):
    need("baresip", "baresip-core")
    began = time.monotonic()
    talk(f"Starting {PEERS} locserd processes on 127.0.0.1 ...")
    ring = Ring(place, PEERS)
    talk(f"{PEERS} peers form one ring, {ring.formed_s:.1f} s after the first began. In order:")
    if ladder_head:
        show_ring(ring)
    responsible = ring.peer(locser(ring.peers[0], "lookup", BOB)[0]["peer"])
    alice_home, bob_home, hops = choose_homes(ring, responsible)
    talk(f"SHA-1({BOB}) = {key_of(BOB)}")
    talk(f"{responsible.short} is responsible for it; alice's home {alice_home.short} is {hops} "
         f"hop{'s' * (hops != 1)} away, bob's home is {bob_home.short}.")

    ladder = Ladder(ring.peers, {"alice": CALLER, "bob": CALLEE},
                    {"alice": alice_home, "bob": bob_home}, {key_of(BOB): BOB, key_of(ALICE): ALICE})
    if not ladder_head:
        ladder.write = lambda *_: None
    traces = Traces(ring.peers, ladder.take)
    place.closers += [ladder.close, traces.close]
    ladder.start()
    head = ["alice", f"her home {alice_home.short}", "the ring", f"his home {bob_home.short}", "bob"]
    ladder.head(head)
    bob = Phone(place, "bob", bob_home, "tcp").wait_registered()
    alice = Phone(place, "alice", alice_home, "udp").wait_registered()
    ladder.settle()
    line = Line(place, alice, bob)
    first = line.call(alice, bob, ladder.media)
    ladder.settle()

    talk(f"\nKilling {responsible.short}, which is responsible for bob's key, with -9; "
         "alice calls again at once.")
    ladder.head(head)
    responsible.kill()
    ladder.note(RING, f"✗ {responsible.short} killed")
    second = line.call(alice, bob, ladder.media)
    ladder.settle()
    ring.check_alive()
    heir = until(lambda: ring.responsible(BOB) if ring.responsible(BOB) != responsible else None,
                 "another peer is responsible for bob's key")
    talk(f"\n{heir.short} is responsible for bob's key now.")
    for name, call in ("first", first), ("second", second):
        talk(f"The {name} call: connected after {call['setup_s'] * 1000:.0f} ms; RTP "
             f"{call['to_callee']} packets to bob, {call['to_caller']} to alice (by "
             f"{call['by']}); BYE seen by both.")
    talk(f"Both calls happened. {time.monotonic() - began:.1f} s in all.")


def main():
    try:
        with Place("demo") as place:
            run(place)
    except (Failure, Skip) as why:
        say(f"\nThe demo failed: {why}")
        return 1
    return 0


def phones_kill(place):
    """20 peers, the responsible one is killed with -9, the next call connects"""
    run(place, talk=lambda *_: None, ladder_head=False)


CASES = [phones_kill]
