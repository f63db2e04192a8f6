// SPDX-License-Identifier: BSD-2-Clause
// The network on the page: the ring, requests on their way, calls, charts, records.
import { parse, short } from "../address.js";
import { h, paced, setText } from "../dom.js";
import { Chart } from "./charts.js";
import { drawLadder } from "./ladder.js";
import { Model } from "./model.js";
import { RingView } from "./ring.js";
import { bytes, count, left, took } from "./scale.js";

const LISTED_LOOKUPS = 8;
const ROWS_MAX = 50;
const PATH_EACH_MS = 2000;
const LATENCY_FLOOR_US = 100; // the foot of that chart, whose steps are tenfold
const STATES = {
  trying: "trying", up: "talking", ended: "ended", cancelled: "cancelled", delivered: "delivered",
};
const METHODS = { get: "read", "get-auth": "read", "put-auth": "write", "remove-auth": "remove",
  lookup: "path to" };

const clockOf = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

export class NetworkView {
  constructor(root, { ask }) {
    this.root = root;
    this.ask = ask;
    this.model = new Model();
    this.ring = new RingView(this.model);
    this.chosenCall = null;
    this.pathAt = 0;
    this.#build();
    this.redraw = paced(() => this.#drawLive(), 200);
    new ResizeObserver(() => {
      this.shownCall = "";
      this.#drawAll();
    }).observe(root);
  }

  get visible() {
    return !document.hidden && this.root.offsetParent !== null;
  }

  // ---- building ----

  #build() {
    this.tiles = Object.fromEntries(["State", "Peers known", "Records held", "Phones here",
      "Messages", "Answers in"].map((name) => [name, h("dd", { class: "figure", text: "–" })]));
    this.charts = {
      traffic: new Chart("Messages a second", [["in", "in"], ["out", "out"]], { unit: count }),
      load: new Chart("Bytes a second", [["in", "in"], ["out", "out"]], { unit: bytes }),
      latency: new Chart("Answers from the ring", [["time", "in"]], { unit: took, dots: true, floor: LATENCY_FLOOR_US }),
      records: new Chart("Records held", [["records", "in"]], { unit: count }),
    };
    this.lookups = h("ol", { class: "lookups" });
    this.noLookups = h("p", { class: "empty", text: "Requests to the ring appear here as they happen: "
      + "register a phone, call, or find an address." });
    this.calls = h("div", { class: "chips", role: "group", "aria-label": "Calls" });
    this.ladder = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ladder" });
    this.noCalls = h("p", { class: "empty", text: "A call or message through this peer is drawn here, "
      + "step by step." });
    this.root.append(
      h("dl", { class: "tiles" }, Object.entries(this.tiles).map(([name, value]) =>
        h("div", { class: "tile" }, h("dt", { text: name }), value))),
      h("section", { class: "card ring-card", "aria-labelledby": "ring-title" },
        h("div", { class: "ring-side" }, h("h2", { class: "card-title", id: "ring-title", text: "Ring" }),
          (this.ringNote = h("p", { class: "muted" })), this.#buildFind(),
          h("ul", { class: "legend" }, [["self", "this peer"], ["successor", "neighbours"],
            ["finger", "fingers"], ["peer", "others known"], ["record", "records held"],
            ["get", "read"], ["put", "write"], ["path", "path"]].map(([style, text]) =>
            h("li", {}, h("span", { class: `swatch ${style}`, "aria-hidden": "true" }), text)))),
        h("div", { class: "ring-box" }, this.ring.picture, this.ring.detail)),
      h("section", { class: "card", "aria-labelledby": "lookups-title" },
        h("h2", { class: "card-title", id: "lookups-title", text: "Requests to the ring" }),
        this.noLookups, this.lookups),
      h("section", { class: "card", "aria-labelledby": "calls-title" },
        h("h2", { class: "card-title", id: "calls-title", text: "Calls" }), this.noCalls, this.calls,
        this.ladder),
      h("section", { class: "card", "aria-labelledby": "charts-title" },
        h("h2", { class: "card-title", id: "charts-title", text: "The last two minutes" }),
        h("div", { class: "charts" }, Object.values(this.charts).map(({ root }) => root))),
      this.#buildTable("records", "Records held", ["Key", "What", "State", "Bytes", "Left"]),
      this.#buildTable("peers", "Peers", ["Peer", "Role", "Address", "Answers in"]),
      (this.foot = h("p", { class: "foot" })));
  }

