#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The page's server (docs/web.md) and SIP over WebSocket (RFC 7118), by a hand-made client:
R-7.71 to R-7.75."""
import json
import os
import random
import re
import shutil
import socket
import ssl
import tempfile
import threading

from peer import LOCSER, Peer, Skip, ended, main, refused, run, until
from ring_test import ring
from sought import is_in, passwords_of, secrets_of
from users_test import Phone as PhoneWithPassword
from users_test import user
from websocket import (BINARY, CLOSE, OFFER, PING, PONG, TEXT, Phone, Refused, WebSocket, bound, header,
                       http, open_stream, read_answer, web_at)

WEB = ("--web", "127.0.0.1:0", "--log", "debug")


class Certificate:
    """Of `localhost`, signed by itself, by the openssl command."""

    def __enter__(self):
        if shutil.which("openssl") is None:
            raise Skip("openssl is not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.chain, self.key = (os.path.join(self.folder.name, name) for name in ("c.pem", "k.pem"))
        status, _, errors = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                                "-keyout", self.key, "-out", self.chain)
        assert status == 0, errors
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def trusting(self):
        return ssl.create_default_context(cafile=self.chain)


def ask(at, method, **params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    status, _, answer = http(at, "POST", "/api", {"Content-Type": "application/json"}, body)
    assert status == 200, (status, answer)
    return json.loads(answer)


def test_the_page_and_its_header_fields():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        status, fields, body = http(at)
        assert status == 200 and b"<html" in body and fields["content-type"].startswith("text/html")
        policy = fields["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert f"ws://{at[0]}:{at[1]}" in policy and "unsafe" not in policy
        assert fields["x-content-type-options"] == "nosniff"
        status, fields, body = http(at, "HEAD")
        assert status == 200 and body == b"" and int(fields["content-length"]) > 0


def test_registers_and_is_known_to_the_ring():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob:
        assert bob.register().startswith("SIP/2.0 200 ")
        row, = bound(peer, "sip:bob@example.net")
        assert row["transport"] == "ws" and bob.place in row["contact"]
        contact, = peer.ask("get", "sip:bob@example.net")
        assert "transport=tcp" in contact["path"] and bob.place in contact["contact"]
        assert bob.place not in contact["path"]
        assert ask(web_at(peer), "bindings")["result"] == [row]


# ---- calls (R-7.72) ----

def talk(caller, callee):
    """A whole call, and both ends of it agree; the callee hangs up."""
    caller.call(callee.user)
    invite = callee.incoming("INVITE")
    assert invite.endswith(OFFER), "the offer was changed"
    callee.answer(invite, 180, "Ringing")
    assert caller.response("INVITE", 180).startswith("SIP/2.0 180 ")
    contact = f"Contact: {callee.contact()}\r\nContent-Type: application/sdp\r\n"
    sent = callee.answer(invite, 200, more=contact, body=OFFER)
    final = caller.response("INVITE")
    assert final.startswith("SIP/2.0 200 ") and final.endswith(OFFER), final
    caller.within("ACK", final, cseq=int(header(final, "CSeq").split()[0]))
    callee.incoming("ACK")
    callee.back("BYE", invite, header(sent, "To"))
    bye = caller.incoming("BYE")
    caller.answer(bye, 200)
    assert callee.response("BYE").startswith("SIP/2.0 200 ")


def registered(phone):
    answer = phone.register()
    assert answer.startswith("SIP/2.0 200 "), answer


def test_calls_between_a_browser_and_a_phone_at_another_peer():
    with ring(3, *WEB) as peers, Phone(peers[0], "bob") as bob, \
            Phone(peers[1], "alice", udp=True) as alice:
        registered(bob)
        registered(alice)
        talk(alice, bob)
        talk(bob, alice)


def test_calls_between_browsers_at_two_peers():
    with ring(2, *WEB) as peers, Phone(peers[0], "bob") as bob, Phone(peers[1], "eve") as eve:
        registered(bob)
        registered(eve)
        talk(eve, bob)


def test_cancel_reaches_a_browser():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob, Phone(peer, "eve") as eve:
        registered(bob)
        invite = eve.call("bob")
        ringing = bob.incoming("INVITE")
        bob.answer(ringing, 180, "Ringing")
        eve.response("INVITE", 180)
        eve.socket.send(invite.replace("INVITE sip:", "CANCEL sip:", 1)
                        .replace(" INVITE\r\n", " CANCEL\r\n", 1).split("Content-Type")[0]
                        + "Content-Length: 0\r\n\r\n")
        bob.answer(bob.incoming("CANCEL"), 200)
        bob.answer(ringing, 487, "Request Terminated")
        assert eve.response("INVITE").startswith("SIP/2.0 487 ")


def test_over_wss():
    with Certificate() as certificate:
        words = (*WEB, "--web-tls", "127.0.0.1:0", "--tls-certificate", certificate.chain,
                 "--tls-key", certificate.key)
        with Peer(*words) as peer, Phone(peer, "bob", tls=certificate.trusting()) as bob, \
                Phone(peer, "alice", udp=True) as alice:
            registered(bob)
            registered(alice)
            assert bound(peer, "sip:bob@example.net")[0]["transport"] == "wss"
            talk(alice, bob)
            at = web_at(peer, "https")
            status, fields, _ = http(at, tls=certificate.trusting())
            assert status == 200 and f"wss://{at[0]}" in fields["content-security-policy"]


def test_a_sips_call_over_wss_at_two_peers():
    """R-7.34: by TLS from end to end, and so is what follows in its dialog."""
    with Certificate() as certificate:
        words = (*WEB, "--web-tls", "127.0.0.1:0", "--tls-certificate", certificate.chain,
                 "--tls-key", certificate.key)
        safe = {"tls": certificate.trusting(), "scheme": "sips"}
        with ring(2, *words) as peers, Phone(peers[0], "bob", **safe) as bob, \
                Phone(peers[1], "eve", **safe) as eve, Phone(peers[1], "ann") as ann:
            for phone in bob, eve, ann:
                registered(phone)
            talk(eve, bob)
            eve.call("ann")  # who has no TLS
            assert eve.response("INVITE").startswith("SIP/2.0 480 No Contact By TLS")


def shown(at):
    """The certificate that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with open_stream(at, context) as stream:
        return ssl.DER_cert_to_PEM_cert(stream.getpeercert(True))


