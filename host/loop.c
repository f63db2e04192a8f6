/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/loop.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "host/clock.h"
#include "host/control.h"
#include "host/dns.h"
#include "host/journal.h"
#include "host/keys.h"
#include "host/tcp.h"
#include "host/udp.h"
#include "host/web.h"

#define CLOCK_JUMP_US 500000
#define MINUTE_MS 60000

struct loop_later {
  struct loop_later *next;
  struct input input; /* data and record bytes follow */
  struct key proven;
  struct dns_record dns[DNS_RECORDS_MAX];
};

/* ---- inputs ---- */

/* Record bytes of OUT_STORE live until the next step only, so the journal copies them at once. */
static void take_stores(struct loop *loop, uint32_t from) {
  for (uint32_t i = from; i < loop->box.count; i++) {
    const struct output *output = &loop->box.item[i];
    if (output->kind == OUT_STORE)
      journal_store(loop->journal, output->ticket, &output->record);
    else if (output->kind == OUT_ERASE)
      journal_erase(loop->journal, &output->record);
  }
}

/* A record that is read for each call to it has been verified already: no thread has to be woken,
 * and what the core makes of it leaves with the rest. */
static void give_recalled(struct loop *loop, usec now, uint32_t from) {
  for (uint32_t i = from; i < loop->box.count && outbox_ready(&loop->box); i++) {
    struct output *output = &loop->box.item[i];
    char bytes[KEYS_NAMES_BYTES];
    struct buf names = buf_over(bytes, sizeof bytes);
    struct input known;
    if (output->kind != OUT_VERIFY ||
        !keys_recall(loop, output->ticket, output->data, &names, &known))
      continue;
    output->data = SLICE_EMPTY; /* done */
    uint32_t next = loop->box.count;
    node_step(loop->node, now, &known, &loop->box);
    take_stores(loop, next);
  }
}

static void carry_out(struct loop *loop);

void loop_step(struct loop *loop, const struct input *input) {
  loop_step_at(loop, clock_monotonic(), input);
}

void loop_step_at(struct loop *loop, usec now, const struct input *input) {
  ASSERT(!loop->carrying_out);
  if (loop->node == NULL) return; /* shutting down */
  if (!outbox_ready(&loop->box)) carry_out(loop);
  uint32_t from = loop->box.count;
  loop->box.trace_mask =
      loop->log_mask | control_trace_mask(loop->control) | web_trace_mask(loop->web);
  node_step(loop->node, now, input, &loop->box);
  take_stores(loop, from);
  give_recalled(loop, now, from);
}

static struct slice copy_text(char **to, struct slice text) {
  char *at = *to;
  if (text.len > 0) memcpy(at, text.at, text.len);
  *to += text.len;
  return slice_of(at, text.len);
}

static size_t dns_text_bytes(const struct input *input) {
  size_t bytes = 0;
  for (unsigned i = 0; i < input->dns_count; i++)
    bytes += input->dns[i].flags.len + input->dns[i].service.len + input->dns[i].name.len;
  return bytes;
}

static void copy_dns(struct loop_later *later, const struct input *input, char *text) {
  ASSERT(input->dns_count <= DNS_RECORDS_MAX);
  for (unsigned i = 0; i < input->dns_count; i++) {
    later->dns[i] = input->dns[i];
    later->dns[i].flags = copy_text(&text, input->dns[i].flags);
    later->dns[i].service = copy_text(&text, input->dns[i].service);
    later->dns[i].name = copy_text(&text, input->dns[i].name);
  }
  later->input.dns = later->dns;
}

