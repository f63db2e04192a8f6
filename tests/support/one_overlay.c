/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/one_overlay.h"

#include <stdio.h>

#include "base/assert.h"

struct key one_key(uint8_t place) {
  return (struct key){.byte = {place}};
}

struct peer one_peer(uint8_t place) {
  return (struct peer){
      .id = one_key(place),
      .at = {.addr = {192, 0, 2, place}, .port = 5060, .family = 4, .transport = TRANSPORT_TCP},
      .incarnation = 1};
}

void one_init(struct one_overlay *one, uint8_t place, unsigned successors) {
  const uint8_t seed[16] = {place, (uint8_t)successors};
  memset(one, 0, sizeof *one);
  test_memory_init(&one->memory, TEST_MEMORY_UNLIMITED);
  one->now = SEC(100);
  struct overlay_config config = {.self = one_peer(place),
                                  .successors = successors,
                                  .fingers_max = 16,
                                  .stabilize_us = SEC(5),
                                  .fingers_us = SEC(10),
                                  .memory = &one->memory.memory,
                                  .seed = seed};
  one->overlay = overlay_new(&config);
  ASSERT(one->overlay != NULL);
}

void one_free(struct one_overlay *one) {
  overlay_free(one->overlay);
  ASSERT(one->memory.blocks == 0);
}

struct overlay_message one_says(enum overlay_method method, uint8_t place, uint8_t predecessor,
                                const uint8_t *successors, unsigned count) {
  struct overlay_message m = {.method = method, .sender = one_peer(place)};
  if (predecessor != 0) m.predecessor = one_peer(predecessor);
  m.successor_count = count;
  for (unsigned i = 0; i < count; i++) m.successor[i] = one_peer(successors[i]);
  return m;
}

const struct overlay_call *one_call(struct one_overlay *one, enum overlay_method method,
                                    uint8_t place) {
  const struct key id = one_key(place);
  for (unsigned i = 0; i < one->calls.count; i++) {
    const struct overlay_call *call = &one->calls.call[i];
    if (call->message.method == method && (call->routed || key_equal(&call->to.id, &id))) {
      return call;
    }
  }
  return NULL;
}

const struct overlay_call *one_wait(struct one_overlay *one, enum overlay_method method) {
  for (unsigned tries = 0; tries < 1000; tries++) {
    for (unsigned i = 0; i < one->calls.count; i++) {
      const struct overlay_call *call = &one->calls.call[i];
      if (call->message.method == method && call->ticket != 0) return call;
    }
    usec at = overlay_deadline(one->overlay);
    ASSERT(at != USEC_NEVER);
    one->now = usec_max(at, one->now);
    one->calls.count = 0;
    overlay_on_tick(one->overlay, one->now, &one->calls, NULL);
  }
  assert_failed("the call is made some time", __FILE__, __LINE__);
}

void one_answer(struct one_overlay *one, const struct overlay_call *call,
                enum overlay_status status, const struct overlay_message *message) {
  uint32_t ticket = call->ticket;
  one->calls.count = 0;
  one->now += MSEC(1);
  overlay_on_answer(one->overlay, one->now, ticket, status, message, &one->calls, NULL);
}

enum overlay_status one_request(struct one_overlay *one, enum overlay_method method, uint8_t from) {
  struct overlay_message request = {.method = method, .sender = one_peer(from)};
  one->calls.count = 0;
  return overlay_on_request(one->overlay, one->now, &request, &one->answer, &one->calls, NULL);
}

void one_join(struct one_overlay *one, uint8_t predecessor, const uint8_t *successors,
              unsigned count) {
  struct endpoint bootstrap = one_peer(predecessor).at;
  one->calls.count = 0;
  overlay_join(one->overlay, one->now, &bootstrap, 1, &one->calls);
  struct overlay_message route =
      one_says(OVERLAY_ROUTE, successors[0], predecessor, successors + 1, count - 1);
  one_answer(one, one_wait(one, OVERLAY_ROUTE), OVERLAY_OK, &route);
  struct overlay_message join = one_says(OVERLAY_JOIN, predecessor, 0, successors, count);
  one_answer(one, one_wait(one, OVERLAY_JOIN), OVERLAY_OK, &join);
  ASSERT(overlay_is_member(one->overlay));
}

const char *one_list(const struct one_overlay *one) {
  static char text[256];
  size_t len = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < one->overlay->list.count; i++) {
    len += (size_t)snprintf(text + len, sizeof text - len, "%s%u", i > 0 ? " " : "",
                            one->overlay->list.at[i].id.byte[0]);
  }
  return text;
}
