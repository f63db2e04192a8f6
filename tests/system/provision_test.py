#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""R-7.81 to R-7.86: a desk phone made by hand asks on the multicast group and fetches its settings."""
import os
import re
import socket
import stat
import time

from peer import LIMIT_S, LOCSER, Peer, main, refused, run, until
from users_test import Phone as Registering
from websocket import http, web_at

MAC = "00041312abef"
VENDORS = {"snom": ("snom", "{mac}.xml"), "yealink": ("Yealink", "{mac}.cfg")}
BOB = "bob@example.net"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Provisioning(Peer):
    def __init__(self, *words, **more):
        self.group = ("224.0.1.75", free_port())
        super().__init__("--web", "127.0.0.1:0", "--provision", "--provision-group",
                         "%s:%u" % self.group, *words, **more)

    def user(self, verb, *words):
        return run(LOCSER, "user", "--data", self.data, verb, BOB, *words)

    def prepare(self, phone=MAC, verb="add"):
        status, output, errors = self.user(verb, "--generate", "--provision", phone)
        assert status == 0, errors
        return output

    def waiting(self):
        folder = os.path.join(self.data, "provision")
        return [os.path.join(folder, name) for name in os.listdir(folder)]


class DeskPhone:
    def __init__(self, group, mac=MAC, vendor="snom"):
        self.group, self.mac, self.vendor = group, mac, vendor
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                               socket.inet_aton("127.0.0.1"))
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.port = self.socket.getsockname()[1]

    def subscribe(self, event="ua-profile", more="Accept: application/url\r\n"):
        uri = f"sip:MAC%3a{self.mac.upper()}@224.0.1.75"
        text = (f"SUBSCRIBE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK1"
                f";rport\r\nMax-Forwards: 70\r\nFrom: <{uri}>;tag=99\r\nTo: <{uri}>\r\n"
                f"Call-ID: pnp\r\nCSeq: 3 SUBSCRIBE\r\nEvent: {event};profile-type=\"device\";vendor="
                f"\"{self.vendor}\";model=\"{self.vendor}320\";version=\"8.4\"\r\nExpires: 0\r\n"
                f"{more}Contact: <sip:127.0.0.1:{self.port}>\r\nContent-Length: 0\r\n\r\n")
        self.socket.sendto(text.encode(), self.group)
        return text

    def read(self):
        data, self.source = self.socket.recvfrom(65536)
        return data.decode()

    def told(self):
        """The URL of the NOTIFY that follows the 200."""
        asked = self.subscribe()
        answer, notify = self.read(), self.read()
        assert answer.startswith("SIP/2.0 200 OK\r\n") and "\r\nExpires: 0\r\n" in answer
        assert "\r\nCSeq: 3 SUBSCRIBE\r\n" in answer and f"rport={self.port}" in answer
        assert notify.startswith(f"NOTIFY sip:127.0.0.1:{self.port} SIP/2.0\r\n"), notify
        for line in ("Call-ID: pnp", "Content-Type: application/url", f"To: <sip:MAC%3a"
                     f"{self.mac.upper()}@224.0.1.75>;tag=99",
                     "Subscription-State: terminated;reason=timeout"):
            assert f"\r\n{line}\r\n" in notify, (line, notify)
        tag = re.search(r"\r\nTo: .*;tag=(\S+)", answer)[1]
        assert f";tag={tag}\r\n" in re.search(r"\r\nFrom: .*\r\n", notify)[0]
        assert len(answer) + len(notify) < 3 * len(asked)
        head, _, body = notify.partition("\r\n\r\n")
        assert f"Content-Length: {len(body)}" in head
        return body


def fetch(peer, url, method="GET"):
    base = "http://%s:%u" % web_at(peer)
    assert url.startswith(base + "/provision/"), url
    return http(web_at(peer), method, url[len(base):])


def answered(peer):
    return peer.ask("status")["provision_answered"]


def asked(peer, count):
    until(lambda: peer.ask("status")["provision_asked"] == count, f"{count} requests are seen")


def test_a_phone_gets_its_settings_once():
    for vendor, (says, name) in VENDORS.items():
        with Provisioning() as peer:
            assert "00:04:13:12:AB:EF" not in peer.prepare("00:04:13:12:AB:EF")
            phone = DeskPhone(peer.group, vendor=says)
            url = phone.told()
            if vendor == "yealink":
                assert url.endswith("/"), url
                assert fetch(peer, url + "y000000000028.cfg")[0] == 404
                url += name.format(mac=MAC)
            assert url.endswith("/" + name.format(mac=MAC)), url
            assert fetch(peer, url, "HEAD")[0] == 405
            status, fields, body = fetch(peer, url)
            assert status == 200 and fields["cache-control"] == "no-store"
            password = re.search(rb"(?:password = |<user_pass[^>]*>)([a-z0-9-]{20})", body)[1]
            assert b"bob" in body and b"example.net" in body and b"127.0.0.1" in body
            assert b"{" not in body
            # Nobody gets them a second time, and nobody is told a URL any more.
            assert fetch(peer, url)[0] == 404
            assert peer.waiting() == []
            phone.subscribe()
            asked(peer, 2)
            assert answered(peer) == 1
            # They are good.
            assert Registering(peer).registers(password.decode()) == 200
            assert password.decode() not in peer.errors()


