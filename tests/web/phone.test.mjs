// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";

import { unwrap } from "../../web/src/phone/cpim.js";
import { Buddies, BUDDIES_MAX } from "../../web/src/phone/buddies.js";
import { CHARS_MAX, clean, clock, describe, ENTRIES_MAX, History, lasted, PEOPLE_MAX, TEXT_CHARS_MAX }
  from "../../web/src/phone/history.js";
import { whyNoAudio, whyNoCall, whyNotRegistered, whyNotSent } from "../../web/src/phone/reasons.js";
import { load, save } from "../../web/src/store.js";

const bob = "sip:bob@example.net";

test("conversations come latest first, with what is unread", () => {
  const history = new History();
  history.add(bob, { kind: "message", mine: false, text: "hello" }, 1);
  history.add("sip:carol@example.net", { kind: "call", mine: false, state: "missed" }, 2);
  history.add(bob, { kind: "message", mine: true, text: "hi", state: "sent" }, 3);
  assert.deepEqual(history.recent().map(({ uri }) => uri), [bob, "sip:carol@example.net"]);
  assert.equal(history.unread, 2);
  assert.equal(history.read(bob), true);
  assert.equal(history.read(bob), false);
  assert.equal(history.unread, 1);
});

test("nothing grows without end", () => {
  const history = new History();
  for (let i = 0; i < PEOPLE_MAX + 10; i++) {
    history.add(`sip:${i}@example.net`, { kind: "call", mine: true, state: "failed" }, i);
  }
  assert.equal(history.people.size, PEOPLE_MAX);
  assert.equal(history.person("sip:0@example.net"), undefined);
  for (let i = 0; i < ENTRIES_MAX + 10; i++) {
    history.add(bob, { kind: "message", mine: false, text: "x".repeat(TEXT_CHARS_MAX + 10) }, 1000 + i);
  }
  assert.equal(history.person(bob).entries.length, ENTRIES_MAX);
  assert.equal(history.person(bob).entries[0].text.length, TEXT_CHARS_MAX);
});

// the same message has the same Call-ID whenever it comes.
test("a message that comes again is shown once, also after a reload", () => {
  const history = new History();
  const words = { kind: "message", mine: false, text: "x", key: "ID@offline.invalid 1", sent: 5 };
  assert.ok(history.add(bob, words, 10));
  assert.equal(history.add(bob, words, 11), null);
  assert.equal(history.unread, 1);
  const again = new History(JSON.parse(JSON.stringify(history)));
  assert.equal(again.add(bob, words, 12), null);
  assert.equal(again.person(bob).entries.length, 1);
});

//
test("what waited stands where it belongs, and in the order in which it comes", () => {
  const history = new History();
  const at = Date.parse("2026-01-02T00:00:00Z");
  const kept = (text, sent, now) => history.add(bob, { kind: "message", mine: false, text, key: text, sent }, now);
  history.add(bob, { kind: "message", mine: true, text: "before", state: "sent" }, at + 2500);
  history.add(bob, { kind: "message", mine: false, text: "live", key: "live" }, at + 9000);
  kept("first", at + 2000, at + 10000);
  kept("second", at + 1000, at + 10001); // its sender's clock went back
  kept("future", at + 10 ** 12, at + 10002);
  kept("ancient", 0, at + 10003);
  const { entries } = history.person(bob);
  assert.deepEqual(entries.map(({ text }) => text),
    ["before", "first", "second", "live", "future", "ancient"]);
  assert.ok(entries.every((entry) => entry.at <= at + 10003));
});

test("all texts together have a limit, and who was silent longest gives way", () => {
  const history = new History();
  const text = "y".repeat(TEXT_CHARS_MAX);
  for (let i = 0; i < (CHARS_MAX / TEXT_CHARS_MAX) * 2; i++) {
    history.add(`sip:${i % 3}@example.net`, { kind: "message", mine: false, text }, i);
    assert.ok(history.chars <= CHARS_MAX);
  }
  const sum = history.recent().flatMap(({ entries }) => entries).reduce((n, e) => n + e.text.length, 0);
  assert.equal(sum, history.chars);
  const saved = new History(JSON.parse(JSON.stringify(history)));
  assert.equal(saved.chars, history.chars);
  for (const { uri } of history.recent()) history.forget(uri);
  assert.equal(history.chars, 0);
});

test("many strangers drive out no more than one of those whom one talks to", () => {
  const history = new History();
  for (let i = 0; i < PEOPLE_MAX; i++) {
    history.add(`sip:friend${i}@example.net`, { kind: "message", mine: true, text: "hi", state: "sent" }, i);
  }
  for (let i = 0; i < PEOPLE_MAX * 3; i++) {
    history.add(`sip:stranger${i}@example.net`, { kind: "message", mine: false, text: "buy" }, 1000 + i);
  }
  assert.equal(history.recent().filter(({ uri }) => uri.includes("friend")).length, PEOPLE_MAX - 1);
  assert.equal(history.recent()[0].uri, `sip:stranger${PEOPLE_MAX * 3 - 1}@example.net`);
});

test("what becomes of a message is counted only while it is kept", () => {
  const history = new History();
  const entry = history.add(bob, { kind: "message", mine: true, text: "hi", state: "sending" }, 1);
  history.settle(bob, entry, "failed", "Why not.");
  assert.equal(history.chars, 10);
  history.forget(bob);
  history.settle(bob, entry, "sent");
  assert.equal(history.chars, 0);
});