def test_a_new_certificate_is_shown_after_a_reload():
    """R-7.88: by https and wss, and to phones on TLS; one that cannot be used changes nothing."""
    with Certificate() as old, Certificate() as new:
        words = (*WEB, "--web-tls", "127.0.0.1:0", "--tls-certificate", old.chain, "--tls-key", old.key)
        with Peer(*words) as peer, Phone(peer, "bob", tls=old.trusting()) as bob:
            registered(bob)
            places = [web_at(peer, "https"), peer.at]
            for certificate, good in (new, True), (new, True), (None, False):
                if certificate:
                    for name in "chain", "key":
                        shutil.copy(getattr(new, name), getattr(old, name))
                else:
                    with open(old.chain, "w", encoding="ascii") as file:
                        file.write("no certificate\n")
                status, _, errors = peer.cli("reload")
                assert (status == 0) == good, errors
                assert good or "tls-certificate" in errors, errors
                with open(new.chain, encoding="ascii") as file:
                    wanted = file.read()
                assert [shown(at) == wanted for at in places] == [True, True]
            with Phone(peer, "eve", tls=new.trusting()) as eve:
                registered(eve)
                talk(eve, bob)  # whose connection goes on


# ---- flows (R-7.72) ----

def test_a_reloaded_page_takes_the_place_of_the_one_before():
    with Peer(*WEB) as peer, Phone(peer, "alice", udp=True) as alice:
        registered(alice)
        before = Phone(peer, "bob", instance="0123456789")
        registered(before)
        with Phone(peer, "bob", instance="0123456789") as after:
            registered(after)
            row, = bound(peer, "sip:bob@example.net")
            assert after.place in row["contact"]
            before.close()
            until(lambda: peer.ask("status")["web_phones"] == 1, "the old flow ends")
            row, = bound(peer, "sip:bob@example.net")
            assert after.place in row["contact"]
            talk(alice, after)


