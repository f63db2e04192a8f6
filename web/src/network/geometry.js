// SPDX-License-Identifier: BSD-2-Clause
// The ring as a circle: identifier 0 is at the top, and they grow clockwise.

const DIGITS = 13; // of 40: what a double holds exactly
const SPAN = 16 ** DIGITS;
const BITS = 160n;
const WHOLE = 1n << BITS;

/** 0 to 1; null: not an identifier. */
export function fraction(id) {
  return /^[0-9A-Fa-f]{40}$/.test(id) ? parseInt(id.slice(0, DIGITS), 16) / SPAN : null;
}

export function point(part, radius, centre) {
  const angle = part * 2 * Math.PI;
  return [centre + radius * Math.sin(angle), centre - radius * Math.cos(angle)];
}

const at = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** A line inside the circle, bent towards the centre the more the farther its ends are. */
export function chord(from, to, radius, centre) {
  const apart = Math.min((to - from + 1) % 1, (from - to + 1) % 1); // 0 to 0.5
  const middle = (from + ((((to - from + 1.5) % 1) - 0.5) / 2) + 1) % 1;
  const bend = point(middle, radius * (1 - 1.5 * apart), centre);
  return `M${at(point(from, radius, centre))}Q${at(bend)} ${at(point(to, radius, centre))}`;
}

/** Along the circle, clockwise. */
export function arc(from, to, radius, centre) {
  const long = (to - from + 1) % 1 > 0.5 ? 1 : 0;
  const ends = [point(from, radius, centre), point(to, radius, centre)];
  return `M${at(ends[0])}A${radius} ${radius} 0 ${long} 1 ${at(ends[1])}`;
}

/** Which of the peers (sorted by id) is responsible for an identifier: the first at or after it. */
export function responsible(ids, id) {
  return ids.find((other) => other >= id) ?? ids[0];
}

/** The known peers that Chord would keep as fingers of `self`: the first at or after each
 * self + 2^i, without those in `except`. */
export function fingers(self, ids, except = new Set()) {
  const others = ids.filter((id) => id !== self).sort();
  const found = new Set();
  if (!others.length) return found;
  const base = BigInt(`0x${self}`);
  for (let i = BITS - 1n; i > BITS - 33n; i--) {
    const start = ((base + (1n << i)) % WHOLE).toString(16).toUpperCase().padStart(40, "0");
    const finger = responsible(others, start);
    if (!except.has(finger)) found.add(finger);
  }
  return found;
}

/** Of sorted parts of the circle, those that are at least `gap` from the one kept before. */
export function spread(parts, gap) {
  const kept = [];
  for (const part of parts) {
    const last = kept.at(-1);
    const wraps = kept.length && 1 - part + kept[0] < gap;
    if (last === undefined || (part - last >= gap && !wraps)) kept.push(part);
  }
  return kept;
}
