// SPDX-License-Identifier: BSD-2-Clause
// The ring as a picture. Peers stand where their identifiers are; what moves is a request on its way.
import { h, svg } from "../dom.js";
import { arc, chord, fingers, fraction, point, responsible, spread } from "./geometry.js";
import { took } from "./scale.js";

const SIZE = 456;
const CENTRE = SIZE / 2;
const RADIUS = 178;
const LABEL = RADIUS + 25;
const LABEL_GAP = 0.035; // of the circle
const RECORDS_MAX = 100;
const FLOWS_MAX = 12;
const FLOWS_A_SECOND = 6;
const FLOW_LIFE_MS = 3500;
const HOP_MS = 420;

const ROLES = {
  self: "this peer", predecessor: "predecessor", successor: "successor", finger: "finger",
  suspect: "silent", peer: "peer",
};

export class RingView {
  constructor(model) {
    this.model = model;
    this.chosen = null;
    this.flows = 0;
    this.second = 0;
    this.begun = 0;
    const layer = (name) => svg("g", { class: `ring-${name}` });
    this.layers = Object.fromEntries(["range", "fingers", "flows", "records", "peers", "labels"]
      .map((name) => [name, layer(name)]));
    this.picture = svg("svg", { class: "ring", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group",
      "aria-label": "The ring. Arrow keys go from peer to peer.", onkeydown: (e) => this.#key(e) },
      svg("circle", { class: "ring-line", cx: CENTRE, cy: CENTRE, r: RADIUS }),
      ...Object.values(this.layers));
    this.detail = h("p", { class: "ring-detail", "aria-live": "polite" });
  }

  /** [{id, role, address, rtt}] in the order of the ring, this peer among them. */
  #peers() {
    const { model } = this;
    const found = new Map();
    for (const { peer, address, role, rtt_us: rtt } of model.peers) {
      found.set(peer, { id: peer, address, rtt, role: role === "suspect" ? "suspect" : "peer" });
    }
    let rank = 0;
    this.before = null; // in a small ring the predecessor is a successor as well
    for (const { peer, address, role } of model.ring) {
      const known = found.get(peer);
      if (role === "predecessor") this.before = fraction(peer);
      if (known && (known.role === "suspect" || known.rank)) continue;
      found.set(peer, { id: peer, rtt: 0, ...known, address, role,
        rank: role === "successor" ? ++rank : 0 });
    }
    if (model.self && !found.has(model.self)) {
      found.set(model.self, { id: model.self, address: model.address, role: "self", rtt: 0 });
    }
    const ids = [...found.keys()];
    const near = new Set([...found.values()].filter(({ role }) => role !== "peer").map(({ id }) => id));
    for (const id of model.self ? fingers(model.self, ids, near) : []) {
      const peer = found.get(id);
      if (peer.role === "peer") peer.role = "finger";
    }
    return [...found.values()].map((peer) => ({ ...peer, part: fraction(peer.id) }))
      .filter(({ part }) => part !== null).sort((a, b) => a.part - b.part);
  }

  draw() {
    const peers = this.#peers();
    const shape = [this.before, ...peers.map((p) => `${p.id} ${p.role}`)].join();
    const keys = this.model.records.slice(0, RECORDS_MAX).map(({ key, state }) => key + state).join();
    this.peers = peers;
    if (shape !== this.shape) {
      this.shape = shape;
      this.#drawPeers();
    }
    if (keys !== this.keys) {
      this.keys = keys;
      this.#drawRecords();
    }
    this.#drawDetail();
  }

  #drawPeers() {
    const { layers, peers, model } = this;
    const self = peers.find(({ id }) => id === model.self);
    layers.range.replaceChildren(...(self && this.before !== null ? [svg("path", {
      d: arc(this.before, self.part, RADIUS, CENTRE) })] : []));
    layers.fingers.replaceChildren(...(self ? peers
      .filter(({ role }) => role === "finger" || role === "successor" || role === "predecessor")
      .map(({ part, role }) => svg("path", { class: role,
        d: chord(self.part, part, RADIUS, CENTRE) })) : []));
    if (!peers.some(({ id }) => id === this.chosen)) this.chosen = model.self;
    const focused = this.layers.peers.contains(document.activeElement);
    layers.peers.replaceChildren(...peers.map((peer) => this.#mark(peer)));
    if (focused) this.#focus();
    const marked = peers.filter(({ role }) => peers.length <= 24 || role === "self" || role === "predecessor"
      || role === "successor");
    const places = new Set(spread(marked.map(({ part }) => part), LABEL_GAP));
    if (self) places.add(self.part);
    layers.labels.replaceChildren(...marked.filter(({ part }) => places.has(part)
      && (part === self?.part || !self || Math.abs(part - self.part) > LABEL_GAP)).map((peer) => {
      const [x, y] = point(peer.part, LABEL, CENTRE);
      return svg("text", { class: peer.role, x: x.toFixed(1), y: (y + 4).toFixed(1),
        "text-anchor": "middle", text: peer.id.slice(0, 4) });
    }));
  }

  #mark(peer) {
    const [cx, cy] = point(peer.part, RADIUS, CENTRE);
    const size = { self: 9, successor: 6, predecessor: 6, finger: 5.5 }[peer.role] ?? 4.5;
    return svg("g", { class: `peer ${peer.role}`, role: "button", "data-id": peer.id,
      "aria-label": this.#describe(peer), tabindex: peer.id === this.chosen ? 0 : -1,
      onclick: () => this.#choose(peer.id), onfocus: () => this.#choose(peer.id) },
      svg("circle", { class: "halo", cx: cx.toFixed(1), cy: cy.toFixed(1), r: size + 5 }),
      svg("circle", { class: "body", cx: cx.toFixed(1), cy: cy.toFixed(1), r: size }));
  }

  #describe({ id, role, rank, address, rtt }) {
    const what = role === "successor" ? `successor ${rank}` : ROLES[role] ?? role;
    return [`${id.slice(0, 8)}, ${what}`, address, rtt ? `answers in ${took(rtt)}` : ""]
      .filter(Boolean).join(", ");
  }

