/* SPDX-License-Identifier: BSD-2-Clause */
/* Server transactions: RFC 3261 17.2 with RFC 6026 7.1 and RFC 4320 4. */
#include "base/assert.h"
#include "sip/print.h"
#include "sip/transaction_table.h"

/* "unless it knows that the TU will generate an answer within 200 ms" (RFC 3261 17.2.1) */
#define TRYING_AFTER_US ((usec)200000)

/* Nobody gives up the user's own request, which is looked up, sent, and perhaps kept. */
#define OWN_TIMEOUT 4u

static bool is_unanswered(const struct transaction *x) {
  return x->state == STATE_TRYING || x->state == STATE_PROCEEDING;
}

/* How long Timer E of the client takes to come to T2: 3.5 s by default (RFC 4320 4.1). */
static usec until_t2(const struct transaction *x) {
  usec sum = 0;
  for (usec step = x->timing.t1_us; step < x->timing.t2_us; step *= 2) sum += step;
  return sum;
}

/* --- requests --- */

static void start(struct transactions *t, usec now, struct transaction *x,
                  const struct sip_message *msg, const struct sip_target *from) {
  x->method = msg->method;
  x->from = *from;
  x->to = sip_reply_target(msg, from);
  if (x->method == SIP_INVITE) {
    x->state = STATE_PROCEEDING;
    x->resend_at = now + TRYING_AFTER_US;
  } else {
    x->state = STATE_TRYING;
    x->resend_at = now + until_t2(x);
    x->end_at = now + transaction_t1_64(x); /* the client has given up (RFC 4320 4.2) */
    if (transaction_is_own(x)) x->end_at = now + OWN_TIMEOUT * transaction_t1_64(x);
  }
  transaction_arm(t, x);
}

/* False: the source has its half of the table. */
static bool take_share(struct transactions *t, struct transaction *x,
                       const struct sip_target *from) {
  if (!from->limited) return true;
  if (t->held == NULL) t->held = memory_take(t->memory, TRANSACTION_SOURCES * sizeof *t->held);
  if (t->held == NULL) return false;
  struct prefix prefix = prefix_of(&from->at, TRANSACTION_SOURCE_BITS4, TRANSACTION_SOURCE_BITS6);
  uint64_t hash = hash_bytes(t->place_key, &prefix, sizeof prefix);
  uint32_t row = (uint32_t)(hash % TRANSACTION_SOURCES);
  if (t->held[row] >= t->server.limit / 2) return false;
  t->held[row]++;
  x->share = (uint16_t)(row + 1);
  return true;
}

static struct transaction_event start_new(struct transactions *t, usec now,
                                          const struct transaction_id *id,
                                          const struct sip_message *msg,
                                          const struct sip_target *from) {
  const struct transaction_event full = {.kind = TRANSACTION_FULL, .method = msg->method};
  struct transaction *x;
  if (transaction_take(t, ROLE_SERVER, id, &x) != OK) {
    t->refused_full++;
    return full;
  }
  if (!take_share(t, x, from)) {
    t->refused_share++;
    transaction_drop(t, x);
    return full;
  }
  if (transaction_keep(t, &x->request, msg->bytes) != OK) {
    transaction_drop(t, x);
    return full;
  }
  start(t, now, x, msg, from);
  if (msg->method != SIP_CANCEL) return transaction_event(t, TRANSACTION_NEW, x);
  struct transaction_event event = transaction_event(t, TRANSACTION_CANCEL, x);
  struct transaction_id invite_id = transaction_id_of_request(t, msg, SIP_INVITE, msg->to_tag);
  const struct transaction *invite = transaction_find(t, &invite_id);
  if (invite != NULL) {
    event.invite = transaction_handle(t, invite);
    event.invite_user = invite->user;
  }
  return event;
}

static struct transaction_event on_ack(struct transactions *t, usec now, struct transaction *x) {
  if (x == NULL || x->state == STATE_ACCEPTED) {
    struct transaction_event stray = {.kind = TRANSACTION_STRAY_ACK, .method = SIP_ACK};
    if (x != NULL) {
      stray.invite = transaction_handle(t, x);
      stray.invite_user = x->user;
    }
    return stray;
  }
  if (x->state == STATE_COMPLETED) {
    x->state = STATE_CONFIRMED;
    transaction_forget(t, &x->answer);
    x->resend_at = USEC_NEVER;
    x->end_at = now + (transaction_is_stream(x) ? 0 : x->timing.t4_us); /* Timer I */
    transaction_arm(t, x);
  }
  return transaction_event(t, TRANSACTION_ABSORBED, x);
}

/* Sends the 100 that the user has not sent. */
static void send_trying(struct transactions *t, struct transaction *x, struct outbox *out) {
  x->state = STATE_PROCEEDING;
  x->resend_at = USEC_NEVER;
  struct sip_message request;
  if (!transaction_parse(x, kept_slice(&x->request), &request)) return;
  size_t mark = outbox_mark(out);
  sip_put_response_head(&out->bytes, &request, 100, NULL, SLICE_EMPTY, &x->from.at);
  sip_put_body(&out->bytes, NULL, SLICE_EMPTY);
  struct slice trying = outbox_text(out, mark);
  if (!transaction_is_stream(x) && transaction_keep(t, &x->answer, trying) != OK) t->unkept++;
  transaction_output(t, x, trying, out);
}

