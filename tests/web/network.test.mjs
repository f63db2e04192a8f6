// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";

import { arc, chord, fingers, fraction, point, responsible, spread } from "../../web/src/network/geometry.js";
import { layout } from "../../web/src/network/ladder.js";
import { CALLS_MAX, LATENCIES_MAX, LOOKUPS_MAX, median, Model, NAMES_MAX, PARTIES_MAX, SAMPLES_MAX,
  STEPS_MAX } from "../../web/src/network/model.js";
import { bytes, count, left, line, nice, took } from "../../web/src/network/scale.js";
import { plot } from "../../web/src/network/charts.js";

const id = (start) => start.padEnd(40, "0");
const near = (a, b) => assert.ok(Math.abs(a - b) < 0.01, `${a} is not ${b}`);

test("identifiers stand clockwise from the top", () => {
  assert.equal(fraction(id("8")), 0.5);
  assert.equal(fraction("xyz"), null);
  assert.equal(fraction(undefined), null);
  const [x, y] = point(0.25, 100, 200);
  near(x, 300);
  near(y, 200);
});

test("a line across the ring bends inwards, the short way round", () => {
  assert.match(chord(0, 0.5, 100, 200), /^M200\.0 100\.0Q.* 200\.0 300\.0$/);
  const bend = (path) => path.match(/Q(\S+) (\S+)/).slice(1).map(Number);
  const [, y] = bend(chord(0.95, 0.05, 100, 200)); // across zero: above the centre
  assert.ok(y < 200, String(y));
  assert.ok(arc(0.9, 0.1, 100, 200).includes("A100 100 0 0 1"));
  assert.ok(arc(0.1, 0.9, 100, 200).includes("A100 100 0 1 1"));
});

test("responsible is the first peer at or after the key, round the end", () => {
  const ids = [id("1"), id("5"), id("9")];
  assert.equal(responsible(ids, id("5")), id("5"));
  assert.equal(responsible(ids, id("6")), id("9"));
  assert.equal(responsible(ids, id("A")), id("1"));
});

test("fingers are the first known peers at or after each half, quarter, ... of the ring", () => {
  const ids = [id("0"), id("1"), id("3"), id("7"), id("C")];
  // from 0: 8 -> C, 4 -> 7, 2 -> 3, 1 -> 1, and all below 1 -> 1
  assert.deepEqual([...fingers(id("0"), ids)].sort(), [id("1"), id("3"), id("7"), id("C")]);
  assert.deepEqual([...fingers(id("0"), ids, new Set([id("1")]))].sort(), [id("3"), id("7"), id("C")]);
  // C + 1/2 = 4, so 7; + 1/4 = 0
  assert.ok(fingers(id("C"), ids).has(id("7")) && fingers(id("C"), ids).has(id("0")));
  assert.equal(fingers(id("0"), [id("0")]).size, 0);
});

test("labels keep their distance, across zero too", () => {
  assert.deepEqual(spread([0.01, 0.02, 0.3, 0.99], 0.05), [0.01, 0.3]);
});

const origin = (n, more = {}) => ({ name: "locser.origin", time: n * 1000, key: id("5"),
  peer: "127.0.0.1:1", a: "get", b: `call-${n}`, ...more });

test("a request to the ring, its second hop, and its answer", () => {
  const model = new Model();
  model.trace(origin(1));
  model.trace(origin(1, { peer: "127.0.0.1:2" }));
  model.trace({ name: "locser.answer", time: 3000, key: id("5"), status: 200, n: 610, b: "call-1" });
  model.trace({ name: "locser.answer", time: 3000, key: id("5"), status: 200, n: 5, b: "of another" });
  model.trace(origin(2, { a: "overlay.trace" }));
  const [lookup] = model.lookups.values();
  assert.equal(model.lookups.size, 1);
  assert.deepEqual([lookup.hop, lookup.tries, lookup.status, lookup.us], ["127.0.0.1:2", 2, 200, 610]);
  assert.equal(model.medianLatencyUs, 610);
});

const sip = (way, method, peer, status, n = 0, call = "one") => ({ name: `sip.${way}`,
  time: 1000000 + n * 1000, peer, transport: "tcp", ...(status ? { status } : {}), a: method, b: call });