  #choose(id) {
    this.chosen = id;
    for (const mark of this.layers.peers.children) {
      mark.setAttribute("tabindex", mark.dataset.id === id ? 0 : -1);
      mark.classList.toggle("chosen", mark.dataset.id === id);
    }
    this.#drawDetail();
  }

  #focus() {
    [...this.layers.peers.children].find((mark) => mark.dataset.id === this.chosen)?.focus();
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !this.peers?.length) return;
    event.preventDefault();
    const at = this.peers.findIndex(({ id }) => id === this.chosen);
    this.#choose(this.peers[(at + step + this.peers.length) % this.peers.length].id);
    this.#focus();
  }

  #drawDetail() {
    const peer = this.peers?.find(({ id }) => id === this.chosen);
    const text = peer ? this.#describe(peer) : "";
    if (text === this.said) return;
    this.said = text;
    this.detail.replaceChildren(...(peer ? [h("code", { text: peer.id.slice(0, 8) }),
      text.slice(8)] : []));
  }

  #drawRecords() {
    this.layers.records.replaceChildren(...this.model.records.slice(0, RECORDS_MAX)
      .map(({ key, state }) => ({ part: fraction(key), state })).filter(({ part }) => part !== null)
      .map(({ part, state }) => {
        const [[x1, y1], [x2, y2]] = [point(part, RADIUS - 7, CENTRE), point(part, RADIUS - 14, CENTRE)];
        return svg("line", { class: state, x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1),
          y2: y2.toFixed(1) });
      }));
  }

  // ---- requests on their way ----

  #mayFlow() {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.second) [this.second, this.begun] = [second, 0];
    return this.flows < FLOWS_MAX && this.begun++ < FLOWS_A_SECOND;
  }

  #partOf(id) {
    return id ? fraction(id) : null;
  }

  /** A request leaves for its next hop; the rest of its way is not seen from here. */
  begin(lookup) {
    const { model } = this;
    const from = this.#partOf(model.self);
    const hop = this.#partOf(model.peerAt(lookup.hop));
    if (from === null || hop === null || !this.#mayFlow()) return;
    const legs = [{ from, to: hop, kind: lookup.method.startsWith("get") ? "get" : "put" }];
    const last = lookup.key && this.peers?.length
      ? this.#partOf(responsible(this.peers.map(({ id }) => id), lookup.key)) : null;
    if (last !== null && last !== hop && last !== from) legs.push({ from: hop, to: last, kind: "guess" });
    this.#show(legs, lookup.key ? fraction(lookup.key) : null);
  }

  /** The whole way, hop by hop as the peer traced it. */
  path(lookup) {
    const parts = [this.#partOf(this.model.self),
      ...lookup.path.map(({ peer }) => this.#partOf(peer))].filter((part) => part !== null);
    const legs = [];
    for (let i = 1; i < parts.length; i++) {
      if (parts[i] !== parts[i - 1]) legs.push({ from: parts[i - 1], to: parts[i], kind: "path" });
    }
    this.#show(legs, null, FLOW_LIFE_MS * 2);
  }

  #show(legs, key, life_ms = FLOW_LIFE_MS) {
    const group = svg("g", { class: "flow" });
    legs.forEach(({ from, to, kind }, i) => {
      const d = chord(from, to, RADIUS, CENTRE);
      const line = svg("path", { class: `trail ${kind}`, d });
      const spark = svg("path", { class: `spark ${kind}`, d, pathLength: 1 });
      for (const part of kind === "guess" ? [line] : [line, spark]) {
        part.style.animationDelay = `${i * HOP_MS}ms`;
        group.append(part);
      }
    });
    if (key !== null) {
      const [x, y] = point(key, RADIUS, CENTRE);
      group.append(svg("circle", { class: "target", cx: x.toFixed(1), cy: y.toFixed(1), r: 4 }));
    }
    this.flows++;
    this.layers.flows.append(group);
    setTimeout(() => {
      group.remove();
      this.flows--;
    }, life_ms + legs.length * HOP_MS);
  }
}
