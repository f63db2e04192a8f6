// SPDX-License-Identifier: BSD-2-Clause
// Puts the page together: one feed, two views, colours.
import { icon, setIcon, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { NetworkView } from "./network/view.js";
import { loadLibrary } from "./phone/agent.js";
import { PhoneView } from "./phone/view.js";

const $ = (id) => document.getElementById(id);
const base = location.origin.replace(/^http/, "ws");
const HIDDEN_AFTER_MS = 1000; // a tab behind others is not painted, and goes online all the same
const THEMES = ["auto", "light", "dark"];

function setPeer(state, text) {
  $("peer-state").firstElementChild.dataset.state = state;
  setText($("peer-name"), text);
}

function showUnread(n) {
  $("phone-badge").hidden = n === 0;
  setText($("phone-badge"), n > 99 ? "99+" : String(n));
}

let network, phone, feed; // made after the first paint

function begin() {
  if (feed) return;
  const ask = (method, params) => feed.ask(method, params);
  network = new NetworkView($("view-network"), { ask });
  phone = new PhoneView($("view-phone"), { sipUrl: `${base}/sip`, ask, onUnread: showUnread, onCall: showPhone });
  feed = new Feed(`${base}/events`, {
    hello: (params) => {
      setPeer("good", `peer ${String(params.peer).slice(0, 8)}`);
      network.hello(params);
      phone.hello(params);
    },
    state: (params) => network.state(params),
    trace: (params) => network.trace(params),
    lost: (params) => network.lost(params),
    down: () => setPeer("bad", "peer not reached"),
  });
  showUnread(phone.history.unread);
  network.show();
  feed.start();
  // Ready before somebody goes online.
  setTimeout(() => loadLibrary().catch(() => {}), 100);
}

function showPhone() {
  if (location.hash === "#network" && $("view-phone").offsetParent === null) location.hash = "#phone";
}

// ---- which view, where there is room for one ----

function showView() {
  const name = location.hash === "#network" ? "network" : "phone";
  document.body.dataset.view = name;
  for (const link of document.querySelectorAll(".views a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  network?.show();
}

addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  showView();
  scrollTo(0, 0);
});
addEventListener("online", () => feed?.wake());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  feed?.wake();
  network?.show();
});

addEventListener("pointerdown", () => document.body.setAttribute("data-pointer", ""), true);
addEventListener("keydown", () => document.body.removeAttribute("data-pointer"), true);

// ---- colours: of the system, or chosen ----

const theme = $("theme");
theme.append(icon("auto"));

function drawTheme() {
  const now = document.documentElement.dataset.theme ?? "auto";
  setIcon(theme, now);
  theme.setAttribute("aria-label", `Colours: ${{ auto: "as the system", light: "light",
    dark: "dark" }[now]}. Change.`);
  theme.title = theme.getAttribute("aria-label");
}

theme.addEventListener("click", () => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    localStorage.setItem("locser.theme", next);
  } catch {
    // It lasts until the page is left, then.
  }
  drawTheme();
});

drawTheme();
showView();
requestAnimationFrame(() => setTimeout(begin));
setTimeout(begin, HIDDEN_AFTER_MS);
