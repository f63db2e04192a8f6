// SPDX-License-Identifier: BSD-2-Clause
// The one connection to the peer's /events (docs/web.md): what happens, and questions with answers.

const SUBPROTOCOL = "locser";
const ANSWER_WITHIN_MS = 15000;
const AGAIN_MS = [500, 1000, 2000, 5000];
const QUESTIONS_MAX = 32;

export class Refused extends Error {
  constructor({ code, message }) {
    super(String(message ?? "refused"));
    this.code = Number(code) || 0;
  }
}

/** on: {hello, state, trace, lost, up, down}, each called with the parameters of its notification. */
export class Feed {
  constructor(url, on, Socket = globalThis.WebSocket) {
    this.url = url;
    this.on = on;
    this.Socket = Socket;
    this.waiting = new Map(); // id -> {resolve, reject, timer}
    this.lastId = 0;
    this.tries = 0;
    this.socket = null;
  }

  start() {
    const socket = new this.Socket(this.url, SUBPROTOCOL);
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string" && socket === this.socket) this.take(data);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.#lost();
    };
    socket.onerror = () => {}; // onclose follows
  }

  get up() {
    return this.socket?.readyState === 1;
  }

  /** Tries at once where it would wait. */
  wake() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = 0;
    this.start();
  }

  #lost() {
    this.socket = null;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new Refused({ code: 503, message: "the connection to the peer was lost" }));
    }
    this.waiting.clear();
    this.on.down?.();
    const pause = AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)];
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.start();
    }, pause);
  }

  /** One message of the peer. */
  take(text) {
    let note;
    try {
      note = JSON.parse(text);
    } catch {
      return;
    }
    if (note.method !== undefined) {
      if (note.method === "hello") {
        this.tries = 0;
        this.on.up?.();
      }
      if (Object.hasOwn(this.on, note.method)) this.on[note.method](note.params ?? {});
      return;
    }
    const question = this.waiting.get(note.id);
    if (!question) return;
    this.waiting.delete(note.id);
    clearTimeout(question.timer);
    if (note.error) question.reject(new Refused(note.error));
    else question.resolve(note.result);
  }

  ask(method, params = {}) {
    if (!this.up) {
      return Promise.reject(new Refused({ code: 503, message: "no connection to the peer" }));
    }
    if (this.waiting.size >= QUESTIONS_MAX) {
      return Promise.reject(new Refused({ code: 503, message: "too many questions at once" }));
    }
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Refused({ code: 408, message: "the peer did not answer in time" }));
      }, ANSWER_WITHIN_MS);
      this.waiting.set(id, { resolve, reject, timer });
      this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }
}
