#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Immutable values, small and in fragments, through locser and real peers (R-3.20, R-4.36 to
R-4.41)."""
import base64
import contextlib
import hashlib
import json
import socket
import subprocess

from peer import LIMIT_S, LOCSER, Peer, main, until

FRAGMENT = 12000


@contextlib.contextmanager
def ring(count):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer())]
        for _ in range(count - 1):
            peers.append(stack.enter_context(Peer("--join", peers[0].address)))
        for peer in peers:
            until(lambda peer=peer: peer.ask("status")["state"] == "ready"
                  and len(peer.ask("ring")) >= count, "the whole ring")
        yield peers


def locser(peer, *words, data=b""):
    """(exit status, standard output, standard error) with bytes"""
    done = subprocess.run([LOCSER, "--control", peer.control, *words], input=data,
                          capture_output=True, timeout=LIMIT_S)
    return done.returncode, done.stdout, done.stderr.decode()


def put(peer, data, *more):
    status, output, errors = locser(peer, "put", "--immutable", "-", *more, data=data)
    assert status == 0, errors
    fields = dict(line.split(None, 1) for line in output.decode().splitlines())
    assert fields["bytes"] == str(len(data))
    return fields["key"]


def key_of(data):
    return "immut:" + hashlib.sha256(data).hexdigest()


def noise(count):
    """The same bytes each time, and no two fragments alike."""
    out = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(count // 32 + 1))
    return out[:count]


def test_values_come_back_as_they_were_from_everywhere():
    with ring(4) as peers:
        sizes = [1, 2, 3, 100, FRAGMENT - 1, FRAGMENT]
        for i, size in enumerate(sizes):
            data = noise(size)
            key = put(peers[i % 4], data)
            assert key == key_of(data)
            for peer in peers:
                assert locser(peer, "get", key)[:2] == (0, data)
        large = noise(100 * 1000)
        key = put(peers[0], large)
        assert key != key_of(large)
        for peer in peers:
            assert locser(peer, "get", key)[:2] == (0, large)
        assert put(peers[1], large) == key  # anybody may put the same again
        shown = peers[0].ask("get", put(peers[2], b"x"))
        assert base64.b64decode(shown["value"]) == b"x" and shown["bytes"] == 1


def test_a_value_that_looks_like_a_manifest_is_none():
    with ring(1) as peers:
        data = b"\0" + b"5" + (b"\0" + key_of(b"hello").encode())
        key = put(peers[0], data)
        assert key != key_of(data)
        assert locser(peers[0], "get", key)[:2] == (0, data)


def test_what_is_missing_or_too_large_is_said():
    with ring(1) as peers:
        peer = peers[0]
        status, output, errors = locser(peer, "get", key_of(b"never put"))
        assert (status, output) == (1, b"") and "404" in errors
        status, _, errors = locser(peer, "put", "--immutable", "-", data=b"x" * (1024 * 1024 + 1))
        assert status == 1 and "1048576" in errors
        assert locser(peer, "put", "--immutable", "-")[0] == 1
        assert locser(peer, "put", "--immutable", "-", "sip:a@b", "sip:c@d")[0] == 2
        assert locser(peer, "get", "--immutable", "-", "sip:a@b")[0] == 2
        assert locser(peer, "get", "immut:00")[0] == 1
        status, _, errors = locser(peer, "put", "--immutable", "-", "--expires", "999999", data=b"x")
        assert status == 1 and "400" in errors
        status, _, errors = locser(peer, "put", "--immutable", "-", "--expires", "10", data=b"x")
        assert status == 1 and "423" in errors



def test_a_fragment_that_is_lost_is_named():
    with ring(1) as peers:
        data = noise(FRAGMENT)
        listed = b"\0" + str(2 * FRAGMENT).encode() + b"".join(
            b"\0" + key.encode() for key in (key_of(data), key_of(b"lost")))
        put(peers[0], data)
        # A manifest of our own, put as the value that it is: it may not begin with NUL by the
        # command, so it goes in by the control socket.
        text = base64.b64encode(listed).decode()
        made = control(peers[0], "put-immut", {"value": text})
        status, output, errors = locser(peers[0], "get", made["key"])
        assert (status, output) == (1, b"") and "fragment 2 of 2" in errors, errors
        for wrong in (b"\0", b"\0" + b"0", b"\0" + b"12000", b"\0" + b"9999999",
                      listed[:-1], listed + b"\0", listed.replace(b"immut", b"immu1")):
            made = control(peers[0], "put-immut", {"value": base64.b64encode(wrong).decode()})
            status, output, errors = locser(peers[0], "get", made["key"])
            assert (status, output) == (1, b"") and "manifest" in errors, (wrong, errors)


def control(peer, method, params):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(LIMIT_S)
        link.connect(peer.control)
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        link.sendall(json.dumps(call).encode() + b"\n")
        answer = json.loads(link.makefile().readline())
        return answer.get("result") or answer["error"]


def test_the_control_socket_checks_values():
    with ring(1) as peers:
        for wrong in ({}, {"value": 5}, {"value": "a"}, {"value": "####"},
                      {"value": base64.b64encode(b"x" * 12003).decode()},
                      {"value": "eHh4", "expires": "soon"}, {"value": "eHh4", "expires": 0}):
            assert control(peers[0], "put-immut", wrong)["code"] == -32602, wrong
        assert control(peers[0], "put-immut", {"value": ""})["code"] == 413
        assert control(peers[0], "get-immut", {"uri": "sip:bob@example.net"})["code"] == 400


def test_one_fragment_survives_a_peer():
    with ring(4) as peers:
        data = noise(50000)
        key = put(peers[0], data)
        peers[3].kill()
        until(lambda: locser(peers[0], "get", key)[:2] == (0, data), "the whole value", 60)


if __name__ == "__main__":
    main(globals())
