// SPDX-License-Identifier: BSD-2-Clause
// The telephone itself: JsSIP, told what to do and asked what happened. It knows no element of the
// page. One call at a time; a second one that comes in hears busy.
import { bare } from "../address.js";
import { readTyping } from "./presence.js";
import { unwrap } from "./cpim.js";
import { whyNoAudio, whyNoCall, whyNotRegistered, whyNotSent } from "./reasons.js";

const EXPIRES_S = 300;
const AGAIN_S = 5;
const MEDIA = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };
const QUALITY_EACH_MS = 2000;
const WATCH_S = 900;
const KEPT = "@offline.invalid"; // Call-IDs of messages that waited
const FOREVER = new Set([400, 401, 403, 404, 407, 423, 439]); // asking again changes nothing

/** JsSIP is three quarters of the page: it comes after the first paint. */
let library = null;
export function loadLibrary() {
  library ??= import("jssip").then(({ default: JsSIP }) => JsSIP, (error) => {
    library = null;
    throw error;
  });
  return library;
}

/** The URI of a call's or message's other side. */
const other = (identity) => bare(identity.uri.toString()) ?? identity.uri.toString();

/** Lives as long as the tab and survives its reloads, so that a reload takes the place of the
 * contact it had (RFC 5626) and leaves no second one behind. */
function instance(storage = globalThis.sessionStorage) {
  try {
    const kept = storage.getItem("locser.instance");
    if (kept) return kept;
  } catch {
    // Not kept then.
  }
  const fresh = crypto.randomUUID?.() ?? uuid();
  try {
    storage.setItem("locser.instance", fresh);
  } catch {
    // See above.
  }
  return fresh;
}

/** crypto.randomUUID is for secure contexts only. */
function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64;
  b[8] = (b[8] & 63) | 128;
  const hex = [...b].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Says `change` whenever line or call differ, `message` and `ended` with what came in. */
