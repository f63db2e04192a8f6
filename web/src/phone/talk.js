// SPDX-License-Identifier: BSD-2-Clause
// One conversation: what was said, and a line to write in.
import { short } from "../address.js";
import { h, icon, list, setText } from "../dom.js";
import { moment, setFace } from "./face.js";
import { describe, TEXT_CHARS_MAX } from "./history.js";

const SETTLED_MS = 500;
const NEAR_PX = 60; // of the end: who reads further up is left there

const outcome = (entry) => {
  if (!entry.mine) return entry.kept ? "waited for you" : "";
  return { sending: "sending", sent: "delivered", kept: "kept until they are back",
    failed: "not delivered", unknown: "not known whether delivered" }[entry.state] ?? "";
};

export class TalkView {
  /** does: {back, call, forget, buddy, again(entry), write(text)}. */
  constructor(does) {
    this.does = does;
    this.uri = null;
    this.log = h("ol", { class: "log", role: "log", "aria-live": "polite", "aria-label": "Messages",
      tabindex: 0 });
    this.text = h("textarea", { id: "text", rows: 1, maxlength: TEXT_CHARS_MAX, placeholder: "Message",
      "aria-label": "Message", onkeydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.#write();
      } });
    const button = (name, label, act, style = "") => h("button", { class: `icon-button ${style}`,
      type: "button", "aria-label": label, title: label, onclick: act }, icon(name));
    this.star = button("star", "Buddy", does.buddy, "star");
    this.root = h("section", { class: "card talk", "aria-labelledby": "talk-name", hidden: true,
      onkeydown: (event) => {
        if (event.key === "Escape") does.back();
      } },
      h("header", { class: "talk-head" }, button("back", "Back to the list", does.back),
        (this.face = h("span", { class: "face", "aria-hidden": "true" })),
        h("div", { class: "me-text" }, (this.name = h("h2", { id: "talk-name" })),
          (this.reach = h("span", { class: "reach" }))),
        this.star, button("forget", "Forget this conversation", does.forget),
        button("call", "Call", does.call, "accent")),
      this.log,
      h("form", { class: "compose", onsubmit: (event) => {
        event.preventDefault();
        this.#write();
      } }, this.text, h("button", { class: "icon-button accent", type: "submit",
        "aria-label": "Send" }, icon("send"))));
  }

  #write() {
    const words = this.text.value.trim();
    if (!words) return;
    this.text.value = "";
    this.does.write(words);
  }

  /** Another conversation: the first of `unread` is marked, and what was being written is kept apart. */
  open(uri, person, draft) {
    const { entries = [], unread = 0 } = person ?? {};
    const fresh = unread ? entries.filter(({ mine }) => !mine).at(-unread) : null;
    this.uri = uri;
    this.firstNew = fresh?.id ?? null;
    this.text.value = draft;
    this.log.replaceChildren();
    this.log.setAttribute("aria-live", "off"); // what was said before is no news
    setTimeout(() => this.log.setAttribute("aria-live", "polite"), SETTLED_MS);
  }

  /** reach: {text, good}. */
  draw(person, reach, isBuddy) {
    const { uri } = this;
    setFace(this.face, uri);
    setText(this.name, short(uri));
    setText(this.reach, reach?.text ?? "");
    this.reach.dataset.reach = reach?.good ? "yes" : "no";
    this.star.setAttribute("aria-pressed", String(isBuddy));
    const label = isBuddy ? "Remove from buddies" : "Add to buddies";
    this.star.setAttribute("aria-label", label);
    this.star.title = label;
    const entries = person?.entries ?? [];
    const { log } = this;
    const atEnd = !log.childElementCount
      || log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    const last = log.lastElementChild?.dataset.key;
    list(log, entries.length ? entries.flatMap((entry) => this.#rows(entry)) : [{ key: "none", stamp: "",
      make: () => h("li", { class: "empty", text: "No messages yet." }) }]);
    const mineIsNew = entries.at(-1)?.mine && log.lastElementChild.dataset.key !== last;
    if (atEnd || mineIsNew) log.scrollTop = log.scrollHeight;
  }

  #rows(entry) {
    const row = { key: entry.id, stamp: `${entry.state} ${entry.why}`, make: () => this.#entry(entry) };
    return entry.id !== this.firstNew ? [row] : [{ key: "new", stamp: "", make: () =>
      h("li", { class: "entry event new", text: "New" }) }, row];
  }

  #entry(entry) {
    if (entry.kind === "call") {
      return h("li", { class: "entry event" }, `${describe(entry)} · ${moment(entry.at)}`);
    }
    return h("li", { class: `entry ${entry.mine ? "mine" : "theirs"}`, "data-state": entry.state },
      h("span", { class: "unseen", text: entry.mine ? "You: " : "" }),
      h("p", { class: "bubble", dir: "auto", text: entry.text }),
      h("p", { class: "entry-foot" }, [moment(entry.at), outcome(entry)].filter(Boolean).join(" · "),
        entry.why ? h("span", { class: "entry-why", text: ` ${entry.why}` }) : null,
        entry.state === "failed" ? h("button", { class: "again", type: "button", text: "Send again",
          onclick: () => this.does.again(entry) }) : null));
  }
}