void loop_later(struct loop *loop, const struct input *input) {
  size_t data = input->data.len, record = input->record.bytes.len, before = input->before.len;
  struct loop_later *later =
      host_take(sizeof *later + data + record + before + dns_text_bytes(input));
  char *bytes = (char *)(later + 1);
  later->input = *input;
  if (input->proven != NULL) {
    later->proven = *input->proven;
    later->input.proven = &later->proven;
  }
  if (data > 0) memcpy(bytes, input->data.at, data);
  if (record > 0) memcpy(bytes + data, input->record.bytes.at, record);
  copy_dns(later, input, bytes + data + record + before);
  later->input.data = slice_of(bytes, data);
  later->input.record.bytes = slice_of(bytes + data, record);
  if (before > 0) memcpy(bytes + data + record, input->before.at, before);
  later->input.before = slice_of(bytes + data + record, before);
  *loop->later_last = later;
  loop->later_last = &later->next;
}

/* Those that wait now; what they cause waits for the next round. */
static void give_waiting(struct loop *loop) {
  struct loop_later *first = loop->later_first;
  loop->later_first = NULL;
  loop->later_last = &loop->later_first;
  for (struct loop_later *next; first != NULL; first = next) {
    next = first->next;
    loop_step(loop, &first->input);
    free(first);
  }
}

void loop_clock(struct loop *loop, bool always) {
  int64_t offset = clock_offset_us();
  int64_t moved = offset - loop->clock_offset_us;
  if (!always && moved < CLOCK_JUMP_US && moved > -CLOCK_JUMP_US) return;
  loop->clock_offset_us = offset;
  loop_step(loop, &(struct input){.kind = IN_CLOCK, .wall = clock_wall()});
}

/* ---- outputs ---- */

/* Nobody opens a WebSocket to a phone: without a flow it cannot be delivered, and the web says so.
 */
static bool is_web(const struct output *output) {
  return output->flow >= LOOP_FLOW_WEB || (output->flow == 0 && endpoint_is_web(&output->peer));
}

static void carry_out_one(struct loop *loop, const struct output *output) {
  switch (output->kind) {
    case OUT_SEND:
      if (is_web(output))
        web_send(loop->web, loop, output->flow, &output->peer, output->ticket, output->data);
      else if (output->flow != 0 || endpoint_is_stream(&output->peer))
        tcp_send(loop->tcp, output->flow, &output->peer, &output->expect, output->ticket,
                 output->data);
      else
        udp_send(loop->udp, &output->peer, output->data);
      break;
    case OUT_CLOSE:
      if (output->flow >= LOOP_FLOW_WEB)
        web_close_flow(loop->web, output->flow);
      else
        tcp_close_flow(loop->tcp, output->flow);
      break;
    case OUT_STORE:
    case OUT_ERASE:
      break; /* take_stores has done it */
    case OUT_SIGN:
      keys_sign(loop, output->ticket, output->text, output->data);
      break;
    case OUT_VERIFY:
      if (output->data.len > 0) keys_verify(loop, output->ticket, output->data);
      break;
    case OUT_USER:
      keys_user(loop, output->ticket, output->text);
      break;
    case OUT_OPEN:
      keys_open(loop, output->ticket, output->text, &output->record.owner, output->data);
      break;
    case OUT_SEAL:
      keys_seal(loop, output->ticket, output->text, output->data);
      break;
    case OUT_UNSEAL:
      keys_unseal(loop, output->ticket, output->text, output->data);
      break;
    case OUT_RESOLVE:
      dns_resolve(loop->dns, output->ticket, output->resolve, output->text);
      break;
    case OUT_REPLY:
      if (output->ticket >= LOOP_TICKET_WEB)
        web_reply(loop->web, output->ticket, output->reply);
      else
        control_reply(loop->control, output->ticket, output->reply);
      break;
    case OUT_TRACE:
      log_trace(loop->log, &output->trace);
      control_trace(loop->control, &output->trace);
      web_trace(loop->web, &output->trace);
      break;
  }
}

static void carry_out(struct loop *loop) {
  loop->carrying_out = true;
  for (uint32_t i = 0; i < loop->box.count; i++) carry_out_one(loop, &loop->box.item[i]);
  udp_flush(loop->udp);
  tcp_flush(loop->tcp);
  control_flush(loop->control);
  outbox_reset(&loop->box);
  loop->carrying_out = false;
}

