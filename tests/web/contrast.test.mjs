// SPDX-License-Identifier: BSD-2-Clause
// text can be read in both colours (WCAG 2.2, 1.4.3: a contrast of at least 4.5).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../../web/src/app.css", import.meta.url), "utf8");
const pairs = { light: new Map(), dark: new Map() };
for (const [, name, light, dark] of css.matchAll(/--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)/g)) {
  pairs.light.set(name, light);
  pairs.dark.set(name, dark);
}

const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => channel(parseInt(colour.slice(at, at + 2), 16) / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const READ_ON = {
  ink: ["ground", "surface", "sunken", "raised", "accent-ground"],
  soft: ["ground", "surface", "sunken", "raised", "accent-ground"],
  accent: ["ground", "surface", "accent-ground"],
  "on-accent": ["accent"],
  good: ["ground", "surface", "accent-ground"],
  bad: ["ground", "surface", "bad-ground", "raised"],
  warm: ["surface"],
  cool: ["surface"],
};

for (const [scheme, colours] of Object.entries(pairs)) {
  test(`text has contrast in ${scheme} colours`, () => {
    for (const [text, grounds] of Object.entries(READ_ON)) {
      for (const ground of grounds) {
        const found = contrast(colours.get(text), colours.get(ground));
        assert.ok(found >= 4.5, `${text} on ${ground}: ${found.toFixed(2)}`);
      }
    }
    // What is drawn, not written, needs 3 (1.4.11).
    assert.ok(contrast(colours.get("strong-line"), colours.get("surface")) >= 3, "strong-line");
  });
}

test("initials can be read on their circles", () => {
  const faces = [...css.matchAll(/background: light-dark\((#\w{6}), (#\w{6})\);\s*color: light-dark\((#\w{6}), (#\w{6})\)/g)];
  assert.equal(faces.length, 6);
  for (const [, light, dark, lightText, darkText] of faces) {
    assert.ok(contrast(light, lightText) >= 4.5, `${lightText} on ${light}`);
    assert.ok(contrast(dark, darkText) >= 4.5, `${darkText} on ${dark}`);
  }
});
