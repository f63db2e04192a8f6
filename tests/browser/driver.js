// SPDX-License-Identifier: BSD-2-Clause
// Pages in Chromium, driven from standard input: {"id", "do", "page", ...} a line, answered
// {"id", "result"} or {"id", "error"}. A page is used as a person uses it: by the names of what is on it.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const WITHIN_MS = 120000;
const FRAMES_MAX = 500;
const TABS_MAX = 40;

const args = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required"];
// baresip answers on one pair of addresses and Chromium on another where loopback is one of them.
if (process.env.LOOPBACK_MEDIA !== "0") args.push("--allow-loopback-in-peer-connection");

const browser = await chromium.launch({ executablePath: CHROMIUM, args,
  chromiumSandbox: process.getuid() !== 0 });
const tabs = new Map(); // name -> {page, frames, errors}

/** Keeps every connection that the page makes, for its statistics. */
function keepConnections() {
  const Real = window.RTCPeerConnection;
  window.keptConnections = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...given) {
      super(...given);
      window.keptConnections.push(this);
    }
  };
}

/** The first connection and the first audio of a browser take many seconds of a busy machine; an ACK may
 * take 32 (RFC 3261 section 13.3.1.4). */
async function warmUp() {
  if (!navigator.mediaDevices) return; // no call can be made here
  const before = window.keptConnections.length;
  const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
  one.onicecandidate = ({ candidate }) => other.addIceCandidate(candidate);
  other.onicecandidate = ({ candidate }) => one.addIceCandidate(candidate);
  one.addTrack(sound.getTracks()[0], sound);
  await one.setLocalDescription();
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription();
  await one.setRemoteDescription(other.localDescription);
  for (let i = 0; i < 100 && one.connectionState !== "connected"; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  one.close();
  other.close();
  sound.getTracks().forEach((track) => track.stop());
  window.keptConnections.length = before;
}

async function statistics() {
  const connection = window.keptConnections.at(-1);
  const found = { in: 0, out: 0, energy: 0, state: connection?.connectionState ?? "none",
    dtls: "none" };
  for (const row of connection ? (await connection.getStats()).values() : []) {
    if (row.type === "inbound-rtp" && row.kind === "audio") {
      found.in += row.packetsReceived;
      found.energy += row.totalAudioEnergy ?? 0;
    }
    if (row.type === "outbound-rtp" && row.kind === "audio") found.out += row.packetsSent;
    if (row.type === "transport") found.dtls = row.dtlsState;
  }
  return found;
}

async function until(what, condition, within = WITHIN_MS, pause = 50) {
  const end = Date.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`did not happen within ${within / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

const button = (page, name) => page.getByRole("button", { name, exact: true });

const acts = {
  /** feed: what /events says instead of the peer. stored: what the browser has kept of the page. motion:
   * with animations, which are drawn by the processor here. beside: another page of that one's browser. */
  async open({ page: name, url, width = 1280, height = 860, colours = "light", feed, stored = {}, motion,
    beside }) {
    const context = beside ? tabs.get(beside).page.context() : await browser.newContext({
      viewport: { width, height }, colorScheme: colours, ignoreHTTPSErrors: true,
      reducedMotion: motion ? "no-preference" : "reduce" });
    await context.addInitScript(keepConnections);
    await context.addInitScript((rows) => {
      for (const [key, value] of Object.entries(rows)) {
        if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
      }
    }, stored);
    const page = await context.newPage();
    if (feed) {
      await page.routeWebSocket((at) => at.pathname === "/events", (socket) => {
        for (const note of feed) socket.send(JSON.stringify(note));
      });
    }
    const tab = { page, frames: [], errors: [], elsewhere: [] };
    tabs.set(name, tab);
    page.on("pageerror", (error) => tab.errors.push(String(error)));
    page.on("console", (line) => line.type() === "error" && tab.errors.push(line.text()));
    page.on("request", (request) => {
      if (new URL(request.url()).host !== new URL(url).host) tab.elsewhere.push(request.url());
    });
    page.on("websocket", (socket) => {
      if (!socket.url().endsWith("/sip")) return;
      const keep = (way) => ({ payload }) => {
        tab.frames.push({ way, text: String(payload) });
        if (tab.frames.length > FRAMES_MAX) tab.frames.shift();
      };
      socket.on("framesent", keep("sent"));
      socket.on("framereceived", keep("received"));
    });
    await page.goto(url);
  },
  async online({ tab: { page }, address, password }) {
    await page.getByLabel("Address", { exact: true }).fill(address, { timeout: WITHIN_MS });
    if (password) {
      await page.getByText("It has a password").click();
      await page.getByLabel("Password", { exact: true }).fill(password);
    }
    await button(page, "Go online").click();
    await page.evaluate(warmUp);
  },
  line: ({ tab: { page } }) => page.locator("#view-phone").getAttribute("data-line"),
  async waitLine({ tab: { page }, state, within }) {
    await until(`the line is ${state}`, async () =>
      await page.locator("#view-phone").getAttribute("data-line") === state, within);
  },
  async dial({ tab: { page }, to }) {
    await page.getByLabel("Call or write to").fill(to);
    await button(page, "Call").first().click();
  },
  answer: ({ tab: { page } }) => button(page, "Answer").click({ timeout: WITHIN_MS }),
  hangUp: ({ tab: { page } }) => button(page, "Hang up").click({ timeout: WITHIN_MS }),
  async waitCall({ tab: { page }, state, within }) {
    const call = page.getByRole("region", { name: "Call", exact: true });
    const timeout = within ?? WITHIN_MS;
    try {
      if (!state) await call.waitFor({ state: "hidden", timeout });
      else await call.getByText(state, { exact: true }).waitFor({ timeout });
    } catch {
      const seen = await page.locator("#view-phone").innerText();
      throw new Error(`the call is not "${state}": ${seen.replace(/\s+/g, " ").slice(0, 300)}`);
    }
  },
  async write({ tab: { page }, to, text, outcome = "delivered" }) {
    await page.getByLabel("Call or write to").fill(to);
    await button(page, "Write").click();
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    await page.getByText(new RegExp(`· ${outcome}$`)).last().waitFor({ timeout: WITHIN_MS });
  },
  /** Into the conversation that is open; outcome: what its foot says then. */
  async say({ tab: { page }, text, outcome }) {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    await page.locator(".entry", { hasText: text }).getByText(`· ${outcome}`).waitFor({ timeout: WITHIN_MS });
  },
  async addBuddy({ tab: { page }, address }) {
    await page.getByLabel("Call or write to").fill(address);
    await button(page, "Add to buddies").click();
  },
  async waitBuddy({ tab: { page }, address, says }) {
    await page.getByRole("region", { name: "Buddies" }).getByRole("button", { name: address }).first()
      .filter({ hasText: says }).waitFor({ timeout: WITHIN_MS });
  },
  async openTalk({ tab: { page }, address }) {
    await page.locator(".people .row-main", { hasText: address }).first().click({ timeout: WITHIN_MS });
  },
  async forget({ tab: { page } }) {
    page.once("dialog", (dialog) => dialog.accept());
    await button(page, "Forget this conversation").click();
  },
  async waitText({ tab: { page }, text }) {
    await page.getByText(text).filter({ visible: true }).first().waitFor({ timeout: WITHIN_MS });
  },
  /** What stands in the conversation that is open: [[text, foot]]. */
  said: ({ tab: { page } }) => page.locator(".log .entry:not(.event)").evaluateAll((rows) => rows.map((row) =>
    [row.querySelector(".bubble").textContent, row.querySelector(".entry-foot").textContent])),
  /** By how much things moved that nobody touched, in all (Cumulative Layout Shift). */
  shift: ({ tab: { page } }) => page.evaluate(() => new Promise((resolve) => {
    let sum = 0;
    const add = (rows) => rows.forEach((row) => { sum += row.hadRecentInput ? 0 : row.value; });
    const seen = new PerformanceObserver((found) => add(found.getEntries()));
    seen.observe({ type: "layout-shift", buffered: true });
    setTimeout(() => { add(seen.takeRecords()); resolve(sum); }, 100);
  })),
  async waitMessage({ tab: { page }, from, text }) {
    await page.getByRole("list").getByText(text).first().waitFor({ timeout: WITHIN_MS });
    const row = page.getByRole("button", { name: new RegExp(from) }).first();
    if (await row.isVisible()) await row.click();
    await page.getByRole("log", { name: "Messages" }).getByText(text).waitFor({ timeout: WITHIN_MS });
  },
  notice: ({ tab: { page } }) => page.getByRole("alert").innerText(),
  stats: ({ tab: { page } }) => page.evaluate(statistics),
  waitPackets: ({ tab: { page }, least, within }) => until(`${least} packets arrive`, async () => {
    const found = await page.evaluate(statistics);
    return found.in >= least && found.out >= least && found;
  }, within),
  frames: ({ tab }) => tab.frames,
  trouble: ({ tab }) => ({ errors: tab.errors, elsewhere: tab.elsewhere }),
  async reload({ tab: { page } }) {
    await page.reload();
  },
  /** Reloads, and again as soon as the page has sent REGISTER. Whether its answer was still to come. */
  async reloadRegistering({ tab }) {
    const before = tab.frames.length;
    await tab.page.reload({ waitUntil: "commit" });
    await until("a REGISTER is sent", () => tab.frames.slice(before)
      .some(({ way, text }) => way === "sent" && text.startsWith("REGISTER")), WITHIN_MS, 2);
    const answered = tab.frames.slice(before).some(({ way }) => way === "received");
    // Chromium refuses a reload in the moment in which the page before is exchanged.
    await until("the page is reloaded", () => tab.page.reload({ waitUntil: "commit" })
      .then(() => true, (error) => {
        if (/Not attached/.test(error.message)) return false;
        throw error;
      }));
    return !answered;
  },
  /** The keyboard alone: Tab until the thing of this name has the focus, and the focus can be seen; then
   * text, then keys. */
  async keyboard({ tab: { page }, to, text = "", keys = [] }) {
    const focused = () => page.evaluate(() => {
      const now = document.activeElement;
      return { name: now.getAttribute("aria-label") ?? now.labels?.[0]?.textContent ?? now.innerText.trim(),
        seen: getComputedStyle(now).outlineStyle !== "none" };
    });
    await page.keyboard.press("Shift");
    let at = await focused();
    for (let i = 0; at.name !== to && i < TABS_MAX; i++) {
      await page.keyboard.press("Tab");
      at = await focused();
    }
    if (at.name !== to) throw new Error(`Tab never comes to ${to}`);
    if (!at.seen) throw new Error(`the focus on ${to} cannot be seen`);
    if (text) await page.keyboard.type(text);
    for (const key of keys) await page.keyboard.press(key);
  },
  text: ({ tab: { page }, where }) => page.locator(where).innerText(),
  async resize({ tab: { page }, width, height, colours }) {
    if (width) await page.setViewportSize({ width, height });
    if (colours) await page.emulateMedia({ colorScheme: colours });
  },
  async view({ tab: { page }, name }) {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, name);
  },
  async press({ tab: { page }, name, role = "button" }) {
    await page.getByRole(role, { name }).first().click({ timeout: WITHIN_MS });
  },
  async openDetails({ tab: { page } }) {
    await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  },
  shot: ({ tab: { page }, path, full = false }) => page.screenshot({ path, fullPage: full }),
  /** Milliseconds to the first paint, and to the end of loading. */
  timing: ({ tab: { page } }) => page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
    bytes: performance.getEntriesByType("resource").reduce((sum, r) => sum + r.decodedBodySize,
      performance.getEntriesByType("navigation")[0].decodedBodySize),
  })),
  /** By how much what is seen is wider than the window, and what sticks out. */
  wide: ({ tab: { page } }) => page.evaluate(() => {
    const { clientWidth: room, scrollWidth: needs } = document.documentElement;
    const scrolls = (at) => at && at !== document.body && (getComputedStyle(at).overflowX !== "visible"
      || scrolls(at.parentElement));
    const out = needs > room ? [...document.querySelectorAll("body *")].filter((at) =>
      at.getBoundingClientRect().right > room + 0.5 && !scrolls(at.parentElement)) : [];
    return { by: needs - room, out: out.slice(0, 5).map((at) => `${at.tagName}.${at.getAttribute("class")}`) };
  }),
  async close({ page: name, tab }) {
    tabs.delete(name);
    await tab.page.context().close();
  },
};

const say = (note) => process.stdout.write(`${JSON.stringify(note)}\n`);
say({ id: 0, result: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const tab = tabs.get(asked.page);
  try {
    if (!Object.hasOwn(acts, asked.do) || (!tab && asked.do !== "open")) throw new Error("no such page");
    say({ id: asked.id, result: (await acts[asked.do]({ ...asked, tab })) ?? null });
  } catch (error) {
    say({ id: asked.id, error: String(error.message).split("\n")[0] });
  }
}
await browser.close();