export class Agent extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.line = { state: "off", uri: "", error: "" };
    this.attempt = 0;
    this.call = null; // {uri, mine, state, since, muted, quality}
  }

  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #setLine(state, error = "") {
    this.line = { ...this.line, state, error };
    this.#say("change");
  }

  // ---- registration ----

  async goOnline(uri, password) {
    this.goOffline();
    this.line = { state: "connecting", uri, error: "" };
    this.#say("change");
    const attempt = this.attempt;
    let JsSIP;
    try {
      JsSIP = await loadLibrary();
    } catch {
      if (attempt === this.attempt) {
        this.#setLine("failed", "The peer did not send all of this page. Reload it.");
      }
      return;
    }
    if (attempt === this.attempt) this.#start(JsSIP, uri, password);
  }

  #start(JsSIP, uri, password) {
    const id = instance();
    const token = id.replace(/-/g, "").slice(0, 12);
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(this.url)],
      uri,
      password: password || undefined,
      contact_uri: `sip:${token}@${token}.invalid;transport=ws`,
      instance_id: id,
      register_expires: EXPIRES_S,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 10,
      user_agent: "locser page",
    });
    this.#listen(this.ua);
    this.ua.start();
  }

  goOffline() {
    this.attempt++; // what is still loading comes too late
    clearTimeout(this.again);
    const ua = this.ua;
    this.#setLine("off"); // who watches ends that first
    this.ua = null;
    ua?.stop(); // hangs up and removes the registration first
  }

  #listen(ua) {
    const on = (name, act) => ua.on(name, (event) => {
      if (ua === this.ua) act(event);
    });
    on("connected", () => this.#setLine("registering"));
    on("disconnected", () => {
      if (this.line.state !== "failed") {
        this.#setLine("connecting", "No connection to the peer. Is locserd running? Trying again.");
      }
    });
    on("registered", () => {
      clearTimeout(this.again);
      this.#setLine("on");
    });
    on("unregistered", () => {
      if (this.line.state === "on") this.#setLine("registering");
    });
    on("registrationFailed", ({ response, cause }) => this.#notRegistered(response, cause));
    on("newRTCSession", ({ originator, session }) => {
      if (originator === "remote") this.#ring(session);
    });
    on("newMessage", ({ originator, request }) => {
      if (originator === "remote") this.#received(request);
    });
  }

  #notRegistered(response, cause) {
    if (cause === "Connection Error") return; // `disconnected` says it, and JsSIP tries again
    const status = response?.status_code ?? 0;
    const why = whyNotRegistered(status, response?.reason_phrase, cause);
    clearTimeout(this.again);
    this.#setLine(FOREVER.has(status) ? "failed" : "registering", why);
    if (FOREVER.has(status)) return;
    const pause = Math.min(60, Number(response?.getHeader?.("Retry-After")) || AGAIN_S);
    this.again = setTimeout(() => this.ua?.isConnected() && this.ua.register(), pause * 1000);
  }

  // ---- messages ----

  /** Resolves to {state: "sent", "kept" or "failed", why, key}. */
  send(uri, text) {
    const failed = (why) => ({ state: "failed", why });
    if (!this.ua) return Promise.resolve(failed("You are offline. Go online first."));
    return new Promise((resolve) => {
      try {
        this.ua.sendMessage(uri, text, {
          contentType: "text/plain;charset=utf-8",
          eventHandlers: {
            succeeded: ({ response }) =>
              resolve({ state: response.status_code === 202 ? "kept" : "sent", why: "" }),
            failed: ({ response, cause }) =>
              resolve(failed(whyNotSent(response?.status_code, response?.reason_phrase, cause))),
          },
        });
      } catch (error) {
        resolve(failed(whyNotSent(0, "", error.message)));
      }
    });
  }

  /** Answered with 200 when this returns: by then it is kept. */
  #received(request) {
    const uri = other(request.from);
    let type = (request.getHeader("Content-Type") ?? "text/plain").split(";")[0].trim().toLowerCase();
    let body = request.body ?? "";
    if (type === "message/cpim") ({ type, body } = unwrap(body) ?? { type, body });
    if (type === "application/im-iscomposing+xml") {
      this.#say("typing", { uri, active: readTyping(body) });
      return;
    }
    if (type === "message/imdn+xml") return; // of what another phone of this address wrote
    const id = String(request.call_id);
    const date = Date.parse(request.getHeader("Date") ?? "");
    this.#say("message", {
      uri, key: `${id} ${request.cseq}`,
      sent: id.endsWith(KEPT) ? (Number.isFinite(date) ? date : Date.now()) : undefined,
      text: type.startsWith("text/") ? body
        : `(a message of the kind ${type.slice(0, 60)}, which this page cannot show)`,
    });
  }

  // ---- who is there ----

  /** A subscription (RFC 6665), which end() ends; null: the line is off, or JsSIP
   * takes no such address. on: pending(), body(text),
   * ended(reason, seconds until it may be tried again). */
  subscribe(uri, event, accept, on) {
    if (this.line.state !== "on" || !this.ua.normalizeTarget(uri)) return null;
    const subscriber = this.ua.subscribe(uri, event, accept, { expires: WATCH_S });
    // JsSIP 3.13 writes a package with a template as "presence.,winfo".
    subscriber._headers = subscriber._headers.map((line) =>
      (line.startsWith("Event:") ? `Event: ${event}` : line));
    subscriber.on("pending", on.pending);
    subscriber.on("notify", (final, request, body) => final || on.body(String(body)));
    subscriber.on("terminated", (code, reason, after) => on.ended(reason ?? "", after ?? 0));
    subscriber.subscribe();
    return {
      end() {
        try {
          subscriber.terminate();
        } catch {
          // It has not begun.
        }
      },
      /** What its notifier gave to this side alone; "": nothing yet. */
      get tag() {
        return String(subscriber.id?.remote_tag ?? "");
      },
    };
  }

  // ---- calls ----

  /** "": it begins; else why not. */
  dial(uri) {
    if (this.call) return "There is a call already. Hang up first.";
    if (this.line.state !== "on") return "You are offline. Go online first.";
    const why = whyNoAudio();
    if (why) return why;
    try {
      this.#follow(this.ua.call(uri, MEDIA), {
        uri, mine: true, state: "calling", since: 0, muted: false, quality: null,
      });
    } catch (error) {
      return whyNoCall(0, "", error.message);
    }
    return "";
  }

  #ring(session) {
    if (this.call) {
      this.#say("ended", { uri: other(session.remote_identity), mine: false, state: "missed" });
      session.terminate({ status_code: 486 });
      return;
    }
    this.#follow(session, {
      uri: other(session.remote_identity), mine: false, state: "incoming", since: 0, muted: false,
      quality: null,
    });
  }

  #follow(session, call) {
    this.session = session;
    this.call = call;
    const set = (changes) => {
      if (this.call !== call) return;
      Object.assign(call, changes);
      this.#say("change");
    };
    const talk = () => {
      if (call.since) return;
      set({ state: "talking", since: Date.now() });
      this.poll = setInterval(() => this.#measure(session, set), QUALITY_EACH_MS);
    };
    const end = (why) => {
      clearInterval(this.poll);
      if (this.call !== call) return;
      this.call = null;
      this.session = null;
      this.#say("ended", {
        ...call, why, seconds: call.since ? (Date.now() - call.since) / 1000 : 0,
        state: call.since ? "done" : call.mine ? "failed" : "missed",
      });
      this.#say("change");
    };
    session.on("progress", ({ originator }) => {
      if (originator === "remote" && call.state === "calling") set({ state: "ringing" });
    });
    session.on("accepted", () => call.mine && talk());
    session.on("confirmed", talk);
    session.on("ended", ({ cause }) => end(/Terminated/.test(cause) ? "" : whyNoCall(0, "", cause)));
    session.on("failed", ({ originator, message, cause }) => {
      const status = message?.status_code ?? 0;
      const quiet = (originator === "local" && cause === "Canceled") || cause === "Rejected"
        && originator === "local";
      end(quiet ? "" : whyNoCall(status, message?.reason_phrase, cause));
    });
    const listen = (connection) => connection.addEventListener("track", (event) => {
      this.#say("audio", event.streams[0] ?? new MediaStream([event.track]));
    });
    if (session.connection) listen(session.connection);
    else session.on("peerconnection", ({ peerconnection }) => listen(peerconnection));
    this.#say("change");
  }

  async #measure(session, set) {
    const report = await session.connection?.getStats().catch(() => null);
    if (!report || session.isEnded()) return;
    for (const row of report.values()) {
      if (row.type !== "inbound-rtp" || row.kind !== "audio") continue;
      set({
        quality: {
          packets: row.packetsReceived, lost: Math.max(0, row.packetsLost ?? 0),
          jitterMs: (row.jitter ?? 0) * 1000,
        },
      });
    }
  }

  answer() {
    const why = whyNoAudio();
    if (why) return why;
    if (this.call?.state === "incoming") {
      this.call.state = "answering";
      this.session.answer(MEDIA);
      this.#say("change");
    }
    return "";
  }

  /** Cancels, declines or ends, whichever it is. */
  hangUp() {
    if (!this.session) return;
    const declines = !this.call.mine && !this.call.since;
    try {
      this.session.terminate(declines ? { status_code: 603 } : {});
    } catch {
      // It ended at this very moment.
    }
  }

  mute(muted) {
    if (!this.call?.since) return;
    if (muted) this.session.mute({ audio: true });
    else this.session.unmute({ audio: true });
    this.call.muted = muted;
    this.#say("change");
  }

  digit(tone) {
    if (this.call?.since) this.session.sendDTMF(tone, { transportType: "RFC2833" });
  }
}