test("two pages of a browser lose nothing of each other's", () => {
  const [one, other] = [new History(), new History()];
  one.add(bob, { kind: "message", mine: false, text: "to one", key: "a" }, 1);
  other.add(bob, { kind: "message", mine: false, text: "to the other", key: "b" }, 2);
  one.merge(JSON.parse(JSON.stringify(other)));
  one.merge(JSON.parse(JSON.stringify(other)));
  assert.deepEqual(one.person(bob).entries.map(({ text }) => text), ["to one", "to the other"]);
  for (const rubbish of [null, 7, [null], [{ uri: bob, entries: 1 }]]) one.merge(rubbish);
});

test("a text in an envelope is read (RFC 3862)", () => {
  const head = "From: <sip:a@b>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1\r\n\r\n";
  assert.deepEqual(unwrap(`${head}Content-Type: text/plain; charset=utf-8\r\n\r\nhi\r\n\r\nthere`),
    { type: "text/plain", body: "hi\n\nthere" });
  assert.deepEqual(unwrap(`${head}\r\nbare`), { type: "text/plain", body: "bare" });
  assert.equal(unwrap(`${head}Content-Type: message/imdn+xml\r\n\r\n<imdn/>`).type, "message/imdn+xml");
  for (const rubbish of ["", "x", head, `${head}Content-Type: text/plain`,
    `${head}Content-Encoding: gzip\r\n\r\nx`, `${"y: z\r\n".repeat(9999)}\r\n\r\nx`]) {
    assert.equal(unwrap(rubbish), null);
  }
});

test("a text has no control characters and an end", () => {
  assert.equal(clean("a\r\nb\tc\u0000\u001b[2J\u0085"), "a\nb\tc[2J");
  assert.equal(clean("z".repeat(TEXT_CHARS_MAX + 1)).length, TEXT_CHARS_MAX);
});

test("buddies are few, and kept", () => {
  const rows = new Map();
  const storage = { getItem: (k) => rows.get(k) ?? null, setItem: (k, v) => rows.set(k, v) };
  const buddies = new Buddies(storage);
  for (let i = 0; i < BUDDIES_MAX; i++) assert.equal(buddies.add(`sip:${i}@example.net`), "");
  assert.match(buddies.add(bob), /Remove one/);
  assert.equal(buddies.add("sip:1@example.net"), "");
  buddies.remove("sip:1@example.net");
  assert.equal(buddies.add(bob), "");
  buddies.setBlocked("sip:me@example.net", bob, true);
  const again = new Buddies(storage);
  assert.ok(again.has(bob));
  assert.deepEqual(again.blockedBy("sip:me@example.net"), [bob]);
  assert.deepEqual(again.blockedBy("sip:me@example.ne"), []);
  again.setBlocked("sip:me@example.net", bob, false);
  assert.deepEqual(again.blockedBy("sip:me@example.net"), []);
  rows.set("locser.buddies", "[3, null, {}]");
  assert.deepEqual(new Buddies(storage).sorted(), []);
});

test("history survives storage, and anything else found there does no harm", () => {
  const history = new History();
  history.add(bob, { kind: "message", mine: true, text: "hi", state: "sending" }, 5);
  const again = new History(JSON.parse(JSON.stringify(history)));
  assert.equal(again.person(bob).entries[0].state, "unknown"); // its answer went to the old page
  assert.equal(again.person(bob).at, 5);
  for (const rubbish of [null, 7, {}, [null], [{ uri: 3 }], [{ uri: bob, entries: [null, { kind: "x" },
    { kind: "message", at: 1 }] }]]) {
    const found = new History(rubbish);
    assert.ok(found.recent().every(({ entries }) => entries.length === 0));
  }
});

//
test("storage that is forbidden or full is no error", () => {
  const broken = { getItem() { throw new Error("no"); }, setItem() { throw new Error("full"); } };
  assert.equal(load("x", "otherwise", broken), "otherwise");
  save("x", 1, broken);
  const kept = new Map();
  const good = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v),
    removeItem: (k) => kept.delete(k) };
  save("account", { uri: bob }, good);
  assert.deepEqual(load("account", null, good), { uri: bob });
  save("account", undefined, good);
  assert.equal(load("account", null, good), null);
});

test("a refusal says what can be done (R-7.35, R-7.80)", () => {
  assert.match(whyNotRegistered(403, "Another peer has the key of this address; have it granted"),
    /have it granted\.$/);
  assert.match(whyNotRegistered(403, "Forbidden"), /Ask whoever runs it/);
  assert.match(whyNotRegistered(401, "Unauthorized"), /password/);
  assert.match(whyNoCall(480, "Temporarily Unavailable"), /Nobody is registered/);
  assert.match(whyNoCall(488, "Not Acceptable Here"), /DTLS-SRTP/);
  assert.match(whyNoCall(0, "", "User Denied Media Access"), /Allow it/);
  assert.match(whyNotSent(480, ""), /Nobody is registered/);
  assert.equal(whyNoCall(499, "odd", ""), "Odd (499).");
  assert.equal(whyNoCall(0, "", ""), "That did not work.");
});

test("a page without microphone says where there is one", () => {
  assert.match(whyNoAudio({ isSecureContext: false, RTCPeerConnection: class {} }), /127\.0\.0\.1/);
  assert.match(whyNoAudio({ isSecureContext: true }), /no WebRTC/);
  assert.equal(whyNoAudio({ isSecureContext: true, RTCPeerConnection: class {},
    navigator: { mediaDevices: {} } }), "");
});

test("durations", () => {
  assert.deepEqual([7, 65, 3720].map(lasted), ["7 s", "1 min 05 s", "1 h 02 min"]);
  assert.deepEqual([-1, 7, 725, 3725].map(clock), ["0:00", "0:07", "12:05", "1:02:05"]);
  assert.equal(describe({ kind: "call", mine: true, state: "done", seconds: 5 }), "Outgoing call, 5 s");
  assert.equal(describe({ kind: "message", mine: true, text: "x" }), "You: x");
});
