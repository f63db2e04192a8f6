# SPDX-License-Identifier: BSD-2-Clause
"""The page of locserd in Chromium, with other pages and with baresip."""
import contextlib
import fcntl
import http.server
import re
import socket
import struct
import threading
import time

from lib.browser import Browser, Page
from lib.phone import Phone
from lib.place import Failure, Skip, need, until
from lib.ring import Ring
from lib.tls import certificate

PACKETS = 60  # in each direction, of 50 a second
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 250_000, 400_000  # with its phone; the limit
LOADS = 3
SIOCGIFADDR = 0x8915


def web_ring(place, *words):
    """Three peers, each with a page."""
    return Ring(place, 3, "--web", "127.0.0.1:0", *words)


def web_url(peer, scheme="http"):
    return next(at for at in peer.call("status")["web"] if at.startswith(scheme + "://"))


def has_network():
    """An interface that is not loopback has an IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                row = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            if row[20] != 127:
                return True
    return False


def talk(caller, callee):
    """Both pages hear each other: what arrived and left at each, as their browser counts."""
    for page in caller, callee:
        page.do("waitCall", state="In a call")
    counted = {page: page.do("waitPackets", least=PACKETS) for page in (caller, callee)}
    for page, found in counted.items():
        if found["dtls"] != "connected" or found["energy"] <= 0:
            raise Failure(f"{page.name} hears nothing: {found}")
    return counted


def call(caller, callee, hang_up=None):
    """A whole call between pages, with its evidence in both SIP logs."""
    caller.do("dial", to=callee.uri)
    callee.do("waitCall", state="Incoming call")
    callee.do("answer")
    counted = talk(caller, callee)
    (hang_up or caller).do("hangUp")
    for page in caller, callee:
        page.do("waitCall", state="")
    asked = caller.sip("sent", "INVITE ")[-1]
    call_id = re.search(r"^Call-ID: *(\S+)", asked, re.M)[1]
    for page, way in (caller, "received"), (callee, "sent"):
        answers = [text for text in page.sip(way, "SIP/2.0 200 ") if call_id in text and " INVITE" in text]
        if not answers:
            raise Failure(f"no 200 to INVITE among what {page.name} {way}")
    over = [page for page in (caller, callee) for way in ("sent", "received")
            if any(call_id in text for text in page.sip(way, "BYE "))]
    if over != [caller, callee]:
        raise Failure("BYE was not seen by both")
    return counted


def _pages(place, scheme="http", words=()):
    browser = Browser(place)
    ring = web_ring(place, *words)
    alice = Page(browser, "alice", web_url(ring.peers[1], scheme)).online("alice@example.net")
    bob = Page(browser, "bob", web_url(ring.peers[2], scheme), width=375, height=720)
    bob.online("bob@example.net")
    return ring, alice, bob


def call_by_keyboard(caller, callee):
    """Nobody touches a pointer (R-7.80)."""
    caller.do("keyboard", to="Call or write to", text=callee.uri, keys=["Enter"])
    callee.do("waitCall", state="Incoming call")
    callee.do("keyboard", to="Answer", keys=["Enter"])
    talk(caller, callee)
    callee.do("keyboard", to="Hang up", keys=["Enter"])
    for page in caller, callee:
        page.do("waitCall", state="")


def check_narrow(page, views=("network", "phone")):
    """R-7.80: nothing sticks out at the page's width, in both views."""
    for view in views:
        page.do("view", name=view)
        found = page.do("wide")
        if found["by"] > 0:
            raise Failure(f"{page.name}'s view {view} is {found['by']} px too wide: {found['out']}")


def web_pages(place):
    """two pages at different peers call each other both ways over ws, once by keyboard alone, and write"""
    ring, alice, bob = _pages(place)
    call(alice, bob)
    call_by_keyboard(bob, alice)
    check_narrow(bob)
    alice.do("write", to=bob.uri, text="Free at five?")
    bob.do("waitMessage", **{"from": "alice@example.net"}, text="Free at five?")
    if "Free at five?" not in bob.sip("received", "MESSAGE ")[-1]:
        raise Failure("the message is not in bob's SIP log")
    for page in alice, bob:
        page.check_clean()
    ring.check_alive()


