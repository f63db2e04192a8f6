#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-6.9, R-6.47, R-6.64 to R-6.69: a user's phones at several peers. Real peers; phones are UDP sockets."""
import base64
import contextlib
import glob
import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile

from peer import BRANCH, LIMIT_S, LOCSER, Control, Peer, main, run, until


class Phone:
    """Registers and hears the answer."""

    def __init__(self, peer, user="bob@example.net"):
        self.peer, self.user = peer, user
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.port = self.socket.getsockname()[1]
        self.contact = f"sip:phone@127.0.0.1:{self.port}"

    def register(self, expires=600):
        """(status, reason)"""
        branch = f"z9hG4bKgrant{next(BRANCH)}"
        host = self.user.split("@")[1]
        self.socket.sendto(
            (f"REGISTER sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};"
             f"branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{self.user}>;tag=1\r\n"
             f"To: <sip:{self.user}>\r\nCall-ID: {branch}\r\nCSeq: 1 REGISTER\r\n"
             f"Contact: <{self.contact}>\r\nExpires: {expires}\r\nContent-Length: 0\r\n\r\n")
            .encode(), self.peer.at)
        while True:
            answer = self.socket.recv(65536).decode()
            status, reason = re.match(r"SIP/2.0 (\d+) ([^\r]*)", answer).groups()
            if int(status) >= 200:
                return int(status), reason

    def registers(self):
        """A 503 says that it may be tried again: the ring has just changed."""
        return until(lambda: (lambda r: r if r[0] != 503 else None)(self.register()), "an answer")

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def ring(count, *words):
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(count):
            more = ["--join", peers[0].address] if peers else []
            peers.append(stack.enter_context(Peer(*more, "--log", "debug", *words)))
        for peer in peers:
            until(lambda p=peer: p.ask("status")["state"] == "ready", "all are ready")
        until(lambda: all(len(p.ask("ring")) >= min(count, 3) for p in peers), "a ring")
        yield peers


def user(peer, *words):
    return run(LOCSER, "user", "--data", peer.data, "--control", peer.control, *words)


def grant(at, to):
    """Until the other one has made its key."""
    def once():
        status, _, errors = user(at, "grant", "bob@example.net", to.id)
        assert status == 0 or "publish" in errors, errors
        return status == 0
    until(once, "granted", 200)  # RSA keys take long on a busy machine


def owner(peer):
    """Of bob's keys there."""
    return re.search(r"(\w+)  sip:bob@example.net", user(peer, "list")[1])[1]


def test_a_granted_peer_goes_on():
    with ring(3) as (home, second, third):
        phones = [Phone(peer) for peer in (home, second, third)]
        assert phones[0].registers()[0] == 200
        for phone in phones[1:]:
            status, reason = phone.registers()
            assert status == 403, reason
        grant(home, second)
        assert phones[1].registers()[0] == 200
        status, reason = phones[2].registers()
        assert status == 403 and "grant" in reason.lower(), reason
        contacts = until(lambda: (lambda c: c if len(c) == 2 else None)(
            third.ask("get", "sip:bob@example.net")), "both phones")
        assert {c["contact"] for c in contacts} == {p.contact for p in phones[:2]}
        status, output, errors = user(home, "granted", "bob@example.net")
        assert status == 0 and second.id in output and "(this peer)" in output, errors
        assert third.id not in output
        for phone in phones:
            phone.close()


def test_a_grant_before_the_phone_comes():
    with ring(2) as (home, second):
        phones = [Phone(peer) for peer in (home, second)]
        assert phones[0].registers()[0] == 200
        assert second.cli("publish")[0] == 0
        grant(home, second)
        assert phones[1].registers()[0] == 200
        for phone in phones:
            phone.close()


def test_who_was_granted_may_grant():
    with ring(3) as (home, second, third):
        phones = [Phone(peer) for peer in (home, second, third)]
        assert phones[0].registers()[0] == 200
        for peer, other in ((home, second), (second, third)):
            assert other.cli("publish")[0] == 0
            grant(peer, other)
            assert phones[[home, second, third].index(other)].registers()[0] == 200
        output = user(third, "granted", "bob@example.net")[1]
        assert all(peer.id in output for peer in (home, second, third)), output
        for phone in phones:
            phone.close()


def revoke(at, of):
    return user(at, "revoke", "bob@example.net", of.id)


def contacts(peer):
    status, output, _ = peer.cli("--json", "get", "sip:bob@example.net")
    return {c["contact"] for c in json.loads(output)} if status == 0 else set()