def test_a_reload_after_the_end_of_the_flow():
    with Peer(*WEB) as peer, Phone(peer, "alice", udp=True) as alice:
        registered(alice)
        before = Phone(peer, "bob", instance="0123456789")
        registered(before)
        before.close()
        with Phone(peer, "bob", instance="0123456789") as after:
            until(lambda: after.register(call_id=os.urandom(4).hex()).startswith("SIP/2.0 200 "),
                  "the new flow registers")
            talk(alice, after)


def test_the_end_of_a_flow_ends_its_binding_everywhere():
    with ring(2, *WEB) as peers, Phone(peers[1], "alice", udp=True) as alice:
        registered(alice)
        bob = Phone(peers[0], "bob")
        registered(bob)
        until(lambda: peers[1].cli("get", "sip:bob@example.net")[0] == 0, "bob is known")
        bob.close()
        bound(peers[0], "sip:bob@example.net", 0)
        until(lambda: peers[1].cli("get", "sip:bob@example.net")[0] == 1, "bob is unknown")
        alice.call("bob")
        assert alice.response("INVITE").startswith("SIP/2.0 480 ")


def test_pings_of_both_kinds():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob:
        bob.socket.send("\r\n\r\n")
        assert bob.socket.read() == (TEXT, b"\r\n")
        bob.socket.frame(b"are you there", PING)
        assert bob.socket._frame_in() == (True, PONG, b"are you there")
        registered(bob)


# ---- frames (R-7.71) ----

def test_a_message_in_many_frames():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob:
        options = bob.request("OPTIONS", f"sip:{peer.address}", more="Subject: " + 40000 * "x" +
                              "\r\n")
        bob.socket.send_in_pieces(options, 997)
        assert bob.response("OPTIONS").startswith("SIP/2.0 200 ")
        bob.socket.send(options.replace("z9hG4bKw", "z9hG4bKv"), BINARY)
        assert bob.response("OPTIONS").startswith("SIP/2.0 200 ")
        short = bob.request("OPTIONS", f"sip:{peer.address}")
        bob.socket.send_in_pieces(short, 1)
        assert bob.response("OPTIONS").startswith("SIP/2.0 200 ")


def test_frames_between_those_of_another_connection():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob, Phone(peer, "eve") as eve:
        options = bob.request("OPTIONS", f"sip:{peer.address}")
        bob.socket.frame(options[:100].encode(), final=False)
        eve.socket.send(eve.request("OPTIONS", f"sip:{peer.address}"))
        assert eve.response("OPTIONS").startswith("SIP/2.0 200 ")
        bob.socket.frame(options[100:].encode(), 0)
        assert bob.response("OPTIONS").startswith("SIP/2.0 200 ")


def test_content_length_may_be_left_out():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob, Phone(peer, "alice", udp=True) as alice:
        registered(alice)
        message = bob.request("MESSAGE", "sip:alice@example.net",
                              more="Content-Type: text/plain\r\n", body="hello")
        bob.socket.send(message.replace("Content-Length: 5\r\n", ""))
        got = alice.incoming("MESSAGE")
        assert got.endswith("\r\n\r\nhello") and header(got, "Content-Length") == "5"


def test_what_is_not_utf8_comes_in_a_binary_message():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob, Phone(peer, "alice", udp=True) as alice:
        registered(bob)
        message = alice.request("MESSAGE", "sip:bob@example.net",
                                more="Content-Type: text/plain\r\n", body="caf.")
        alice.socket.socket.sendto(message.encode()[:-1] + b"\xe9", alice.socket.to)
        kind, got = bob.socket.read()
        assert kind == BINARY and got.endswith(b"caf\xe9")


