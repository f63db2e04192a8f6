/* SPDX-License-Identifier: BSD-2-Clause */
/* Client transactions: RFC 3261 17.1 with RFC 6026 7.2, and CANCEL (RFC 3261 9.1). */
#include "base/assert.h"
#include "sip/print.h"
#include "sip/transaction_table.h"

static bool is_waiting(const struct transaction *x) {
  return x->state == STATE_TRYING || x->state == STATE_PROCEEDING;
}

static struct slice method_of(struct slice request) {
  return slice_first(request, slice_find_byte(request, ' '));
}

enum err transactions_send(struct transactions *t, usec now,
                           const struct transaction_request *request, struct outbox *out,
                           struct handle *handle) {
  struct slice method = method_of(request->bytes);
  if (sip_method_of(method) == SIP_ACK) return ERR_UNSUPPORTED;
  struct transaction_id id = transaction_id_of_client(t, request->branch, method);
  struct transaction *x;
  enum err err = transaction_take(t, ROLE_CLIENT, &id, &x);
  if (err != OK) return err;
  x->to = request->to;
  x->method = sip_method_of(method);
  /* For repetition, and for what ACK and CANCEL copy from an INVITE. */
  if (!transaction_is_stream(x) || x->method == SIP_INVITE) {
    err = transaction_keep(t, &x->request, request->bytes);
    if (err != OK) {
      transaction_drop(t, x);
      return err;
    }
  }
  x->user = request->user;
  if (request->timing != NULL) x->timing = *request->timing;
  ASSERT(x->timing.t1_us > 0 && x->timing.t2_us > 0); /* else it would repeat without end */
  x->state = STATE_TRYING;
  x->interval = x->timing.t1_us;
  if (!transaction_is_stream(x)) x->resend_at = now + x->interval; /* Timers A and E */
  usec timeout = x->timing.timeout_us != 0 ? x->timing.timeout_us : transaction_t1_64(x);
  x->end_at = now + timeout; /* Timers B and F */
  transaction_arm(t, x);
  transaction_output(t, x, request->bytes, out);
  *handle = transaction_handle(t, x);
  return OK;
}

void transaction_client_resend(struct transactions *t, usec now, struct transaction *x,
                               struct outbox *out) {
  transaction_output(t, x, kept_slice(&x->request), out);
  if (x->method == SIP_INVITE)
    x->interval *= 2;
  else if (x->state == STATE_PROCEEDING)
    x->interval = x->timing.t2_us;
  else
    x->interval = usec_min(2 * x->interval, x->timing.t2_us);
  x->resend_at = now + x->interval;
}

/* --- what the table sends of itself --- */

/* The ACK of a refusal (RFC 3261 17.1.1.3). Built anew for each repetition of the answer, so that
 * only the INVITE needs keeping. */
static void send_ack(struct transactions *t, struct transaction *x, const struct sip_message *msg,
                     struct outbox *out) {
  struct sip_message invite;
  const struct sip_header *to = sip_header_first(msg, SIP_H_TO);
  if (to == NULL || !transaction_parse(x, kept_slice(&x->request), &invite)) return;
  size_t mark = outbox_mark(out);
  sip_put_ack_or_cancel(&out->bytes, &invite, SIP_ACK, to->value);
  transaction_output(t, x, outbox_text(out, mark), out);
}

static void send_cancel(struct transactions *t, usec now, struct transaction *x,
                        struct outbox *out) {
  x->end_at = now + transaction_t1_64(x);
  transaction_arm(t, x);
  struct sip_message invite;
  const struct sip_header *to;
  if (!transaction_parse(x, kept_slice(&x->request), &invite)) return;
  if ((to = sip_header_first(&invite, SIP_H_TO)) == NULL) return;
  size_t mark = outbox_mark(out);
  sip_put_ack_or_cancel(&out->bytes, &invite, SIP_CANCEL, to->value);
  struct transaction_request cancel = {.to = x->to,
                                       .bytes = outbox_text(out, mark),
                                       .branch = invite.via.branch,
                                       .timing = &x->timing};
  struct handle handle;
  if (transactions_send(t, now, &cancel, out, &handle) == OK)
    transaction_client(t, handle)->quiet = true;
  else
    transaction_output(t, x, cancel.bytes, out); /* table full: once is better than never */
}

