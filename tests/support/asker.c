/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/asker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/records.h"

const struct key asker_ring_id[3] = {{{0x10}}, {{0x60}}, {{0xb0}}};

const char *asker_hex(const struct key *key) {
  static char text[4][KEY_HEX + 1];
  static unsigned turn;
  char *at = text[turn++ % 4];
  struct buf out = buf_over(at, KEY_HEX);
  key_put(&out, key);
  at[KEY_HEX] = 0;
  return at;
}

const char *asker_key_line(const struct key *key, const char *params) {
  static char text[4][4000];
  static unsigned turn;
  char *at = text[turn++ % 4];
  snprintf(at, 4000, "Overlay-Key: %s%s\n", asker_hex(key), params);
  return at;
}

struct key asker_key_of_node(const struct net *net, uint32_t node, const char **uri) {
  static char text[40];
  struct key key;
  unsigned n = 0;
  do {
    snprintf(text, sizeof text, "sip:u%u@example.net", n++);
    key = net_key(net, text);
  } while (net_responsible(net, &key) != node);
  *uri = text;
  return key;
}

void asker_ring(struct asker *asker, unsigned count) {
  struct net *net = asker->net;
  net_open(net, 1);
  prefix_parse(SLICE("198.51.100.7"), &net->config.trusted[net->config.trusted_count++]);
  for (unsigned i = 0; i < count; i++) net_add(net, &asker_ring_id[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(net, SEC(20));
  asker_move(asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
}

void asker_move(struct asker *asker, const char *at, enum transport transport, uint32_t node) {
  asker->at = net_stranger(at, transport);
  asker->flow = transport == TRANSPORT_UDP ? 0 : net_connect(asker->net, node, &asker->at);
}

/* ---- asking ---- */

size_t asker_write(struct asker *asker, const struct ask *ask, char *out, size_t room) {
  static char text[60000];
  char via[100], type[100] = "", call_id[64];
  const char *body = ask->body != NULL ? ask->body : ASKER_GET(ASKER_BOB);
  asker->number++;
  snprintf(via, sizeof via, "Via: SIP/2.0/%s 203.0.113.9:40001;branch=z9hG4bKt%u\n",
           asker->at.transport == TRANSPORT_UDP ? "UDP" : "TCP", asker->number);
  if (body[0] != 0) {
    snprintf(type, sizeof type, "Content-Type: %s\n", ask->type != NULL ? ask->type : "text/xml");
  }
  snprintf(call_id, sizeof call_id, "call%u@a.example", asker->number);
  size_t len = 0;
  int n = snprintf(text, sizeof text,
                   "LOCSER %s SIP/2.0\n%s%sFrom: <sip:a@a.example>;tag=1\n"
                   "To: <sip:bob@example.net>\nCall-ID: %s\nCSeq: 1 LOCSER\n%s%s%s"
                   "Content-Length: %u\n\n",
                   ask->uri != NULL ? ask->uri : ASKER_BOB, ask->via != NULL ? ask->via : "", via,
                   ask->call_id != NULL ? ask->call_id : call_id,
                   ask->hops != NULL ? ask->hops : "Max-Forwards: 70\n", type, ask->lines,
                   (unsigned)strlen(body));
  for (int i = 0; i < n; i++) {
    assert_true(len + 2 < room);
    if (text[i] == '\n') out[len++] = '\r';
    out[len++] = text[i];
  }
  assert_true(len + strlen(body) < room);
  memcpy(out + len, body, strlen(body));
  test_sign_records(&asker->net->crypto, out + len, strlen(body));
  return len + strlen(body);
}

void asker_send(struct asker *asker, const struct ask *ask) {
  size_t len = asker_write(asker, ask, asker->sent, sizeof asker->sent - 1);
  asker->sent[len] = 0;
  net_inject(asker->net, ask->node, asker->flow, &asker->at, slice_of(asker->sent, len));
}

/* R-2.28: one line that says something, and no more than 64 bytes of what was asked. */
static void check_fault(const struct asker *asker) {
  const char *text = strstr(asker->answer, "<string>");
  if (text == NULL) return;
  text += strlen("<string>");
  size_t len = strcspn(text, "<");
  assert_in_range(len, 8, 160);
  assert_true(memchr(text, '\n', len) == NULL);
  for (size_t i = 0; i + 65 <= len; i++) {
    char part[66];
    snprintf(part, sizeof part, "%s", text + i);
    assert_null(strstr(asker->sent, part));
  }
}

unsigned asker_wait(struct asker *asker, usec limit) {
  char branch[32];
  snprintf(branch, sizeof branch, "branch=z9hG4bKt%u", asker->number);
  for (usec stop = asker->net->now + limit;;) {
    const struct net_letter *letter;
    while ((letter = net_take(asker->net, branch, "SIP/2.0 ")) != NULL) {
      assert_true(letter->len < sizeof asker->answer);
      memcpy(asker->answer, letter->text, letter->len + 1);
      unsigned status = (unsigned)atoi(asker->answer + 8);
      if (status < 200) continue;
      check_fault(asker);
      return status;
    }
    if (asker->net->now >= stop) return 0;
    net_run_for(asker->net, MSEC(10));
  }
}

unsigned asker_ask(struct asker *asker, const struct ask *ask) {
  asker_send(asker, ask);
  return asker_wait(asker, SEC(12));
}

/* ---- watching ---- */

static void see(struct net *net, uint32_t node, const struct output *out) {
  struct asker *asker = net->context;
  char call_id[32];
  if (node != asker->watched || out->data.len >= sizeof asker->seen) return;
  snprintf(call_id, sizeof call_id, "call%u@", asker->number);
  if (!slice_starts(out->data, SLICE("LOCSER "))) return;
  if (slice_find(out->data, slice_cstr(call_id)) == out->data.len) return;
  memcpy(asker->seen, out->data.at, out->data.len);
  asker->seen[out->data.len] = 0;
  asker->seen_transport = out->peer.transport;
  asker->seen_count++;
}

void asker_watch(struct asker *asker, uint32_t node) {
  asker->watched = node;
  asker->seen_count = 0;
  asker->net->context = asker;
  asker->net->on_send = see;
}
