// SPDX-License-Identifier: BSD-2-Clause
// what the page is made of fits a Content-Security-Policy that allows only the peer's own files.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const file = (path) => readFileSync(new URL(`../../web/${path}`, import.meta.url), "utf8");
const sources = (folder) => readdirSync(new URL(`../../web/${folder}`, import.meta.url), { withFileTypes: true })
  .flatMap((entry) => (entry.isDirectory() ? sources(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]));
const html = file("static/index.html");

test("no inline script, no inline style, no handler in markup", () => {
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)/);
  assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|javascript:/i);
  for (const path of sources("src").filter((name) => name.endsWith(".js"))) {
    assert.doesNotMatch(file(path), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, path);
    assert.doesNotMatch(file(path), /setAttribute\(["']style|\bstyle: ["'`{]/, path);
  }
});

test("nothing is loaded from elsewhere", () => {
  for (const [, target] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
    assert.match(target, /^(#|[a-z.]+$)/, target);
  }
  for (const path of sources("src").filter((name) => name.endsWith(".css"))) {
    assert.doesNotMatch(file(path), /url\(|@import/, path);
  }
});

test("every icon that is used is there, every label has its field", () => {
  const symbols = new Set([...html.matchAll(/<symbol id="([^"]+)"/g)].map(([, id]) => id));
  for (const path of sources("src").filter((name) => name.endsWith(".js"))) {
    const text = file(path);
    for (const [, name] of text.matchAll(/\bicon\("([a-z-]+)"\)/g)) assert.ok(symbols.has(`i-${name}`), name);
    for (const [, id] of text.matchAll(/\bfor: "([a-z-]+)"/g)) assert.ok(text.includes(`id: "${id}"`), id);
  }
});
