#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Rings of locserd processes: joining, finding from everywhere, leaving, dying."""
import contextlib
import os

from peer import Peer, main, until


@contextlib.contextmanager
def ring(count, *words):
    """So many peers; all but the first join by the first."""
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(*words))]
        for _ in range(count - 1):
            peers.append(stack.enter_context(Peer("--join", peers[0].address, *words)))
        until(lambda: whole(peers), f"a ring of {count}", 60)
        yield peers


def neighbours(peer, role):
    return [row["peer"] for row in peer.ask("ring") if row["role"] == role]


def whole(peers):
    """Everybody's predecessor and first successor are as their Peer-IDs say."""
    order = sorted(peers, key=lambda peer: peer.id)
    for i, peer in enumerate(order):
        if len(order) == 1:
            return True
        if neighbours(peer, "predecessor") != [order[i - 1].id]:
            return False
        if neighbours(peer, "successor")[:1] != [order[(i + 1) % len(order)].id]:
            return False
    return True


def put(peer, user):
    until(lambda: peer.cli("put", f"sip:{user}@r.example", f"sip:{user}@192.0.2.1")[0] == 0,
          f"a put of {user}")


def found(peer, user):
    status, output, _ = peer.cli("get", f"sip:{user}@r.example")
    return status == 0 and f"sip:{user}@192.0.2.1" in output


def test_every_key_is_found_from_everywhere():
    with ring(8) as peers:
        for i, peer in enumerate(peers):
            put(peer, f"user{i}")
        for i in range(len(peers)):
            for peer in peers:
                until(lambda i=i, peer=peer: found(peer, f"user{i}"), f"user{i} from {peer.id}")
        assert peers[0].cli("get", "sip:nobody@r.example")[0] == 1


def test_all_agree_who_is_responsible():
    with ring(6) as peers:
        answers = {peer.ask("lookup", "sip:carol@r.example")[-1]["peer"] for peer in peers}
        assert len(answers) == 1, answers
        hops = peers[1].ask("lookup", "sip:carol@r.example", "--trace")
        assert hops[-1]["peer"] in answers, hops
        status, text, _ = peers[1].cli("lookup", "sip:carol@r.example", "--trace")
        assert status == 0 and text.rstrip().endswith(" ms"), text


def test_leaving_hands_records_over():
    with ring(4, "--stabilize-ms", 500) as peers:
        for i in range(10):
            put(peers[i % 4], f"user{i}")
        for leaver in (1, 2, 3):
            assert peers[leaver].stop() == 0, peers[leaver].errors()
        for i in range(10):
            until(lambda i=i: found(peers[0], f"user{i}"), f"user{i} at the last one")


def test_a_killed_peer_costs_nothing():
    with ring(5, "--stabilize-ms", 500) as peers:
        for i in range(10):
            put(peers[i % 5], f"user{i}")
        owner = peers[0].ask("lookup", "sip:user0@r.example")[-1]["peer"]
        dead = next(peer for peer in peers if peer.id == owner)
        rest = [peer for peer in peers if peer is not dead]
        dead.kill()
        for i in range(10):
            for peer in rest:
                until(lambda i=i, peer=peer: found(peer, f"user{i}"), f"user{i} without its owner")
        until(lambda: whole(rest), "a ring of the others", 60)


def test_a_killed_peer_comes_back():
    with ring(4, "--stabilize-ms", 500) as peers:
        put(peers[1], "dora")
        data, address = peers[2].data, peers[2].address
        peers[2].kill()
        with Peer("--join", peers[0].address, "--stabilize-ms", 500, data=data,
                  listen=address) as again:
            assert again.id == peers[2].id
            until(lambda: whole([peers[0], peers[1], again, peers[3]]), "the ring again", 60)
            until(lambda: found(again, "dora"), "dora at who came back")


def test_the_first_peer_finds_its_ring_again():
    """Without --join it remembers whom it knew (R-5.27); with nobody left it begins anew."""
    with ring(2, "--stabilize-ms", 500) as peers:
        first, second = peers
        put(second, "fred")
        until(lambda: os.path.exists(os.path.join(first.data, "peers")), "a list of peers")
        data, address = first.data, first.address
        first.kill()
        with Peer("--stabilize-ms", 500, data=data, listen=address) as again:
            until(lambda: whole([again, second]), "the ring again", 60)
            until(lambda: found(again, "fred"), "fred at who came back")
            second.kill()
            again.kill()
        with Peer("--stabilize-ms", 500, data=data, listen=address) as alone:
            until(lambda: found(alone, "fred"), "fred at the last one", 60)


def test_another_overlay_is_not_joined():
    with Peer("--overlay", "one") as first, \
            Peer("--overlay", "two", "--join", first.address) as second:
        put(first, "erik")
        assert second.cli("get", "sip:erik@r.example")[0] != 0
        assert not neighbours(first, "successor")


if __name__ == "__main__":
    main(globals())
