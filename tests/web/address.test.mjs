// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";

import { bare, initial, parse, short, tint } from "../../web/src/address.js";

test("an address as people write it becomes a SIP URI", () => {
  const uris = {
    "bob@example.net": "sip:bob@example.net",
    " sip:Bob@Example.NET ": "sip:Bob@example.net", // the name keeps its case (RFC 3261 19.1.4)
    "SIPS:bob@example.net": "sips:bob@example.net",
    bob: "sip:bob@home.example",
    "+49 30 (123) 45-67": "sip:+49301234567@home.example",
    "bob@127.0.0.1:5062": "sip:bob@127.0.0.1:5062",
    "bob@[2001:db8::1]": "sip:bob@[2001:db8::1]",
    "bob@example.net;transport=tcp": "sip:bob@example.net",
    "sip:bob@example.net?Subject=x": "sip:bob@example.net",
    "o'brien@example.net": "sip:o'brien@example.net",
  };
  for (const [text, uri] of Object.entries(uris)) {
    assert.equal(parse(text, "home.example").uri, uri, text);
  }
});

test("what is no address is refused with a reason, and never throws", () => {
  for (const text of ["", "@", "@example.net", "bob@", "bob@-x.net", "a b@example.net", "bob@ex ample",
    "tel:123", "http://example.net", "bob<script>@x", "x".repeat(500), "böb@example.net", "a\r\nb@c"]) {
    const found = parse(text, "");
    assert.ok(found.why && !found.uri, JSON.stringify(text));
  }
  assert.match(parse("bob", "").why, /domain is missing/);
});

test("a URI from the network loses its parameters, or is none", () => {
  assert.equal(bare("sip:bob@example.net;transport=ws?x=y"), "sip:bob@example.net");
  assert.equal(bare("sip:bob@example.net\r\nEvil: 1"), null);
  assert.equal(bare("tel:+49"), null);
});

test("how an address is shown", () => {
  assert.equal(short("sip:bob@example.net"), "bob@example.net");
  assert.equal(short("sips:bob@example.net"), "sips:bob@example.net");
  assert.equal(initial("sip:bob@example.net"), "B");
  assert.equal(initial("sip:+49@x"), "4");
  assert.equal(initial("sip:"), "?");
  assert.equal(tint("sip:bob@example.net"), tint("sip:bob@example.net"));
  assert.ok(tint("sip:bob@example.net") < 6);
});