bool transactions_cancel(struct transactions *t, usec now, struct handle client,
                         struct outbox *out) {
  struct transaction *x = transaction_client(t, client);
  if (x == NULL || x->method != SIP_INVITE || !is_waiting(x)) return false;
  if (x->cancelled) return true;
  x->cancelled = true;
  if (x->state == STATE_PROCEEDING) send_cancel(t, now, x, out);
  return true;
}

/* --- responses --- */

static enum transaction_event_kind on_invite_provisional(struct transactions *t, usec now,
                                                         struct transaction *x,
                                                         struct outbox *out) {
  bool first = x->state == STATE_TRYING;
  x->state = STATE_PROCEEDING;
  if (first) {
    x->resend_at = USEC_NEVER;
    x->end_at = USEC_NEVER; /* from here on Timer C of the proxy watches */
    transaction_arm(t, x);
    if (x->cancelled) send_cancel(t, now, x, out);
  }
  return TRANSACTION_RESPONSE;
}

static enum transaction_event_kind on_invite_final(struct transactions *t, usec now,
                                                   struct transaction *x,
                                                   const struct sip_message *msg,
                                                   struct outbox *out) {
  bool success = msg->status < 300;
  x->resend_at = USEC_NEVER;
  x->state = success ? STATE_ACCEPTED : STATE_COMPLETED;
  x->end_at = now + transaction_t1_64(x); /* Timers M and D */
  if (!success) send_ack(t, x, msg, out);
  if (!success && transaction_is_stream(x)) x->end_at = now;
  if (success || transaction_is_stream(x)) transaction_forget(t, &x->request);
  transaction_arm(t, x);
  return TRANSACTION_RESPONSE;
}

static enum transaction_event_kind on_invite(struct transactions *t, usec now,
                                             struct transaction *x, const struct sip_message *msg,
                                             struct outbox *out) {
  if (is_waiting(x)) {
    return msg->status < 200 ? on_invite_provisional(t, now, x, out)
                             : on_invite_final(t, now, x, msg, out);
  }
  if (x->state == STATE_ACCEPTED && msg->status >= 200 && msg->status < 300)
    return TRANSACTION_RESPONSE; /* a fork further on, or a repetition: both are the user's */
  if (x->state == STATE_COMPLETED && msg->status >= 300) send_ack(t, x, msg, out);
  return TRANSACTION_ABSORBED;
}

static enum transaction_event_kind on_other(struct transactions *t, usec now, struct transaction *x,
                                            const struct sip_message *msg) {
  if (!is_waiting(x)) return TRANSACTION_ABSORBED;
  if (msg->status < 200) {
    x->state = STATE_PROCEEDING;
    return TRANSACTION_RESPONSE;
  }
  x->state = STATE_COMPLETED;
  x->resend_at = USEC_NEVER;
  x->end_at = now + (transaction_is_stream(x) ? 0 : x->timing.t4_us); /* Timer K */
  transaction_forget(t, &x->request);
  transaction_arm(t, x);
  return TRANSACTION_RESPONSE;
}

struct transaction_event transactions_on_response(struct transactions *t, usec now,
                                                  const struct sip_message *msg,
                                                  struct outbox *out) {
  ASSERT(!msg->request);
  struct transaction_id id = transaction_id_of_client(t, msg->via.branch, msg->cseq_method);
  struct transaction *x = transaction_find(t, &id);
  if (x == NULL)
    return (struct transaction_event){.kind = TRANSACTION_STRAY_RESPONSE, .method = msg->method};
  enum transaction_event_kind kind =
      x->method == SIP_INVITE ? on_invite(t, now, x, msg, out) : on_other(t, now, x, msg);
  return transaction_event(t, x->quiet ? TRANSACTION_ABSORBED : kind, x);
}
