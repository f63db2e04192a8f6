// SPDX-License-Identifier: BSD-2-Clause
// What stands for a person, and for a time.
import { initial, tint } from "../address.js";
import { h } from "../dom.js";

export const face = (uri) => h("span", { class: "face", "data-tint": tint(uri), "aria-hidden": "true",
  text: initial(uri) });

export function setFace(element, uri) {
  element.textContent = initial(uri);
  element.dataset.tint = tint(uri);
}

const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const date = (at) => new Date(at).toLocaleDateString([], { day: "numeric", month: "short" });
const today = (at) => new Date(at).toDateString() === new Date().toDateString();

/** The time, or the day where it was another. */
export const day = (at) => (today(at) ? time(at) : date(at));
export const moment = (at) => (today(at) ? time(at) : `${date(at)}, ${time(at)}`);
