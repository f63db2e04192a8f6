#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-6.43 to R-6.46: a closed overlay made from `locser ca init`, `locser invite`, `locser join` and
`locserd` alone, and everybody whom an invitation must not let in."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import tempfile

from peer import LOCSER, Peer, main, run, until

LINE = re.compile(r"locser://([^/]+)/([^?]+)\?ca=([0-9A-F]{64})&key=([0-9A-F]{40})&until=(\d+)$")


class Place:
    """A folder for a CA and for peers."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="locser-test-")
        self.ca = self.path("ca")
        status, _, errors = run(LOCSER, "ca", "--dir", self.ca, "init", "--name", "home")
        assert status == 0, errors

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def join(self, name, *words):
        return run(LOCSER, "join", "--data", self.path(name), *words)

    def founder(self):
        """The data folder of the first peer, on the CA's own machine."""
        status, _, errors = self.join("founder", "--ca", self.ca)
        assert status == 0, errors
        return self.path("founder")

    def certify(self, name, address):
        """A user of that peer, by the CA (R-6.33)."""
        keys, issued = self.path("keys.pem"), self.path("issued.pem")
        for path, words in ((keys, ["user", "--data", self.path(name), "request", address]),
                            (issued, ["ca", "--dir", self.ca, "issue-user", address, keys])):
            status, output, errors = run(LOCSER, *words)
            assert status == 0, errors
            with open(path, "w", encoding="ascii") as file:
                file.write(output)
        status, _, errors = run(LOCSER, "user", "--data", self.path(name), "import", address, issued)
        assert status == 0, errors

    def inside(self, name):
        return os.path.exists(os.path.join(self.path(name), "certificate.pem"))


class Invitation:
    """A `locser invite` that waits."""

    def __init__(self, ca, *words):
        self.process = subprocess.Popen([LOCSER, "invite", "--ca", ca, *words], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL)
        self.line = self.process.stdout.readline().strip()
        self.parts = LINE.match(self.line)
        assert self.parts, self.line + self.process.stderr.read()
        host, _, port = self.parts[1].rpartition(":")
        self.at = (host, int(port))

    def changed(self, part, text):
        return self.line[:self.parts.start(part)] + text + self.line[self.parts.end(part):]

    def end(self):
        """(exit status, standard error), when it has ended by itself."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def invite(place, *words):
    return Invitation(place.ca, "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:9", *words)


def knows(peer, name):
    return name in str(peer.ask("ring"))


def test_three_peers_by_invitation():
    """R-6.43."""
    place = Place()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Peer("--overlay", "home", data=place.founder()))
        peers = [first]
        for name in ("second", "third"):
            with Invitation(place.ca, "--control", first.control) as invitation:
                assert invitation.parts[2] == "home"
                status, output, errors = place.join(name, invitation.line)
                assert status == 0 and "--overlay home" in output, errors
                ended, said = invitation.end()
                assert ended == 0 and "let in" in said, said
                assert invitation.parts[4] not in said + output + errors
            peers.append(stack.enter_context(Peer("--overlay", "home", data=place.path(name))))
        for peer in peers:
            until(lambda p=peer: p.ask("status")["state"] == "ready", "all are ready")
        until(lambda: all(knows(a, b.id) for a in peers for b in peers), "all know each other")
        place.certify("founder", "bob@example.net")
        assert first.cli("put", "sip:bob@example.net", "sip:bob@127.0.0.1:9")[0] == 0
        assert "bob" in peers[2].cli("get", "sip:bob@example.net")[1]


def test_wrong_secret_is_refused():
    """R-6.44."""
    place = Place()
    with invite(place) as invitation:
        status, _, errors = place.join("one", invitation.changed(4, "0" * 40))
        assert status == 1 and "not the secret" in errors, errors
        assert not place.inside("one")
        assert place.join("one", invitation.line)[0] == 0
        status, said = invitation.end()
        assert status == 0 and "does not know the secret" in said, said
        assert place.inside("one")


def test_used_line_is_refused():
    """R-6.45."""
    place = Place()
    with invite(place) as invitation:
        assert place.join("one", invitation.line)[0] == 0
        invitation.end()
        status, _, errors = place.join("two", invitation.line)
        assert status == 1 and "used already" in errors and "new one" in errors, errors
        listen = f"127.0.0.1:{invitation.at[1]}"  # a newer invitation at the same place
        with Invitation(place.ca, "--listen", listen, "--peer", "127.0.0.1:9") as newer:
            status, _, errors = place.join("two", invitation.line)
            assert status == 1 and "not the secret" in errors, errors
            assert place.join("two", newer.line)[0] == 0


def test_a_line_for_two():
    """R-6.45."""
    place = Place()
    with invite(place, "--uses", "2") as invitation:
        assert place.join("one", invitation.line)[0] == 0
        assert place.join("two", invitation.line)[0] == 0
        assert invitation.end()[0] == 0


def test_late_line_is_refused():
    """R-6.45."""
    place = Place()
    with invite(place, "--seconds", "1") as invitation:
        status, said = invitation.end()
        assert status == 1 and "run out" in said, said
        status, _, errors = place.join("one", invitation.changed(5, "1000000000"))
        assert status == 1 and "run out" in errors, errors
        assert not place.inside("one")


def test_other_ca_is_refused():
    """R-6.46: who knows the secret and yet is not the CA of the line; and a folder of another overlay."""
    place, other = Place(), Place()
    with invite(other) as theirs, invite(place) as ours:
        status, _, errors = place.join("one", theirs.changed(3, ours.parts[3]))
        assert status == 1 and "not from the CA" in errors, errors
        assert not place.inside("one")
        assert place.join("one", ours.line)[0] == 0
    with invite(other) as theirs:
        status, _, errors = place.join("one", theirs.line)
        assert status == 1 and "another closed overlay" in errors, errors
        status, _, errors = place.join("one", "--ca", other.ca)
        assert status == 1 and "another closed overlay" in errors, errors


class Between:
    """Somebody in the middle, with TLS of its own, who passes every byte on."""

    def __init__(self, there, folder):
        key, certificate = os.path.join(folder, "m.key"), os.path.join(folder, "m.pem")
        status, _, errors = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                                certificate, "-subj", "/CN=m", "-days", "1")
        assert status == 0, errors
        self.there = there
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)
        self.port = self.listener.getsockname()[1]

    def pass_on(self):
        """What the two ends said, by way of this one."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        connection, _ = self.listener.accept()
        with self.server.wrap_socket(connection, server_side=True) as new_peer, \
                client.wrap_socket(socket.create_connection(self.there, 30)) as overlay:
            asked = new_peer.recv(65536)
            overlay.sendall(asked)
            answer = overlay.recv(65536)
            new_peer.sendall(answer)
        self.listener.close()
        return asked, answer


