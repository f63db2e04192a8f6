// SPDX-License-Identifier: BSD-2-Clause
// Numbers to places in a chart, and to text.

/** The smallest of 1, 2, 5, 10, 20 ... that is at least `value`. */
export function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value * 0.999999);
  return step * power;
}

/** An SVG path through [x, y] pairs; "" of none. */
export function line(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** 1234567 -> "1.2 M" */
export function count(n) {
  if (!Number.isFinite(n)) return "–";
  if (n < 10 && n % 1) return n.toFixed(1);
  if (n < 10000) return String(Math.round(n));
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e5 ? 1 : 0)} k`;
  return `${(n / 1e6).toFixed(n < 1e8 ? 1 : 0)} M`;
}

export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  if (n < 1000) return `${Math.round(n)} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e4 ? 1 : 0)} kB`;
  return `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
}

/** Microseconds: "0.61 ms", "36.7 ms", "1.20 s" */
export function took(us) {
  if (us === null || !Number.isFinite(us)) return "–";
  if (us < 1e4) return `${(us / 1e3).toFixed(2)} ms`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e5 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(2)} s`;
}

/** The time until `ms` (wall clock): "59 min" */
export function left(ms, now = Date.now()) {
  const seconds = Math.round((ms - now) / 1000);
  if (seconds <= 0) return "over";
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
