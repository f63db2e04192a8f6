// SPDX-License-Identifier: BSD-2-Clause
// Addresses as people write them, and as SIP does.

const USER = /^(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+$/; // RFC 3261 25.1
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*\\.?|\\[[0-9A-Fa-f:.]+\\])(?::\\d{1,5})?$`);
const NUMBER = /^\+?[\d\s().\-/]+$/;
const ADDRESS_CHARS_MAX = 200;

/** {uri, user, host}, or {why}. `domain` completes a bare name. */
export function parse(text, domain = "") {
  let rest = String(text).trim();
  if (rest.length > ADDRESS_CHARS_MAX) return { why: "That is too long for an address." };
  const scheme = /^(sips?):/i.exec(rest);
  if (scheme) rest = rest.slice(scheme[0].length);
  else if (/^[a-z][a-z0-9+.-]*:/i.test(rest) && !/^[^@]*:\d+$/.test(rest) && !rest.includes("@")) {
    return { why: "Only SIP addresses can be called, such as bob@example.net." };
  }
  const at = rest.lastIndexOf("@");
  let user = at < 0 ? rest : rest.slice(0, at);
  const host = (at < 0 ? domain : rest.slice(at + 1).replace(/[;?].*$/s, "")).toLowerCase();
  if (NUMBER.test(user)) user = user.replace(/[\s().\-/]/g, "");
  if (!user) return { why: "Write an address, such as bob@example.net." };
  if (!USER.test(user)) return { why: `“${user}” cannot be the name in an address.` };
  if (!host) return { why: `A domain is missing: ${user}@example.net, for example.` };
  if (!HOST.test(host)) return { why: `“${host}” is not a domain.` };
  return { uri: `${scheme ? scheme[1].toLowerCase() : "sip"}:${user}@${host}`, user, host };
}

/** As people read it: without the scheme. */
export function short(uri) {
  return String(uri).replace(/^sip:/, "");
}

/** The address of a URI that came from the network, without parameters; null: not one. */
export function bare(uri) {
  return parse(String(uri).replace(/[;?].*$/s, "")).uri ?? null;
}

export function initial(uri) {
  const letter = /[\p{L}\p{N}]/u.exec(short(uri));
  return letter ? letter[0].toUpperCase() : "?";
}

/** 0 to 5: a colour that an address keeps. */
export function tint(uri) {
  let sum = 0;
  for (const letter of uri) sum = (sum * 31 + letter.codePointAt(0)) % 1009;
  return sum % 6;
}
