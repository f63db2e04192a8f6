// SPDX-License-Identifier: BSD-2-Clause
// Messages in an envelope (message/cpim, RFC 3862): some phones wrap every text in one.

const HEAD_CHARS_MAX = 8192;

/** {type, body} of what is inside; null: there is nothing that can be read. */
export function unwrap(text) {
  const lines = text.replace(/\r\n/g, "\n");
  const head = lines.indexOf("\n\n");
  if (head < 0 || head > HEAD_CHARS_MAX) return null;
  const rest = lines.slice(head + 2);
  const inner = rest.startsWith("\n") ? 0 : rest.indexOf("\n\n");
  if (inner < 0 || inner > HEAD_CHARS_MAX) return null;
  const fields = rest.slice(0, inner);
  const type = /^content-type:[ \t]*([^;\n]+)/im.exec(fields)?.[1].trim().toLowerCase() ?? "text/plain";
  if (/^content-(transfer-)?encoding:[ \t]*(?!8bit|7bit|binary|identity)\S/im.test(fields)) return null;
  return { type, body: rest.slice(inner + (inner ? 2 : 1)) };
}
