// SPDX-License-Identifier: BSD-2-Clause
// Presence on the page: documents, and subscriptions. The browser's parser of XML is
// replaced by one that knows what these tests need; the real one is in tests/interop (web_messages).
import assert from "node:assert/strict";
import { test } from "node:test";

import { readPresence, readTyping, readWatchers, Watches, WATCHERS_MAX } from "../../web/src/phone/presence.js";

const bob = "sip:bob@example.net";

class Element {
  constructor(name, attributes) {
    Object.assign(this, { localName: name, attributes, children: [], text: "" });
  }

  get textContent() {
    return this.text + this.children.map((child) => child.textContent).join("");
  }

  getElementsByTagName() {
    return this.children.flatMap((child) => [child, ...child.getElementsByTagName()]);
  }

  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
}

class Parser {
  parseFromString(text) {
    const root = new Element("none", {});
    const open = [root];
    for (const [, end, name, rest, empty, words] of text.matchAll(
      /<(\/?)(?:\w+:)?([\w-]+)([^>]*?)(\/?)>([^<]*)/g)) {
      if (end) open.pop();
      else {
        const made = new Element(name, Object.fromEntries([...rest.matchAll(/(\w+)="([^"]*)"/g)]
          .map(([, key, value]) => [key, value])));
        open.at(-1).children.push(made);
        if (!empty) open.push(made);
      }
      open.at(-1).text += words;
    }
    return { documentElement: root.children[0] };
  }
}

const tuple = (basic) => `<tuple id="t"><status><basic>${basic}</basic></status></tuple>`;
const pidf = (inside) => readPresence(`<presence xmlns="urn:ietf:params:xml:ns:pidf">${inside}</presence>`, Parser);

test("of several devices one that is there counts, and what its user does (RFC 3863, RFC 4480)", () => {
  assert.deepEqual(pidf(tuple("closed")), { state: "closed", note: "" });
  assert.deepEqual(pidf(tuple("closed") + tuple(" open ")), { state: "open", note: "" });
  const doing = (name) => pidf(`${tuple("open")}<dm:person><rpid:activities><rpid:${name}/></rpid:activities>`
    + "</dm:person><note> back \n at five</note>");
  assert.deepEqual(doing("away"), { state: "away", note: "back at five" });
  assert.equal(doing("meeting").state, "busy");
  assert.equal(doing("on-the-phone").state, "phone");
  assert.equal(doing("constructor").state, "open");
  assert.equal(pidf(`${tuple("closed")}<rpid:activities><rpid:busy/></rpid:activities>`).state, "closed");
  assert.ok(pidf(`<note>${"x".repeat(999)}</note>`).note.length < 200);
});

test("what is no presence document changes nothing", () => {
  assert.equal(readPresence("<html></html>", Parser), null);
  assert.equal(readPresence('<!DOCTYPE presence [<!ENTITY a "b">]><presence></presence>', Parser), null);
  assert.equal(readTyping("<isComposing><state>active</state></isComposing>", Parser), true);
  assert.equal(readTyping("<isComposing><state>idle</state></isComposing>", Parser), false);
  assert.equal(readTyping("<presence/>", Parser), false);
});

test("watchers are told once each, those who ask before others, and not without end", () => {
  const row = (status, uri) => `<watcher id="w" status="${status}">${uri}</watcher>`;
  const read = (inside) => readWatchers(`<watcherinfo><watcher-list>${inside}</watcher-list></watcherinfo>`, Parser);
  assert.deepEqual([...read(row("active", "sip:a@b.c") + row("pending", "sip:a@b.c") + row("odd", "sip:x@b.c")
    + row("terminated", "sip:d@b.c") + row("active", "not an address"))],
  [["sip:a@b.c", "pending"], ["sip:d@b.c", "terminated"]]);
  const many = Array.from({ length: WATCHERS_MAX + 10 }, (_, i) => row("active", `sip:${i}@b.c`)).join("");
  assert.equal(read(many).size, WATCHERS_MAX);
  assert.equal(readWatchers("<presence/>", Parser), null);
});

/** A line whose subscriptions are listed, and time that passes by hand. */
function place() {
  const begun = [];
  const waits = [];
  const watches = new Watches((uri, event, accept, on) => {
    const one = { uri, event, on, ended: false, end: () => (one.ended = true) };
    begun.push(one);
    return one;
  }, () => {}, (act, ms) => waits[waits.push({ act, ms }) - 1], (wait) => {
    if (wait) wait.act = () => {};
  });
  return { begun, waits, watches };
}

test("who is wanted is asked for once, while the line is on", () => {
  const { begun, watches } = place();
  watches.add(bob, "presence", "", (text) => text);
  assert.equal(begun.length, 0);
  watches.turn(true);
  watches.add(bob, "presence", "", (text) => text);
  assert.equal(begun.length, 1);
  begun[0].on.body("there");
  assert.equal(watches.get(bob, "presence"), "there");
  watches.turn(false);
  assert.ok(begun[0].ended);
  assert.equal(watches.get(bob, "presence"), null); // who knows
  begun[0].on.body("late");
  assert.equal(watches.get(bob, "presence"), null);
});

test("one that ends begins again, later each time", () => {
  const { begun, waits, watches } = place();
  watches.add(bob, "presence", "", (text) => text);
  watches.turn(true);
  for (const least of [2, 10, 30, 120, 600, 600]) {
    begun.at(-1).on.ended("", 0);
    const { act, ms } = waits.at(-1);
    assert.equal(ms, least * 1000);
    act();
  }
  begun.at(-1).on.body("there"); // from then on it is as at first
  begun.at(-1).on.ended("timeout", 60);
  assert.equal(waits.at(-1).ms, 60000);
  assert.equal(watches.get(bob, "presence"), "there");
});

test("pending and rejected are shown, and a document that is none changes nothing", () => {
  const { begun, waits, watches } = place();
  watches.add(bob, "presence", "", () => null);
  watches.turn(true);
  begun[0].on.pending();
  assert.equal(watches.get(bob, "presence").state, "pending");
  begun[0].on.body("<rubbish>");
  assert.equal(watches.get(bob, "presence").state, "pending");
  begun[0].on.ended("rejected", 0);
  assert.equal(watches.get(bob, "presence").state, "rejected");
  assert.ok(waits.at(-1).ms >= 600000);
  watches.remove(bob, "presence");
  waits.at(-1).act();
  assert.equal(begun.length, 1);
});
