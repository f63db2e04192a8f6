#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Replays every file of docs/spec/examples (format: its README) against real peers, and validates
the bodies that come back against docs/spec/locser.rng (R-3.35)."""
import datetime
import glob
import os
import re
import shutil
import socket
import subprocess
import time

from peer import LIMIT_S, Peer, Skip, ROOT, main, until
from signer import Signer

FOLDER = os.path.join(ROOT, "docs", "spec", "examples")
SCHEMA = os.path.join(ROOT, "docs", "spec", "locser.rng")
LAB = ["--lab", "--peer-transport", "tcp"]  # the joiner of the examples has no key to show
JOINER = "8000000000000000000000000000000000000001"
rings = {}
signers = []
bodies = []


def ring(count):
    """The peers of a ring of that many; files that want a ring of one get a fresh one."""
    if count > 1 and count in rings:
        return rings[count]
    peers = [Peer(*LAB)]
    for _ in range(count - 1):
        peers.append(Peer(*LAB, "--join", peers[0].address))
    for peer in peers:
        until(lambda peer=peer: {"state": "ready"}.items() <= status(peer).items(), "ready")
    for peer in peers:
        until(lambda peer=peer: len(peer.ask("ring")) >= count, "the whole ring")
    if count > 1:
        rings[count] = peers
    return peers


def signer():
    if not signers:
        signers.append(Signer())
    return signers[0]


def status(peer):
    return peer.ask("status")


def stamp(seconds):
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class Story:
    """One file with its placeholders."""

    def __init__(self, path):
        text = open(path, encoding="utf-8").read()
        lines = text.split("\n")
        head = []
        while lines and lines[0].startswith("#"):
            head.append(lines.pop(0))
        settings = dict(re.findall(r"^# (\w+): (\S+)$", "\n".join(head), re.M))
        self.count = int(settings["ring"])
        self.transport = settings["transport"]
        self.exchanges = []
        for part in re.split(r"^====\n", "\n".join(lines), flags=re.M):
            request, _, pattern = part.partition("\n----\n")
            self.exchanges.append((request, pattern))
        now = time.time()
        self.fixed = {"JOINER": JOINER, "EXPIRES": stamp(now + 3600), "SOON": stamp(now + 10)}
        self.version = int(now * 1000) * 256
        self.turn = 0

    def fill(self, text, more):
        values = {**self.fixed, **more, "SIGNATURE": "{SIGNATURE}",
                  "FORGED": "{FORGED}"}
        if "{OWNER" in text:
            values.update({"OWNER": signer().owner, "OWNER_HASH": signer().owner_hash})

        def value(match):
            word = match[1]
            if word.startswith("FILL "):
                return "x" * int(word[5:])
            if word.startswith("VERSION"):
                return str(self.version + int(word[7:] or 0))
            return values[word]
        text = re.sub(r"\{([A-Z_]+(?: \d+|[+-]\d+)?)\}", value, text)
        return signer().fill(text) if "{SIGNATURE}" in text or "{FORGED}" in text else text

    def play(self):
        peers = ring(self.count)
        try:
            self.talk(peers)
        finally:
            if self.count == 1:
                peers[0].__exit__()

    def talk(self, peers):
        peer = peers[0]
        kind = socket.SOCK_STREAM if self.transport == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as asker:
            asker.settimeout(LIMIT_S)
            asker.bind(("127.0.0.1", 0))
            asker.connect(peer.at)
            for request, pattern in self.exchanges:
                self.turn += 1
                fill = {"PEER": peer.id, "AT": peer.address,
                        "PORT": str(asker.getsockname()[1]),
                        "FAR_KEY": peers[-1].id,
                        "UNIQUE": f"{os.getpid()}x{self.turn}x{int(time.time() * 1e6)}"}
                asker.sendall(self.request(request, fill))
                head, body = final_answer(asker, self.transport)
                if body:
                    bodies.append(body)
                compare(self.fill(pattern, fill), head, body)

    def request(self, text, fill):
        head, empty, body = text.partition("\n\n")
        if body.endswith("\n"):
            body = body[:-1]
        body = self.fill(body, fill)
        head = self.fill(head, {**fill, "LENGTH": str(len(body.encode()))}).rstrip("\n")
        return (head.replace("\n", "\r\n") + "\r\n\r\n").encode() + body.encode()


def final_answer(asker, transport):
    """(head, body), after any 1xx."""
    data = b""
    while True:
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
            if end and length and len(rest) >= int(length[1]):
                break
            more = asker.recv(65536)
            assert more, f"closed after {data!r}"
            data = data + more if transport == "tcp" else more
        body, data = rest[:int(length[1])], rest[int(length[1]):]
        if not head.startswith(b"SIP/2.0 1"):
            return head.decode(), body.decode()


def glob_regex(pattern):
    return ".*?".join(re.escape(part) for part in pattern.split("*"))


def squeeze(text):
    return re.sub(r">\s+<", "><", text.strip())


def compare(pattern, head, body):
    wanted_head, _, wanted_body = pattern.partition("\n\n")
    wanted = [line for line in wanted_head.split("\n") if line]
    lines = head.split("\r\n")
    shown = f"\nanswer was:\n{head}\n\n{body}"
    assert re.fullmatch(glob_regex(wanted[0]), lines[0]), f"not {wanted[0]!r}{shown}"
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.append((name.strip().lower(), value.strip()))
    for line in wanted[1:]:
        name, _, value = line.partition(":")
        regex = glob_regex(value.strip())
        assert any(n == name.lower() and re.fullmatch(regex, v) for n, v in headers), \
            f"no header {line!r}{shown}"
    rest = squeeze(body)
    for line in wanted_body.split("\n"):
        line = squeeze(line)
        if not line:
            continue
        found = re.search(glob_regex(line), rest, re.S)
        assert found, f"body lacks {line!r}{shown}"
        rest = rest[found.end():]


def story_test(path):
    def test():
        Story(path).play()
    return test


for file in sorted(glob.glob(os.path.join(FOLDER, "*.txt"))):
    name = os.path.basename(file)[:-4].replace("-", "_")
    globals()[f"test_{name}"] = story_test(file)


def test_zz_bodies_are_valid():
    if not shutil.which("xmllint"):
        raise Skip("xmllint is not installed (package libxml2-utils)")
    assert bodies
    for body in bodies:
        done = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", SCHEMA, "-"],
                              input=body, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, f"{done.stderr}\n{body}"


if __name__ == "__main__":
    try:
        main(globals())
    finally:
        for some in rings.values():
            for one in some:
                one.__exit__()
