// SPDX-License-Identifier: BSD-2-Clause
// What the browser keeps for this page. Storage may be forbidden or full: then nothing is kept, and
// the page works all the same.

const PREFIX = "locser.";

export function load(name, otherwise, storage = globalThis.localStorage) {
  try {
    const text = storage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** undefined removes. Whether it is kept. */
export function save(name, value, storage = globalThis.localStorage) {
  try {
    if (value === undefined) storage.removeItem(PREFIX + name);
    else storage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
