// SPDX-License-Identifier: BSD-2-Clause
// One call as a ladder: who began it, this peer, and whom it went to.
import { h, svg } from "../dom.js";

const LEFT = 52; // times
const SIDE = 42;
const HEAD = 34;
const STEP = 26;
const GAP_MIN = 86;
const GAP_MAX = 320;
const LABEL_CHARS_MAX = 14;
const PAUSE_MS = 1000; // a silence longer than this is drawn as one

/** Where each column stands and each step; pure, for tests. columns: [{label, self}]. */
export function layout(call, labels, width) {
  const names = [labels[0] ?? "?", "this peer", ...labels.slice(1)]
    .map((name) => (name.length > LABEL_CHARS_MAX ? `…${name.slice(1 - LABEL_CHARS_MAX)}` : name));
  const room = (width - LEFT - 2 * SIDE) / Math.max(1, names.length - 1);
  const gap = Math.min(GAP_MAX, Math.max(GAP_MIN, room));
  const columns = names.map((label, i) => ({ label, self: i === 1, x: LEFT + SIDE + i * gap }));
  let y = HEAD + 8;
  let before = null;
  const rows = call.steps.map((step) => {
    const pause = before !== null && step.at - before > PAUSE_MS ? step.at - before : 0;
    y += STEP + (pause ? STEP * 0.7 : 0);
    before = step.at;
    const party = call.parties.indexOf(step.party);
    const there = columns[party > 0 ? party + 1 : 0];
    const [from, to] = step.arrives ? [there, columns[1]] : [columns[1], there];
    return { y, from: from.x, to: to.x, text: step.text, status: step.status, pause,
      ms: step.at - call.at };
  });
  return { columns, rows, width: Math.max(width, columns.at(-1).x + SIDE), height: y + 20 };
}

const fixed = (ms) => (ms < 1000 ? `${ms.toFixed(1)}` : `${(ms / 1000).toFixed(2)} s`);
const kind = (status) => (status === 0 ? "request" : status < 200 ? "early" : status < 300 ? "good"
  : "bad");

export function drawLadder(call, labels, width) {
  const { columns, rows, width: w, height } = layout(call, labels, width);
  const picture = svg("svg", { class: "ladder", viewBox: `0 0 ${w} ${height}`, width: w, height,
    "aria-hidden": "true" });
  for (const { x, label, self } of columns) {
    picture.append(
      svg("text", { class: self ? "head self" : "head", x, y: 18, "text-anchor": "middle", text: label }),
      svg("line", { class: self ? "life self" : "life", x1: x, x2: x, y1: HEAD, y2: height - 4 }));
  }
  for (const row of rows) {
    const way = row.to > row.from ? 1 : -1;
    if (row.pause) {
      picture.append(svg("text", { class: "pause", x: LEFT - 10, y: row.y - STEP * 0.8,
        "text-anchor": "end", text: "⋮" }));
    }
    picture.append(
      svg("text", { class: "at", x: LEFT - 10, y: row.y + 4, "text-anchor": "end", text: fixed(row.ms) }),
      svg("line", { class: `arrow ${kind(row.status)}`, x1: row.from + 3 * way, x2: row.to - 8 * way,
        y1: row.y, y2: row.y }),
      svg("path", { class: `tip ${kind(row.status)}`,
        d: `M${row.to - 2 * way} ${row.y}l${-8 * way} -4v8z` }),
      svg("text", { class: `step ${kind(row.status)}`, x: (row.from + row.to) / 2, y: row.y - 5,
        "text-anchor": "middle", text: row.text }));
  }
  const steps = h("ol", { class: "unseen" }, call.steps.map((step) => h("li", { text:
    `${fixed(step.at - call.at)}: ${step.arrives ? "from" : "to"} ${labels[call.parties.indexOf(step.party)] ?? "others"}: `
    + step.text })));
  return [picture, steps];
}