test("a call becomes a ladder: who began it, this peer, whom it went to", () => {
  const model = new Model();
  model.hello({ peer: id("A"), address: "10.0.0.1:5060", domains: [] });
  model.state({ time: 1, status: {}, ring: [{ role: "successor", peer: id("B"), address: "10.0.0.2:5060" }],
    peers: [], records: [], bindings: [{ aor: "sip:alice@example.net",
      contact: "sip:a@10.0.0.9:99;transport=tcp", transport: "tcp" }] });
  const steps = [["in", "INVITE", "10.0.0.9:99", 0], ["out", "INVITE", "10.0.0.9:99", 100],
    ["out", "INVITE", "10.0.0.2:5060", 0], ["in", "INVITE", "10.0.0.2:5060", 180],
    ["in", "INVITE", "10.0.0.2:5060", 200], ["out", "INVITE", "10.0.0.9:99", 200]];
  steps.forEach((step, i) => model.trace(sip(...step, i)));
  const [call] = model.calls.values();
  assert.equal(call.state, "up");
  assert.deepEqual(call.parties.map((party) => model.label(party)), ["alice", "peer B000"]);
  assert.deepEqual(call.steps.map(({ text }) => text), ["INVITE", "100", "INVITE", "180", "200", "200"]);
  model.trace(sip("in", "BYE", "10.0.0.2:5060", 0, 9));
  model.trace(sip("out", "BYE", "10.0.0.2:5060", 200, 10));
  assert.equal(call.state, "ended");
  assert.equal(call.steps.at(-1).text, "200 BYE");

  const drawn = layout(call, ["alice", "peer B000"], 700);
  assert.deepEqual(drawn.columns.map(({ label }) => label), ["alice", "this peer", "peer B000"]);
  assert.ok(drawn.rows[0].from < drawn.rows[0].to && drawn.rows[1].from > drawn.rows[1].to);
  assert.ok(drawn.rows.every(({ y }, i) => i === 0 || y > drawn.rows[i - 1].y));
  assert.ok(layout(call, ["a".repeat(40), "b"], 300).columns[0].label.length <= 14);
});

test("the ports of one peer become one column", () => {
  const model = new Model();
  model.hello({ peer: id("A"), address: "10.0.0.1:5060", domains: [] });
  model.state({ time: 1, status: {}, ring: [{ role: "successor", peer: id("B"), address: "10.0.0.2:5060" }],
    peers: [], records: [], bindings: [] });
  model.trace({ name: "phone.registered", peer: "10.0.0.9:99", transport: "tcp", a: "sip:bob@example.net" });
  // At the callee's home: the request comes from a port of peer B, its answer goes to B itself.
  model.trace(sip("in", "INVITE", "10.0.0.2:33333", 0, 0));
  model.trace(sip("out", "INVITE", "10.0.0.9:99", 0, 1));
  model.trace(sip("in", "INVITE", "10.0.0.9:99", 200, 2));
  model.trace(sip("out", "INVITE", "10.0.0.2:5060", 200, 3));
  model.trace(sip("in", "BYE", "10.0.0.2:44444", 0, 4)); // another port of the same peer
  const [call] = model.calls.values();
  assert.equal(call.parties.length, 3);
  model.trace(sip("out", "BYE", "10.0.0.2:5060", 200, 5));
  assert.deepEqual(call.parties.map((party) => model.label(party)), ["peer B000", "bob"]);
  assert.deepEqual(call.steps.map(({ party }) => call.parties.indexOf(party)), [0, 1, 1, 0, 0, 0]);
});

test("LOCSER, REGISTER and answers without a request begin no ladder", () => {
  const model = new Model();
  model.trace(sip("in", "LOCSER", "x:1", 0));
  model.trace(sip("in", "REGISTER", "x:1", 0));
  model.trace(sip("in", "INVITE", "x:1", 200));
  model.trace(sip("in", "BYE", "x:1", 0));
  assert.equal(model.calls.size, 0);
});

