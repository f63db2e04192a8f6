// SPDX-License-Identifier: BSD-2-Clause
// Conversations by address: messages and calls in their order. Bounded: the address unused for
// longest goes first, and of a conversation the oldest entries.

export const PEOPLE_MAX = 50;
export const ENTRIES_MAX = 200;
export const TEXT_CHARS_MAX = 4000;

export class History {
  /** saved: what toJSON gave once, trusted no more than anything else from a disk. */
  constructor(saved) {
    this.people = new Map(); // uri -> {uri, at, unread, entries}
    this.lastId = 0;
    for (const person of Array.isArray(saved) ? saved : []) {
      if (typeof person?.uri !== "string" || !Array.isArray(person.entries)) continue;
      const entries = person.entries.filter((e) => e && typeof e.at === "number"
        && (e.kind === "call" || (e.kind === "message" && typeof e.text === "string")));
      for (const entry of entries) {
        entry.id = ++this.lastId;
        // The page was closed before the answer came.
        if (entry.state === "sending") entry.state = "unknown";
      }
      this.people.set(person.uri, {
        uri: person.uri, at: Number(person.at) || 0, unread: Number(person.unread) || 0,
        entries: entries.slice(-ENTRIES_MAX),
      });
    }
    this.#shrink();
  }

  #shrink() {
    while (this.people.size > PEOPLE_MAX) {
      const oldest = [...this.people.values()].reduce((a, b) => (a.at <= b.at ? a : b));
      this.people.delete(oldest.uri);
    }
  }

  person(uri) {
    return this.people.get(uri);
  }

  /** {kind: "message", mine, text, state} or {kind: "call", mine, state, seconds}. */
  add(uri, entry, at = Date.now()) {
    let person = this.people.get(uri);
    if (!person) this.people.set(uri, (person = { uri, at, unread: 0, entries: [] }));
    const added = { ...entry, at, id: ++this.lastId };
    if (added.text) added.text = added.text.slice(0, TEXT_CHARS_MAX);
    person.at = at;
    person.entries.push(added);
    if (person.entries.length > ENTRIES_MAX) person.entries.shift();
    if (!entry.mine && (entry.kind === "message" || entry.state === "missed")) person.unread++;
    this.#shrink();
    return added;
  }

  read(uri) {
    const person = this.people.get(uri);
    if (!person?.unread) return false;
    person.unread = 0;
    return true;
  }

  forget(uri) {
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
