// SPDX-License-Identifier: BSD-2-Clause
// The telephone on the page: going online, the call, whom to call, and conversations.
import { initial, parse, short, tint } from "../address.js";
import { h, icon, setIcon, setText } from "../dom.js";
import { load, save } from "../store.js";
import { Agent } from "./agent.js";
import { clock, describe, History } from "./history.js";
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

const face = (uri) => h("span", { class: "face", "data-tint": tint(uri), "aria-hidden": "true",
  text: initial(uri) });
const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (at) => {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? time(at)
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
};

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
    this.reach = new Map(); // uri -> {text, good, at}
    this.open = null; // the conversation shown
    this.lastCall = "";
    this.#build();
    this.#listen();
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
    this.root.append(
      (parts.notice = h("p", { class: "notice", role: "alert", hidden: true })),
      this.#buildSignIn(parts), this.#buildMe(parts), this.#buildCall(parts),
      this.#buildDial(parts), this.#buildPeople(parts), this.#buildTalk(parts),
      (parts.said = h("p", { class: "unseen", "aria-live": "assertive" })),
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
          onclick: () => this.#toField((uri) => this.#show(uri)) }, icon("message"), "Write")),
      parts.known, parts.toHint);
    return parts.dial;
  }

  #buildPeople(parts) {
    parts.list = h("ul", { class: "list" });
    parts.people = h("section", { class: "people", "aria-labelledby": "people-title" },
      h("h2", { class: "section-title", id: "people-title", text: "Recent" }),
      (parts.nobody = h("p", { class: "empty", text: "Whom you call or write to is kept here, in "
        + "this browser only." })), parts.list);
    return parts.people;
  }

  #buildTalk(parts) {
    parts.log = h("ol", { class: "log", "aria-live": "polite", "aria-label": "Messages", tabindex: 0 });
    parts.text = h("textarea", { id: "text", rows: 1, maxlength: 2000, placeholder: "Message",
      "aria-label": "Message", onkeydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.#write();
      } });
    parts.talk = h("section", { class: "card talk", "aria-labelledby": "talk-name", hidden: true,
      onkeydown: (event) => {
        if (event.key === "Escape") this.#show(null);
      } },
      h("header", { class: "talk-head" },
        h("button", { class: "icon-button", type: "button", "aria-label": "Back to recent",
          onclick: () => this.#show(null) }, icon("back")),
        (parts.talkFace = h("span", { class: "face", "aria-hidden": "true" })),
        h("div", { class: "me-text" }, (parts.talkName = h("h2", { id: "talk-name" })),
          (parts.talkReach = h("span", { class: "reach" }))),
        h("button", { class: "icon-button", type: "button", "aria-label": "Forget this conversation",
          title: "Forget this conversation", onclick: () => this.#forget(this.open) }, icon("forget")),
        h("button", { class: "icon-button accent", type: "button", "aria-label": "Call",
          onclick: () => this.#call(this.open) }, icon("call"))),
      parts.log,
      h("form", { class: "compose", onsubmit: (event) => {
        event.preventDefault();
        this.#write();
      } }, parts.text, h("button", { class: "icon-button accent", type: "submit",
        "aria-label": "Send" }, icon("send"))));
    return parts.talk;
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
    this.#show(null);
    this.parts.to.focus();
  }

  #show(uri) {
    const before = this.open;
    this.open = uri;
    if (uri) {
      this.#read(uri);
      this.#look(uri);
    }
    this.draw();
    if (uri) this.parts.text.focus();
    else if (before) {
      [...this.parts.list.querySelectorAll("button")].find((b) => b.dataset.uri === before)?.focus();
    }
  }

  async #write() {
    const uri = this.open;
    const { text } = this.parts;
    const words = text.value.trim();
    if (!words || !uri) return;
    text.value = "";
    const entry = this.history.add(uri, { kind: "message", mine: true, text: words, state: "sending" });
    this.draw();
    entry.why = await this.agent.send(uri, words);
    entry.state = entry.why ? "failed" : "sent";
    this.#keep();
    this.draw();
  }

  // ---- what happens ----

  #listen() {
    const { agent } = this;
    agent.addEventListener("change", () => this.draw());
    agent.addEventListener("audio", ({ detail }) => {
      this.parts.audio.srcObject = detail;
      this.parts.audio.play?.().catch(() => {});
    });
    agent.addEventListener("message", ({ detail: { uri, text } }) => {
      this.history.add(uri, { kind: "message", mine: false, text });
      if (this.open === uri && !document.hidden) this.history.read(uri);
      else setText(this.parts.said, `Message from ${short(uri)}`);
      this.reach.set(uri, { good: true, text: "Reachable", at: Date.now() });
      this.#keep();
      this.draw();
    });
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
  }

  #read(uri) {
    if (this.history.read(uri)) this.#keep();
  }

  #keep() {
    save("people", this.history);
    this.onUnread(this.history.unread);
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
    for (const { uri } of this.history.recent().slice(0, LOOKED_AT_MAX)) {
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
    parts.people.hidden = asks || Boolean(this.open);
    parts.talk.hidden = asks || !this.open;
    if (line.state === "failed" && line.error !== this.saidError) this.#say(line.error);
    if (line.state === "on" && this.saidError) this.#say("");
    this.saidError = line.state === "failed" ? line.error : "";
    this.root.dataset.line = line.state;
    if (!asks) this.#drawMe(line);
    this.#drawCall(call);
    this.#drawPeople();
    this.#drawTalk();
    if (line.state === "on" && this.moveFocus) {
      this.moveFocus = false;
      parts.to.focus({ preventScroll: true });
    }
    if (line.state === "on" && this.wasOn !== true) this.#lookAtPeople();
    this.wasOn = line.state === "on";
  }

  #drawMe(line) {
    const { parts } = this;
    setText(parts.meFace, initial(line.uri));
    parts.meFace.dataset.tint = tint(line.uri);
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
    document.title = call ? `${CALL_STATES[state]}: ${short(call.uri)}` : "locser";
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

  #tick() {
    const { call } = this.agent;
    setText(this.parts.callClock, call?.since ? clock((Date.now() - call.since) / 1000) : "");
  }

  #drawPeople() {
    const people = this.history.recent();
    const { parts } = this;
    parts.nobody.hidden = people.length > 0;
    // Drawn anew only where something differs, so that focus stays where it is.
    const shown = people.map((person) => [person.uri, person.at, person.unread,
      person.entries.at(-1)?.state, this.reach.get(person.uri)?.text].join()).join("\n");
    if (shown === this.shownPeople) return;
    this.shownPeople = shown;
    const focused = document.activeElement?.dataset?.uri;
    parts.list.replaceChildren(...people.map((person) => this.#row(person)));
    parts.known.replaceChildren(...people.map(({ uri }) => h("option", { value: short(uri) })));
    if (focused) [...parts.list.querySelectorAll("button")].find((b) => b.dataset.uri === focused)?.focus();
  }

  #row(person) {
    const last = person.entries.at(-1);
    const reach = this.reach.get(person.uri);
    const missed = last?.state === "missed";
    return h("li", { class: "row" },
      h("button", { class: "row-main", type: "button", "data-uri": person.uri,
        onclick: () => this.#show(person.uri) },
        h("span", { class: "face-box" }, face(person.uri),
          reach?.good ? h("span", { class: "dot", "data-state": "good" }) : null),
        h("span", { class: "row-text" }, h("strong", { text: short(person.uri) }),
          h("span", { class: missed ? "snippet missed" : "snippet", text: last ? describe(last) : "" }),
          reach?.good ? h("span", { class: "unseen", text: "Reachable" }) : null),
        h("span", { class: "row-end" }, h("time", { text: day(person.at) }),
          person.unread ? h("span", { class: "badge", text: String(person.unread) },
            h("span", { class: "unseen", text: " new" })) : null)),
      h("button", { class: "icon-button accent", type: "button", "aria-label":
        `Call ${short(person.uri)}`, onclick: () => this.#call(person.uri) }, icon("call")));
  }

  #drawTalk() {
    const { parts, open } = this;
    if (!open) return;
    const reach = this.reach.get(open);
    setText(parts.talkFace, initial(open));
    parts.talkFace.dataset.tint = tint(open);
    setText(parts.talkName, short(open));
    setText(parts.talkReach, reach?.text ?? "");
    parts.talkReach.dataset.reach = reach?.good ? "yes" : "no";
    const entries = this.history.person(open)?.entries ?? [];
    const shown = [open, ...entries.map(({ id, state }) => id + (state ?? ""))].join();
    if (shown === this.shownTalk) return;
    this.shownTalk = shown;
    parts.log.replaceChildren(...(entries.length ? entries.map((entry) => this.#entry(entry))
      : [h("li", { class: "empty", text: "No messages yet." })]));
    parts.log.scrollTop = parts.log.scrollHeight;
  }

  #entry(entry) {
    if (entry.kind === "call") {
      return h("li", { class: "entry event" }, `${describe(entry)} · ${day(entry.at)}`);
    }
    const state = { sending: "sending", sent: "delivered", failed: "not delivered",
      unknown: "not known whether delivered" }[entry.state];
    return h("li", { class: `entry ${entry.mine ? "mine" : "theirs"}`, "data-state": entry.state },
      h("p", { class: "bubble" }, h("span", { class: "unseen", text: entry.mine ? "You: " : "" }),
        entry.text),
      h("p", { class: "entry-foot" }, [day(entry.at), state].filter(Boolean).join(" · "),
        entry.why ? h("span", { class: "entry-why", text: ` ${entry.why}` }) : null));
  }
}
