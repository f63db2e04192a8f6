# SPDX-License-Identifier: BSD-2-Clause
"""Buddies and conversations between pages at different peers (docs/spec/12-presence.md, 13-messages.md)."""
import os
import re

from cases.browser import check_narrow, web_ring, web_url
from lib.browser import Browser, Page
from lib.place import BUILD, Failure, until

ALICE, BOB = "alice@example.net", "bob@example.net"
SHIFT_MAX = 0.1  # what is called good
HOSTILE = "<img src=x onerror=alert(1)> &amp; \u202eoffice? <b>5</b> " + "W" * 60
SHOTS = os.path.join(BUILD, "demo")


def shot(page, name, **more):
    os.makedirs(SHOTS, exist_ok=True)
    page.do("shot", path=os.path.join(SHOTS, f"messages-{name}.png"), **more)


def texts(page):
    return [text for text, _ in page.do("said")]


def check_said(page, expected):
    until(lambda: texts(page) == expected or None, f"{page.name} reads {expected}", 60)


def check_kept(bob, count):
    """R-13.11: each came once, with the Date of when it was written."""
    found = {}
    for text in bob.sip("received", "MESSAGE "):
        ident = re.search(r"^Call-ID: *([0-9A-F]{32})@offline\.invalid", text, re.M)
        if ident:
            found.setdefault(ident[1], []).append(text)
    if len(found) != count or any(len(same) != 1 for same in found.values()):
        raise Failure(f"{count} kept messages came as {[len(same) for same in found.values()]}")
    if not all(re.search(r"^Date: .* GMT", same[0], re.M) for same in found.values()):
        raise Failure("a kept message came without its Date")


def web_messages(place):
    """a page sees a buddy at another peer come and go; what it writes meanwhile arrives once, in order"""
    browser = Browser(place)
    ring = web_ring(place)
    alice = Page(browser, "alice", web_url(ring.peers[1])).online(ALICE)
    alice.do("addBuddy", address=BOB)
    alice.do("waitBuddy", address=BOB, says="Not there")
    bob = Page(browser, "bob", web_url(ring.peers[2]), width=375, height=760, colours="dark").online(BOB)
    alice.do("waitBuddy", address=BOB, says="Available")
    alice.do("write", to=BOB, text="Free at five?")
    bob.do("waitMessage", **{"from": ALICE}, text="Free at five?")
    bob.do("say", text=HOSTILE, outcome="delivered")
    check_said(alice, ["Free at five?", HOSTILE])
    shot(alice, "1-talking-1280-light")

    bob.do("press", name="Go offline")
    alice.do("waitText", text="Not there")
    for text in "Then at six.", "Bring the cable.":
        alice.do("say", text=text, outcome="kept until they are back")
    answers = [text for text in alice.sip("received", "SIP/2.0 202") if " MESSAGE" in text]
    if len(answers) != 2:
        raise Failure(f"alice was answered 202 {len(answers)} times")
    shot(alice, "2-kept-1280-light")
    bob.do("press", name="Go online")
    bob.do("waitLine", state="on")
    all_texts = ["Free at five?", HOSTILE, "Then at six.", "Bring the cable."]
    check_said(bob, all_texts)
    alice.do("waitText", text="Available")
    alice.do("say", text="There you are.", outcome="delivered")
    check_said(bob, [*all_texts, "There you are."])
    shot(bob, "3-back-375-dark")
    check_kept(bob, 2)

    bob.do("reload")  # what was said is kept, and comes once
    bob.do("waitLine", state="on")
    bob.do("addBuddy", address=ALICE)
    bob.do("waitBuddy", address=ALICE, says="Available")
    shot(bob, "4-buddies-375-dark")
    bob.do("resize", colours="light")
    shot(bob, "4-buddies-375-light")
    bob.do("openDetails")
    bob.do("press", name=f"Block {ALICE}")
    bob.do("waitText", text="Blocked")
    shot(bob, "4-blocked-375-light")
    alice.do("waitText", text="Does not show it to you")
    bob.do("press", name=f"Allow {ALICE}")
    bob.do("openTalk", address=ALICE)
    check_said(bob, [*all_texts, "There you are."])
    shot(bob, "5-conversation-375-light")
    check_narrow(bob, ["phone"])
    alice.do("resize", colours="dark")
    shot(alice, "5-conversation-1280-dark")
    # by keyboard alone, from writing to the list and to a new buddy.
    bob.do("keyboard", to="Message", text="By keyboard.", keys=["Enter"])
    check_said(alice, [*all_texts, "There you are.", "By keyboard."])
    bob.do("keyboard", to="Back to the list", keys=["Enter"])
    bob.do("keyboard", to="Call or write to", text="carol@example.net")
    bob.do("keyboard", to="Add to buddies", keys=["Enter"])
    bob.do("waitBuddy", address="carol@example.net", says="Not there")
    for page in alice, bob:
        if page.do("shift") > SHIFT_MAX:
            raise Failure(f"things move on the page of {page.name}: {page.do('shift'):.3f}")
        page.check_clean()
    ring.check_alive()


def web_two_pages(place):
    """two pages of one browser know what came to either, and forget together"""
    browser = Browser(place)
    ring = web_ring(place)
    alice = Page(browser, "alice", web_url(ring.peers[1])).online(ALICE)
    bob = Page(browser, "bob", web_url(ring.peers[2])).online(BOB)
    alice.do("write", to=BOB, text="Anybody there?")
    bob.do("openTalk", address=ALICE)
    check_said(bob, ["Anybody there?"])
    # Bob's address is in this browser already: the second page goes online by itself.
    other = Page(browser, "other", web_url(ring.peers[2]), beside="bob")
    other.do("waitLine", state="on")
    other.do("openTalk", address=ALICE)
    check_said(other, ["Anybody there?"])
    bob.do("say", text="Only from the first.", outcome="delivered")
    check_said(other, ["Anybody there?", "Only from the first."])
    alice.do("say", text="To both.", outcome="delivered")
    for page in bob, other:
        check_said(page, ["Anybody there?", "Only from the first.", "To both."])
    other.do("say", text="From the second.", outcome="delivered")
    check_said(bob, ["Anybody there?", "Only from the first.", "To both.", "From the second."])
    bob.do("reload")
    bob.do("waitLine", state="on")
    bob.do("openTalk", address=ALICE)
    check_said(bob, ["Anybody there?", "Only from the first.", "To both.", "From the second."])
    bob.do("forget")
    check_said(other, [])
    for page in alice, bob, other:
        page.check_clean()
    ring.check_alive()


CASES = [web_messages, web_two_pages]