def test_frames_that_must_not_be():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        with WebSocket(at) as tall:
            tall.send_in_pieces(b"x" * 70000, 1000)
            assert tall.read_close() in (1009, 1006)
        with WebSocket(at) as liar:
            liar.frame(b"x" * 70000, TEXT)
            assert liar.read_close() in (1009, 1006)
        with WebSocket(at) as wrong:
            wrong.frame(b"\xff\xfe", TEXT)
            assert wrong.read_close() in (1007, 1002, 1006)
        with Phone(peer, "bob") as bob:
            registered(bob)
        assert peer.ask("status")["web_bad"] == 2


def test_a_message_that_never_ends():
    with Peer(*WEB, "--message-time-s", 1) as peer, WebSocket(web_at(peer)) as slow:
        slow.frame(b"OPTIONS sip:", TEXT, final=False)
        assert slow.read_close() in (1008, 1006)


def test_a_phone_that_does_not_read_is_let_go():
    """R-7.73: what waits for it is bounded, and its binding ends with its flow."""
    with Peer(*WEB) as peer, Phone(peer, "eve") as eve, Phone(peer, "bob") as bob:
        registered(bob)
        bob.socket.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def let_go():
            for _ in range(20):
                eve.socket.send(eve.request("MESSAGE", "sip:bob@example.net", body="x" * 50000,
                                            more="Content-Type: text/plain\r\n"))
            # The answer says that the messages before were taken.
            eve.socket.send(eve.request("OPTIONS", f"sip:{peer.address}"))
            eve.response("OPTIONS")
            return peer.ask("status")["web_bad"] == 1
        until(let_go, "the phone is let go", 60)
        bound(peer, "sip:bob@example.net", 0)


# ---- who may (R-7.74) ----

def upgrade(at, **more):
    """The status of an attempt."""
    try:
        with WebSocket(at, **more):
            return 101
    except Refused as refusal:
        return refusal.status


def test_subprotocols():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        for protocol in (None, "", "http", "chat", "locser", "sips", "http, sip"):
            assert upgrade(at, protocol=protocol) == 400, protocol
        assert upgrade(at, protocol="chat, sip") == 101
        assert upgrade(at, path="/") == 101
        assert upgrade(at, path="/events") == 400
        assert upgrade(at, path="/events", protocol="locser") == 101
        assert upgrade(at, path="/other") == 404
        assert upgrade(at, fields={"Sec-WebSocket-Version": "8"}) == 426
        assert upgrade(at, fields={"Upgrade": "h2c"}) == 400


def test_a_strangers_name_leads_nowhere():
    with Peer(*WEB, "--web-name", "phone.example.net") as peer:
        at = web_at(peer)
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80",
                     "phone.example.net.", "a b", "phone.example.net:x", "127.0.0.1:80:80"):
            assert http(at, host=host)[0] in (400, 421), host
            assert upgrade(at, host=host) in (400, 421), host
        assert http(at, fields={"Host": None})[0] in (400, 421)
        for host in ("localhost", f"LOCALHOST:{at[1]}", "[::1]:8088", "127.0.0.1"):
            assert http(at, host=host)[0] == 200, host
        assert http(at, host="phone.example.net")[0] == 401 # by a name: from elsewhere, perhaps


def test_a_strangers_page_may_not():
    with Peer(*WEB, "--web-origin", "https://other.example") as peer:
        at = web_at(peer)
        own = f"http://{at[0]}:{at[1]}"
        for origin, status in ((own, 101), ("https://other.example", 101), ("null", 403),
                               ("http://evil.example", 403), (own.replace("http", "https"), 403),
                               (f"http://{at[0]}", 403), (own + ".evil.example", 403)):
            for path, protocol in (("/sip", "sip"), ("/events", "locser")):
                assert upgrade(at, path=path, protocol=protocol,
                               fields={"Origin": origin}) == status, (path, origin)
        body = b'{"jsonrpc": "2.0", "id": 1, "method": "ring"}'
        kind = {"Content-Type": "application/json"}
        assert http(at, "POST", "/api", {**kind, "Origin": "null"}, body)[0] == 403
        assert http(at, "POST", "/api", {**kind, "Origin": own}, body)[0] == 200
        # What a form or a script can send without asking: no.
        assert http(at, "POST", "/api", {"Content-Type": "text/plain"}, body)[0] == 415