/* ---- turns ---- */

static void on_more(uv_idle_t *idle) { (void)idle; /* its being active keeps poll from waiting */ }

void loop_soon(struct loop *loop) { uv_idle_start(&loop->more, on_more); }

static void on_deadline(uv_timer_t *timer) {
  struct loop *loop = timer->data;
  loop->deadline_ms = UINT64_MAX;
  loop_clock(loop, false);
  loop_step(loop, &(struct input){.kind = IN_TICK});
  loop_settle(loop);
}

static void on_minute(uv_timer_t *timer) {
  struct loop *loop = timer->data;
  loop_clock(loop, true);
  loop_settle(loop);
}

static void on_after_poll(uv_check_t *check) { loop_settle(check->data); }

/* An alarm that is too early is harmless and one system call cheaper than moving it. */
static void arm_deadline(struct loop *loop) {
  usec deadline = node_deadline(loop->node), now = clock_monotonic();
  if (deadline == USEC_NEVER) return;
  uint64_t wait_ms = deadline > now ? (deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;
  uint64_t at_ms = uv_now(&loop->uv) + wait_ms;
  if (at_ms >= loop->deadline_ms) return;
  loop->deadline_ms = at_ms;
  uv_timer_start(&loop->deadline, on_deadline, wait_ms, 0);
}

void loop_settle(struct loop *loop) {
  if (loop->node == NULL || loop->carrying_out) return;
  bool due = false;
  for (int round = 0; round < LOOP_ROUNDS; round++) {
    carry_out(loop);
    due = node_deadline(loop->node) <= clock_monotonic();
    if (loop->later_first == NULL && !due) break;
    give_waiting(loop);
    if (due) loop_step(loop, &(struct input){.kind = IN_TICK});
  }
  carry_out(loop);
  journal_submit(loop->journal);
  if (loop->later_first != NULL)
    uv_idle_start(&loop->more, on_more);
  else
    uv_idle_stop(&loop->more);
  arm_deadline(loop);
}

void loop_init(struct loop *loop, struct log *log, const struct loop_keys *keys) {
  *loop = (struct loop){.log = log, .keys = *keys, .deadline_ms = UINT64_MAX};
  loop->later_last = &loop->later_first;
  loop->log_mask = log_trace_mask(log->level);
  loop->items = host_take(LOOP_OUTBOX_ITEMS * sizeof *loop->items);
  loop->bytes = host_take(LOOP_OUTBOX_BYTES);
  outbox_init(&loop->box, loop->items, LOOP_OUTBOX_ITEMS, loop->bytes, LOOP_OUTBOX_BYTES);
  uv_loop_init(&loop->uv);
  uv_check_init(&loop->uv, &loop->after_poll);
  uv_idle_init(&loop->uv, &loop->more);
  uv_timer_init(&loop->uv, &loop->deadline);
  uv_timer_init(&loop->uv, &loop->minute);
  loop->after_poll.data = loop->deadline.data = loop->minute.data = loop;
}

void loop_start(struct loop *loop) {
  uv_check_start(&loop->after_poll, on_after_poll);
  uv_timer_start(&loop->minute, on_minute, MINUTE_MS, MINUTE_MS);
  loop_settle(loop);
}

void loop_stop(struct loop *loop) {
  uv_close((uv_handle_t *)&loop->after_poll, NULL);
  uv_close((uv_handle_t *)&loop->more, NULL);
  uv_close((uv_handle_t *)&loop->deadline, NULL);
  uv_close((uv_handle_t *)&loop->minute, NULL);
}

void loop_free(struct loop *loop) {
  for (struct loop_later *next, *at = loop->later_first; at != NULL; at = next) {
    next = at->next;
    free(at);
  }
  free(loop->items);
  free(loop->bytes);
  int status = uv_loop_close(&loop->uv);
  ASSERT(status == 0);
}