def test_the_file_is_secret_and_replaced():
    """R-7.84."""
    with Provisioning() as peer:
        peer.prepare()
        first, = peer.waiting()
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(first)).st_mode) == 0o700
        url = DeskPhone(peer.group).told()
        peer.prepare(verb="passwd")
        second, = peer.waiting()
        assert first != second
        assert fetch(peer, url)[0] == 404
        url = DeskPhone(peer.group).told()
        status, _, errors = peer.user("passwd", "--password", "other")
        assert status == 0, errors
        assert peer.waiting() == [] and fetch(peer, url)[0] == 404


def test_waits_for_a_day():
    """R-7.84."""
    with Provisioning() as peer:
        peer.prepare()
        url = DeskPhone(peer.group).told()
        path, = peer.waiting()
        late = time.time() - 24 * 3600 - 5
        os.utime(path, (late, late))
        assert fetch(peer, url)[0] == 404
        assert peer.waiting() == []


def test_waits_while_the_peer_is_down():
    with Provisioning() as first:
        first.prepare()
        first.stop()
        with Provisioning(data=first.data) as peer:
            assert b"bob" in fetch(peer, DeskPhone(peer.group).told())[2]


def test_others_are_not_answered():
    with Provisioning() as peer:
        peer.prepare()
        DeskPhone(peer.group, mac="000413000000").subscribe()
        DeskPhone(peer.group, vendor="acme").subscribe()
        asked(peer, 2)
        DeskPhone(peer.group).subscribe(event="presence")
        DeskPhone(peer.group).subscribe(more="Accept: application/xml\r\n")
        DeskPhone(peer.group).socket.sendto(b"SUBSCRIBE \xff\0 SIP/2.0\r\n\r\n" * 200, peer.group)
        DeskPhone(peer.group).told()
        status = peer.ask("status")
        assert (status["provision_asked"], status["provision_answered"]) == (3, 1), status


def test_is_limited():
    with Provisioning() as peer:
        peer.prepare()
        phone = DeskPhone(peer.group)
        for _ in range(400):
            phone.subscribe()
        until(lambda: peer.ask("status")["provision_limited"] > 0, "the limit is reached")


def test_a_guess_finds_nothing():
    """R-7.84."""
    with Provisioning() as peer:
        peer.prepare()
        for path in ("", "/", MAC, MAC + ".xml", "0" * 32 + f"/{MAC}.xml", "../web-token",
                     "%2e%2e/users/passwords"):
            status, _, body = http(web_at(peer), "GET", "/provision/" + path)
            assert status in (400, 403, 404) and BOB.encode() not in body, (path, status)
        assert len(peer.waiting()) == 1


def test_a_qr_code_for_linphone():
    with Provisioning() as peer:
        status, _, errors = peer.user("qr")
        assert status == 1 and "nothing waits" in errors
        shown = peer.prepare("qr")
        assert "\u2588" in shown
        url = re.search(r"http://\S+/provision/[0-9a-f]{32}/linphone.xml", shown)[0]
        status, again, errors = peer.user("qr")
        assert status == 0 and url in again, errors
        status, _, body = fetch(peer, url)
        assert status == 200 and b"sip:bob@example.net" in body
        assert fetch(peer, url)[0] == 404
        assert peer.user("qr")[0] == 1


def test_templates_of_ones_own():
    with Provisioning(expect=False) as probe:
        probe.process.kill()
        probe.wait()
        os.makedirs(probe.data, exist_ok=True)
        folder = os.path.join(probe.data, "templates")
        os.mkdir(folder)
        with open(os.path.join(folder, "acme.in"), "w", encoding="ascii") as out:
            out.write("vendor ACME\nname {mac}.txt\ntype text/plain\n\n{user} {password} {host}\n")
        with Provisioning("--provision-templates", folder) as peer:
            peer.prepare()
            status, fields, body = fetch(peer, DeskPhone(peer.group, vendor="acme").told())
            assert status == 200 and fields["content-type"] == "text/plain"
            assert re.fullmatch(rb"bob [a-z0-9-]{20} 127.0.0.1\n", body), body
        with open(os.path.join(folder, "acme.in"), "a", encoding="ascii") as out:
            out.write("{passwort}\n")
        status, errors = refused("--web", "127.0.0.1:0", "--provision", "--provision-templates",
                                 folder)
        assert status == 1 and "{passwort} is not known" in errors, errors


def test_off_by_default():
    group = ("224.0.1.75", free_port())
    with Peer("--web", "127.0.0.1:0", "--provision-group", "%s:%u" % group) as peer:
        status, _, errors = run(LOCSER, "user", "--data", peer.data, "add", BOB, "--generate",
                                "--provision", MAC)
        assert status == 1 and "--provision" in errors, errors
        assert "provision" not in peer.ask("status")
        key, = os.listdir(os.path.join(peer.data, "provision"))
        assert http(web_at(peer), "GET", f"/provision/{key}/{MAC}.xml")[0] == 404
        with open("/proc/net/udp", encoding="ascii") as sockets:
            assert f":{group[1]:04X} " not in sockets.read()


def test_what_cannot_work_is_said():
    for words, text in ((("--web", "off"), "--web HOST:PORT"),
                        (("--provision-group", "192.0.2.1:5060"), "no multicast group"),
                        (("--listen", "0.0.0.0:5060", "--advertise", "192.0.2.1:5060"),
                         "in which network")):
        status, errors = refused("--provision", *words)
        assert status == 2 and text in errors, errors


if __name__ == "__main__":
    main(globals())