def own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError as error:
            raise Skip("no address but loopback") from error
        return probe.getsockname()[0]


def test_others_need_the_token():
    here = own_address()
    with Peer("--web", f"{here}:0") as peer:
        at = web_at(peer)
        path = os.path.join(peer.data, "web-token")
        assert os.stat(path).st_mode & 0o777 == 0o600
        with open(path, encoding="ascii") as file:
            token = file.read().strip()
        assert len(token) == 32
        assert http(at)[0] == 401
        assert http(at, path=f"/?token={token[:-1]}x")[0] == 401
        assert http(at, host="127.0.0.1")[0] == 401, "Host alone opened it"
        assert http(at, fields={"Authorization": f"Bearer {token}"})[0] == 200
        status, fields, _ = http(at, path=f"/?token={token}")
        assert status == 303 and fields["location"] == "/"
        assert "HttpOnly" in fields["set-cookie"] and "SameSite=Strict" in fields["set-cookie"]
        cookie = {"Cookie": "a=b; " + fields["set-cookie"].split(";")[0]}
        assert http(at, fields=cookie)[0] == 200
        assert upgrade(at, path="/events", protocol="locser") == 401
        assert upgrade(at, path="/events", protocol="locser", fields=cookie) == 101
        assert upgrade(at) == 101, "SIP decides for itself"
        assert token not in peer.errors()


def test_a_token_for_everybody():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write("0123456789abcdef\n")
        status, errors = refused("--web", "127.0.0.1:0", "--web-token", path)
        assert status == 1 and "chmod 600" in errors
        os.chmod(path, 0o600)
        with Peer(*WEB, "--web-token", path) as peer:
            at = web_at(peer)
            assert http(at)[0] == 401
            assert http(at, fields={"Authorization": "Bearer 0123456789abcdef"})[0] == 200
            assert not os.path.exists(os.path.join(peer.data, "web-token"))


# ---- HTTP as strangers may use it (R-7.73) ----

def test_requests_that_are_refused():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        kind = {"Content-Type": "application/json"}
        assert http(at, "DELETE")[0] in (400, 403, 405)
        assert http(at, "POST", "/", kind, b"{}")[0] == 405
        assert http(at, "POST", "/api", kind, b"x" * 70000)[0] == 413
        assert http(at, "POST", "/api", kind)[0] == 411
        assert http(at, path="/../secret")[0] in (403, 404)
        assert http(at, path="/%2e%2e/secret")[0] in (403, 404)
        assert http(at, path="/.hidden.html")[0] == 404
        assert json.loads(http(at, "POST", "/api", kind, b"{")[2])["error"]["code"] == -32700
        assert ask(at, "leave")["error"]["code"] == -32601
        assert ask(at, "lookup")["error"]["code"] == -32602
        try:
            assert http(at, fields={"X": "y" * 100000})[0] >= 400
        except ConnectionError:
            pass
        assert http(at)[0] == 200


