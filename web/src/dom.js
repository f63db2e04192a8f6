// SPDX-License-Identifier: BSD-2-Clause
// Making elements. Text is always text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** A symbol of index.html. */
export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("use", { href: `#i-${name}` }));

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}

/** Changes the text only where it differs: a live region speaks each change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const stamps = new WeakMap();

/** The children of `parent` become what `rows` say: {key, stamp, make}. One that has neither moved nor
 * changed stays the element it was, so that the focus stays and a live region speaks what is new alone. */
export function list(parent, rows) {
  const before = new Map([...parent.children].map((at) => [at.dataset.key, at]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const row = focused?.closest("[data-key]");
  const place = row ? [...row.querySelectorAll("button")].indexOf(focused) : -1;
  const now = rows.map(({ key, stamp, make }) => {
    const old = before.get(String(key));
    before.delete(String(key));
    if (old && stamps.get(old) === stamp) return old;
    const fresh = make();
    fresh.dataset.key = key;
    stamps.set(fresh, stamp);
    old?.replaceWith(fresh);
    return fresh;
  });
  for (const gone of before.values()) gone.remove();
  now.forEach((element, i) => {
    if (parent.children[i] !== element) parent.insertBefore(element, parent.children[i] ?? null);
  });
  if (row && document.activeElement !== focused) {
    now.find((element) => element.dataset.key === row.dataset.key)?.querySelectorAll("button")[place]?.focus();
  }
}

/** At most one call of `draw` a `pause_ms`, in an animation frame, however often it is asked for. */
export function paced(draw, pause_ms) {
  let timer = 0;
  let last = 0;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + pause_ms - performance.now());
    timer = setTimeout(() => requestAnimationFrame(() => {
      timer = 0;
      last = performance.now();
      draw();
    }), wait);
  };
}
