#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-6.1, R-6.25 to R-6.28: who may speak as a peer. Strangers come by plain TCP, and by TLS with
keys of their own; each attack is refused and counted, and the ring goes on."""
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile

from peer import Peer, Skip, main, read_head, refused, sip, tcp, until

OVERLAY = ('<?xml version="1.0" encoding="UTF-8"?>\n<methodCall><methodName>overlay.{method}'
           '</methodName><params><param><overlay xmlns="urn:ietf:params:xml:ns:p2p-sip:overlay">'
           '<self id="{id}" at="127.0.0.1:{port}" incarnation="1"/>{more}</overlay></param></params>'
           '</methodCall>\n')
RANGE = '<range from="{0}" to="{0}"/>'


class Stranger:
    """Somebody with a key of his own, whose Peer-ID is what the key says."""

    def __init__(self, folder):
        if shutil.which("openssl") is None:
            raise Skip("openssl is not installed")
        self.key, self.certificate = folder + "/key.pem", folder + "/certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN=x",
                        "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        self.id = hashlib.sha1(der).hexdigest().upper()

    def context(self, peer=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if peer:
            context.set_alpn_protocols(["locser"])
            context.load_cert_chain(self.certificate, self.key)
        return context


def stranger():
    folder = tempfile.TemporaryDirectory(prefix="locser-test-")
    made = Stranger(folder.name)
    made.folder = folder
    return made


def overlay(peer, method, name, port=9, transport="TLS", more=""):
    """A direct request in which `name` is who sends it."""
    return sip(f"sip:{peer.id}@{peer.address}", method="LOCSER", transport=transport,
               body=OVERLAY.format(method=method, id=name, port=port, more=more),
               more=f"Overlay-Key: {peer.id};direct\r\nContent-Type: text/xml\r\n")


def answer(connection, request):
    connection.sendall(request)
    text = read_head(connection)
    while text.startswith("SIP/2.0 100"):
        text = text.split("\r\n\r\n", 1)[1] or read_head(connection)
    return int(text.split(" ", 2)[1])


def by_tls(peer, who, *requests, as_peer=True):
    with tcp(peer.at) as plain:
        with who.context(as_peer).wrap_socket(plain) as connection:
            return [answer(connection, request) for request in requests]


def unproven(peer):
    return peer.ask("status")["unproven"]


def test_a_ring_of_proven_links():
    """R-6.1, R-1.28."""
    with Peer() as one, Peer("--join", one.address) as two:
        until(lambda: two.ask("status")["state"] == "ready", "the second is ready")
        status, _, errors = one.cli("put", "sip:bob@example.net", "sip:bob@127.0.0.1:9")
        assert status == 0, errors
        assert "sip:bob@127.0.0.1:9" in two.cli("get", "sip:bob@example.net")[1]
        links = [p.ask("status")["tcp_links"] + p.ask("status")["tcp_accepted"] for p in (one, two)]
        assert links == [1, 1], f"one connection serves both ways, but there are {links}"
        assert [unproven(one), unproven(two)] == [0, 0]


def test_a_key_that_is_shown_is_believed():
    """R-6.1, R-6.27."""
    with Peer() as peer:
        who = stranger()
        assert by_tls(peer, who, overlay(peer, "ping", who.id),
                      overlay(peer, "notify", who.id)) == [200, 200]
        assert unproven(peer) == 0


def test_spoofed_neighbours():
    """R-6.27: by plain TCP, as a phone over TLS, and with another key: all 403, whatever the
    method."""
    with Peer() as one, Peer("--join", one.address) as two:
        until(lambda: two.ask("status")["state"] == "ready", "the second is ready")
        before = one.ask("ring")
        who = stranger()
        methods = ["ping", "notify", "neighbors", "join", "update", "leave"]
        requests = [overlay(one, method, two.id) for method in methods]
        with tcp(one.at) as plain:
            assert [answer(plain, request) for request in requests] == [403] * 6
        assert by_tls(one, who, *requests, as_peer=False) == [403] * 6
        assert by_tls(one, who, *requests) == [403] * 6
        assert unproven(one) == 18
        assert one.ask("ring") == before
        assert one.ask("status")["limit-sender-unproven"] == 18
        told = [line for line in one.errors().splitlines() if "a=sender-unproven" in line]
        assert len(told) == 1, told


def test_records_are_copied_among_peers_only():
    """R-6.27."""
    with Peer() as peer:
        who = stranger()
        pull = overlay(peer, "replicate", who.id, more=RANGE.format(who.id))
        with tcp(peer.at) as plain:
            assert answer(plain, pull) == 403
        assert by_tls(peer, who, pull) == [200]


def test_a_peer_id_with_another_key():
    """R-6.1, R-5.4: the address of a known peer is taken by somebody else: the ring must not take
    one for the other, although the address is the same."""
    with Peer() as one:
        with Peer("--join", one.address) as two:
            until(lambda: two.ask("status")["state"] == "ready", "the second is ready")
            address, name = two.address, two.id
            two.kill()
        with Peer(listen=address) as other:
            until(lambda: name not in str(one.ask("ring")), "the dead one is dropped")
            assert other.id not in str(one.ask("ring")), "nobody has joined"


def test_phones_over_tls():
    with Peer() as peer:
        who = stranger()
        assert by_tls(peer, who, peer.sip(transport="TLS"), as_peer=False)[0] // 100 in (2, 4)
        assert peer.ask("status")["tls_failed"] == 0


def test_a_certificate_for_phones():
    who = stranger()
    with Peer("--tls-certificate", who.certificate, "--tls-key", who.key) as peer:
        with tcp(peer.at) as plain, who.context(False).wrap_socket(plain) as connection:
            shown = ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))
        with open(who.certificate, encoding="ascii") as file:
            assert shown.strip() == file.read().strip()
    status, errors = refused("--tls-certificate", "/nowhere", "--tls-key", "/nowhere")
    assert status == 1 and "PEM" in errors, errors
    status, errors = refused("--tls-key", who.key)
    assert status == 2 and "go together" in errors, errors


def test_noise_instead_of_tls():
    with Peer() as peer:
        for i in range(30):
            with tcp(peer.at) as connection:
                connection.sendall(b"\x16\x03\x01" + os.urandom(200 + i))
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        assert peer.ask("status")["tls_failed"] > 0
        assert peer.errors().count("tls: ") == 1, "one line a minute"
        with tcp(peer.at) as connection:
            connection.sendall(peer.sip(transport="TCP"))
            assert read_head(connection).startswith("SIP/2.0 ")


def test_plain_links_need_lab():
    """R-6.38."""
    status, errors = refused("--peer-transport", "tcp")
    assert status == 2 and "--lab" in errors, errors
    with Peer("--lab", "--peer-transport", "tcp") as one:
        with Peer("--lab", "--peer-transport", "tcp", "--join", one.address) as two:
            until(lambda: two.ask("status")["state"] == "ready", "the second is ready")


main(globals())