def test_many_requests_on_one_connection():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        body = b'{"jsonrpc": "2.0", "id": 1, "method": "ring"}'
        with open_stream(at) as stream:
            for _ in range(3):
                stream.sendall(f"GET / HTTP/1.1\r\nHost: {at[0]}\r\n\r\n".encode())
                assert read_answer(stream)[0] == 200
                stream.sendall((f"POST /api HTTP/1.1\r\nHost: {at[0]}\r\nContent-Type: application/"
                                f"json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
                assert json.loads(read_answer(stream)[2])["id"] == 1


def test_rubbish():
    """Bytes at random, at the door and behind it: the peer goes on."""
    dice = random.Random(1)
    with Peer(*WEB) as peer:
        at = web_at(peer)
        for round_ in range(60):
            with open_stream(at) as stream:
                first = b"GET / HTTP/1.1\r\nHost: localhost\r\n" if round_ % 2 else b""
                try:
                    stream.sendall(first + dice.randbytes(dice.randrange(1, 400)) + b"\r\n\r\n")
                except OSError:
                    pass
        for round_ in range(60):
            path, protocol = (("/sip", "sip"), ("/events", "locser"))[round_ % 2]
            with WebSocket(at, path=path, protocol=protocol) as behind:
                try:
                    for _ in range(5):
                        data = dice.randbytes(dice.randrange(0, 300))
                        if dice.random() < 0.3:
                            behind.stream.sendall(data)
                        else:
                            behind.frame(data, dice.randrange(16), dice.random() < 0.7)
                except OSError:
                    pass
        assert http(at)[0] == 200
        with Phone(peer, "bob") as bob:
            registered(bob)
        until(lambda: peer.ask("status")["web_connections"] == 0, "all connections end")


def test_connections_have_a_limit():
    with Peer(*WEB, "--web-connections-max", 4) as peer:
        at = web_at(peer)
        held = [WebSocket(at) for _ in range(4)]
        with open_stream(at) as fifth:
            assert ended(fifth)
        assert peer.ask("status")["web_refused"] >= 1
        held.pop().close()
        until(lambda: peer.ask("status")["web_connections"] == 3, "one ends")
        assert upgrade(at) == 101
        for one in held:
            one.close()


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, errors = refused("--web", f"127.0.0.1:{port}")
        assert status == 1 and f"web 127.0.0.1:{port}: Address already in use" in errors
    with Peer() as first, Peer() as second: # at the default: at most one has it
        assert len(first.ask("status")["web"]) + len(second.ask("status")["web"]) <= 1
        assert "web: no page, since 127.0.0.1:8088 cannot be had" in second.errors()
    with Peer("--web", "off") as quiet:
        assert quiet.ask("status")["web"] == []


def test_files_of_a_folder():
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("index.html", "<p>mine"), ("app.js", "x" * 300000), ("no.exe", "")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
        os.mkdir(os.path.join(folder, "inner.html"))
        with Peer(*WEB, "--web-root", folder) as peer:
            at = web_at(peer)
            assert http(at)[2] == b"<p>mine"
            status, fields, body = http(at, path="/app.js")
            assert status == 200 and len(body) == 300000
            assert fields["content-type"].startswith("text/javascript")
            for name in ("no.exe", "inner.html", "none.js", "a/b.js"):
                assert http(at, path="/" + name)[0] == 404, name


# ---- events (R-7.75) ----

def test_events_say_what_happens():
    with Peer(*WEB, "--domain", "example.net") as peer, \
            WebSocket(web_at(peer), "/events", "locser") as events:
        hello = json.loads(events.read()[1])
        assert hello["method"] == "hello" and hello["params"]["peer"] == peer.id
        assert hello["params"]["address"] == peer.address
        assert hello["params"]["domains"] == ["example.net"]
        state = events.notification("state")
        assert state["status"]["state"] == "ready" and state["ring"][0]["peer"] == peer.id
        assert state["bindings"] == [] and isinstance(state["records"], list)
        with Phone(peer, "bob") as bob:
            registered(bob)
            seen = events.notification("trace", lambda event: event["name"] == "phone.registered")
            assert seen["a"] == "sip:bob@example.net" and seen["transport"] == "ws"
            events.notification("state", lambda state: state["bindings"])
            contacts = events.ask("get", uri="sip:bob@example.net")["result"]
            assert bob.place in contacts[0]["contact"] and "path" not in contacts[0]
            assert events.ask("lookup", uri="sip:bob@example.net")["result"][0]["peer"] == peer.id
            assert events.ask("get", uri="sip:eve@example.net")["error"]["code"] == 404
        events.notification("trace", lambda event: event["name"] == "phone.unregistered")


def test_events_tell_no_secrets():
    """A flow token lets its bearer send to the phone: it is seen by those who route by it alone."""
    with Peer(*WEB) as peer, WebSocket(web_at(peer), "/events", "locser") as events, \
            Phone(peer, "bob") as bob, Phone(peer, "eve") as eve:
        registered(bob)
        contact, = peer.ask("get", "sip:bob@example.net")
        token = re.search(r"sip:(f-[0-9A-F]+)@", contact["path"])[1]
        talk(eve, bob)
        text, states = b"", 0
        while states < 3 or b"INVITE" not in text:
            data = events.read()[1]
            states += data.startswith(b'{"jsonrpc":"2.0","method":"state"')
            text += data
        assert b"sip:bob@example.net" in text and token.encode() not in text
        for method in ("get", "lookup"):
            assert token not in json.dumps(events.ask(method, uri="sip:bob@example.net"))


def watch(phone, uri, event):
    """SUBSCRIBE; the To tag of its 200, and the NOTIFY that follows."""
    phone.socket.send(phone.request("SUBSCRIBE", uri, call_id=os.urandom(6).hex(), more=f"Event: {event}\r\n"
                                    f"Contact: {phone.contact()}\r\nExpires: 600\r\n"))
    answer = phone.response("SUBSCRIBE")
    notify = phone.incoming("NOTIFY")
    phone.answer(notify, 200)
    return re.search(r";tag=(\w+)", header(answer, "To"))[1], notify


def test_the_owner_of_an_address_decides_who_watches():
    """R-12.11: by the tag of his own subscription to who watches, and by nothing else."""
    bobs, alices = "sip:bob@example.net", "sip:alice@example.net"
    with Peer(*WEB) as peer:
        with Phone(peer, "bob") as bob, Phone(peer, "alice") as alice, \
                WebSocket(web_at(peer), "/events", "locser") as events:
            registered(bob)
            registered(alice)
            proof, _ = watch(bob, bobs, "presence.winfo")
            own, _ = watch(alice, alices, "presence.winfo")
            tag, notify = watch(alice, bobs, "presence")
            assert "active" in header(notify, "Subscription-State")
            assert alices in bob.incoming("NOTIFY")
            about = {"uri": bobs, "contact": alices}
            for wrong in "", "0" * 16, own, tag, proof[:15], proof + "0":
                assert events.ask("block", **about, proof=wrong)["error"]["code"] == 403, wrong
            for few in {"uri": bobs, "proof": proof}, about, {"contact": alices, "proof": proof}:
                assert events.ask("block", **few)["error"]["code"] == -32602
            assert not os.path.exists(os.path.join(peer.data, "watchers"))
            assert events.ask("block", **about, proof=proof)["result"] is True
            assert "terminated;reason=rejected" in header(alice.incoming("NOTIFY"), "Subscription-State")
            bob.socket.close()  # with the flow ends what was proven by it
            until(lambda: events.ask("block", **about, proof=proof).get("error", {}).get("code") == 403,
                  "the proof counts no more")
        peer.kill()
        with Peer(*WEB, data=peer.data) as again, Phone(again, "bob") as bob, \
                Phone(again, "alice") as alice:
            registered(bob)
            registered(alice)
            _, notify = watch(alice, bobs, "presence")
            assert "terminated;reason=rejected" in header(notify, "Subscription-State")


class Watcher(threading.Thread):
    """All that /events says until it is stopped."""

    def __init__(self, peer, fields):
        super().__init__()
        self.socket = WebSocket(web_at(peer), "/events", "locser", fields=fields)
        self.heard = []
        self.start()

    def run(self):
        try:
            while True:
                kind, data = self.socket.read()
                if kind == CLOSE:
                    return
                self.heard.append(data)
        except OSError:
            pass

    def states(self):
        return sum(data.startswith(b'{"jsonrpc":"2.0","method":"state"') for data in self.heard)

    def stop(self):
        before = self.states()
        until(lambda: self.states() >= before + 2, "two more states")
        self.socket.stream.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.close()
        assert b'"method":"lost"' not in b"".join(self.heard)
        return b"".join(self.heard)


def everything_served(peer, fields):
    """The files of the page with their header fields, and an answer to each question (docs/web.md)."""
    at = web_at(peer)
    said = []
    index = http(at, fields=fields)[2]
    paths = ["/"] + ["/" + name.decode().lstrip("/")
                     for name in re.findall(rb'(?:src|href)="([^":#]+)"', index)]
    for path in paths:
        for fitting in (fields, {}):
            status, named, body = http(at, path=path, fields=fitting)
            assert status == (200 if fitting else 401), (path, status)
            said.append(json.dumps(named).encode() + body)
    for scheme in ("", "certificate:", "private:", "pin:", "presence:"):
        for method in ("status", "ring", "peers", "records", "bindings", "lookup", "get", "users",
                       "export", "trace"):
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {
                "uri": scheme + "sip:bob@example.net", "trace": True}}).encode()
            kind = {**fields, "Content-Type": "application/json"}
            status, named, answer = http(at, "POST", "/api", kind, body)
            assert status == 200, (method, status, answer)
            said.append(json.dumps(named).encode() + answer)
    return b"".join(said)


