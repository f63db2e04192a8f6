// SPDX-License-Identifier: BSD-2-Clause
// Whom somebody at this page wants to see, and whom he blocked.
import { load, save } from "../store.js";

export const BUDDIES_MAX = 50;
export const BLOCKED_MAX = 50;

const texts = (saved, max) => (Array.isArray(saved) ? saved : [])
  .filter((text) => typeof text === "string" && text.length <= 600).slice(-max);

export class Buddies {
  constructor(storage) {
    this.storage = storage;
    this.uris = new Set(texts(load("buddies", [], storage), BUDDIES_MAX));
    this.blocked = new Set(texts(load("blocked", [], storage), BLOCKED_MAX)); // "MINE WATCHER"
  }

  #keep() {
    save("buddies", [...this.uris], this.storage);
    save("blocked", [...this.blocked], this.storage);
  }

  has(uri) {
    return this.uris.has(uri);
  }

  /** By address. */
  sorted() {
    return [...this.uris].sort();
  }

  /** "": he is one now, else why not. */
  add(uri) {
    if (!this.uris.has(uri) && this.uris.size >= BUDDIES_MAX) {
      return `There is room for ${BUDDIES_MAX} buddies. Remove one first.`;
    }
    this.uris.add(uri);
    this.#keep();
    return "";
  }

  remove(uri) {
    this.uris.delete(uri);
    this.#keep();
  }

  /** Remembered only so that it can be taken back here: the peer decides. The oldest is forgotten. */
  setBlocked(mine, uri, blocked) {
    this.blocked.delete(`${mine} ${uri}`);
    if (blocked) this.blocked.add(`${mine} ${uri}`);
    if (this.blocked.size > BLOCKED_MAX) this.blocked.delete(this.blocked.values().next().value);
    this.#keep();
  }

  blockedBy(mine) {
    return [...this.blocked].filter((text) => text.startsWith(`${mine} `))
      .map((text) => text.slice(mine.length + 1));
  }
}
