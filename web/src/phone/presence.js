// SPDX-License-Identifier: BSD-2-Clause
// Who is there: the documents, in PIDF with RPID (RFC 3863, RFC 4480), watcher information (RFC
// 3858) and iscomposing (RFC 3994), and the subscriptions to them. What is read came from others: it
// is matched against what is known here, and its words are text.
import { bare } from "../address.js";

export const WATCHERS_MAX = 200;
const NOTE_CHARS_MAX = 120;
const AGAIN_S = [2, 10, 30, 120, 600];
const REJECTED_S = 900; // whoever blocks may think better of it

const AWAY = new Set(["away", "appointment", "vacation", "holiday", "travel", "sleeping", "meal",
  "breakfast", "lunch", "dinner", "permanent-absence", "in-transit"]);
const BUSY = new Set(["busy", "on-the-phone", "meeting", "presentation", "performance", "worship"]);
export const STATES = {
  open: "Available", away: "Away", busy: "Busy", phone: "On the phone", closed: "Not there",
  pending: "Waiting for an answer", rejected: "Does not show it to you",
  unknown: "Not known",
};

/** Elements of this name, whatever their namespace is called: phones differ in it. */
const named = (root, name) => [...root.getElementsByTagName("*")]
  .filter(({ localName }) => localName === name);
const words = (text) => text.replace(/\s+/g, " ").trim().slice(0, NOTE_CHARS_MAX);

function parsed(text, name, Parser) {
  if (/<!DOCTYPE/i.test(text)) return null;
  const root = new Parser().parseFromString(text, "application/xml").documentElement;
  return root?.localName === name ? root : null;
}

/** {state, note}; null: not a presence document. Of several devices one that is there counts. */
export function readPresence(text, Parser = globalThis.DOMParser) {
  const root = parsed(text, "presence", Parser);
  if (!root) return null;
  const note = words(named(root, "note")[0]?.textContent ?? "");
  const open = named(root, "basic").some((at) => at.textContent.trim() === "open");
  if (!open) return { state: "closed", note };
  const does = named(root, "activities").flatMap((at) => [...at.children].map(({ localName }) => localName));
  const state = does.includes("on-the-phone") ? "phone" : does.some((it) => BUSY.has(it)) ? "busy"
    : does.some((it) => AWAY.has(it)) ? "away" : "open";
  return { state, note };
}

/** Map of address -> "active", "pending" or "terminated"; null: not watcher information. */
export function readWatchers(text, Parser = globalThis.DOMParser) {
  const root = parsed(text, "watcherinfo", Parser);
  if (!root) return null;
  const found = new Map();
  for (const at of named(root, "watcher")) {
    const uri = bare(at.textContent.trim());
    const status = at.getAttribute("status");
    const rank = (value) => ["terminated", "active", "pending"].indexOf(value);
    if (!uri || rank(status) < 0 || (found.size >= WATCHERS_MAX && !found.has(uri))) continue;
    if (!found.has(uri) || rank(status) > rank(found.get(uri))) found.set(uri, status);
  }
  return found;
}

/** Whether somebody writes at this moment (RFC 3994). */
export function readTyping(text, Parser = globalThis.DOMParser) {
  const root = parsed(text, "isComposing", Parser);
  return Boolean(root) && named(root, "state")[0]?.textContent.trim() === "active";
}

/** One subscription to one address for each of those wanted, as long as the line is on. */
export class Watches {
  /** subscribe(uri, event, accept, on): a subscription with end(), or null. onChange(uri). */
  constructor(subscribe, onChange, later = (act, ms) => setTimeout(act, ms),
    never = (timer) => clearTimeout(timer)) {
    this.subscribe = subscribe;
    this.onChange = onChange;
    this.later = later;
    this.never = never;
    this.on = false;
    this.rows = new Map(); // "EVENT URI" -> {uri, event, read, tries, handle, timer, value}
  }

  /** read(text) -> what is kept of a document, or null. Asking again changes nothing. */
  add(uri, event, accept, read) {
    const name = `${event} ${uri}`;
    if (this.rows.has(name)) return;
    const row = { uri, event, accept, read, tries: 0, handle: null, timer: 0, value: null };
    this.rows.set(name, row);
    if (this.on) this.#begin(row);
  }

  remove(uri, event) {
    const row = this.rows.get(`${event} ${uri}`);
    if (!row) return;
    this.#end(row);
    this.rows.delete(`${event} ${uri}`);
  }

  get(uri, event) {
    return this.rows.get(`${event} ${uri}`)?.value ?? null;
  }

  /** That shows to its notifier who asks; "": there is none now. */
  proof(uri, event) {
    return this.rows.get(`${event} ${uri}`)?.handle?.tag ?? "";
  }

  /** Whether the line is on. What was known is not, once it is off. */
  turn(on) {
    if (on === this.on) return;
    this.on = on;
    for (const row of this.rows.values()) {
      if (on) {
        row.tries = 0;
        this.#begin(row);
      } else {
        this.#end(row);
        this.#set(row, null);
      }
    }
  }

  #end(row) {
    row.mine = null;
    this.never(row.timer);
    row.handle?.end();
    row.handle = null;
  }

  #set(row, value) {
    row.value = value;
    this.onChange(row.uri, row.event);
  }

  #begin(row) {
    const mine = {};
    const current = (act) => (...given) => {
      if (row.mine === mine) act(...given);
    };
    row.mine = mine;
    row.handle = this.subscribe(row.uri, row.event, row.accept, {
      pending: current(() => this.#set(row, { state: "pending", note: "" })),
      body: current((text) => {
        row.tries = 0;
        const value = row.read(text);
        if (value) this.#set(row, value);
      }),
      ended: current((reason, after_s) => this.#ended(row, reason, after_s)),
    });
    if (!row.handle) this.#ended(row, "", 0);
  }

  #ended(row, reason, after_s) {
    row.mine = null;
    row.handle = null;
    if (reason === "rejected") this.#set(row, { state: "rejected", note: "" });
    else if (row.tries > 0) this.#set(row, null); // what was known may be over
    const pause = reason === "rejected" ? REJECTED_S
      : Math.max(after_s || 0, AGAIN_S[Math.min(row.tries, AGAIN_S.length - 1)]);
    row.tries++;
    row.timer = this.later(() => this.on && this.#begin(row), pause * 1000);
  }
}
