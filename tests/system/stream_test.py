#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TCP and UDP as strangers may use them: stalls, lies, floods. Whatever comes, the peer goes on."""
import random
import socket
import time

from peer import LIMIT_S, Peer, ended, main, read_head, tcp, until


def alive(peer):
    with tcp(peer.at) as connection:
        connection.sendall(peer.sip(transport="TCP"))
        assert read_head(connection).startswith("SIP/2.0 "), "no answer any more"


def test_answers_on_the_flow():
    with Peer() as peer, tcp(peer.at) as connection:
        connection.sendall(peer.sip(transport="TCP", branch="z9hG4bKa") +
                           peer.sip(transport="TCP", branch="z9hG4bKb"))
        text = read_head(connection)
        while "z9hG4bKb" not in text:
            text += read_head(connection)
        assert "z9hG4bKa" in text


def test_a_message_in_single_bytes():
    with Peer() as peer, tcp(peer.at) as connection:
        for byte in peer.sip(transport="TCP"):
            connection.sendall(bytes([byte]))
        assert read_head(connection).startswith("SIP/2.0 ")


def test_ping():
    with Peer() as peer, tcp(peer.at) as connection:
        connection.sendall(b"\r\n\r\n")
        assert connection.recv(10) == b"\r\n"
        connection.sendall(b"\r\n\r\n\r\n\r\n")
        got = b""
        while len(got) < 4:
            got += connection.recv(10)
        assert got == b"\r\n\r\n"


def test_a_stalled_message_is_closed_and_others_go_on():
    with Peer("--message-time-s", 1) as peer:
        with tcp(peer.at) as stalled:
            stalled.sendall(peer.sip(transport="TCP")[:-10])
            alive(peer)
            started = time.monotonic()
            assert ended(stalled)
            assert time.monotonic() - started < LIMIT_S
        assert peer.ask("status")["tcp_stalled"] == 1
        alive(peer)


def test_dripping_bytes_do_not_extend_the_time():
    with Peer("--message-time-s", 1) as peer, tcp(peer.at) as dripping:
        head = peer.sip(transport="TCP", length=60000)
        dripping.sendall(head)

        def drip():
            try:
                dripping.sendall(b"x")
                return False
            except OSError:
                return True
        until(drip, "the end of the dripping connection")
        assert peer.ask("status")["tcp_stalled"] == 1


def test_lying_lengths():
    with Peer("--message-time-s", 1) as peer:
        for length in ("-1", "99999999999999999999", "70000", "abc", "1e3", "0x10", ""):
            with tcp(peer.at) as liar:
                liar.sendall(peer.sip(transport="TCP", length=length))
                assert ended(liar), length
            alive(peer)
        with tcp(peer.at) as liar:  # longer than what comes
            liar.sendall(peer.sip(transport="TCP", body="abc", length=500))
            assert ended(liar)
        with tcp(peer.at) as liar:  # shorter: the rest is no message
            liar.sendall(peer.sip(transport="TCP", body="\x01\x02\x03" * 10, length=1))
            assert ended(liar)
        alive(peer)


def test_a_lying_length_draws_a_400():
    with Peer() as peer, tcp(peer.at) as liar:
        liar.sendall(peer.sip(transport="TCP", length="-1"))
        text = read_head(liar)
        assert text.startswith("SIP/2.0 400 "), text
        assert ended(liar)


def test_two_lengths_that_differ():
    with Peer() as peer, tcp(peer.at) as liar:
        liar.sendall(peer.sip(transport="TCP", more="Content-Length: 7\r\n"))
        assert ended(liar)
        alive(peer)


def test_a_head_without_end():
    with Peer() as peer, tcp(peer.at) as connection:
        connection.sendall(b"OPTIONS sip:a SIP/2.0\r\n")
        try:
            while True:
                connection.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")
        except OSError:
            pass
        alive(peer)


def test_noise():
    rng = random.Random(1)
    with Peer() as peer:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for _ in range(2000):
                udp.sendto(rng.randbytes(rng.randrange(0, 1500)), peer.at)
        for _ in range(100):
            with tcp(peer.at) as connection:
                try:
                    connection.sendall(rng.randbytes(rng.randrange(1, 3000)))
                except OSError:
                    pass
        alive(peer)
        assert len(peer.errors().splitlines()) < 200  # no flood in the log


def test_broken_messages():
    rng = random.Random(2)
    with Peer() as peer:
        good = peer.sip()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for _ in range(2000):
                bad = bytearray(good)
                for _ in range(rng.randrange(1, 6)):
                    bad[rng.randrange(len(bad))] = rng.randrange(256)
                udp.sendto(bytes(bad[:rng.randrange(len(bad))]), peer.at)
        alive(peer)


def test_many_connections():
    with Peer("--connections-max", 50) as peer:
        connections = [tcp(peer.at) for _ in range(80)]
        until(lambda: peer.ask("status")["tcp_refused"] == 30, "30 refused")
        connections[0].sendall(peer.sip(transport="TCP"))
        assert read_head(connections[0]).startswith("SIP/2.0 ")
        for connection in connections:
            connection.close()
        until(lambda: peer.ask("status")["tcp_accepted"] == 0, "all gone")
        alive(peer)


def test_who_asks_and_does_not_read():
    with Peer() as peer, tcp(peer.at) as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(5)
        try:
            while True:
                greedy.sendall(b"".join(peer.sip(transport="TCP") for _ in range(100)))
        except OSError:
            pass
        alive(peer)


def test_udp_answers_to_the_source():
    with Peer() as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(LIMIT_S)
        udp.sendto(peer.sip(), peer.at)
        data, source = udp.recvfrom(65536)
        assert data.startswith(b"SIP/2.0 ") and source == peer.at
        assert f"rport={udp.getsockname()[1]}".encode() in data, data


if __name__ == "__main__":
    main(globals())
