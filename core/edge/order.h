/* SPDX-License-Identifier: BSD-2-Clause */
/* What a REGISTER asks for, read and checked against the bindings that are there, before anything
 * is changed (RFC 3261 section 10.3, steps 5 to 7). */
#ifndef EDGE_ORDER_H
#define EDGE_ORDER_H

#include "edge/state.h"

#define ORDER_CONTACTS_MAX 16u /* of one REGISTER, and of one address */
#define ORDER_AOR_BYTES_MAX 320u
#define ORDER_URI_BYTES_MAX 1024u
#define ORDER_PATH_BYTES_MAX 512u
#define ORDER_INSTANCE_BYTES_MAX 256u

enum change_kind {
  CHANGE_NOTHING,
  CHANGE_KEEP, /* refreshed; its record lives long enough */
  CHANGE_PUT,
  CHANGE_REMOVE,
};
struct change {
  enum change_kind kind;
  struct contact contact; /* borrows from the message, the order and `existing` */
  bool own_path;          /* the first Path is this peer's, with a token for the source */
  bool outbound;          /* bound to the flow it came by (RFC 5626, R-7.56) */
  uint32_t granted_s;
  struct binding *existing;
  struct binding *fresh; /* the registrar's */
};
struct order {
  struct slice aor;
  unsigned count;
  struct change change[ORDER_CONTACTS_MAX];
  struct slice path[CONTACT_PATHS_MAX]; /* as received */
  unsigned path_count;
  struct slice own_path;
  bool shown; /* the password was shown: the registrar's */
  char aor_text[ORDER_AOR_BYTES_MAX];
  bool first_hop;
  char own_path_text[192];
};

struct refusal {
  uint16_t status; /* 0: none */
  const char *reason;
};

/* The q of a Contact, in thousandths; 1000 unless given. */
uint16_t order_read_q(struct slice params);
/* Fills order->aor from To. ERR_SYNTAX, ERR_UNSUPPORTED, ERR_LIMIT. */
enum err order_read_aor(struct order *order, const struct sip_message *message) MUST_USE;
/* Steps 1 to 5: the address alone, before it is asked who may register it. */
void order_read_address(struct order *order, const struct edge_step *step,
                        const struct edge_request *request, struct refusal *refusal);
/* All the rest, after it. */
void order_read(struct order *order, const struct edge_step *step,
                const struct edge_request *request, struct refusal *refusal);
bool order_needs_overlay(const struct order *order);

#endif