def test_revoke():
    """New keys: the revoked peer writes no more, the others do, and what it wrote counts no more."""
    with ring(4) as (home, second, third, fourth), contextlib.ExitStack() as stack:
        phones = [stack.enter_context(contextlib.closing(Phone(peer)))
                  for peer in (home, second, third)]
        assert phones[0].registers()[0] == 200
        for peer, phone in zip((second, third), phones[1:]):
            assert peer.cli("publish")[0] == 0
            grant(home, peer)
            assert phone.registers()[0] == 200
        until(lambda: len(contacts(fourth)) == 3, "all are found")
        before = owner(home)
        status, output, errors = revoke(home, second)
        assert status == 0 and "revoked" in output, errors
        assert owner(home) != before
        output = user(home, "granted", "bob@example.net")[1]
        assert third.id in output and second.id not in output, output
        # The home's phone is found at once, under the new key; what the revoked peer wrote is not.
        until(lambda: contacts(fourth) == {phones[0].contact}, "the home's phone alone")
        # At a peer that still has a grant they are put anew when it is told to.
        third.cli("publish", "sip:bob@example.net")
        until(lambda: contacts(fourth) == {phones[0].contact, phones[2].contact}, "the third's, too")
        # New phones: a refresh that changes nothing asks nobody.
        phones = [stack.enter_context(contextlib.closing(Phone(peer)))
                  for peer in (home, second, third)]
        status, reason = phones[1].registers()
        assert status == 403 and "grant" in reason, reason
        assert phones[0].registers()[0] == 200
        assert phones[2].registers()[0] == 200
        assert phones[1].contact not in contacts(fourth)
        # What it has are the old keys, and it cannot go on from them: neither by a grant nor by a
        # successor of its own.
        assert owner(second) == before
        for verb, peer in (("grant", second), ("revoke", third)):
            assert user(second, verb, "bob@example.net", peer.id)[0] == 1
        assert phones[2].registers()[0] == 200
        assert phones[0].contact in contacts(fourth)
        # Once more, and the first one is granted the new keys again.
        status, _, errors = revoke(home, third)
        assert status == 0, errors
        # Who has its contact now has heard of the newest key.
        until(lambda: {p.contact for p in phones} & contacts(fourth) == {phones[0].contact},
              "the home's phone under the newest key")
        phones = [stack.enter_context(contextlib.closing(Phone(peer)))
                  for peer in (home, second, third)]
        assert phones[2].registers()[0] == 403
        grant(home, second)
        assert phones[1].registers()[0] == 200
        assert phones[0].registers()[0] == 200


def test_revoke_changes_every_key():
    with ring(2) as (home, second), contextlib.ExitStack() as stack:
        def files():
            name = hashlib.sha1(b"sip:bob@example.net").hexdigest().upper()
            found = {}
            for path in glob.glob(f"{home.data}/users/{name}.*"):
                with open(path, "rb") as file:
                    found[path.rpartition(name)[2]] = file.read()
                assert os.stat(path).st_mode & 0o77 == 0
            return found
        phones = [stack.enter_context(contextlib.closing(Phone(peer))) for peer in (home, second)]
        assert phones[0].registers()[0] == 200
        assert second.cli("publish")[0] == 0
        grant(home, second)
        assert phones[1].registers()[0] == 200
        before = files()
        assert revoke(home, second)[0] == 0
        after = files()
        assert set(after) == set(before) | {".before"}
        assert {name for name in before if before[name] == after[name]} == {".aor"}


def test_revoke_says_what_it_cannot():
    with ring(2) as (home, second), contextlib.ExitStack() as stack:
        phone = stack.enter_context(contextlib.closing(Phone(home)))
        status, _, errors = revoke(home, second)
        assert status == 1 and "where the phone registers" in errors, errors
        assert phone.registers()[0] == 200
        status, _, errors = revoke(home, second)
        assert status == 1 and "has not been granted" in errors, errors
        status, _, errors = revoke(home, home)
        assert status == 1 and "this peer itself" in errors, errors
    with ring(1, "--lab") as (home,), contextlib.closing(Phone(home)) as phone:
        assert phone.registers()[0] == 200
        status, _, errors = revoke(home, home)
        assert status == 1 and "laboratory" in errors, errors


