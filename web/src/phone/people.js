// SPDX-License-Identifier: BSD-2-Clause
// The lists: buddies and who of them is there, the latest conversations, and who may see this line.
import { short } from "../address.js";
import { h, icon, list, setText } from "../dom.js";
import { face, day } from "./face.js";
import { describe } from "./history.js";
import { STATES } from "./presence.js";

const DOTS = { open: "good", away: "away", busy: "bad", phone: "bad", closed: "closed" };

/** "Away · back at five" */
export const presenceText = (seen) => (seen ? [STATES[seen.state], seen.note].filter(Boolean).join(" · ")
  : STATES.unknown);

const badge = (n) => (n ? h("span", { class: "badge", text: n > 99 ? "99+" : String(n) },
  h("span", { class: "unseen", text: " new" })) : null);

export class PeopleView {
  /** does: {show, call}(uri), decide(uri, "allow" or "block"). */
  constructor(does) {
    this.does = does;
    this.buddies = h("ul", { class: "list" });
    this.noBuddies = h("p", { class: "empty", text: "Add people here to see when they are there: write "
      + "an address above and press Add." });
    this.recent = h("ul", { class: "list" });
    this.nobody = h("p", { class: "empty", text: "Whom you call or write to is kept here, in this "
      + "browser only." });
    this.watchers = h("ul", { class: "list" });
    this.asking = h("span", { class: "badge", hidden: true });
    this.watcherTitle = h("span");
    this.root = h("div", { class: "people" },
      h("section", { "aria-labelledby": "buddies-title" },
        h("h2", { class: "section-title", id: "buddies-title", text: "Buddies" }), this.noBuddies,
        this.buddies),
      (this.latest = h("section", { "aria-labelledby": "people-title" },
        h("h2", { class: "section-title", id: "people-title", text: "Recent" }), this.nobody,
        this.recent)),
      (this.seen = h("details", { class: "seen" },
        h("summary", {}, this.watcherTitle, " ", this.asking),
        h("p", { class: "hint", text: "They see whether you are registered, and what your phones say. "
          + "What you decide counts at this peer." }),
        this.watchers)));
  }

  /** history, buddies; presence(uri), reach(uri): what is known; watchers: [[uri, status]], those who
   * ask first. */
  draw({ history, buddies, presence, reach, watchers }) {
    const wanted = buddies.sorted();
    this.noBuddies.hidden = wanted.length > 0;
    list(this.buddies, wanted.map((uri) => {
      const person = history.person(uri);
      const seen = presence(uri);
      const says = presenceText(seen);
      return { key: uri, stamp: [says, person?.unread ?? 0].join("\n"), make: () => this.#row(uri, {
        dot: DOTS[seen?.state] ?? "none", says, unread: person?.unread ?? 0 }) };
    }));
    const others = history.recent().filter(({ uri }) => !buddies.has(uri));
    this.nobody.hidden = others.length > 0;
    this.latest.hidden = !others.length && wanted.length > 0;
    list(this.recent, others.map((person) => {
      const { uri, at, unread, entries } = person;
      const last = entries.at(-1);
      const there = reach(uri)?.good === true;
      return { key: uri, stamp: [at, unread, last?.id, last?.state, there].join(), make: () => this.#row(uri, {
        dot: there ? "good" : "", missed: last?.state === "missed", says: last ? describe(last) : "",
        unread, at, there }) };
    }));
    this.#drawWatchers(watchers);
  }

  #row(uri, { dot, says, missed, unread, at, there }) {
    return h("li", { class: "row" },
      h("button", { class: "row-main", type: "button", onclick: () => this.does.show(uri) },
        h("span", { class: "face-box" }, face(uri),
          dot ? h("span", { class: "dot", "data-state": dot }) : null),
        h("span", { class: "row-text" }, h("strong", { text: short(uri) }),
          h("span", { class: missed ? "snippet missed" : "snippet", text: says }),
          there ? h("span", { class: "unseen", text: "Reachable" }) : null),
        h("span", { class: "row-end" }, at ? h("time", { text: day(at) }) : null, badge(unread))),
      h("button", { class: "icon-button accent", type: "button", "aria-label": `Call ${short(uri)}`,
        onclick: () => this.does.call(uri) }, icon("call")));
  }

  #drawWatchers(watchers) {
    const asking = watchers.filter(([, status]) => status === "pending").length;
    setText(this.watcherTitle, `Who may see you (${watchers.length})`);
    this.asking.hidden = !asking;
    setText(this.asking, asking ? `${asking} waiting` : "");
    this.seen.hidden = watchers.length === 0 && !this.seen.contains(document.activeElement);
    list(this.watchers, watchers.map(([uri, status]) => ({ key: uri, stamp: status, make: () => {
      const button = (text, what, style) => h("button", { class: `button quiet ${style}`, type: "button",
        text, "aria-label": `${text} ${short(uri)}`, onclick: () => this.does.decide(uri, what) });
      return h("li", { class: "row watcher" },
        h("span", { class: "row-text" }, h("strong", { text: short(uri) }),
          h("span", { class: "snippet", text: { pending: "Wants to see when you are there",
            active: "Sees when you are there", terminated: "Blocked" }[status] })),
        status === "active" ? null : button("Allow", "allow", "good"),
        status === "terminated" ? null : button("Block", "block", ""));
    } })));
  }
}
