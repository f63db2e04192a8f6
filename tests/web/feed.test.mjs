// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed, Refused } from "../../web/src/feed.js";

class Socket {
  constructor(url, protocol) {
    Object.assign(this, { url, protocol, readyState: 1, sent: [] });
    Socket.last = this;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }
}

function open(on = {}) {
  const feed = new Feed("ws://127.0.0.1:8088/events", on, Socket);
  feed.start();
  const socket = Socket.last;
  return { feed, socket, say: (note) => socket.onmessage({ data: JSON.stringify(note) }) };
}

test("answers find their questions, errors too", async () => {
  const { feed, socket, say } = open();
  assert.equal(socket.protocol, "locser");
  const first = feed.ask("status");
  const second = feed.ask("get", { uri: "sip:bob@example.net" });
  say({ jsonrpc: "2.0", id: socket.sent[1].id, error: { code: 404, message: "nobody" } });
  say({ jsonrpc: "2.0", id: socket.sent[0].id, result: { state: "ready" } });
  say({ jsonrpc: "2.0", id: 99, result: 1 });
  assert.deepEqual(await first, { state: "ready" });
  await assert.rejects(second, (error) => error instanceof Refused && error.code === 404);
});

test("notifications reach their handler alone; rubbish reaches none", () => {
  const seen = [];
  const { socket, say } = open({ trace: (event) => seen.push(event.name) });
  say({ jsonrpc: "2.0", method: "trace", params: { name: "sip.in" } });
  say({ jsonrpc: "2.0", method: "toString", params: {} });
  say({ jsonrpc: "2.0", method: "unknown" });
  socket.onmessage({ data: "{" });
  socket.onmessage({ data: new ArrayBuffer(3) });
  assert.deepEqual(seen, ["sip.in"]);
});

test("a lost connection ends every question, and is tried again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let downs = 0;
  const { feed, socket } = open({ down: () => downs++ });
  const question = feed.ask("status");
  socket.readyState = 3;
  socket.onclose();
  await assert.rejects(question, /lost/);
  await assert.rejects(feed.ask("status"), (error) => error.code === 503);
  assert.equal(downs, 1);
  t.mock.timers.tick(500);
  assert.notEqual(Socket.last, socket);
});

test("no more than a few questions at once", async () => {
  const { feed } = open();
  const all = Array.from({ length: 40 }, () => feed.ask("status"));
  const last = await Promise.allSettled(all.slice(32));
  assert.ok(last.every(({ status }) => status === "rejected"));
  feed.socket.onclose();
  await Promise.allSettled(all);
  clearTimeout(feed.timer);
});