def test_no_secret_is_on_the_page():
    """R-6.12, R-7.75: of a user with a password, a phone that proves it, keys at two peers, and the
    page's own token."""
    token, password = os.urandom(16).hex(), "opensesame-" + os.urandom(8).hex()
    fields = {"Authorization": f"Bearer {token}"}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
        with ring(2, *WEB, "--web-token", path) as peers:
            home, second = peers
            watchers = [Watcher(peer, fields) for peer in peers]
            status, _, errors = user(home.data, "add", "bob@example.net", text=password + "\n")
            assert status == 0, errors
            phone = PhoneWithPassword(home)
            assert phone.registers("wrong") == 401 and phone.registers(password) == 200
            assert phone.registers(password, "MD5") == 200
            assert home.cli("put", "sip:bob@example.net", "sip:bob@192.0.2.1")[0] == 0
            assert second.cli("publish")[0] == 0
            until(lambda: run(LOCSER, "user", "--data", home.data, "--control", home.control, "grant",
                              "bob@example.net", second.id)[0] == 0, "granted", 120)
            assert second.cli("put", "sip:bob@example.net", "sip:bob@192.0.2.2")[0] == 0
            assert "192.0.2.2" in home.cli("get", "sip:bob@example.net")[1]
            served = b"".join(everything_served(peer, fields) for peer in peers)
            heard = b"".join(watcher.stop() for watcher in watchers)
            secrets = {**secrets_of(home.data), **secrets_of(second.data),
                       **passwords_of(home.data), "the token": bytes.fromhex(token),
                       "the token's text": token.encode(), "the password": password.encode()}
        assert len(secrets) >= 10, list(secrets)  # 2 peers' keys, bob's twice 2, 2 HA1s, these 3
        for place, text in (("the page", served), ("/events", heard)):
            assert is_in(bytes.fromhex(home.id), text), "what would be found?"
            assert b"sip:bob@example.net" in text and b"192.0.2.2" in text or text is heard
            for name, secret in secrets.items():
                assert not is_in(secret, text), f"{name} is in {place}"
        assert b"phone.registered" in heard


def test_a_slow_watcher_loses_events_and_is_told():
    with Peer(*WEB) as peer, Phone(peer, "bob") as bob:
        slow = WebSocket(web_at(peer), "/events", "locser")
        slow.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def lost():
            for _ in range(200):
                bob.socket.send(bob.request("OPTIONS", f"sip:{peer.address}"))
                bob.response("OPTIONS")
            return peer.ask("status")["web_lost"] > 0
        until(lost, "the slow one loses events", 60)
        assert slow.notification("lost")["count"] > 0
        slow.close()
        until(lambda: peer.ask("status")["web_watchers"] == 0, "it is gone")


def test_watchers_have_a_limit():
    with Peer(*WEB) as peer:
        at = web_at(peer)
        held = [WebSocket(at, "/events", "locser") for _ in range(16)]
        assert upgrade(at, path="/events", protocol="locser") == 503
        for one in held:
            one.close()


def test_leaves_with_everything_open():
    with Peer(*WEB) as peer:
        with Phone(peer, "bob") as bob, WebSocket(web_at(peer), "/events", "locser"), \
                open_stream(web_at(peer)):
            registered(bob)
            assert peer.stop() == 0


if __name__ == "__main__":
    main(globals())