WIDE = "W" * 90  # the widest letter there is, and nowhere to break
WIDE_URI = f"sip:{WIDE}@example.net"
WIDE_ADDRESS = "[2001:db8:dddd:dddd:dddd:dddd:dddd:dddd]:65535"


def _wide_feed():
    """A feed of the largest things in every place."""
    now = round(time.time() * 1000)
    ids = [f"{i * 6:02X}" + "D" * 38 for i in range(40)]
    ring = [{"role": "predecessor" if i == 39 else "successor", "peer": ids[i],
             "address": WIDE_ADDRESS} for i in (*range(1, 14), 39)]
    peers = [{"role": "suspect", "peer": id, "address": WIDE_ADDRESS, "rtt_us": 987654321}
             for id in ids[1:]]
    records = [{"key": id, "text": WIDE_URI, "state": "removed", "version": now, "bytes": 10**9,
                "expires": now + 10**12} for id in ids]
    big = ("records", "tombstones", "bindings", "known-peers")

    def note(method, **params):
        return {"jsonrpc": "2.0", "method": method, "params": params}

    def state(second):
        status = {"state": "stabilising", "overlay": WIDE, "version": "0.1.0-" + "9" * 60,
                  **dict.fromkeys(big, 10**15), **dict.fromkeys(
                      ("messages-in", "messages-out", "bytes-in", "bytes-out"), second * 10**14)}
        return note("state", time=(now + second * 1000) * 1000, status=status, ring=ring,
                    peers=peers, records=records, bindings=[
                        {"aor": WIDE_URI, "contact": f"<sip:{WIDE}@{WIDE_ADDRESS}>",
                         "transport": "wss", "expires": now + 10**12}])

    def trace(name, at, **more):
        return note("trace", name=name, time=(now + at) * 1000, **more)
    ladder = [trace("sip." + way, at, a="INVITE", b="call", peer=f"[2001:db8::{at}]:65535",
                    transport="wss", **more)
              for at, (way, more) in enumerate(4 * [("in", {}), ("out", {}),
                                                    ("in", {"status": 488})])]
    lookups = [trace(name, i, key=ids[i], a="remove-auth", b=f"lookup{i}", peer=WIDE_ADDRESS, **more)
               for i in range(9) for name, more in (
                   ("locser.origin", {}), ("locser.answer", {"status": 503, "n": 987654321}))]
    return [note("hello", version="9", peer="D" * 40, address=WIDE_ADDRESS, domains=[], time=now),
            state(0), state(1), *ladder, *lookups, note("lost", count=10**15)]


def _wide_store():
    now = round(time.time() * 1000)
    said = [{"kind": "message", "mine": mine, "text": WIDE * 3, "state": state, "at": now - 10**9,
             "why": WIDE} for mine, state in ((False, None), (True, "failed"), (True, "kept"))]
    missed = {"kind": "call", "mine": False, "state": "missed", "at": now}
    mine, buddy = f"sip:{WIDE}@example.org", f"sip:buddy.{WIDE}@example.com"
    return {"locser.buddies": [WIDE_URI, buddy], "locser.blocked": [f"{mine} {buddy}"], "locser.people": [
        {"uri": uri, "at": now, "unread": 10**6, "entries": entries}
        for uri, entries in ((WIDE_URI, said), (f"sip:{WIDE}@example.com", [missed]))]}


def web_narrow(place):
    """at 375 px nothing sticks out, whatever the peer, the people and the texts are"""
    browser = Browser(place)
    ring = Ring(place, 1, "--web", "127.0.0.1:0")
    page = Page(browser, "page", web_url(ring.peers[0]), width=375, height=720, feed=_wide_feed(),
                stored=_wide_store())
    check_narrow(page)
    page.do("openDetails")
    check_narrow(page)
    page.online(f"{WIDE}@example.org")
    page.do("waitText", text="Not there")
    check_narrow(page)
    page.do("press", name=f"{WIDE}@example.net")
    check_narrow(page, ["phone"])
    page.check_clean()
    ring.check_alive()


