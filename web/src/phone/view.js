// SPDX-License-Identifier: BSD-2-Clause
// The telephone on the page: going online, the call, whom to call; who is there; conversations.
import { parse, short } from "../address.js";
import { h, icon, setIcon, setText } from "../dom.js";
import { load, save } from "../store.js";
import { Agent } from "./agent.js";
import { Buddies } from "./buddies.js";
import { face, setFace } from "./face.js";
import { clock, History } from "./history.js";
import { PeopleView, presenceText } from "./people.js";
import { readPresence, readWatchers, Watches } from "./presence.js";
import { TalkView } from "./talk.js";
import { ring } from "./tone.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const LOOK_AFTER_MS = 450;
const LOOK_AGAIN_MS = 20000;
const LOOKED_AT_MAX = 10; // of the people listed
const LINE_STATES = {
  off: "Offline", connecting: "Connecting", registering: "Registering", on: "Online",
  failed: "Not registered",
};
const CALL_STATES = {
  calling: "Calling", ringing: "Ringing", incoming: "Incoming call", answering: "Answering",
  talking: "In a call",
};

const WINFO = "presence.winfo";
const TYPING_MS = 60000; // RFC 3994 section 3.2: who writes says so again
const RANKS = ["pending", "active", "terminated"];

export class PhoneView {
  /** ask(method, params): questions to the peer. onUnread(count). onCall(): it should be seen. */
  constructor(root, { sipUrl, ask, onUnread, onCall }) {
    this.root = root;
    this.ask = ask;
    this.onUnread = onUnread;
    this.onCall = onCall;
    this.domains = [];
    this.agent = new Agent(sipUrl);
    this.history = new History(load("people", []));
    this.buddies = new Buddies();
    this.watches = new Watches((...given) => this.agent.subscribe(...given), (uri, event) =>
      (event === WINFO ? this.#watchersChanged() : this.draw()));
    this.reach = new Map(); // uri -> {text, good, at}
    this.typing = new Map(); // uri -> timer
    this.drafts = new Map(); // uri -> text that was not sent
    this.open = null; // the conversation shown
    this.watched = ""; // whose watchers are known: one's own address
    this.watchers = []; // [address, status]
    this.begun = Date.now();
    this.lastCall = "";
    this.#build();
    this.#listen();
    for (const uri of this.buddies.uris) this.#watch(uri);
    this.draw();
    const account = load("account", null);
    if (account?.online && account.uri && (account.password || !account.guarded)) {
      this.agent.goOnline(account.uri, account.password);
    }
    setInterval(() => this.#tick(), 1000);
    setInterval(() => this.#lookAtPeople(), LOOK_AGAIN_MS);
  }

  get myDomain() {
    return parse(this.agent.line.uri || load("account", {})?.uri || "").host
      || this.domains[0] || "";
  }

  hello({ domains }) {
    this.domains = Array.isArray(domains) ? domains : [];
    const field = this.parts.address;
    field.placeholder = `alice@${this.domains[0] ?? "example.net"}`;
    this.#lookAtPeople();
  }

  // ---- building ----

  #build() {
    const parts = (this.parts = {});
    this.people = new PeopleView({ show: (uri) => this.#show(uri), call: (uri) => this.#call(uri),
      decide: (uri, what) => this.#decide(uri, what) });
    this.talk = new TalkView({ back: () => this.#show(null), call: () => this.#call(this.open),
      forget: () => this.#forget(this.open), buddy: () => this.#toggleBuddy(this.open),
      write: (words) => this.#write(this.open, words), again: (entry) => this.#again(this.open, entry) });
    this.root.append(
      (parts.notice = h("p", { class: "notice", role: "alert", hidden: true })),
      this.#buildSignIn(parts), this.#buildMe(parts), this.#buildCall(parts),
      this.#buildDial(parts), this.people.root, this.talk.root,
      (parts.said = h("p", { class: "unseen", "aria-live": "assertive" })),
      (parts.news = h("p", { class: "unseen", role: "status" })),
      (parts.audio = h("audio", { autoplay: true })),
    );
  }

  #buildSignIn(parts) {
    const account = load("account", {}) ?? {};
    parts.address = h("input", {
      id: "address", name: "address", type: "text", inputmode: "email", autocomplete: "username",
      autocapitalize: "none", spellcheck: "false", required: true, "aria-describedby": "address-hint",
      placeholder: "alice@example.net",
    });
    parts.address.value = account.uri ? short(account.uri) : "";
    parts.password = h("input", { id: "password", name: "password", type: "password",
      autocomplete: "current-password" });
    parts.keep = h("input", { id: "keep", type: "checkbox" });
    parts.keep.checked = Boolean(account.password);
    parts.password.value = account.password ?? "";
    parts.goOnline = h("button", { class: "button primary wide", type: "submit", text: "Go online" });
    parts.signIn = h("form", { class: "card sign-in", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.#goOnline();
    } },
      h("h2", { text: "Your address" }),
      h("p", { class: "muted", text: "Calls and messages to this address will arrive here, through "
        + "this peer and the ring it belongs to." }),
      h("div", { class: "field" }, h("label", { for: "address", text: "Address" }), parts.address,
        h("p", { class: "hint", id: "address-hint", text: "A name and a domain. In an open overlay "
          + "an unused one becomes yours with the first use." })),
      (parts.guarded = h("details", { open: Boolean(account.guarded) },
        h("summary", { text: "It has a password" }),
        h("div", { class: "field" }, h("label", { for: "password", text: "Password" }), parts.password),
        h("label", { class: "check" }, parts.keep, "Keep the password in this browser"))),
      parts.goOnline);
    return parts.signIn;
  }

  #buildMe(parts) {
    parts.me = h("section", { class: "me", "aria-label": "Your line" },
      (parts.meFace = h("span", { class: "face", "aria-hidden": "true" })),
      h("div", { class: "me-text" }, (parts.meAddress = h("strong")),
        h("span", { class: "me-state" }, (parts.meDot = h("span", { class: "dot" })),
          (parts.meState = h("span", { role: "status" })))),
      (parts.goOffline = h("button", { class: "button quiet", type: "button", text: "Go offline",
        onclick: () => this.#goOffline() })));
    return parts.me;
  }

  #buildCall(parts) {
    const round = (name, label, style, act) => h("button", { class: `round ${style}`, type: "button",
      onclick: act }, icon(name), h("span", { text: label }));
    parts.answer = round("call", "Answer", "good", () => this.#say(this.agent.answer()));
    parts.mute = round("mic", "Mute", "plain", () => this.agent.mute(!this.agent.call?.muted));
    parts.keys = round("keypad", "Keypad", "plain", () => {
      parts.keypad.hidden = !parts.keypad.hidden;
      parts.keys.setAttribute("aria-expanded", String(!parts.keypad.hidden));
    });
    parts.keys.setAttribute("aria-expanded", "false");
    parts.hangUp = round("hangup", "Hang up", "bad", () => this.agent.hangUp());
    parts.keypad = h("div", { class: "keypad", role: "group", "aria-label": "Keypad", hidden: true },
      KEYS.map((key) => h("button", { type: "button", text: key,
        "aria-label": { "*": "star", "#": "hash" }[key] ?? key,
        onclick: () => this.agent.digit(key) })));
    parts.call = h("section", { class: "card call", "aria-label": "Call", hidden: true },
      (parts.callFace = h("div", { class: "call-face" })),
      (parts.callName = h("h2")),
      h("p", { class: "call-state" }, (parts.callState = h("span")),
        (parts.callClock = h("time", { class: "figure" }))),
      (parts.quality = h("p", { class: "hint figure" })),
      h("div", { class: "rounds" }, parts.answer, parts.mute, parts.keys, parts.hangUp),
      parts.keypad);
    return parts.call;
  }

  #buildDial(parts) {
    parts.to = h("input", { id: "to", type: "text", inputmode: "email", autocomplete: "off",
      autocapitalize: "none", spellcheck: "false", placeholder: "bob@example.net",
      "aria-describedby": "to-hint", list: "known", oninput: () => this.#typed() });
    parts.toHint = h("p", { class: "hint", id: "to-hint", "aria-live": "polite" });
    parts.known = h("datalist", { id: "known" });
    parts.dial = h("form", { class: "card dial", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.#toField((uri) => this.#call(uri));
    } },
      h("label", { class: "card-title", for: "to", text: "Call or write to" }),
      h("div", { class: "dial-row" }, parts.to,
        h("button", { class: "button primary", type: "submit" }, icon("call"), "Call"),
        h("button", { class: "button", type: "button",
          onclick: () => this.#toField((uri) => this.#show(uri)) }, icon("message"), "Write"),
        h("button", { class: "button", type: "button", "aria-label": "Add to buddies",
          onclick: () => this.#toField((uri) => this.#addBuddy(uri)) }, icon("star"), "Add")),
      parts.known, parts.toHint);
    return parts.dial;
  }

  // ---- what the person does ----

  #say(why) {
    const { notice } = this.parts;
    notice.hidden = !why;
    setText(notice, why);
  }

  #goOnline() {
    const { address, password, keep, guarded } = this.parts;
    const found = parse(address.value, this.domains[0] ?? "");
    address.setAttribute("aria-invalid", String(Boolean(found.why)));
    this.#say(found.why ?? "");
    if (found.why) {
      address.focus();
      return;
    }
    const secret = guarded.open ? password.value : "";
    save("account", { uri: found.uri, online: true, guarded: Boolean(secret),
      password: secret && keep.checked ? secret : undefined });
    this.agent.goOnline(found.uri, secret);
    this.moveFocus = true;
  }

  #goOffline() {
    save("account", { ...load("account", {}), online: false });
    this.agent.goOffline();
    this.parts.address.focus();
  }

  #toField(act) {
    const { to, toHint } = this.parts;
    const found = parse(to.value, this.myDomain);
    to.setAttribute("aria-invalid", String(Boolean(found.why)));
    if (found.why) {
      setText(toHint, found.why);
      toHint.dataset.reach = "no";
      to.focus();
      return;
    }
    act(found.uri);
  }

  #call(uri) {
    this.#say(uri === this.agent.line.uri ? "That is your own address." : this.agent.dial(uri));
  }

  #forget(uri) {
    if (!confirm(`Forget everything with ${short(uri)} in this browser?`)) return;
    this.history.forget(uri);
    this.#keep();
    save("forgot", { uri, at: Date.now() }); // other pages of this browser do, too
    this.#show(null);
    this.parts.to.focus();
  }

  #show(uri) {
    const before = this.open;
    if (before) {
      const draft = this.talk.text.value;
      if (draft.trim()) this.drafts.set(before, draft);
      else this.drafts.delete(before);
    }
    this.open = uri;
    if (uri) {
      this.talk.open(uri, this.history.person(uri), this.drafts.get(uri) ?? "");
      this.#read(uri);
      this.#look(uri);
    }
    this.draw();
    if (uri) this.talk.text.focus();
    else if (before) this.#focusRow(before);
  }

  #focusRow(uri) {
    const row = [...this.people.root.querySelectorAll("[data-key]")].find((at) => at.dataset.key === uri);
    (row?.querySelector("button") ?? this.parts.to).focus();
  }

  #addBuddy(uri) {
    this.#say(uri === this.agent.line.uri ? "That is your own address." : this.buddies.add(uri));
    if (!this.buddies.has(uri)) return;
    this.#watch(uri);
    this.parts.to.value = "";
    this.#typed();
    setText(this.parts.news, `${short(uri)} is a buddy now`);
    this.draw();
  }

  #toggleBuddy(uri) {
    if (this.buddies.has(uri)) {
      this.buddies.remove(uri);
      this.watches.remove(uri, "presence");
      this.#look(uri);
    } else {
      this.#say(this.buddies.add(uri));
      if (this.buddies.has(uri)) this.#watch(uri);
    }
    this.draw();
  }

  async #decide(uri, what) {
    const mine = this.agent.line.uri;
    try {
      await this.ask(what, { uri: mine, contact: uri, proof: this.watches.proof(mine, WINFO) });
    } catch (error) {
      this.#say(`That could not be decided: ${error.message}.`);
      return;
    }
    this.#say("");
    this.buddies.setBlocked(mine, uri, what === "block");
    setText(this.parts.news, `${short(uri)} is ${what === "block" ? "blocked" : "allowed"}`);
    this.draw();
  }

  async #write(uri, words) {
    const entry = this.history.add(uri, { kind: "message", mine: true, text: words, state: "sending" });
    await this.#send(uri, entry);
  }

  async #again(uri, entry) {
    this.history.settle(uri, entry, "sending");
    this.talk.text.focus();
    await this.#send(uri, entry);
  }

