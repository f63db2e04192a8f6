# SPDX-License-Identifier: BSD-2-Clause
"""make demo-web: three peers, two pages in Chromium that call each other through the ring and
write; then a page calls baresip. Screenshots in BUILD/demo."""
import os
import shutil
import time

from cases.browser import PACKETS, has_network, phone_calls, talk, web_ring, web_url
from lib.browser import Browser, Page
from lib.phone import Phone
from lib.place import BUILD, Failure, Place, Skip

SHOTS = os.path.join(BUILD, "demo")


def say(text=""):
    print(text, flush=True)


def shot(page, name, **more):
    page.do("shot", path=os.path.join(SHOTS, name + ".png"), **more)


def counts(found):
    return f"{found['in']} packets in, {found['out']} out"


def pages(place):
    """Returns the ring and alice's page, which go on."""
    say("Starting 3 locserd processes on 127.0.0.1, and Chromium ...")
    ring = web_ring(place)
    browser = Browser(place)
    homes = ring.peers[1], ring.peers[2]
    alice = Page(browser, "alice", web_url(homes[0]), motion=True).online("alice@example.net")
    bob = Page(browser, "bob", web_url(homes[1]), width=375, height=800,
               colours="dark", motion=True).online("bob@example.net")
    say(f"alice's page is at {web_url(homes[0])} (peer {homes[0].short}), bob's at "
        f"{web_url(homes[1])} (peer {homes[1].short}); both are registered.")
    shot(bob, "1-online-375-dark")
    began = time.monotonic()
    alice.do("addBuddy", address="bob@example.net")
    alice.do("waitBuddy", address="bob@example.net", says="Available")
    say(f"alice makes bob a buddy; her page shows that he is available after {time.monotonic() - began:.1f} s.")
    shot(alice, "1-buddies-1280-light")
    began = time.monotonic()
    alice.do("dial", to="bob@example.net")
    bob.do("waitCall", state="Incoming call")
    say(f"alice calls bob@example.net; his page rings after {time.monotonic() - began:.1f} s.")
    shot(bob, "2-incoming-375-dark")
    bob.do("answer")
    counted = talk(alice, bob)
    shot(alice, "3-talking-1280-light", full=True)
    shot(bob, "3-talking-375-dark")
    for page, found in counted.items():
        say(f"  {page.name}'s browser: {counts(found)}, DTLS {found['dtls']}")
    bob.do("hangUp")
    for page in alice, bob:
        page.do("waitCall", state="")
    alice.do("write", to="bob@example.net", text="That worked. No server in the middle?")
    bob.do("waitMessage", **{"from": "alice@example.net"}, text="That worked. No server in the middle?")
    say("bob hangs up. alice writes; her message arrives.")
    shot(bob, "4-message-375-dark")
    shot(alice, "4-message-1280-light")
    bob.do("press", name="Go offline")
    alice.do("waitText", text="Not there")
    alice.do("say", text="You are gone, but this will wait.", outcome="kept until they are back")
    shot(alice, "5-kept-1280-light")
    bob.do("press", name="Go online")
    bob.do("waitText", text="You are gone, but this will wait.")
    say("bob goes offline; alice's page shows it. What she writes is kept in the ring until he is back.")
    shot(bob, "5-back-375-dark")
    alice.do("resize", width=768, height=1024, colours="dark")
    alice.do("view", name="network")
    shot(alice, "6-network-768-dark", full=True)
    bob.do("resize", colours="light")
    bob.do("view", name="network")
    shot(bob, "6-network-375-light", full=True)
    for page in alice, bob:
        page.check_clean()
        for method in "REGISTER", "INVITE", "MESSAGE", "BYE":
            frames = len(page.sip("sent", method + " ")), len(page.sip("received", method + " "))
            if frames == (0, 0):
                raise Failure(f"no {method} among the WebSocket frames of {page.name}")
    browser.close()
    return ring


def phone(place, ring):
    if not has_network():
        say("No call with baresip: its ICE does not offer loopback, and there is no other network.")
        return
    page = Page(Browser(place, "browser2", loopback_media=False), "carol",
                web_url(ring.peers[0])).online("carol@example.net")
    bare = Phone(place, "dave", ring.peers[2], "tcp", dtls=True).wait_registered()
    found = phone_calls(page, bare, both_ways=False)
    shot(page, "7-after-baresip-1280-light")
    say(f"carol's page calls dave's baresip over DTLS-SRTP: {counts(found)}.")


def main():
    shutil.rmtree(SHOTS, ignore_errors=True)
    os.makedirs(SHOTS)
    began = time.monotonic()
    try:
        with Place("demo-web") as place:
            phone(place, pages(place))
    except (Failure, Skip) as why:
        say(f"\nThe demo failed: {why}")
        return 1
    say(f"At least {PACKETS} packets each way in every call. Screenshots are in "
        f"{os.path.relpath(SHOTS)}. {time.monotonic() - began:.1f} s in all.")
    return 0