def web_pages_wss(place):
    """two pages call each other over wss; one is reloaded in mid-registration first"""
    ring, alice, bob = _pages(place, "https", ["--web-tls", "127.0.0.1:0", *certificate(place)])
    # RFC 5626: the same instance with another Call-ID takes the place of what was before.
    if not any(bob.do("reloadRegistering") for _ in range(5)):
        raise Failure("no reload came between a REGISTER and its answer")
    bob.do("waitLine", state="on")
    until(lambda: ring.peers[2].call("status")["bindings"] == 1, "bob is registered once")
    call(alice, bob, hang_up=bob)
    contacts = ring.peers[1].call("get", uri=bob.uri)
    if len(contacts) != 1:
        raise Failure(f"bob has {len(contacts)} contacts after his reloads")
    for page in alice, bob:
        page.check_clean()
    ring.check_alive()


def web_paint(place):
    """the page as its peer serves it: less than 400 kB, and how soon something is seen"""
    browser = Browser(place)
    ring = Ring(place, 1, "--web", "127.0.0.1:0")
    with _one_word() as word:  # in turn, so that what else the machine does meets both alike
        loads = [(_load(browser, f"word{number}", word, 0),
                  _load(browser, f"page{number}", web_url(ring.peers[0]), PAGE_BYTES_MIN))
                 for number in range(LOADS)]
    words, pages = zip(*loads)
    most = max(found["bytes"] for found in pages)
    if most >= PAGE_BYTES_MAX:
        raise Failure(f"the page has {most} bytes")
    print(f"     {most} bytes; first paint after {_spread(pages)}; of a page of one word after "
          f"{_spread(words)}")
    ring.check_alive()


def _load(browser, name, url, least_bytes):
    """With storage and cache of its own. A peer's phone comes after the first paint."""
    page = Page(browser, name, url)

    def painted():
        found = page.do("timing")
        return found if found["paint"] and found["bytes"] > least_bytes else None
    found = until(painted, "the page is painted, and all of it is there", 60)
    page.do("close")
    return found


def _spread(loads):
    paints = sorted(found["paint"] for found in loads)
    return f"{paints[0]:.0f} to {paints[-1]:.0f} ms, median {paints[len(paints) // 2]:.0f}"


@contextlib.contextmanager
def _one_word():
    """How long the browser takes by itself: the URL of a page with one word and nothing else."""
    class Word(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>one word</title><p>word")

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Word)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def web_phone(place):
    """a page and baresip call each other (DTLS-SRTP)"""
    need("baresip", "baresip-core")
    if not has_network():
        raise Skip("there is no network but loopback, on which baresip's ICE does not offer itself")
    browser = Browser(place, loopback_media=False)
    ring = web_ring(place)
    alice = Page(browser, "alice", web_url(ring.peers[1])).online("alice@example.net")
    bob = Phone(place, "bob", ring.peers[2], "tcp", dtls=True).wait_registered()
    phone_calls(alice, bob)
    alice.check_clean()
    ring.check_alive()


def phone_calls(page, phone, both_ways=True):
    """The page calls the phone, then the phone the page. What the page's browser counted."""
    mark = phone.mark()
    page.do("dial", to=phone.uri)
    counted = phone_talks(page, phone, mark)
    page.do("hangUp")
    phone_ends(page, phone, mark)
    if both_ways:
        mark = phone.mark()
        phone.command("dial", page.uri)
        page.do("answer")
        phone_talks(page, phone, mark)
        phone.command("hangup")
        phone_ends(page, phone, mark)
    return counted


def phone_talks(page, phone, mark):
    phone.wait_event("CALL_ESTABLISHED", mark)
    page.do("waitCall", state="In a call")
    found = page.do("waitPackets", least=PACKETS)
    if found["dtls"] != "connected" or found["energy"] <= 0:
        raise Failure(f"{page.name} hears nothing: {found}")
    return found


def phone_ends(page, phone, mark):
    page.do("waitCall", state="")
    phone.wait_event("CALL_CLOSED", mark)
    until(lambda: phone.saw("BYE", mark), f"a BYE in the SIP log of {phone.user}")


CASES = [web_pages, web_narrow, web_pages_wss, web_paint, web_phone]
