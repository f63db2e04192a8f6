/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests ask a world of nodes (world.h): who is responsible, what is stored, what came out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "support/world.h"

/* ---- the truth ---- */

uint32_t net_responsible(const struct net *net, const struct key *key) {
  uint32_t best = NET_NONE;
  struct key best_distance = {0};
  for (uint32_t i = 0; i < net->count; i++) {
    if (!net_runs(net, i)) continue;
    struct key distance = key_distance(key, &net->at[i].config.id);
    if (best != NET_NONE && key_compare(&distance, &best_distance) >= 0) continue;
    best = i;
    best_distance = distance;
  }
  return best;
}

struct key net_key(const struct net *net, const char *canonical) {
  return crypto_key(&net->crypto, slice_cstr(canonical));
}

static bool has_peer(const struct net_reply *reply, const char *role, const struct key *id) {
  for (unsigned k = 0; k < reply->row_count; k++) {
    if (!slice_equal(reply->row[k].text, slice_cstr(role))) continue;
    return key_equal(&reply->row[k].key, id); /* the first of that role */
  }
  return false;
}

bool net_is_ready(struct net *net) {
  unsigned running = net_running(net);
  for (uint32_t i = 0; i < net->count; i++) {
    if (!net_runs(net, i)) continue;
    if (!node_stats(net->at[i].node).ready) return false;
    if (running == 1) continue;
    const struct node_command command = {.kind = COMMAND_RING};
    const struct net_reply *ring = net_reply_of(net, net_ask(net, i, &command));
    struct key after = key_successor(&net->at[i].config.id);
    uint32_t next = net_responsible(net, &after);
    if (!has_peer(ring, "successor", &net->at[next].config.id)) return false;
    const struct net_reply *other = net_reply_of(net, net_ask(net, next, &command));
    if (!has_peer(other, "predecessor", &net->at[i].config.id)) return false;
  }
  return true;
}

void net_print(struct net *net) {
  for (uint32_t i = 0; i < net->count; i++) {
    if (!net_runs(net, i)) continue;
    struct node_stats stats = node_stats(net->at[i].node);
    const struct key *id = &net->at[i].config.id;
    fprintf(stderr, "%02u %02x%02x life %u%s%s:", i, id->byte[0], id->byte[1], net->at[i].life,
            stats.member ? " member" : "", stats.ready ? " ready" : "");
    const struct node_command command = {.kind = COMMAND_RING};
    const struct net_reply *ring = net_reply_of(net, net_ask(net, i, &command));
    for (unsigned k = 0; k < ring->row_count; k++) {
      const struct node_row *row = &ring->row[k];
      fprintf(stderr, " %c%02x%02x", row->text.at[0], row->key.byte[0], row->key.byte[1]);
    }
    fprintf(stderr, "\n");
  }
}

/* ---- commands ---- */

const struct net_reply *net_put(struct net *net, uint32_t i, const char *uri, const char *contact) {
  const struct node_command command = {
      .kind = COMMAND_PUT, .uri = slice_cstr(uri), .contact = slice_cstr(contact)};
  return net_command(net, i, &command, SEC(20));
}

const struct net_reply *net_get(struct net *net, uint32_t i, const char *uri) {
  const struct node_command command = {.kind = COMMAND_GET, .uri = slice_cstr(uri)};
  return net_command(net, i, &command, SEC(20));
}

bool net_has_contact(const struct net_reply *reply, const char *contact) {
  if (!reply->done || reply->code != 200) return false;
  for (unsigned k = 0; k < reply->row_count; k++) {
    if (slice_equal(reply->row[k].text, slice_cstr(contact))) return true;
  }
  return false;
}

/* ---- strangers ---- */

struct endpoint net_stranger(const char *at, enum transport transport) {
  struct endpoint out;
  bool good = endpoint_parse(slice_cstr(at), transport, 5060, &out);
  ASSERT(good);
  return out;
}

const struct net_letter *net_take(struct net *net, const char *word1, const char *word2) {
  for (unsigned n = 0; n < net->inbox_count; n++) {
    struct net_letter letter = net->inbox[n];
    if (strstr(letter.text, word1) == NULL || strstr(letter.text, word2) == NULL) continue;
    struct net_letter *last = &net->inbox[NET_INBOX_MAX - 1];
    free(last->text);
    for (unsigned k = n; k + 1 < net->inbox_count; k++) net->inbox[k] = net->inbox[k + 1];
    net->inbox_count--;
    net->inbox[net->inbox_count] = (struct net_letter){0};
    *last = letter; /* parked behind the others */
    return last;
  }
  return NULL;
}

const struct net_letter *net_answer(struct net *net, const char *branch, usec limit) {
  for (usec stop = net->now + limit; net->now < stop; net_run_for(net, MSEC(5))) {
    const struct net_letter *letter;
    while ((letter = net_take(net, branch, "SIP/2.0 ")) != NULL)
      if (net_status(letter) >= 200) return letter;
  }
  return NULL;
}

unsigned net_status(const struct net_letter *answer) {
  return answer != NULL ? (unsigned)atoi(answer->text + 8) : 0;
}

unsigned net_final(struct net *net, const char *branch, usec limit) {
  return net_status(net_answer(net, branch, limit));
}

void net_clear_inbox(struct net *net) {
  for (unsigned n = 0; n < NET_INBOX_MAX; n++) {
    free(net->inbox[n].text);
    net->inbox[n] = (struct net_letter){0};
  }
  net->inbox_count = 0;
}