static struct transaction_event on_repeated(struct transactions *t, struct transaction *x,
                                            const struct sip_target *from, struct outbox *out) {
  if (from->flow != 0) x->to.flow = from->flow; /* the client has connected anew */
  if (x->answer.len > 0) transaction_output(t, x, kept_slice(&x->answer), out);
  return transaction_event(t, TRANSACTION_ABSORBED, x);
}

struct transaction_event transactions_on_request(struct transactions *t, usec now,
                                                 const struct sip_message *msg,
                                                 const struct sip_target *from,
                                                 struct outbox *out) {
  ASSERT(msg->request);
  struct transaction_id id = transaction_id_of_request(t, msg, msg->method, msg->to_tag);
  struct transaction *x = transaction_find(t, &id);
  if (msg->method == SIP_ACK) return on_ack(t, now, x);
  if (x != NULL) return on_repeated(t, x, from, out);
  return start_new(t, now, &id, msg, from);
}

/* --- answers --- */

/* Sends, and keeps the bytes if the answer may have to be sent again. */
static void answer(struct transactions *t, struct transaction *x, struct slice response, bool keep,
                   struct outbox *out) {
  transaction_output(t, x, response, out);
  transaction_forget(t, &x->answer);
  if (!keep || transaction_is_stream(x)) return;
  if (transaction_keep(t, &x->answer, response) != OK) t->unkept++;
}

/* The ACK of an RFC 2543 client shares no branch with its INVITE: it is known by the To tag that
 * the answer gave (RFC 3261 17.2.3). */
static void expect_old_ack(struct transactions *t, struct transaction *x, struct slice response) {
  struct sip_message request, reply;
  if (!transaction_parse(x, kept_slice(&x->request), &request)) return;
  if (transaction_has_cookie(request.via.branch)) return;
  if (!transaction_parse(x, response, &reply)) return;
  struct transaction_id id = transaction_id_of_request(t, &request, SIP_ACK, reply.to_tag);
  if (map_put(&t->map, id.place, transaction_handle(t, x).index) == OK) x->ack_id = id;
}

static bool respond_invite(struct transactions *t, usec now, struct transaction *x, uint16_t status,
                           struct slice response, struct outbox *out) {
  bool success = status >= 200 && status < 300;
  if (x->state == STATE_ACCEPTED && success) {
    transaction_output(t, x, response, out);
    return true;
  }
  if (x->state != STATE_PROCEEDING) return false;
  x->resend_at = USEC_NEVER;
  if (status >= 300) expect_old_ack(t, x, response);
  answer(t, x, response, !success, out);
  if (status >= 200) {
    x->state = success ? STATE_ACCEPTED : STATE_COMPLETED;
    x->end_at = now + transaction_t1_64(x); /* Timers L and H */
    transaction_forget(t, &x->request);
  }
  if (status >= 300 && !transaction_is_stream(x)) { /* Timer G */
    x->interval = x->timing.t1_us;
    x->resend_at = now + x->interval;
  }
  transaction_arm(t, x);
  return true;
}

static bool respond_other(struct transactions *t, usec now, struct transaction *x, uint16_t status,
                          struct slice response, struct outbox *out) {
  if (!is_unanswered(x)) return false;
  if (status < 200) {
    if (status != 100 || !transaction_is_stream(x)) return false; /* RFC 4320 4.1 */
    x->state = STATE_PROCEEDING;
    x->resend_at = USEC_NEVER;
    answer(t, x, response, true, out);
    transaction_arm(t, x);
    return true;
  }
  bool late = status == 408; /* RFC 4320 4.2 */
  if (late)
    transaction_forget(t, &x->answer);
  else
    answer(t, x, response, true, out);
  x->state = STATE_COMPLETED;
  x->resend_at = USEC_NEVER;
  x->end_at = now + (transaction_is_stream(x) ? 0 : transaction_t1_64(x)); /* Timer J */
  transaction_forget(t, &x->request);
  transaction_arm(t, x);
  return !late;
}

bool transactions_respond(struct transactions *t, usec now, struct handle server, uint16_t status,
                          struct slice response, struct outbox *out) {
  struct transaction *x = transaction_server(t, server);
  if (x == NULL) return false;
  return x->method == SIP_INVITE ? respond_invite(t, now, x, status, response, out)
                                 : respond_other(t, now, x, status, response, out);
}

void transaction_server_resend(struct transactions *t, usec now, struct transaction *x,
                               struct outbox *out) {
  if (is_unanswered(x)) {
    send_trying(t, x, out);
    return;
  }
  if (x->answer.len > 0) transaction_output(t, x, kept_slice(&x->answer), out);
  x->interval = usec_min(2 * x->interval, x->timing.t2_us);
  x->resend_at = now + x->interval;
}

bool transactions_view(const struct transactions *t, struct handle server,
                       struct transaction_view *out) {
  const struct transaction *x = transaction_server(t, server);
  if (x == NULL) return false;
  *out = (struct transaction_view){x->method, kept_slice(&x->request), x->from, x->user};
  return true;
}

void transactions_set_user(struct transactions *t, struct handle server, uint64_t user) {
  struct transaction *x = transaction_server(t, server);
  if (x != NULL) x->user = user;
}
