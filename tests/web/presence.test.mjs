// SPDX-License-Identifier: BSD-2-Clause
// Subscriptions of the page. Its documents are read by the browser's own parser: what a
// page shows of them is seen in tests/interop (web_messages).
import assert from "node:assert/strict";
import { test } from "node:test";

import { Watches } from "../../web/src/phone/presence.js";

const bob = "sip:bob@example.net";

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
