#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-6.29 to R-6.31: a closed overlay, made with `locser ca` and `locser identity` as its operator
would: who is let in, and who is not any more."""
import contextlib
import datetime
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile
import time

from peer import LOCSER, Peer, Skip, main, read_head, refused, run, tcp, until
from presence_test import ALICE, BOB, phones
from signer import Signer


class Overlay:
    """A CA in a folder of its own, and peers' data folders beside it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="locser-test-")
        self.ca_dir = os.path.join(self.folder.name, "ca")
        self.ca("init", "--name", "test overlay")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def ca(self, *words):
        status, output, errors = run(LOCSER, "ca", "--dir", self.ca_dir, *words)
        assert status == 0, errors
        return output

    def identity(self, name, *words, text=None):
        done = subprocess.run([LOCSER, "identity", "--data", self.path(name), *words],
                              capture_output=True, text=True, input=text, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def member(self, name, *words):
        """A data folder that the CA has let in."""
        self.identity(name, "new")
        with open(self.path("public.pem"), "w", encoding="ascii") as file:
            file.write(self.identity(name, "export"))
        issued = self.ca("issue-peer", self.path("public.pem"), *words)
        self.identity(name, "import", "-", text=issued)
        return self.path(name)

    def user(self, name, address, issued_for=None, *words):
        """A user at that peer, whom the CA has given certificates."""
        keys = self.users(name, "request", address)
        with open(self.path("keys.pem"), "w", encoding="ascii") as file:
            file.write(keys)
        issued = self.ca("issue-user", issued_for or address, self.path("keys.pem"), *words)
        return self.users(name, "import", address, "-", text=issued)

    def users(self, name, *words, text=None):
        done = subprocess.run([LOCSER, "user", "--data", self.path(name), *words],
                              capture_output=True, text=True, input=text, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def peer_id(self, name):
        return self.identity(name, "show").split()[1]


@contextlib.contextmanager
def ring(overlay, *names):
    """Members that have found each other."""
    with contextlib.ExitStack() as stack:
        peers = []
        for name in names:
            words = ["--join", peers[0].address] if peers else []
            peers.append(stack.enter_context(Peer(*words, data=overlay.member(name))))
        for peer in peers:
            until(lambda p=peer: p.ask("status")["state"] == "ready", "all are ready")
        yield peers


def knows(peer, name):
    return name in str(peer.ask("ring"))


def test_members_find_each_other():
    """R-6.29."""
    overlay = Overlay()
    with ring(overlay, "one", "two") as (one, two):
        assert knows(one, two.id) and knows(two, one.id)
        assert "closed" in overlay.identity("one", "show")
        overlay.user("one", "bob@example.net")
        status, _, errors = one.cli("put", "sip:bob@example.net", "sip:bob@127.0.0.1:9")
        assert status == 0, errors
        assert "bob" in two.cli("get", "sip:bob@example.net")[1]


def put(peer, address):
    status, _, errors = peer.cli("put", "sip:" + address, "sip:x@127.0.0.1:9")
    return status, errors


def test_only_certified_users_write():
    """R-6.14, R-6.33: without a certificate, with one for another address or domain, with one of
    another overlay, with one that has run out; and with one for the whole domain."""
    overlay, other = Overlay(), Overlay()
    with ring(overlay, "one", "two") as (one, two):
        before = [peer.ask("status")["not-allowed"] for peer in (one, two)]
        status, errors = put(one, "bob@example.net")
        assert status == 1 and "certificate in force" in errors, errors
        after = [peer.ask("status")["not-allowed"] for peer in (one, two)]
        assert sum(after) > sum(before), (before, after)
        for named in ("carol@example.net", "example.org"):
            overlay.user("one", "bob@example.net", named)
            assert one.cli("reload")[0] == 0
            status, errors = put(one, "bob@example.net")
            assert status == 1 and "certificate in force" in errors, (named, errors)
        overlay.user("one", "bob@example.net", "example.net")
        assert one.cli("reload")[0] == 0
        assert put(one, "bob@example.net")[0] == 0
        log = one.errors() + two.errors()
        assert "record.not-allowed" in log, log
        keys = overlay.users("one", "request", "bob@example.net")
        with open(other.path("keys.pem"), "w", encoding="ascii") as file:
            file.write(keys)
        foreign = other.ca("issue-user", "bob@example.net", other.path("keys.pem"))
        done = subprocess.run([LOCSER, "user", "--data", overlay.path("one"), "import",
                               "bob@example.net", "-"], input=foreign, capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == 1 and "not by the overlay's CA" in done.stderr, done.stderr


def test_a_revoked_user_writes_no_more():
    """R-6.14."""
    overlay = Overlay()
    with ring(overlay, "one", "two") as (one, two):
        overlay.user("one", "bob@example.net")
        assert put(one, "bob@example.net")[0] == 0
        assert "x@127" in two.cli("get", "sip:bob@example.net")[1]
        revoked = overlay.ca("revoke", "bob@example.net")
        for peer, name in ((one, "one"), (two, "two")):
            overlay.identity(name, "import", "-", text=revoked)
            assert peer.cli("reload")[0] == 0
        status, errors = put(one, "bob@example.net")
        assert status == 1 and "certificate in force" in errors, errors
        assert two.cli("get", "sip:bob@example.net")[0] == 1  # nor is what it wrote believed


def test_a_users_certificate_opens_no_link():
    """It is for what the user writes; a peer that shows it is turned away."""
    overlay = Overlay()
    with ring(overlay, "one") as (one,):
        data = overlay.member("two")
        with open(overlay.path("public.pem"), encoding="ascii") as file:
            assert "PUBLIC KEY" in file.read()
        issued = overlay.ca("issue-user", "two@example.net", overlay.path("public.pem"))
        overlay.identity("two", "import", "-", text=issued)
        before = one.ask("status")["tls_failed"]
        with Peer("--join", one.address, data=data) as two:
            until(lambda: one.ask("status")["tls_failed"] > before, "it is turned away")
            assert not knows(one, two.id)


def test_strangers_stay_outside():
    """R-6.29: of an open overlay, and of another CA."""
    overlay, other = Overlay(), Overlay()
    with ring(overlay, "one") as (one,):
        with Peer("--join", one.address) as unknown:
            until(lambda: one.ask("status")["tls_failed"] > 0, "it is turned away")
            assert not knows(one, unknown.id) and unknown.ask("status")["state"] != "ready"
        before = one.ask("status")["tls_failed"]
        with Peer("--join", one.address, data=other.member("two")) as foreign:
            until(lambda: one.ask("status")["tls_failed"] > before, "it is turned away")
            assert not knows(one, foreign.id)


class Issued:
    """A key of P-256 and a certificate by the overlay's CA that ran out, or did not."""

    def __init__(self, overlay, days, extensions):
        if shutil.which("openssl") is None:
            raise Skip("openssl is not installed")
        self.folder = tempfile.TemporaryDirectory(prefix="locser-test-")
        self.key, self.certificate = self.folder.name + "/key", self.folder.name + "/crt"
        request, more = self.folder.name + "/csr", self.folder.name + "/ext"
        with open(more, "w", encoding="ascii") as file:
            file.write(extensions)
        ca = ["-CA", overlay.ca_dir + "/ca.pem", "-CAkey", overlay.ca_dir + "/ca.key"]
        for words in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                       "-nodes", "-subj", "/CN=x", "-keyout", self.key, "-out", request],
                      ["x509", "-req", "-in", request, *ca, "-days", str(days), "-extfile", more,
                       "-out", self.certificate]):
            done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=60,
                                  check=False)
            assert done.returncode == 0, done.stderr

    def opens_a_link(self, peer):
        """TLS 1.3 says after the handshake whether a client was let in: by an answer, or an alert."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["locser"])
        context.load_cert_chain(self.certificate, self.key)
        try:
            with tcp(peer.at) as plain, context.wrap_socket(plain) as connection:
                connection.sendall(peer.sip(transport="TLS"))
                return read_head(connection).startswith("SIP/2.0 ")
        except (ssl.SSLError, ConnectionError):
            return False


PEER = "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n"
USER = ("extendedKeyUsage=emailProtection\nbasicConstraints=critical,CA:FALSE\n"
        "subjectAltName=URI:sip:bob@example.net\n")


def test_an_expired_member_is_not_let_in():
    """R-6.29: again and again: each is counted, one line a minute says so, and members go on."""
    overlay = Overlay()
    with ring(overlay, "one", "two") as (one, two):
        assert Issued(overlay, 1, PEER).opens_a_link(one)
        expired = Issued(overlay, -1, PEER)
        before = one.ask("status")["tls_failed"]
        for _ in range(30):
            assert not expired.opens_a_link(one)
        assert one.ask("status")["tls_failed"] == before + 30
        assert one.errors().count("tls: ") == 1, one.errors()
        overlay.user("two", "bob@example.net")
        assert put(two, "bob@example.net")[0] == 0
        assert "x@127" in one.cli("get", "sip:bob@example.net")[1]


def test_an_expired_user_writes_no_more():
    """R-6.14: a signature that is right, by a certificate of the CA's that ran out; one in force by
    the same CA is taken."""
    overlay = Overlay()
    with ring(overlay, "one") as (one,):
        for days, wanted in ((-1, 403), (1, 200)):
            issued = Issued(overlay, days, USER)
            signer = Signer(issued.key, issued.certificate)
            at = datetime.datetime.fromtimestamp(time.time() + 3600, datetime.timezone.utc)
            at = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            record = signer.fill(
                '<dhtRecord xmlns="urn:ietf:params:xml:ns:dht"><key xmlns="urn:ietf:params:xml:ns:dht"'
                ' Id="One">sip:bob@example.net</key><value xmlns="urn:ietf:params:xml:ns:dht" '
                f'xmlns:o="urn:ietf:params:xml:ns:p2p-sip:overlay" Id="Two" expires="{at}" nonce="n" '
                f'o:floor="{at}" o:owner="{signer.owner}" o:version="{int(time.time() * 1000) * 256}">'
                '<a></a></value>{SIGNATURE}</dhtRecord>')
            body = ('<?xml version="1.0" encoding="UTF-8"?>\n<methodCall><methodName>put-auth'
                    f"</methodName><params><param>{record}</param></params></methodCall>")
            key = hashlib.sha1(b"sip:bob@example.net").hexdigest().upper()
            with tcp(one.at) as connection:
                for _ in range(5):
                    connection.sendall(one.sip(method="LOCSER", transport="TCP", body=body, more=(
                        f"Overlay-Key: {key}\r\nContent-Type: text/xml\r\n")))
                    head = read_head(connection)
                    while head.startswith("SIP/2.0 1"):
                        head = head.split("\r\n\r\n", 1)[1] or read_head(connection)
                    assert head.startswith(f"SIP/2.0 {wanted}"), head
        assert one.ask("status")["not-allowed"] == 5
        assert one.errors().count("record.not-allowed") == 1


def test_presence_among_members():
    """R-7.31, R-12.16: of users with certificates; and what is told over a connection that has proven no
    Peer-ID is refused, though it is signed by a user whom the CA has let in and names a member."""
    overlay = Overlay()
    with ring(overlay, "one", "two") as (one, two):
        for peer, name, address in ((one, "one", BOB), (two, "two", ALICE)):
            overlay.user(name, address)
            assert peer.cli("reload")[0] == 0
        with phones((one, BOB), (two, ALICE)) as (bob, alice):
            alice.register().watch(BOB)
            bob.register().publish("here")
            alice.sees("<note>here</note>")
            issued = Issued(overlay, 1, USER.replace("bob@", "alice@"))
            for method, whose in (("event.watch", ALICE), ("event.notify", BOB)):
                assert tell(one, Signer(issued.key, issued.certificate), method, whose, two) == 403
            assert len(one.ask("watchers", BOB)) == 1


def tell(peer, signer, method, whose, named):
    """The status of an event.* by TCP without a certificate."""
    at = datetime.datetime.fromtimestamp(time.time() + 600, datetime.timezone.utc)
    at = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    kind = "watch" if method == "event.watch" else "here"
    record = signer.fill(
        '<dhtRecord xmlns="urn:ietf:params:xml:ns:dht"><key xmlns="urn:ietf:params:xml:ns:dht"'
        f' Id="One">presence:{whose}</key><value xmlns="urn:ietf:params:xml:ns:dht" '
        f'xmlns:o="urn:ietf:params:xml:ns:p2p-sip:overlay" Id="Two" expires="{at}" nonce="n" '
        f'o:floor="{at}" o:owner="{signer.owner}" o:version="{int(time.time() * 1000) * 256}">'
        f'<o:presence at="{named.address}" id="{named.id}" kind="{kind}" token="0011223344556677">'
        '</o:presence></value>{SIGNATURE}</dhtRecord>')
    body = ('<?xml version="1.0" encoding="UTF-8"?>\n<methodCall><methodName>'
            f"{method}</methodName><params><param>{record}</param></params></methodCall>")
    with tcp(peer.at) as connection:
        connection.sendall(peer.sip(method="LOCSER", transport="TCP", body=body, more=(
            f"Overlay-Key: {peer.id};direct\r\nContent-Type: text/xml\r\n")))
        return int(read_head(connection).split(" ", 2)[1])


def test_a_revoked_member_is_put_out():
    """R-6.31."""
    overlay = Overlay()
    with ring(overlay, "one", "two") as (one, two):
        revoked = overlay.ca("revoke", two.id)
        overlay.identity("one", "import", "-", text=revoked)
        status, _, errors = one.cli("reload")
        assert status == 0, errors
        until(lambda: not knows(one, two.id), "the revoked one is dropped")
        until(lambda: one.ask("status")["tls_failed"] > 0, "and it cannot come back")
        assert not knows(one, two.id)


def test_a_member_needs_its_certificate():
    """R-6.29, R-6.30."""
    overlay = Overlay()
    data = overlay.member("one")
    os.remove(os.path.join(data, "certificate.pem"))
    status, errors = refused(data=data)
    assert status == 1 and "identity import" in errors, errors


def test_what_is_not_imported():
    overlay, other = Overlay(), Overlay()
    overlay.member("one")
    other.member("two")
    cases = {"nothing to import": "no PEM at all",
             "another peer's key": overlay.ca("issue-peer", other.path("public.pem"))}
    for words, text in cases.items():
        done = subprocess.run([LOCSER, "identity", "--data", overlay.path("one"), "import", "-"],
                              input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    theirs = other.ca("revoke", other.peer_id("two"))
    done = subprocess.run([LOCSER, "identity", "--data", overlay.path("one"), "import", "-"],
                          input=theirs, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "not signed" in done.stderr, done.stderr
    assert "closed" in overlay.identity("one", "show")


def test_errors_say_what_to_do():
    overlay = Overlay()
    cases = {("ca", "--dir", overlay.ca_dir, "init"): (1, "already"),
             ("ca", "--dir", overlay.path("none"), "issue-peer", "/dev/null"): (1, "public key"),
             ("ca", "--dir", overlay.ca_dir, "revoke", "@"): (1, "40 hexadecimal"),
             ("ca", "--dir", overlay.ca_dir, "revoke", "0" * 40): (1, "no certificate was issued"),
             ("ca", "--dir", overlay.ca_dir, "sing"): (2, "no such verb"),
             ("ca", "--days", "x", "show"): (2, "--days"),
             ("identity", "--data", overlay.path("none"), "show"): (1, "identity new"),
             ("identity",): (2, "say what to do"),
             ("identity", "import"): (2, "needs")}
    for words, (wanted, text) in cases.items():
        status, _, errors = run(LOCSER, *words)
        assert status == wanted and text in errors, (words, status, errors)
    overlay.identity("one", "new")
    status, _, errors = run(LOCSER, "identity", "--data", overlay.path("one"), "new")
    assert status == 1 and "already" in errors, errors
    assert run(LOCSER, "ca", "--help")[0] == 0


def test_secrets_are_for_their_owner_alone():
    overlay = Overlay()
    overlay.member("one")
    for path in (overlay.ca_dir + "/ca.key", overlay.path("one") + "/identity"):
        assert os.stat(path).st_mode & 0o077 == 0, path
    assert "PRIVATE" not in overlay.identity("one", "export")
    assert "PRIVATE" in overlay.identity("one", "export", "--private")


main(globals())