  async #send(uri, entry) {
    this.draw();
    const { state, why } = await this.agent.send(uri, entry.text);
    this.history.settle(uri, entry, state, why);
    this.#keep();
    this.draw();
  }

  // ---- what happens ----

  #listen() {
    const { agent } = this;
    agent.addEventListener("change", () => {
      this.#lineChanged();
      this.draw();
    });
    agent.addEventListener("audio", ({ detail }) => {
      this.parts.audio.srcObject = detail;
      this.parts.audio.play?.().catch(() => {});
    });
    agent.addEventListener("message", ({ detail }) => this.#received(detail));
    agent.addEventListener("typing", ({ detail: { uri, active } }) => this.#setTyping(uri, active));
    agent.addEventListener("ended", ({ detail: { uri, mine, state, seconds, why } }) => {
      this.history.add(uri, { kind: "call", mine, state, seconds });
      if (this.open === uri) this.history.read(uri);
      this.#say(why && state !== "missed" ? `${short(uri)}: ${why}` : "");
      setText(this.parts.said, state === "missed" ? `Missed call from ${short(uri)}` : "Call ended");
      this.#keep();
      this.parts.keypad.hidden = true;
    });
    addEventListener("pagehide", () => agent.hangUp());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.open) this.#read(this.open);
    });
    // Another page of this browser: each message came to one of them.
    addEventListener("storage", () => this.#others());
  }

  #others() {
    const forgot = load("forgot", null);
    if (forgot?.at > (this.forgotAt ?? this.begun)) {
      this.forgotAt = forgot.at;
      this.history.forget(forgot.uri);
    }
    this.history.merge(load("people", []));
    this.onUnread(this.history.unread);
    this.#drawTitle();
    this.draw();
  }

  #received({ uri, text, key, sent }) {
    this.#setTyping(uri, false);
    if (!this.history.add(uri, { kind: "message", mine: false, text, key, sent })) return;
    const seen = this.open === uri && !document.hidden && this.root.offsetParent !== null;
    if (seen) this.history.read(uri); // its log says it
    else setText(this.parts.news, `${this.history.unread} new, last from ${short(uri)}`);
    if (sent === undefined) this.reach.set(uri, { good: true, text: "Reachable", at: Date.now() });
    this.#keep(); // before its 200 leaves
    this.draw();
  }

  #setTyping(uri, active) {
    clearTimeout(this.typing.get(uri));
    this.typing.delete(uri);
    if (active && this.typing.size < LOOKED_AT_MAX) {
      this.typing.set(uri, setTimeout(() => this.#setTyping(uri, false), TYPING_MS));
    }
    if (this.open === uri) this.draw();
  }

  // ---- who is there ----

  #watch(uri) {
    this.watches.add(uri, "presence", "application/pidf+xml", readPresence);
  }

  #lineChanged() {
    const { state, uri } = this.agent.line;
    if (uri !== this.watched) {
      if (this.watched) this.watches.remove(this.watched, WINFO);
      this.watched = uri;
      this.watchers = [];
    }
    if (uri) this.watches.add(uri, WINFO, "application/watcherinfo+xml", readWatchers);
    this.watches.turn(state === "on");
  }

  #watchersChanged() {
    const found = this.watches.get(this.watched, WINFO);
    const rows = found instanceof Map ? [...found].filter(([uri]) => uri !== this.watched) : [];
    const asked = new Set(this.watchers.filter(([, status]) => status === "pending").map(([uri]) => uri));
    const fresh = rows.find(([uri, status]) => status === "pending" && !asked.has(uri));
    if (fresh) setText(this.parts.news, `${short(fresh[0])} wants to see when you are there`);
    this.watchers = rows;
    this.draw();
  }

  /** Those who ask first; whom this page blocked, last. */
  #watcherRows() {
    const rows = new Map(this.watchers);
    for (const uri of this.buddies.blockedBy(this.watched)) rows.set(uri, "terminated");
    return [...rows].sort(([a, one], [b, other]) =>
      RANKS.indexOf(one) - RANKS.indexOf(other) || (a < b ? -1 : 1));
  }

  /** {text, good}: what the head of a conversation says. */
  #reachOf(uri) {
    if (this.typing.has(uri)) return { text: "is writing", good: true };
    const seen = this.buddies.has(uri) ? this.watches.get(uri, "presence") : null;
    if (seen) return { text: presenceText(seen), good: seen.state === "open" };
    return this.reach.get(uri);
  }

  #read(uri) {
    if (this.history.read(uri)) this.#keep();
  }

  #keep() {
    const kept = save("people", this.history);
    if (!kept && !this.saidFull) this.#say("This browser keeps nothing: what is said here is gone with the page.");
    this.saidFull = !kept;
    this.onUnread(this.history.unread);
    this.#drawTitle();
  }

  // ---- who is reachable ----

  #typed() {
    const { to, toHint } = this.parts;
    to.removeAttribute("aria-invalid");
    clearTimeout(this.lookTimer);
    const found = parse(to.value, this.myDomain);
    toHint.dataset.reach = "";
    if (!found.uri) {
      setText(toHint, "");
      return;
    }
    this.lookTimer = setTimeout(async () => {
      const reach = await this.#look(found.uri);
      if (parse(to.value, this.myDomain).uri !== found.uri) return;
      setText(toHint, `${short(found.uri)}: ${reach.text}`);
      toHint.dataset.reach = reach.good ? "yes" : "no";
    }, LOOK_AFTER_MS);
  }

  /** Asks the ring whether anybody is registered under an address. */
  async #look(uri) {
    let reach;
    try {
      const contacts = await this.ask("get", { uri });
      const n = contacts.length;
      reach = n ? { good: true, text: n === 1 ? "Reachable" : `Reachable on ${n} devices` }
        : { good: false, text: "Nobody is registered now" };
    } catch (error) {
      reach = error.code === 404 ? { good: false, text: "Nobody is registered now" }
        : { good: null, text: "The ring could not be asked" };
    }
    this.reach.set(uri, { ...reach, at: Date.now() });
    while (this.reach.size > 200) this.reach.delete(this.reach.keys().next().value);
    this.draw();
    return reach;
  }

  async #lookAtPeople() {
    if (document.hidden || this.looking || this.agent.line.state !== "on") return;
    this.looking = true;
    for (const { uri } of this.history.recent().filter((at) => !this.buddies.has(at.uri))
      .slice(0, LOOKED_AT_MAX)) {
      const known = this.reach.get(uri);
      if (!known || Date.now() - known.at > LOOK_AGAIN_MS / 2) await this.#look(uri);
    }
    this.looking = false;
  }

  // ---- drawing ----

  draw() {
    const { line, call } = this.agent;
    const { parts } = this;
    const off = line.state === "off";
    // A refusal leaves the form, with what was wrong in it.
    const asks = off || (line.state === "failed");
    parts.signIn.hidden = !asks;
    parts.me.hidden = asks;
    parts.dial.hidden = asks || Boolean(this.open) || Boolean(call);
    this.people.root.hidden = asks || Boolean(this.open);
    this.talk.root.hidden = asks || !this.open;
    if (line.state === "failed" && line.error !== this.saidError) this.#say(line.error);
    if (line.state === "on" && this.saidError) this.#say("");
    this.saidError = line.state === "failed" ? line.error : "";
    this.root.dataset.line = line.state;
    if (!asks) this.#drawMe(line);
    this.#drawCall(call);
    if (!asks) this.#drawPeople();
    if (!asks && this.open) {
      this.talk.draw(this.history.person(this.open), this.#reachOf(this.open), this.buddies.has(this.open));
    }
    if (line.state === "on" && this.moveFocus) {
      this.moveFocus = false;
      parts.to.focus({ preventScroll: true });
    }
    if (line.state === "on" && this.wasOn !== true) this.#lookAtPeople();
    this.wasOn = line.state === "on";
  }

  #drawMe(line) {
    const { parts } = this;
    setFace(parts.meFace, line.uri);
    setText(parts.meAddress, short(line.uri));
    setText(parts.meState, line.error || LINE_STATES[line.state]);
    parts.meDot.dataset.state = line.state === "on" ? "good" : "wait";
  }

  #drawCall(call) {
    const { parts } = this;
    const state = call?.state ?? "";
    if (state !== this.lastCall) this.#callChanged(call, state);
    parts.call.hidden = !call;
    if (!call) return;
    setText(parts.callName, short(call.uri));
    setText(parts.callState, CALL_STATES[state]);
    parts.answer.hidden = state !== "incoming";
    parts.mute.hidden = parts.keys.hidden = !call.since;
    parts.mute.setAttribute("aria-pressed", String(call.muted));
    setText(parts.mute.lastChild, call.muted ? "Unmute" : "Mute");
    setIcon(parts.mute, call.muted ? "mic-off" : "mic");
    setText(parts.hangUp.lastChild, state === "incoming" ? "Decline" : state === "talking" ? "Hang up"
      : "Cancel");
    const { quality } = call;
    setText(parts.quality, quality
      ? `${quality.packets} packets, ${quality.lost} lost, jitter ${quality.jitterMs.toFixed(0)} ms`
      : "");
    this.#tick();
  }

  /** Once for each state: sound, speech, title, focus. */
  #callChanged(call, state) {
    const { parts } = this;
    const began = !this.lastCall;
    this.lastCall = state;
    ring(state === "incoming" ? "incoming" : state === "ringing" ? "ringing" : null);
    this.#drawTitle();
    if (!call) {
      parts.audio.srcObject = null;
      return;
    }
    setText(parts.said, `${CALL_STATES[state]}: ${short(call.uri)}`);
    parts.callFace.replaceChildren(face(call.uri));
    parts.call.dataset.state = state;
    parts.call.hidden = false;
    if (began) {
      this.#say("");
      this.onCall();
      parts.call.scrollIntoView({ block: "nearest" });
    }
    this.#focusCall(state, began);
  }

  /** Where the keyboard goes: not away from a field that somebody writes in. */
  #focusCall(state, began) {
    const { parts } = this;
    const now = document.activeElement;
    const writes = now?.matches?.("input, textarea") && now.offsetParent !== null && now.value !== ""
      && now !== parts.to;
    if (writes || (!began && now !== document.body && now !== parts.answer)) return;
    parts.answer.hidden = state !== "incoming";
    parts.mute.hidden = state !== "talking";
    ({ incoming: parts.answer, talking: parts.mute })[state]?.focus();
    if (state === "calling") parts.hangUp.focus();
  }

  #drawTitle() {
    const { call } = this.agent;
    const { unread } = this.history;
    const title = call ? `${CALL_STATES[call.state]}: ${short(call.uri)}` : "locser";
    document.title = unread && !call ? `(${unread > 99 ? "99+" : unread}) ${title}` : title;
  }

  #tick() {
    const { call } = this.agent;
    setText(this.parts.callClock, call?.since ? clock((Date.now() - call.since) / 1000) : "");
  }

  #drawPeople() {
    this.people.draw({ history: this.history, buddies: this.buddies,
      presence: (uri) => this.watches.get(uri, "presence"), reach: (uri) => this.reach.get(uri),
      watchers: this.#watcherRows() });
    const known = [...new Set([...this.buddies.uris, ...this.history.people.keys()])].map(short);
    if (known.join() === this.shownKnown) return;
    this.shownKnown = known.join();
    this.parts.known.replaceChildren(...known.map((value) => h("option", { value })));
  }
}
