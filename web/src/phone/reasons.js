// SPDX-License-Identifier: BSD-2-Clause
// What a SIP status means to the person at the page, and what can be done about it.

const REGISTER = {
  401: "The address has a password, and it was missing or wrong. Check it and try again.",
  407: "The address has a password, and it was missing or wrong. Check it and try again.",
  404: "This peer does not serve that domain. Use the domain of your overlay.",
  408: "The peer did not answer in time. Try again in a moment.",
  423: "The peer asked for a longer registration than this page offered. Try again.",
  503: "The peer could not reach the overlay just now. It is tried again in a moment.",
};

const CALL = {
  400: "The other side could not read the request.",
  404: "Nobody has this address. Check how it is written.",
  408: "Nobody answered in time.",
  410: "This address is no longer in use.",
  480: "Nobody is registered under this address now. Try later.",
  484: "The address is not complete.",
  486: "Busy. Try again later.",
  487: "Cancelled.",
  488: "That phone cannot encrypt its audio as a browser must (DTLS-SRTP). Enable it there.",
  600: "Busy. Try again later.",
  603: "Declined.",
  606: "That phone cannot take this kind of call.",
  503: "The overlay could not be asked just now. Try again in a moment.",
};

const MESSAGE = {
  404: "Nobody has this address.",
  413: "Too long for the other side.",
  415: "The other side does not take text messages.",
  480: "Nobody is registered under this address now.",
  503: "The overlay could not be asked just now.",
};

const CAUSES = {
  "User Denied Media Access":
    "The microphone was not allowed. Allow it beside the address of this page, then call again.",
  "WebRTC Error": "The browser could not set up the audio. Reload the page and try again.",
  "Connection Error": "The connection to the peer was lost.",
  "Request Timeout": "The peer did not answer in time.",
  "RTP Timeout": "The audio stopped arriving.",
  "No Answer": "Nobody answered.",
  Canceled: "Cancelled.",
  Expires: "Nobody answered in time.",
  "Bad Media Description": "The other side answered with audio that the browser cannot use.",
  "DTMF Error": "The digit could not be sent.",
};

/** why: the phrase of the answer, which at a 403 says what to do. */
function explain(table, status, phrase, cause) {
  if (status === 403 && phrase && phrase !== "Forbidden") return sentence(phrase);
  if (table[status]) return table[status];
  if (CAUSES[cause] && !status) return CAUSES[cause];
  if (status) return sentence(`${phrase || cause || "The other side refused"} (${status})`);
  return cause ? sentence(cause) : "That did not work.";
}

function sentence(text) {
  const clean = text.trim().slice(0, 300);
  return clean.charAt(0).toUpperCase() + clean.slice(1) + (/[.!?]$/.test(clean) ? "" : ".");
}

export const whyNotRegistered = (status, phrase, cause) =>
  status === 403 && (!phrase || phrase === "Forbidden")
    ? "The peer does not let this address register here. Ask whoever runs it."
    : explain(REGISTER, status, phrase, cause);
export const whyNoCall = (status, phrase, cause) => explain(CALL, status, phrase, cause);
export const whyNotSent = (status, phrase, cause) => explain(MESSAGE, status, phrase, cause);

/** Why there can be no audio at all here; "": there can. */
export function whyNoAudio(where = globalThis) {
  if (!where.RTCPeerConnection) return "This browser has no WebRTC: it can write, but not call.";
  if (!where.isSecureContext || !where.navigator?.mediaDevices) {
    return "The browser gives the microphone only to pages at 127.0.0.1 or over https. "
      + "Open the page there to call; messages work here too.";
  }
  return "";
}