  #buildFind() {
    this.to = h("input", { id: "find", type: "text", inputmode: "email", autocomplete: "off",
      autocapitalize: "none", spellcheck: "false", placeholder: "bob@example.net" });
    this.way = h("div", { class: "way", "aria-live": "polite" });
    return h("form", { class: "find", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.#find();
    } },
      h("label", { for: "find", text: "Who keeps an address?" }),
      h("div", { class: "dial-row" }, this.to, h("button", { class: "button", type: "submit",
        text: "Trace" })), this.way);
  }

  #buildTable(name, title, heads) {
    const body = h("tbody");
    const summary = h("summary", { text: title });
    const table = (this[`${name}Table`] = { body, summary, title });
    table.root = h("details", { class: "card table", ontoggle: () => this.#drawTables() }, summary,
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
        h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) =>
          h("th", { scope: "col", text })))), body)));
    return table.root;
  }

  // ---- the feed ----

  hello(params) {
    this.model.hello(params);
    this.#drawAll();
  }

  state(params) {
    this.model.state(params);
    this.#drawAll();
  }

  trace(event) {
    const { model } = this;
    const known = model.lookups.has(event.b);
    model.trace(event);
    if (!this.visible) return;
    if (event.name === "locser.origin" || event.name === "locser.forward") {
      const lookup = model.lookups.get(event.b);
      if (!known && lookup) this.ring.begin(lookup);
    }
    if (event.name === "phone.located" && event.a) this.#wayOf(event.a);
    this.redraw();
  }

  lost({ count: n }) {
    this.model.lost += Number(n) || 0;
  }

  /** The way to an address that this peer has just looked up. Asked anew, and seldom: a look must
   * not become a load. */
  async #wayOf(uri) {
    if (performance.now() - this.pathAt < PATH_EACH_MS) return;
    this.pathAt = performance.now();
    try {
      const hops = await this.ask("lookup", { uri, trace: true });
      this.#drawPath(uri, hops);
    } catch {
      // It is a picture; the next one may succeed.
    }
  }

  async #find() {
    const found = parse(this.to.value, this.model.domains[0] ?? "");
    this.to.setAttribute("aria-invalid", String(Boolean(found.why)));
    if (found.why) {
      this.way.replaceChildren(h("p", { class: "hint", "data-reach": "no", text: found.why }));
      this.to.focus();
      return;
    }
    try {
      const hops = await this.ask("lookup", { uri: found.uri, trace: true });
      this.#drawPath(found.uri, hops);
    } catch (error) {
      this.way.replaceChildren(h("p", { class: "hint", "data-reach": "no",
        text: `${error.message}. Try again.` }));
    }
  }

  #drawPath(uri, hops) {
    const lookup = this.model.addPath(uri, hops);
    if (!lookup) return;
    this.ring.path(lookup);
    const keeper = hops.at(-1);
    this.way.replaceChildren(
      h("ol", { class: "hops" }, hops.map(({ hop, peer, us }) => h("li", {},
        h("span", { class: "hop-n", text: hop === 0 ? "here" : `hop ${hop}` }),
        h("code", { text: peer.slice(0, 8) }),
        h("span", { class: "figure", text: hop === 0 ? "" : took(us) })))),
      h("p", { class: "hint", text: keeper.peer === this.model.self
        ? `This peer itself keeps ${short(uri)}.`
        : `Peer ${keeper.peer.slice(0, 8)} keeps ${short(uri)}.` }));
    this.redraw();
  }

  // ---- drawing ----

  show() {
    this.#drawAll();
  }

  #drawAll() {
    if (!this.visible) return;
    this.#drawTiles();
    this.#drawCharts();
    this.#drawTables();
    this.#drawLive();
  }

  #drawLive() {
    if (!this.visible) return;
    this.ring.draw();
    this.#drawLookups();
    this.#drawCalls();
  }

  #drawTiles() {
    const { model, tiles } = this;
    const { status } = model;
    const last = model.samples.at(-1);
    setText(tiles.State, String(status.state ?? "–"));
    setText(tiles["Peers known"], count(status["known-peers"]));
    setText(tiles["Records held"], count(status.records));
    setText(tiles["Phones here"], count(status.bindings));
    setText(tiles.Messages, last ? `${count(last.in + last.out)}/s` : "–");
    setText(tiles["Answers in"], took(model.medianLatencyUs));
    const known = status["known-peers"] ?? 0;
    setText(this.ringNote, known === 0 ? "This peer is alone. Others join it with --join."
      : `This peer keeps what falls on the marked arc, and copies for its neighbours.${
        model.peers.length < known ? ` ${model.peers.length} of ${known} peers are drawn.` : ""}`);
    setText(this.foot, [status.overlay && `Overlay ${status.overlay}`, status.version
      && `locserd ${status.version}`, model.address, model.lost
      && `${count(model.lost)} events were too many to show`].filter(Boolean).join(" · "));
  }

  #drawCharts() {
    const { samples, latencies } = this.model;
    const now = samples.at(-1)?.at ?? Date.now();
    const points = (name) => samples.map((sample) => [sample.at, sample[name]]);
    const last = samples.at(-1);
    this.charts.traffic.draw([points("in"), points("out")], now,
      last ? `${count(last.in)} in, ${count(last.out)} out` : "");
    this.charts.load.draw([points("bytesIn"), points("bytesOut")], now,
      last ? `${bytes(last.bytesIn)} in, ${bytes(last.bytesOut)} out` : "");
    this.charts.latency.draw([latencies.map(({ at, us }) => [at, us])], now,
      latencies.length ? `median ${took(this.model.medianLatencyUs)}` : "none yet");
    this.charts.records.draw([points("records")], now, last ? count(last.records) : "");
  }

  #what(lookup) {
    const text = lookup.text ?? this.model.names.get(lookup.key);
    return text ? short(text) : `key ${String(lookup.key).slice(0, 8)}`;
  }

  #drawLookups() {
    const shown = [...this.model.lookups.values()].slice(-LISTED_LOOKUPS).reverse();
    const now = shown.map(({ id, status, tries, key, method }) =>
      [id, status, tries, method, this.model.names.get(key)].join()).join("\n");
    if (now === this.shownLookups) return;
    this.shownLookups = now;
    this.noLookups.hidden = shown.length > 0;
    this.lookups.replaceChildren(...shown.map((lookup) => {
      const peer = this.model.peerAt(lookup.hop);
      const way = lookup.path ? lookup.path.map((hop) => hop.peer.slice(0, 4)).join(" → ")
        : peer ? `→ ${peer.slice(0, 4)}` : "";
      const state = lookup.status ? `${lookup.path ? "" : `${lookup.status} · `}${took(lookup.us)}`
        : lookup.mine ? "under way" : "passed on";
      return h("li", { class: "lookup", "data-kind": lookup.status >= 400 && lookup.status !== 404
        ? "bad" : lookup.method.startsWith("get") ? "get" : lookup.path ? "path" : "put" },
        h("time", { class: "figure", text: clockOf(lookup.at) }),
        h("span", { class: "lookup-what" }, h("b", { text: METHODS[lookup.method]
          ?? (lookup.method || "request") }), ` ${this.#what(lookup)}`),
        h("span", { class: "lookup-way figure", text: way }),
        h("span", { class: "lookup-state figure", text: state }));
    }));
  }

  #drawCalls() {
    const { model } = this;
    const calls = [...model.calls.values()].reverse();
    this.noCalls.hidden = calls.length > 0;
    this.ladder.hidden = calls.length === 0;
    const call = model.calls.get(this.chosenCall) ?? calls[0];
    const width = this.ladder.clientWidth;
    const labels = call?.parties.map((party) => model.label(party)) ?? [];
    const state = [calls.map((c) => c.id + c.state).join(), call?.id, call?.steps.length, width,
      ...labels].join("|");
    if (state === this.shownCall) return;
    this.shownCall = state;
    const focused = this.calls.contains(document.activeElement) && call?.id;
    this.calls.replaceChildren(...calls.map((c) => h("button", { class: "chip", type: "button",
      "aria-pressed": String(c === call), onclick: () => {
        this.chosenCall = c.id;
        this.#drawCalls();
      } }, h("span", { text: `${clockOf(c.at)} ${c.method === "MESSAGE" ? "message" : "call"}${
      c.located ? ` to ${short(c.located).replace(/@.*/, "")}` : ""}` }),
    h("span", { class: "chip-state", "data-state": c.state.split(":")[0],
      text: STATES[c.state] ?? c.state }))));
    if (focused) this.calls.querySelector("[aria-pressed=true]")?.focus();
    if (!call) return;
    this.ladder.replaceChildren(...drawLadder(call, labels, width - 2), ...(call.dropped
      ? [h("p", { class: "hint", text: `${call.dropped} more steps are not drawn.` })] : []));
  }

  #drawTables() {
    const { records, peers, ring, status } = this.model;
    const title = (table, n) => setText(table.summary, `${table.title} (${count(n)})`);
    title(this.recordsTable, (status.records ?? 0) + (status.tombstones ?? 0));
    title(this.peersTable, status["known-peers"]);
    const put = (table, rows, total) => {
      if (!table.root.open) return;
      table.body.replaceChildren(...rows.slice(0, ROWS_MAX).map((cells) => h("tr", {}, cells.map(
        (text, i) => (i === 0 ? h("td", {}, h("code", { text })) : h("td", { text }))))));
      if (total > Math.min(rows.length, ROWS_MAX)) {
        table.body.append(h("tr", {}, h("td", { colspan: 5, class: "muted",
          text: `and ${count(total - Math.min(rows.length, ROWS_MAX))} more` })));
      }
    };
    put(this.recordsTable, records.map((r) => [r.key.slice(0, 8), short(r.text), r.state,
      count(r.bytes), left(r.expires)]), (status.records ?? 0) + (status.tombstones ?? 0));
    const roles = new Map(ring.map(({ peer, role }) => [peer, role]).reverse());
    put(this.peersTable, peers.map((p) => [p.peer.slice(0, 8), p.role === "suspect" ? "silent"
      : roles.get(p.peer) ?? "known", p.address, p.rtt_us ? took(p.rtt_us) : "–"]),
    status["known-peers"]);
  }
}