def test_nobody_in_the_middle():
    """R-6.44: the proof is of one connection; passed on over another it is nothing."""
    place = Place()
    with invite(place) as invitation:
        between = Between(invitation.at, place.folder.name)
        line = invitation.changed(1, f"127.0.0.1:{between.port}")
        with subprocess.Popen([LOCSER, "join", "--data", place.path("one"), line], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as joining:
            asked, answer = between.pass_on()
            _, errors = joining.communicate(timeout=60)
        assert answer.startswith(b"refused") and joining.returncode == 1, errors
        assert invitation.parts[4].encode() not in asked + answer  # the secret is never sent
        assert not place.inside("one")


def test_a_liar_at_the_address():
    """R-6.44: who does not know the secret gives no certificate, whatever it says."""
    place = Place()
    with invite(place) as invitation:
        between = Between(None, place.folder.name)
        line = invitation.changed(1, f"127.0.0.1:{between.port}")
        with subprocess.Popen([LOCSER, "join", "--data", place.path("one"), line], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as joining:
            connection, _ = between.listener.accept()
            with between.server.wrap_socket(connection, server_side=True) as new_peer:
                new_peer.recv(65536)
                with open(place.ca + "/ca.pem", "rb") as file:
                    new_peer.sendall(b"welcome " + b"0" * 64 + b"\n" + file.read() + b"\n")
            _, errors = joining.communicate(timeout=60)
        between.listener.close()
        assert joining.returncode == 1 and "does not know the secret" in errors, errors
        assert not place.inside("one")


def test_noise_ends_the_invitation():
    """R-6.45: after 100 connections that came to nothing."""
    place = Place()
    with invite(place) as invitation:
        for _ in range(100):
            with socket.create_connection(invitation.at, 30) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        status, said = invitation.end()
        assert status == 1 and "came to nothing" in said, said


def test_errors_say_what_to_do():
    place = Place()
    cases = {("join",): (2, "give the line"),
             ("join", "locser://x"): (1, "whole line"),
             ("join", "locser://127.0.0.1:9/home?ca=00&key=00&until=1"): (1, "whole line"),
             ("join", "--ca", place.path("none")): (1, "ca init"),
             ("join", "--uses", "2", "x"): (2, "no such option"),
             ("join", "a", "b"): (2, "one word too many"),
             ("invite", "x"): (2, "one word too many"),
             ("invite", "--uses", "0"): (2, "--uses"),
             ("invite", "--control", place.path("none"), "--ca", place.ca): (1, "--peer"),
             ("invite", "--peer", "127.0.0.1:9", "--ca", place.path("none")): (1, "ca init"),
             ("invite", "--peer", "127.0.0.1:9", "--ca", place.ca, "--listen", "0.0.0.0:0"):
             (1, "--advertise")}
    env = {**os.environ, "HOME": place.path("nobody"), "LOCSER_CONTROL": place.path("none")}
    for words, (wanted, text) in cases.items():
        status, output, errors = run(LOCSER, *words, env=env)
        assert status == wanted and text in errors, (words, status, output, errors)
    for command in ("invite", "join"):
        assert run(LOCSER, command, "--help")[0] == 0


def test_the_line_by_standard_input_and_the_code():
    place = Place()
    with invite(place, "--qr") as invitation:
        done = subprocess.run([LOCSER, "join", "--data", place.path("one"), "-"], text=True,
                              input=invitation.line + "\n", capture_output=True, timeout=60,
                              check=False)
        assert done.returncode == 0, done.stderr
        rows = [row for row in invitation.process.stdout.read().splitlines() if row.startswith("\033[97;40m")]
        assert len(rows) > 20 and all(row.endswith("\033[0m") for row in rows)


main(globals())
