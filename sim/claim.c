/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/claim.h"

/* */
#define DATAGRAM_REQUEST_MAX 1300u /* */
#define DATAGRAM_BODY_MAX 8192u    /* */
#define MESSAGE_MAX 65535u         /* */
/* for the default period of stabilisation; longer with shorter ones */
#define IDLE_SMALL_RING_BYTES 1900u /* all members are in each answer */
#define IDLE_RING_BYTES 1210u
#define IDLE_RING_BYTES_A_DOUBLING 45u
#define IDLE_COPIES_BYTES 200u
#define IDLE_STABILIZE_MS 5000u
/* */
#define READY_US SEC(60)
#define STORM_TIMES_HELD_A_DOUBLING 2u
#define STORM_BYTES 300000u
#define STORM_BYTES_A_WRITE 6000u

/* ---- messages ---- */

void claim_on_message(struct world *world, const struct event *event) {
  struct slice text = slice_of(event->bytes, event->len);
  if (event->len > MESSAGE_MAX)
    world_fail(world, "peer %u sends %zu bytes in one message", event->from, event->len);
  if (event->flow != 0) return;
  size_t body = slice_skip(text, slice_find(text, SLICE("\r\n\r\n")) + 4).len;
  if (slice_starts(text, SLICE("LOCSER ")) && event->len > DATAGRAM_REQUEST_MAX)
    world_fail(world, "peer %u sends a request of %zu bytes in one datagram", event->from,
               event->len);
  if (body > DATAGRAM_BODY_MAX)
    world_fail(world, "peer %u answers %zu bytes in one datagram", event->from, body);
}

/* ---- an idle ring ---- */

static unsigned doublings(uint32_t peers) {
  unsigned count = 0;
  while (((uint64_t)1 << count) < peers) count++;
  return count;
}

static void check_idle(const struct claim_state *state) {
  const struct figures *figures = state->figures;
  const uint64_t *bytes = figures->traffic[PHASE_FAULTS].bytes;
  uint64_t ring = figures_rate(figures, PHASE_FAULTS, bytes[FIGURE_RING]);
  uint64_t copies = figures_rate(figures, PHASE_FAULTS, bytes[FIGURE_COPIES]);
  uint64_t allowed =
      IDLE_RING_BYTES + (uint64_t)IDLE_RING_BYTES_A_DOUBLING * doublings(state->world->up_count);
  if (state->world->up_count < 2 * state->world->weather.of[SUCCESSORS])
    allowed = IDLE_SMALL_RING_BYTES;
  allowed = allowed * IDLE_STABILIZE_MS / (state->world->weather.of[STABILIZE_MS] + 1);
  if (ring > allowed)
    world_fail(state->world, "an idle peer sends %llu bytes a second for the ring, not %llu",
               (unsigned long long)ring, (unsigned long long)allowed);
  if (copies > IDLE_COPIES_BYTES)
    world_fail(state->world, "an idle peer sends %llu bytes a second for copies, not %u",
               (unsigned long long)copies, IDLE_COPIES_BYTES);
}

/* ---- everybody restarts ---- */

static bool everybody_is_ready(const struct world *world) {
  for (uint32_t i = 0; i < world->peer_count; i++)
    if (world_is_up(world, i) && !node_stats(world->peer[i].node).ready) return false;
  return true;
}

static uint64_t writes(const struct ledger *ledger) {
  return ledger->counts.puts + ledger->counts.removes;
}

static void check_storm_copies(struct claim_state *state) {
  struct world *world = state->world;
  uint64_t copies = figures_bytes(state->figures, FIGURE_COPIES) - state->copies_before, held = 0;
  for (uint32_t i = 0; i < world->peer_count; i++)
    if (world_is_up(world, i)) held += node_stats(world->peer[i].node).record_bytes;
  uint64_t allowed = STORM_TIMES_HELD_A_DOUBLING * doublings(world->up_count) * held +
                     (uint64_t)STORM_BYTES * world->up_count +
                     STORM_BYTES_A_WRITE * (writes(state->ledger) - state->writes_before);
  uint64_t share = copies * 100 / (held + 1);
  if (share > state->copies_max) state->copies_max = share;
  if (copies > allowed)
    world_fail(world, "%llu bytes of copies were sent after all restarted, not %llu; held: %llu",
               (unsigned long long)copies, (unsigned long long)allowed, (unsigned long long)held);
}

/* From the time at which all are ready every answer must be right, as after healing. */
static void look_at_storm(struct claim_state *state, uint32_t returning) {
  struct world *world = state->world;
  usec took = world->now - state->began_at;
  if (state->ready_at == 0 && returning == 0 && everybody_is_ready(world)) {
    state->ready_at = world->now;
    state->ready_max_us = usec_max(state->ready_max_us, took);
    state->ledger->strict = true;
  }
  if (state->ready_at == 0 && took > READY_US)
    world_fail(world, "all restarted, and after %llu s not everybody is ready",
               (unsigned long long)(took / USEC_PER_SEC));
  if (!state->copies_checked && took >= READY_US) {
    state->copies_checked = true;
    check_storm_copies(state);
  }
}

/* ---- all ---- */

void claim_begin(struct claim_state *state) {
  state->began_at = state->world->now;
  state->ready_at = 0;
  state->copies_checked = false;
  state->writes_before = writes(state->ledger);
  state->copies_before = figures_bytes(state->figures, FIGURE_COPIES);
}

void claim_look(struct claim_state *state, uint32_t returning) {
  if (state->claim == CLAIM_READY && state->began_at != 0) look_at_storm(state, returning);
}

void claim_end(struct claim_state *state) {
  if (state->claim == CLAIM_IDLE) check_idle(state);
  state->began_at = 0;
}
