#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-6.29 to R-6.31: a closed overlay, made with `locser ca` and `locser identity` as its operator
would: who is let in, and who is not any more."""
import contextlib
import os
import subprocess
import tempfile

from peer import LOCSER, Peer, main, refused, run, until


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
                              capture_output=True, text=True, input=text, timeout=30, check=False)
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
                              capture_output=True, text=True, input=text, timeout=30, check=False)
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
                              text=True, timeout=30, check=False)
        assert done.returncode == 1 and "not by the overlay's CA" in done.stderr, done.stderr


def test_a_revoked_user_writes_no_more():
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
    """Of an open overlay, of another CA, and with a certificate that has run out."""
    overlay, other = Overlay(), Overlay()
    with ring(overlay, "one") as (one,):
        with Peer("--join", one.address) as unknown:
            until(lambda: one.ask("status")["tls_failed"] > 0, "it is turned away")
            assert not knows(one, unknown.id) and unknown.ask("status")["state"] != "ready"
        before = one.ask("status")["tls_failed"]
        with Peer("--join", one.address, data=other.member("two")) as foreign:
            until(lambda: one.ask("status")["tls_failed"] > before, "it is turned away")
            assert not knows(one, foreign.id)


def test_a_revoked_member_is_put_out():
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
                              input=text, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    theirs = other.ca("revoke", other.peer_id("two"))
    done = subprocess.run([LOCSER, "identity", "--data", overlay.path("one"), "import", "-"],
                          input=theirs, capture_output=True, text=True, timeout=30, check=False)
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
