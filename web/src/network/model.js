// SPDX-License-Identifier: BSD-2-Clause
// What the page knows of the network, out of the peer's feed. A peer may send thousands of events a
// second: each costs a few lookups here, and every list has an end.

export const LOOKUPS_MAX = 40;
export const CALLS_MAX = 12;
export const STEPS_MAX = 60; // of one call
export const PARTIES_MAX = 5;
export const NAMES_MAX = 500;
export const SAMPLES_MAX = 120; // seconds of charts
export const LATENCIES_MAX = 240;
const SHOWN_IN_LADDERS = new Set(["INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO",
  "REFER", "NOTIFY", "MESSAGE"]);
const BEGINS_A_LADDER = new Set(["INVITE", "MESSAGE"]);

function trim(map, max) {
  while (map.size > max) map.delete(map.keys().next().value);
}

/** The middle value of numbers; null of none. */
export function median(numbers) {
  if (!numbers.length) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

export class Model {
  constructor() {
    this.self = null; // Peer-ID
    this.address = "";
    this.domains = [];
    this.clear();
  }

  clear() {
    this.status = {};
    this.ring = [];
    this.peers = [];
    this.records = [];
    this.bindings = [];
    this.names = new Map(); // key -> text
    this.phones = new Map(); // "ADDRESS transport" -> Address-of-Record
    this.lookups = new Map(); // Call-ID -> lookup, oldest first
    this.calls = new Map(); // Call-ID -> call, oldest first
    this.samples = []; // {at, in, out, bytesIn, bytesOut, records}: rates a second
    this.latencies = []; // {at, us, good}
    this.lost = 0;
    this.last = null; // the counters a second ago
  }

  hello({ peer, address, domains }) {
    if (this.self && this.self !== peer) this.clear();
    this.self = peer;
    this.address = address ?? "";
    this.domains = Array.isArray(domains) ? domains : [];
    this.last = null; // counters may have begun anew
  }

  state({ time, status, ring, peers, records, bindings }) {
    this.status = status ?? {};
    this.ring = ring ?? [];
    this.peers = peers ?? [];
    this.records = records ?? [];
    this.bindings = bindings ?? [];
    for (const { key, text } of this.records) this.#name(key, text);
    for (const { aor, contact, transport } of this.bindings) {
      const at = /@([^;>?]+)/.exec(contact ?? "");
      if (at) this.phones.set(`${at[1]} ${transport}`, aor);
    }
    trim(this.phones, NAMES_MAX);
    this.#sample(time);
  }

  #name(key, text) {
    if (!key || !text) return;
    this.names.delete(key);
    this.names.set(key, text);
    trim(this.names, NAMES_MAX);
  }

  #sample(time) {
    const now = {
      at: time / 1000, in: this.status["messages-in"], out: this.status["messages-out"],
      bytesIn: this.status["bytes-in"], bytesOut: this.status["bytes-out"],
    };
    const before = this.last;
    this.last = now;
    if (!before || now.at <= before.at || now.in < before.in) return;
    const seconds = (now.at - before.at) / 1000;
    const rate = (name) => Math.max(0, (now[name] - before[name]) / seconds);
    this.samples.push({
      at: now.at, in: rate("in"), out: rate("out"), bytesIn: rate("bytesIn"),
      bytesOut: rate("bytesOut"), records: this.status.records ?? 0,
    });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  /** One trace event. */
  trace(event) {
    switch (event.name) {
      case "sip.in":
      case "sip.out":
        this.#step(event, event.name === "sip.in");
        break;
      case "locser.origin":
      case "locser.forward":
        this.#lookup(event, event.name === "locser.origin");
        break;
      case "locser.answer":
        this.#answer(event);
        break;
      case "record.put":
      case "phone.located":
        this.#name(event.key, event.a);
        if (event.name === "phone.located") this.#located(event);
        break;
      case "phone.registered":
        this.phones.set(`${event.peer} ${event.transport}`, event.a);
        trim(this.phones, NAMES_MAX);
        break;
      default:
        break;
    }
  }

  // ---- requests to the ring ----

  #lookup(event, mine) {
    if (String(event.a).startsWith("overlay.")) return; // upkeep, and what this page asks
    const before = this.lookups.get(event.b);
    if (before) { // another hop is tried
      before.hop = event.peer;
      before.tries++;
      return;
    }
    this.lookups.set(event.b, {
      id: event.b, key: event.key, method: event.a ?? "", mine, hop: event.peer,
      at: event.time / 1000, tries: 1, status: 0, us: 0, path: null,
    });
    trim(this.lookups, LOOKUPS_MAX);
  }

  #answer(event) {
    const lookup = this.lookups.get(event.b);
    if (!lookup) return;
    lookup.status = event.status;
    lookup.us = event.n ?? 0;
    lookup.done = event.time / 1000;
    this.latencies.push({
      at: event.time / 1000, us: event.n ?? 0, good: event.status === 200 || event.status === 404,
    });
    if (this.latencies.length > LATENCIES_MAX) this.latencies.shift();
  }

  #located(event) {
    for (const call of this.calls.values()) {
      if (!call.located && call.waits) call.located = event.a;
    }
  }

  /** The way of a lookup that was asked for here: hops as the peer gives them. */
  addPath(uri, hops, at = Date.now()) {
    const last = hops.at(-1);
    if (!last) return null;
    const lookup = {
      id: `path ${at} ${uri}`, key: null, text: uri, method: "lookup", mine: true, hop: null, at,
      done: at, tries: 1, status: 200, us: hops.reduce((sum, hop) => sum + hop.us, 0), path: hops,
    };
    this.lookups.set(lookup.id, lookup);
    trim(this.lookups, LOOKUPS_MAX);
    return lookup;
  }

  // ---- calls as ladders ----

  #step(event, arrives) {
    const { a: method, b: id, status = 0 } = event;
    if (!SHOWN_IN_LADDERS.has(method) || !id) return;
    let call = this.calls.get(id);
    if (!call) {
      if (!BEGINS_A_LADDER.has(method) || status || !arrives) return;
      call = {
        id, at: event.time / 1000, method, parties: [], steps: [], dropped: 0, state: "trying",
        waits: true, askers: new Map(),
      };
      this.calls.set(id, call);
      trim(this.calls, CALLS_MAX);
    }
    const party = this.#party(call, event, arrives);
    if (!arrives && !status) call.waits = false;
    this.#progress(call, method, status);
    if (call.steps.length >= STEPS_MAX) {
      call.dropped++;
      return;
    }
    call.steps.push({
      at: event.time / 1000, party, arrives, status,
      text: status ? (method === call.method ? String(status) : `${status} ${method}`) : method,
    });
  }

  /** The other end; the first of call.parties is who began it. */
  #party(call, { peer, transport, a: method, status }, arrives) {
    const who = `${peer} ${transport}`;
    const answers = !arrives && status ? call.askers.get(method) : undefined;
    let party = call.parties.find(({ whos }) => whos.has(who));
    if (answers && answers !== party) {
      // Requests of another peer come from any port of it, and are answered at the one it is known by.
      if (this.peerAt(peer)) answers.peer = peer;
      answers.whos.add(who);
      party = party ? this.#merge(call, party, answers) : answers;
    }
    if (!party) {
      if (call.parties.length < PARTIES_MAX) call.parties.push({ peer, whos: new Set([who]) });
      party = call.parties.at(-1);
    }
    if (arrives && !status) call.askers.set(method, party);
    return party;
  }

  /** Two parties were one: the later goes. */
  #merge(call, one, other) {
    const [stays, goes] = call.parties.indexOf(one) < call.parties.indexOf(other) ? [one, other]
      : [other, one];
    if (this.peerAt(goes.peer)) stays.peer = goes.peer;
    for (const who of goes.whos) stays.whos.add(who);
    for (const step of call.steps) if (step.party === goes) step.party = stays;
    for (const [method, asker] of call.askers) if (asker === goes) call.askers.set(method, stays);
    call.parties = call.parties.filter((party) => party !== goes);
    return stays;
  }

  #progress(call, method, status) {
    if (method === "BYE") call.state = "ended";
    else if (method === "CANCEL") call.state = "cancelled";
    else if (method !== call.method || call.state !== "trying" || status < 200) return;
    else if (status < 300) call.state = method === "INVITE" ? "up" : "delivered";
    else call.state = `refused: ${status}`;
  }

  /** What stands over a column. */
  label({ peer, whos }) {
    const known = this.peerAt(peer);
    if (known) return `peer ${known.slice(0, 4)}`;
    const phone = [...whos].map((who) => this.phones.get(who)).find(Boolean);
    return phone ? phone.replace(/^sips?:/, "").replace(/@.*$/, "") : peer ?? "?";
  }

  peerAt(address) {
    if (!address) return null;
    if (address === this.address) return this.self;
    return (this.ring.find((row) => row.address === address)
      ?? this.peers.find((row) => row.address === address))?.peer ?? null;
  }

  get medianLatencyUs() {
    return median(this.latencies.slice(-50).map(({ us }) => us));
  }
}
