// SPDX-License-Identifier: BSD-2-Clause
// Small charts of the last two minutes.
import { h, svg } from "../dom.js";
import { line, nice } from "./scale.js";

const HEIGHT = 92;
const TOP = 8;
const BOTTOM = 4;
export const SPAN_MS = 120000;

/** series: [{points: [[ms, value]]}]; the paths and the top of the scale. With a floor the scale
 * grows tenfold from there. Pure. */
export function plot(series, now, width, { height = HEIGHT, floor = 0 } = {}) {
  const most = Math.max(0, ...series.flatMap(({ points }) => points.map(([, v]) => v)));
  const top = floor ? 10 ** Math.max(Math.log10(floor) + 1, Math.ceil(Math.log10(most || 1)))
    : nice(most);
  const x = (at) => width - ((now - at) / SPAN_MS) * width;
  const part = floor
    ? (value) => Math.log10(Math.max(value, floor) / floor) / Math.log10(top / floor)
    : (value) => value / top;
  const y = (value) => height - BOTTOM - part(value) * (height - TOP - BOTTOM);
  return {
    top,
    paths: series.map(({ points }) => line(points.filter(([at]) => now - at <= SPAN_MS)
      .map(([at, value]) => [x(at), y(value)]))),
    x,
    y,
  };
}

export class Chart {
  /** kinds: [[name, class]] of its lines; a chart of dots draws only the first. */
  constructor(title, kinds, { dots = false, unit, floor = 0 }) {
    this.floor = floor;
    this.kinds = kinds;
    this.dots = dots;
    this.unit = unit;
    this.value = h("span", { class: "chart-value figure" });
    this.top = h("span", { class: "chart-top figure" });
    this.foot = floor ? h("span", { class: "chart-foot figure", text: unit(floor) }) : null;
    this.plane = svg("svg", { class: "chart-plane", "aria-hidden": "true", height: HEIGHT });
    this.root = h("figure", { class: "chart" },
      h("figcaption", {}, h("span", { class: "chart-title", text: title }), this.value),
      h("div", { class: "chart-box" }, this.plane, this.top, this.foot),
      kinds.length > 1 ? h("p", { class: "chart-key" }, kinds.map(([name, style]) =>
        h("span", { class: `key ${style}`, text: name }))) : null);
  }

  /** values: a list of points for each kind. said: the newest value as text. */
  draw(values, now, said) {
    const width = Math.max(120, this.plane.clientWidth || 260);
    const { top, paths, x, y } = plot(values.map((points) => ({ points })), now, width,
      { floor: this.floor });
    this.plane.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.top.textContent = this.unit(top);
    this.value.textContent = said;
    const steps = [top];
    if (this.floor) for (let step = this.floor; step < top; step *= 10) steps.push(step);
    else steps.push(0, top / 2);
    const grid = steps.map((step) => svg("line", { class: "grid", x1: 0, x2: width, y1: y(step),
      y2: y(step) }));
    const marks = this.dots
      ? values[0].filter(([at]) => now - at <= SPAN_MS).map(([at, value]) => svg("circle", {
        class: this.kinds[0][1], cx: x(at).toFixed(1), cy: y(value).toFixed(1), r: 2.5 }))
      : paths.flatMap((d, i) => {
        if (!d) return [];
        const points = values[i];
        const first = Math.max(0, x(points[0][0]));
        const area = i === 0 ? [svg("path", { class: `area ${this.kinds[i][1]}`,
          d: `${d}V${y(0)}H${first.toFixed(1)}Z` })] : [];
        return [...area, svg("path", { class: `line ${this.kinds[i][1]}`, d })];
      });
    this.plane.replaceChildren(...grid, ...marks);
  }
}
