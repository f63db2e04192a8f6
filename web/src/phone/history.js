// SPDX-License-Identifier: BSD-2-Clause
// Conversations by address: messages and calls in their order. Bounded: strangers go first, then
// the address unused for longest, and of a conversation the oldest entries.

export const PEOPLE_MAX = 50;
export const ENTRIES_MAX = 200;
export const TEXT_CHARS_MAX = 4000;
export const CHARS_MAX = 1000000; // of all texts: browsers keep five times as much
const KEY_CHARS_MAX = 300;
const DATE_MS = 1000; // a Date says whole seconds: what was said in that second may have been before
const KEPT_MS_MAX = 8 * 86400 * 1000; // a message waits for 7 days

/** What may stand in a text: nothing that is no character, but lines and tabs. */
export const clean = (text) => String(text).slice(0, TEXT_CHARS_MAX)
  .replace(/\r\n?/g, "\n").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");

const isEntry = (entry) => entry && typeof entry.at === "number" && (entry.kind === "call"
  || (entry.kind === "message" && typeof entry.text === "string"));
const size = (entry) => (entry.text?.length ?? 0) + (entry.why?.length ?? 0);

export class History {
  /** saved: what toJSON gave once, trusted no more than anything else from a disk. */
  constructor(saved) {
    this.people = new Map(); // uri -> {uri, at, unread, entries}
    this.lastId = 0;
    this.chars = 0;
    for (const person of this.#read(saved)) {
      for (const entry of person.entries) {
        // The page was closed before the answer came.
        if (entry.state === "sending") entry.state = "unknown";
      }
      this.people.set(person.uri, person);
      for (const entry of person.entries) this.chars += size(entry);
    }
    this.#shrink();
  }

  *#read(saved) {
    for (const person of Array.isArray(saved) ? saved : []) {
      if (typeof person?.uri !== "string" || !Array.isArray(person.entries)) continue;
      const entries = person.entries.filter(isEntry).slice(-ENTRIES_MAX)
        .map((entry) => ({ ...entry, id: ++this.lastId }));
      yield { uri: person.uri, at: Number(person.at) || 0, unread: Number(person.unread) || 0, entries };
    }
  }

  #drop(person, index) {
    const [entry] = person.entries.splice(index, 1);
    this.chars -= size(entry);
  }

  /** Who has only ever been heard goes first: many strangers cannot drive out whom one talks to. */
  #oldest(except) {
    const rank = (person) => (person.entries.some(({ mine }) => mine) ? 1 : 0);
    return [...this.people.values()].filter((person) => person !== except)
      .map((person) => ({ person, rank: rank(person) }))
      .reduce((a, b) => (!a || b.rank < a.rank || (b.rank === a.rank && b.person.at < a.person.at) ? b : a),
        null)?.person ?? null;
  }

  /** stays: the entry that was just added. */
  #shrink(person = null, stays = null) {
    while (this.people.size > PEOPLE_MAX) this.forget(this.#oldest(person).uri);
    while (this.chars > CHARS_MAX) {
      const from = this.#oldest(person) ?? person;
      if (!from || (from === person && from.entries.length < 2)) return;
      this.#drop(from, from.entries[0] === stays ? 1 : 0);
      if (!from.entries.length) this.people.delete(from.uri);
    }
  }

  person(uri) {
    return this.people.get(uri);
  }

  /** {kind: "message", mine, text, state} or {kind: "call", mine, state, seconds}. `key`: of two with the
   * same one the second is a repeat, and null is returned. `sent`: it waited since then, says its Date;
   * what waited stands where it belongs, in the order in which it comes. */
  add(uri, { key, sent, ...entry }, at = Date.now()) {
    let person = this.people.get(uri);
    const name = String(key ?? crypto.randomUUID?.() ?? Math.random()).slice(0, KEY_CHARS_MAX);
    if (person?.entries.some((other) => other.key === name)) return null;
    if (!person) this.people.set(uri, (person = { uri, at, unread: 0, entries: [] }));
    const added = { ...entry, key: name, at, id: ++this.lastId };
    if (added.text !== undefined) added.text = clean(added.text);
    if (sent !== undefined) {
      const before = person.entries.findLast((other) => other.kept)?.at ?? 0;
      added.kept = true;
      added.at = Math.max(before, Math.min(at, Math.max(sent + DATE_MS - 1, at - KEPT_MS_MAX)));
    }
    this.#insert(person, added, added.kept);
    person.at = Math.max(person.at, at);
    if (!entry.mine && (entry.kind === "message" || entry.state === "missed")) person.unread++;
    this.#shrink(person, added);
    return added;
  }

  #insert(person, entry, sorted) {
    const { entries } = person;
    let place = entries.length;
    while (sorted && place > 0 && entries[place - 1].at > entry.at) place--;
    entries.splice(place, 0, entry);
    this.chars += size(entry);
    if (entries.length > ENTRIES_MAX) this.#drop(person, place === 0 ? 1 : 0);
  }

  /** What became of one's own message, which may be forgotten already. */
  settle(uri, entry, state, why = "") {
    const before = size(entry);
    entry.state = state;
    entry.why = why;
    if (this.people.get(uri)?.entries.includes(entry)) this.chars += size(entry) - before;
  }

  /** Another page of this browser has saved: what it knows and this one does not. */
  merge(saved) {
    for (const theirs of this.#read(saved)) {
      let person = this.people.get(theirs.uri);
      if (!person) this.people.set(theirs.uri, (person = { ...theirs, entries: [] }));
      person.unread = theirs.unread;
      for (const entry of theirs.entries) {
        if (person.entries.some(({ key, at }) => (entry.key ? key === entry.key : at === entry.at))) continue;
        this.#insert(person, entry, true);
        person.at = Math.max(person.at, theirs.at);
      }
      this.#shrink(person);
    }
  }

  read(uri) {
    const person = this.people.get(uri);
    if (!person?.unread) return false;
    person.unread = 0;
    return true;
  }

  forget(uri) {
    for (const entry of this.people.get(uri)?.entries ?? []) this.chars -= size(entry);
    this.people.delete(uri);
  }

  get unread() {
    let sum = 0;
    for (const person of this.people.values()) sum += person.unread;
    return sum;
  }

  /** The latest first. */
  recent() {
    return [...this.people.values()].sort((a, b) => b.at - a.at);
  }

  toJSON() {
    return [...this.people.values()].map(({ uri, at, unread, entries }) => ({
      uri, at, unread, entries: entries.map(({ id, ...entry }) => entry),
    }));
  }
}

/** "12 s", "3 min 05 s", "1 h 02 min" */
export function lasted(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} min`;
}

/** "0:07", "12:05", "1:02:05" */
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const tail = String(s % 60).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}:${tail}`;
  return `${Math.floor(s / 3600)}:${String(Math.floor(s / 60) % 60).padStart(2, "0")}:${tail}`;
}

/** What happened, in a line. */
export function describe(entry) {
  if (entry.kind === "message") return entry.mine ? `You: ${entry.text}` : entry.text;
  if (entry.state === "missed") return "Missed call";
  if (entry.state === "failed") return "Call did not go through";
  return `${entry.mine ? "Outgoing" : "Incoming"} call, ${lasted(entry.seconds ?? 0)}`;
}