test("a flood of events costs no memory without end (R-7.79)", () => {
  const model = new Model();
  model.hello({ peer: id("A"), address: "x", domains: [] });
  for (let n = 0; n < 3000; n++) {
    model.trace(origin(n));
    model.trace({ name: "locser.answer", time: n, status: 200, n, b: `call-${n}` });
    model.trace(sip("in", "INVITE", `x:${n}`, 0, n, `call ${n}`));
    model.trace(sip("in", "INVITE", `x:${n}`, 100, n, "call 2999"));
    model.trace({ name: "phone.located", key: n.toString(16).padStart(40, "0"), a: `sip:${n}@x`, status: 200 });
    model.trace({ name: "phone.registered", peer: `x:${n}`, transport: "udp", a: `sip:${n}@x` });
    model.state({ time: n * 1e6, status: { "messages-in": n, "messages-out": n, "bytes-in": n,
      "bytes-out": n }, ring: [], peers: [], records: [], bindings: [] });
  }
  for (let n = 0; n < 300; n++) model.trace(sip("in", "INVITE", `x:${n}`, 180, n, "call 2999"));
  assert.equal(model.lookups.size, LOOKUPS_MAX);
  assert.equal(model.calls.size, CALLS_MAX);
  const call = model.calls.get("call 2999");
  assert.equal(call.steps.length, STEPS_MAX);
  assert.ok(call.dropped > 0);
  assert.equal(call.parties.length, PARTIES_MAX);
  assert.equal(model.names.size, NAMES_MAX);
  assert.equal(model.phones.size, NAMES_MAX);
  assert.equal(model.samples.length, SAMPLES_MAX);
  assert.equal(model.latencies.length, LATENCIES_MAX);
});

test("rates come from counters, and not across a restart", () => {
  const model = new Model();
  const at = (seconds, n) => model.state({ time: seconds * 1e6, status: { "messages-in": n,
    "messages-out": 2 * n, "bytes-in": 0, "bytes-out": 0, records: 3 } });
  at(1, 10);
  at(3, 30);
  assert.deepEqual([model.samples[0].in, model.samples[0].out, model.samples[0].records], [10, 20, 3]);
  at(4, 5); // began anew
  assert.equal(model.samples.length, 1);
  model.hello({ peer: id("B"), address: "y", domains: [] });
  assert.equal(model.samples.length, 1);
  model.hello({ peer: id("C"), address: "y", domains: [] });
  assert.equal(model.samples.length, 0);
});

test("events that lack fields are survived", () => {
  const model = new Model();
  for (const name of ["sip.in", "sip.out", "locser.origin", "locser.forward", "locser.answer", "record.put",
    "phone.located", "phone.registered", "ring.joined", "unheard.of", undefined]) {
    model.trace({ name });
  }
  assert.ok(model.lookups.size <= 1);
});

test("scales and numbers", () => {
  assert.deepEqual([0, 0.3, 1, 3, 50, 51].map(nice), [1, 0.5, 1, 5, 50, 100]);
  assert.equal(line([[0, 1], [2.25, 3]]), "M0.0 1.0L2.3 3.0");
  assert.equal(line([]), "");
  assert.equal(median([]), null);
  assert.equal(median([9, 1, 5]), 5);
  assert.deepEqual([undefined, 0, 0.25, 512, 12345, 1234567].map(count),
    ["–", "0", "0.3", "512", "12.3 k", "1.2 M"]);
  assert.deepEqual([10, 1500, 25000, 3e6].map(bytes), ["10 B", "1.5 kB", "25 kB", "3.0 MB"]);
  assert.deepEqual([null, 610, 36698, 300000, 1.2e6].map(took), ["–", "0.61 ms", "36.7 ms", "300 ms", "1.20 s"]);
  assert.deepEqual([0, 60e3, 3600e3, 86400e3 * 3].map((ms) => left(ms, 0)),
    ["over", "60 s", "60 min", "3 days"]);
});

test("a chart keeps within its frame; tenfold steps begin at the floor", () => {
  const points = Array.from({ length: 50 }, (_, i) => [i * 1000, i * 7]);
  const drawn = plot([{ points }], 49000, 300);
  assert.equal(drawn.top, 500);
  near(drawn.x(49000), 300);
  assert.ok(points.every(([, v]) => drawn.y(v) >= 8 && drawn.y(v) <= 88));
  const steps = plot([{ points: [[0, 50], [0, 58000]] }], 0, 300, { floor: 100 });
  assert.equal(steps.top, 100000);
  near(steps.y(100), 88);
  near(steps.y(50), 88);
  near(steps.y(100000), 8);
  assert.equal(plot([{ points: [] }], 0, 300).paths[0], "");
});
