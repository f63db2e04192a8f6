#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-7.36, R-7.42, R-7.43: users with passwords, made and changed beside a running locserd, by the commands
that people use. Phones are UDP sockets."""
import hashlib
import os
import re
import socket
import stat
import subprocess

from peer import BRANCH, LOCSER, LOCSERD, LIMIT_S, Peer, main, run, until

BOB = "bob@example.net"


class Phone:
    """Registers bob; with a password where it is asked for one."""

    def __init__(self, peer):
        self.peer = peer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.port = self.socket.getsockname()[1]

    def ask(self, line=""):
        """The final answer, a text."""
        number = next(BRANCH)
        self.socket.sendto(
            (f"REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch="
             f"z9hG4bKuser{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{BOB}>;tag=1\r\n"
             f"To: <sip:{BOB}>\r\nCall-ID: users\r\nCSeq: {number} REGISTER\r\n"
             f"Contact: <sip:bob@127.0.0.1:{self.port}>\r\n{line}Content-Length: 0\r\n\r\n")
            .encode(), self.peer.at)
        while True:
            answer = self.socket.recv(65536).decode()
            if not answer.startswith("SIP/2.0 1"):
                return answer

    def registers(self, password, algorithm="SHA-256"):
        """The status, after a challenge has been answered."""
        answer = self.ask()
        challenge = re.search(r'Digest realm="([^"]*)", nonce="([^"]*)", algorithm=' + algorithm,
                              answer)
        if not challenge:
            return int(answer.split()[1])
        realm, nonce = challenge.groups()
        kind = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}[algorithm]

        def h(*words):
            return kind(":".join(words).encode()).hexdigest()
        response = h(h("bob", realm, password), nonce, "00000001", "c", "auth",
                     h("REGISTER", "sip:example.net"))
        answer = self.ask(
            f'Authorization: Digest username="bob", realm="{realm}", nonce="{nonce}", '
            f'uri="sip:example.net", algorithm={algorithm}, qop=auth, nc=00000001, cnonce="c", '
            f'response="{response}"\r\n')
        return int(answer.split()[1])


def user(data, *words, text=""):
    done = subprocess.run([LOCSER, "user", "--data", data, *words], capture_output=True, text=True,
                          input=text, timeout=LIMIT_S, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_user_comes_and_goes():
    with Peer() as peer:
        phone = Phone(peer)
        assert phone.registers("") == 200  # nobody has a password: from this machine
        status, output, errors = user(peer.data, "add", BOB, text="secret\n")
        assert status == 0 and "running" in output, errors
        assert phone.registers("wrong") == 401
        assert phone.registers("secret") == 200
        assert phone.registers("secret", "MD5") == 200
        status, output, _ = user(peer.data, "list")
        assert re.search(r"^[0-9A-F]{40}  sip:bob@example.net  \(password", output, re.M), output
        assert user(peer.data, "passwd", BOB, text="other\n")[0] == 0
        assert phone.registers("secret") == 401
        assert phone.registers("other") == 200
        assert user(peer.data, "passwd", BOB, "--none")[0] == 0
        assert phone.registers("") == 200
        assert "password" not in user(peer.data, "list")[1]
        status, output, _ = user(peer.data, "add", "Carol@Example.NET", "--generate")
        assert status == 0 and re.search(r"^password: \S{20}$", output, re.M), output
        assert "sip:Carol@example.net" in user(peer.data, "list")[1]
        assert user(peer.data, "remove", "Carol@example.net")[0] == 0
        assert "Carol" not in user(peer.data, "list")[1]


def test_what_is_kept():
    """Without a running peer; the password itself is nowhere."""
    with Peer() as peer:
        data = peer.data
        status, output, errors = user(data, "add", BOB, "--password", "s3cr3t-s3cr3t")
        assert status == 0, errors
        file = os.path.join(data, "users", "passwords")
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        with open(file, encoding="ascii") as stored:
            text = stored.read()
        assert "s3cr3t" not in text
        assert hashlib.md5(b"bob:example.net:s3cr3t-s3cr3t").hexdigest() in text
        assert "s3cr3t" not in peer.errors()
        peer.stop()
        status, output, errors = user(data, "passwd", BOB, text="other\n")
        assert status == 0 and "No locserd" in output, errors
        with Peer(data=data) as again:
            assert Phone(again).registers("other") == 200


def test_errors_say_what_to_do():
    with Peer() as peer:
        for words, text, said in (
                (("add", BOB), "", "no password"), (("add", "bob"), "x\n", "USER@DOMAIN"),
                (("add", "b ob@example.net"), "x\n", "USER@DOMAIN"),
                (("add", BOB), "\n", "1 to 256"), (("add", BOB), "x" * 257 + "\n", "1 to 256"),
                (("passwd", BOB), "x\n", "has no password"),
                (("passwd", BOB, "--none"), "", "has no password"),
                (("remove", BOB), "", "no such user")):
            status, _, errors = user(peer.data, *words, text=text)
            assert status == 1 and said in errors, (words, errors)
        assert user(peer.data, "add", BOB, text="x\n")[0] == 0
        status, _, errors = user(peer.data, "add", BOB, text="y\n")
        assert status == 1 and "user passwd" in errors, errors
        phone = Phone(peer)
        # A damaged file: who runs keeps what it has, who starts does not.
        with open(os.path.join(peer.data, "users", "passwords"), "a", encoding="ascii") as stored:
            stored.write("junk\n")
        status, _, errors = user(peer.data, "add", "carol@example.net", text="x\n")
        assert status == 1 and "line 3" in errors, errors
        status, _, errors = run(LOCSER, "--control", peer.control, "reload")
        assert status == 1 and "line 3" in errors, errors
        assert phone.registers("x") == 200 and phone.registers("") == 401
        peer.stop()
        status, _, errors = run(LOCSERD, "--data", peer.data, "--listen", "127.0.0.1:0")
        assert status == 1 and "line 3" in errors, errors


def test_one_algorithm_alone():
    with Peer("--digest", "md5") as peer:
        assert user(peer.data, "add", BOB, text="x\n")[0] == 0
        phone = Phone(peer)
        assert "SHA-256" not in phone.ask()
        assert phone.registers("x", "MD5") == 200


def test_guessing_is_limited_and_told():
    """R-7.42; R-6.53: counted in the status, one line in the log."""
    with Peer("--trusted-address", "none") as peer:
        assert user(peer.data, "add", BOB, text="secret\n")[0] == 0
        phone = Phone(peer)
        answers = [phone.registers("guess") for _ in range(24)]
        assert answers[:20] == [401] * 20 and 503 in answers, answers
        refused = answers.count(503)
        until(lambda: peer.ask("status")["limit-source-passwords"] == refused, "counted")
        lines = [line for line in peer.errors().splitlines() if "source-passwords" in line]
        assert len(lines) == 1, lines


if __name__ == "__main__":
    main(globals())