class Closed:
    """A closed overlay, whose CA is at hand."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="locser-test-")
        self.ca = os.path.join(self.folder.name, "ca")
        self.say("ca", "--dir", self.ca, "init")

    def say(self, *words, text=None):
        done = subprocess.run([LOCSER, *words], capture_output=True, text=True, input=text,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def member(self, name):
        data = os.path.join(self.folder.name, name)
        self.say("join", "--data", data, "--ca", self.ca)
        return data

    def certify_bob(self, data):
        request = self.say("user", "--data", data, "request", "bob@example.net")
        issued = self.say("ca", "--dir", self.ca, "issue-user", "bob@example.net", "-",
                          text=request)
        self.say("user", "--data", data, "import", "bob@example.net", "-", text=issued)


def test_in_a_closed_overlay():
    closed = Closed()
    data = [closed.member(name) for name in ("home", "second", "third")]
    closed.certify_bob(data[0])
    with contextlib.ExitStack() as stack:
        peers = []
        for folder in data:
            more = ["--join", peers[0].address] if peers else []
            peers.append(stack.enter_context(Peer(*more, "--log", "debug", data=folder)))
        for peer in peers:
            until(lambda p=peer: p.ask("status")["state"] == "ready", "all are ready")
        phones = [stack.enter_context(contextlib.closing(Phone(peer))) for peer in peers]
        assert phones[0].registers()[0] == 200
        assert phones[1].registers()[0] == 403
        assert peers[1].cli("publish")[0] == 0
        grant(peers[0], peers[1])
        assert phones[1].registers()[0] == 200
        assert phones[2].registers()[0] == 403
        # To revoke: the CA takes the old certificates back, and certifies new keys.
        listed = closed.say("ca", "--dir", closed.ca, "revoke", "bob@example.net")
        closed.say("user", "--data", data[0], "remove", "bob@example.net")
        closed.certify_bob(data[0])
        for peer in peers:
            closed.say("identity", "--data", peer.data, "import", "-", text=listed)
            assert peer.cli("reload")[0] == 0
        # New phones: a refresh that changes nothing asks nobody.
        phones = [stack.enter_context(contextlib.closing(Phone(peer))) for peer in peers]
        assert phones[1].registers()[0] == 403
        assert phones[0].registers()[0] == 200
        grant(peers[0], peers[2])
        assert phones[2].registers()[0] == 200
        assert phones[1].registers()[0] == 403


def test_errors_say_what_to_do():
    with ring(2) as (home, second):
        cases = {("grant", "bob@example.net", second.id): "where the phone registers",
                 ("grant", "bob@example.net", "12"): "40 hexadecimal"}
        for words, text in cases.items():
            status, _, errors = user(home, *words)
            assert status == 1 and text in errors, (words, errors)
        phone = Phone(home)
        assert phone.registers()[0] == 200
        status, _, errors = user(home, "grant", "bob@example.net", "0" * 40)
        assert status == 1 and "locser publish" in errors, errors
        phone.close()


def secrets_of(peer):
    """What of its private keys could be recognised, in base64 and in hexadecimal."""
    found = set()
    for path in glob.glob(os.path.join(peer.data, "users", "*.pem")) + [peer.data + "/identity"]:
        with open(path, encoding="ascii") as file:
            lines = [line for line in file.read().splitlines() if "-----" not in line]
        # RSA: the modulus comes first, and is public. P-256: the public key comes last.
        parts = [line[8:60] for line in lines[12:-1]] if len(lines) > 12 else [lines[0][48:64]]
        for part in parts:
            raw = base64.b64decode(part)
            found |= {part, raw.hex(), raw.hex().upper()}
    return found


def test_keys_are_in_no_log():
    """R-6.12: not in the log at debug, not in the trace, not in what is stored."""
    with ring(2) as (home, second), contextlib.ExitStack() as stack:
        watches = [Control(peer.control) for peer in (home, second)]
        for watch in watches:
            stack.callback(watch.close)
            watch.call("trace")
        phones = [Phone(peer) for peer in (home, second)]
        assert phones[0].registers()[0] == 200
        assert second.cli("publish")[0] == 0
        grant(home, second)
        assert phones[1].registers()[0] == 200
        secrets = secrets_of(home) | secrets_of(second)
        assert len(secrets) > 20
        texts = [peer.errors() for peer in (home, second)]
        for watch in watches:
            watch.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while True:
                    texts.append(watch.file.readline().decode())
        for peer in (home, second):
            for path in glob.glob(peer.data + "/journal.db*"):
                with open(path, "rb") as file:
                    texts.append(file.read().decode("latin-1"))
        assert any("private:bob@example.net" in text for text in texts)  # it was looked at
        for text in texts:
            for secret in secrets:
                assert secret not in text, secret
        for phone in phones:
            phone.close()


if __name__ == "__main__":
    main(globals())
