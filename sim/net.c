/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams and connections. A connection delivers a beginning of what was sent, in order: where
 * the network is parted its messages wait, and it breaks when that lasts too long. Nobody is told
 * of a message that was lost with a broken connection, as with TCP. */
#include <stdlib.h>
#include <string.h>

#include "sim/liar.h"

#define CONNECT_US SEC(3)      /* until a connection to nobody is given up */
#define STALLED_US SEC(15)     /* until an open one is */
#define AGAIN_US MSEC(200)     /* pace of sending again while the network is parted */
#define UPLINK_QUEUE_US SEC(1) /* longer queues drop datagrams */
#define AGAIN_USED_US SEC(32)  /* after a connection is closed: no request waits longer */
#define SWEEPS 8u              /* in the time after which connections are idle */

/* ---- addresses and distances ---- */

struct endpoint world_address(uint32_t peer) {
  uint32_t n = peer + 1;
  return (struct endpoint){.addr = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n},
                           .port = 5060,
                           .family = 4,
                           .transport = TRANSPORT_TCP};
}

uint32_t world_peer_at(const struct world *world, const struct endpoint *at) {
  if (at->family != 4 || at->addr[0] != 10 || at->port != 5060) return SIM_NONE;
  uint32_t n = (uint32_t)at->addr[1] << 16 | (uint32_t)at->addr[2] << 8 | at->addr[3];
  return n == 0 || n > world->peer_count ? SIM_NONE : n - 1;
}

static uint32_t root(uint32_t square) {
  uint32_t low = 0, high = 2048;
  while (low + 1 < high) {
    uint32_t middle = (low + high) / 2;
    if (middle * middle <= square)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static usec map_latency(const struct world *world, uint32_t from, uint32_t to) {
  const struct sim_peer *a = &world->peer[from], *b = &world->peer[to];
  uint32_t dx = a->x > b->x ? (uint32_t)(a->x - b->x) : (uint32_t)(b->x - a->x);
  uint32_t dy = a->y > b->y ? (uint32_t)(a->y - b->y) : (uint32_t)(b->y - a->y);
  return (usec)world->weather.of[LATENCY_MAX_US] * root(dx * dx + dy * dy) / 1448; /* diagonal */
}

usec net_latency(struct world *world, uint32_t from, uint32_t to) {
  /* sixteenths of the maximum: most are short, a few are long */
  static const uint8_t tail[] = {1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 9, 14, 40};
  usec min = world->weather.of[LATENCY_MIN_US];
  usec max = usec_max(min, world->weather.of[LATENCY_MAX_US]);
  switch (world->weather.of[LATENCY]) {
    case 1:
      return usec_max(min, max * tail[rng_below(&world->rng, sizeof tail)] / 16);
    case 2:
      return min + map_latency(world, from, to) + rng_below(&world->rng, min + 1);
    case 3:
      return min + exponential(&world->rng, max);
    default:
      return rng_between(&world->rng, min, max);
  }
}

bool world_blocked(const struct world *world, uint32_t from, uint32_t to) {
  uint8_t a = world->peer[from].side, b = world->peer[to].side;
  if (!world->parted || a == b) return false;
  return !world->one_way || a == 0;
}

/* When the sender's line has taken these bytes. */
static usec line_time(struct world *world, uint32_t from, size_t bytes) {
  struct sim_peer *peer = &world->peer[from];
  uint32_t rate = world->weather.of[UPLINK_KB];
  if (rate == 0) return world->now;
  peer->uplink_free_at = usec_max(peer->uplink_free_at, world->now) + (usec)bytes * 1000 / rate;
  return peer->uplink_free_at;
}

/* ---- which connection goes from a peer to a peer ---- */

static uint32_t *link_bucket(const struct world *world, uint32_t from, uint32_t to) {
  uint64_t key = ((uint64_t)from << 32 | to) + 1;
  return &world->link[(uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (world->link_room - 1)];
}

static uint32_t link_find(const struct world *world, uint32_t from, uint32_t to) {
  uint32_t c = world->link_room == 0 ? SIM_NONE : *link_bucket(world, from, to);
  while (c != SIM_NONE && (world->conn[c].peer[0] != from || world->conn[c].peer[1] != to))
    c = world->conn[c].next;
  return c;
}

static void link_remove(struct world *world, uint32_t c) {
  uint32_t *at = link_bucket(world, world->conn[c].peer[0], world->conn[c].peer[1]);
  while (*at != c && *at != SIM_NONE) at = &world->conn[*at].next;
  if (*at == SIM_NONE) return;
  *at = world->conn[c].next;
  world->link_count--;
}

static void link_put(struct world *world, uint32_t c) {
  uint32_t *bucket = link_bucket(world, world->conn[c].peer[0], world->conn[c].peer[1]);
  world->conn[c].next = *bucket;
  *bucket = c;
}

static void link_grow(struct world *world) {
  uint32_t *old = world->link, old_room = world->link_room;
  world->link_room = old_room == 0 ? 1024 : old_room * 2;
  world->link = sim_take(world->link_room * sizeof *world->link);
  for (uint32_t i = 0; i < world->link_room; i++) world->link[i] = SIM_NONE;
  for (uint32_t i = 0; i < old_room; i++) {
    for (uint32_t c = old[i], next; c != SIM_NONE; c = next) {
      next = world->conn[c].next;
      link_put(world, c);
    }
  }
  free(old);
}

/* It takes the place of one before it. */
static void link_add(struct world *world, uint32_t c) {
  uint32_t before = link_find(world, world->conn[c].peer[0], world->conn[c].peer[1]);
  if (before != SIM_NONE) link_remove(world, before);
  if (world->link_count == world->link_room) link_grow(world);
  link_put(world, c);
  world->link_count++;
}

static void sweep_later(struct world *world) {
  usec idle = SEC(world->weather.of[LINK_IDLE_S]);
  if (idle == 0) return;
  queue_push(&world->queue, world->now + idle / SWEEPS, SIM_NONE,
             event_new(EVENT_SWEEP, SLICE_EMPTY));
}

void net_open(struct world *world) {
  world->closed_first = world->closed_last = SIM_NONE;
  sweep_later(world);
}

void net_free(struct world *world) {
  free(world->link);
  free(world->conn);
}

/* ---- connections ---- */

static uint32_t flow_id(uint32_t conn, unsigned end) { return 2 * conn + end + 1; }

/* Those of one peer are a list, so that a crash finds them. */
static void end_enter(struct world *world, uint32_t c, unsigned end) {
  struct conn *conn = &world->conn[c];
  struct sim_peer *peer = &world->peer[conn->peer[end]];
  conn->next_end[end] = peer->first_end;
  conn->last_end[end] = 0;
  if (peer->first_end != 0) {
    uint32_t next = peer->first_end - 1;
    world->conn[next / 2].last_end[next % 2] = flow_id(c, end);
  }
  peer->first_end = flow_id(c, end);
}

static void end_close(struct world *world, uint32_t c, unsigned end) {
  struct conn *conn = &world->conn[c];
  uint32_t next = conn->next_end[end], last = conn->last_end[end];
  conn->open[end] = false;
  if (next != 0) world->conn[(next - 1) / 2].last_end[(next - 1) % 2] = last;
  if (last != 0)
    world->conn[(last - 1) / 2].next_end[(last - 1) % 2] = next;
  else
    world->peer[conn->peer[end]].first_end = next;
  if (conn->open[1 - end]) return;
  link_remove(world, c);
  conn->next = SIM_NONE;
  conn->last_at[0] = world->now;
  if (world->closed_first == SIM_NONE)
    world->closed_first = c;
  else
    world->conn[world->closed_last].next = c;
  world->closed_last = c;
}

static uint32_t conn_new(struct world *world) {
  uint32_t c = world->closed_first;
  if (c != SIM_NONE && world->conn[c].last_at[0] + AGAIN_USED_US <= world->now) {
    world->closed_first = world->conn[c].next;
    return c;
  }
  world->conn = sim_grow(world->conn, &world->conn_room, world->conn_count, sizeof *world->conn);
  return world->conn_count++;
}

static bool end_lives(const struct world *world, const struct conn *conn, unsigned end) {
  const struct sim_peer *peer = &world->peer[conn->peer[end]];
  return conn->open[end] && peer->state == PEER_UP && peer->life == conn->life[end];
}

static void tell(struct world *world, usec at, uint32_t peer, uint32_t flow, enum err status,
                 uint64_t ticket, const struct endpoint *other) {
  struct event *event = event_new(EVENT_FLOW, SLICE_EMPTY);
  event->flow = flow;
  event->status = status;
  event->ticket = ticket;
  event->at = *other;
  world_later(world, at, peer, event);
}

static void tell_closed(struct world *world, usec at, uint32_t c, unsigned end) {
  const struct conn *conn = &world->conn[c];
  if (!end_lives(world, conn, end)) return;
  struct endpoint other = world_address(conn->peer[1 - end]);
  tell(world, at, conn->peer[end], flow_id(c, end), ERR_CLOSED, 0, &other);
}

/* Where links prove Peer-IDs, whoever is at the other end has shown its key: nobody can
 * show another's. */
static const struct key *proven_by(const struct world *world, uint32_t peer) {
  return world_proves(world) ? &world->peer[peer].id : NULL;
}

static uint32_t conn_open(struct world *world, uint32_t from, uint32_t to) {
  uint32_t c = conn_new(world);
  usec there = net_latency(world, from, to), back = net_latency(world, to, from);
  world->conn[c] = (struct conn){.peer = {from, to}, .open = {true, true}};
  struct conn *conn = &world->conn[c];
  for (unsigned end = 0; end < 2; end++) {
    conn->life[end] = world->peer[conn->peer[end]].life;
    end_enter(world, c, end);
  }
  link_add(world, c);
  conn->last_at[1] = world->now + there + back;
  conn->both_ways_at = conn->last_at[1] + there;
  struct endpoint other = world_address(to);
  tell(world, world->now + there + back, from, flow_id(c, 0), OK, 0, &other);
  world->opened++;
  return c;
}

static void break_conn(struct world *world, uint32_t c, usec at) {
  world->conn[c].broken = true;
  tell_closed(world, at, c, 0);
  tell_closed(world, at, c, 1);
}

/* Towards `end`: who is not there, or cannot be reached, makes the connection end sometime. */
static void conn_send(struct world *world, uint32_t c, unsigned end, struct slice data) {
  struct conn *conn = &world->conn[c];
  uint32_t from = conn->peer[1 - end], to = conn->peer[end];
  if (conn->broken) return;
  if (!end_lives(world, conn, end)) {
    bool answers = world->peer[to].state == PEER_UP || !world->peer[to].dark;
    usec at = answers ? world->now + 2 * net_latency(world, from, to) : world->now + STALLED_US;
    conn->broken = true;
    tell_closed(world, at, c, 1 - end);
    return;
  }
  if (dice(world, world->weather.of[BREAKS], 100000)) {
    break_conn(world, c, world->now + net_latency(world, from, to));
    return;
  }
  usec at = line_time(world, from, data.len) + net_latency(world, from, to);
  conn->last_at[end] = usec_max(conn->last_at[end], at);
  struct event *event = event_new(EVENT_MESSAGE, data);
  event->from = from;
  event->flow = flow_id(c, end);
  event->at = world_address(from);
  event->sent_at = world->now;
  world_later(world, conn->last_at[end], to, event);
}

static void send_on_flow(struct world *world, uint32_t from, const struct output *out) {
  uint32_t c = (out->flow - 1) / 2;
  unsigned end = (out->flow - 1) % 2;
  bool known = c < world->conn_count && world->conn[c].peer[end] == from;
  if (known && end_lives(world, &world->conn[c], end))
    conn_send(world, c, 1 - end, out->data);
  else if (out->ticket != 0)
    tell(world, world->now, from, 0, ERR_CLOSED, out->ticket, &out->peer);
}

/* RFC 5923: what the other has opened serves as well, once it has proven who it is. */
static uint32_t link_back(const struct world *world, uint32_t from, uint32_t to) {
  uint32_t c = world_proves(world) ? link_find(world, to, from) : SIM_NONE;
  bool ready = c != SIM_NONE && end_lives(world, &world->conn[c], 1) &&
               world->now >= world->conn[c].both_ways_at;
  return ready ? c : SIM_NONE;
}

/* a peer that shows another key than the one expected gets nothing. */
static bool is_expected(const struct world *world, uint32_t to, const struct key *expect) {
  return !world_proves(world) || key_is_zero(expect) || key_equal(expect, &world->peer[to].id);
}

static void send_over_link(struct world *world, uint32_t from, uint32_t to,
                           const struct output *out) {
  uint32_t c = link_find(world, from, to);
  bool expected = is_expected(world, to, &out->expect);
  if (!expected || c == SIM_NONE || !end_lives(world, &world->conn[c], 0)) {
    const struct sim_peer *target = &world->peer[to];
    bool unheard = world_blocked(world, from, to) || world_blocked(world, to, from) ||
                   (target->state != PEER_UP && target->dark);
    uint32_t back = expected ? link_back(world, from, to) : SIM_NONE;
    if (back != SIM_NONE) {
      conn_send(world, back, 0, out->data);
      return;
    }
    if (unheard || target->state != PEER_UP || !expected) {
      usec at = world->now + (unheard ? CONNECT_US : 2 * net_latency(world, from, to));
      tell(world, at, from, 0, ERR_CLOSED, out->ticket, &out->peer);
      return;
    }
    c = conn_open(world, from, to);
  }
  conn_send(world, c, 1, out->data);
}

/* The address that an accepted connection comes from is no address to call back. */
static struct endpoint seen_from(uint32_t from, uint32_t flow) {
  struct endpoint at = world_address(from);
  if (flow != 0 && (flow - 1) % 2 == 1) at.port = (uint16_t)(20000 + flow % 40000);
  return at;
}

static void send_datagram(struct world *world, uint32_t from, uint32_t to,
                          const struct output *out) {
  usec sent_at = line_time(world, from, out->data.len);
  unsigned copies = dice(world, world->weather.of[DUPLICATE], 1000) ? 2 : 1;
  if (dice(world, world->weather.of[LOSS], 1000)) copies--;
  if (sent_at > world->now + UPLINK_QUEUE_US) copies = 0;
  if (copies == 0) world->datagrams_lost++;
  for (unsigned i = 0; i < copies; i++) {
    usec at = sent_at + net_latency(world, from, to);
    if (dice(world, world->weather.of[REORDER], 1000))
      at += rng_between(&world->rng, 1, 5) * net_latency(world, from, to);
    struct event *event = event_new(EVENT_MESSAGE, out->data);
    event->from = from;
    event->at = world_address(from);
    event->at.transport = TRANSPORT_UDP;
    event->sent_at = world->now;
    world_later(world, at, to, event);
  }
}

void net_send(struct world *world, uint32_t from, const struct output *out) {
  uint32_t to = world_peer_at(world, &out->peer);
  if (out->flow != 0) {
    send_on_flow(world, from, out);
  } else if (to == SIM_NONE) { /* somebody's phone, at most */
    if (world->watch.datagram != NULL) world->watch.datagram(world->watch.context, from, out);
  } else if (endpoint_is_stream(&out->peer)) {
    send_over_link(world, from, to, out);
  } else {
    send_datagram(world, from, to, out);
  }
}

/* When the other end hears that this one is closed: behind what was sent before. */
static usec closed_at(struct world *world, uint32_t c, unsigned end) {
  const struct conn *conn = &world->conn[c];
  usec latency = net_latency(world, conn->peer[end], conn->peer[1 - end]);
  return usec_max(conn->last_at[1 - end], world->now + latency);
}

void net_close(struct world *world, uint32_t peer, uint32_t flow) {
  uint32_t c = (flow - 1) / 2;
  unsigned end = (flow - 1) % 2;
  if (flow == 0 || c >= world->conn_count || world->conn[c].peer[end] != peer) return;
  if (!end_lives(world, &world->conn[c], end)) return;
  usec at = closed_at(world, c, end);
  tell_closed(world, world->now, c, end);
  tell_closed(world, at, c, 1 - end);
  world->conn[c].broken = true;
}

void net_on_crash(struct world *world, uint32_t peer, bool dark) {
  for (uint32_t end_id; (end_id = world->peer[peer].first_end) != 0;) {
    uint32_t c = (end_id - 1) / 2;
    unsigned end = (end_id - 1) % 2;
    const struct conn *conn = &world->conn[c];
    uint32_t other = conn->peer[1 - end];
    usec at = closed_at(world, c, end);
    if (!dark && !conn->broken && !world_blocked(world, peer, other))
      tell_closed(world, at, c, 1 - end); /* its system does so */
    end_close(world, c, end);
  }
}

/* Who opened it closes it; if that peer is gone, the system of the other finds out. */
static void close_if_idle(struct world *world, uint32_t c, usec since) {
  const struct conn *conn = &world->conn[c];
  if (conn->broken || usec_max(conn->last_at[0], conn->last_at[1]) >= since) return;
  if (end_lives(world, conn, 0))
    net_close(world, conn->peer[0], flow_id(c, 0));
  else
    tell_closed(world, world->now, c, 1);
}

void net_sweep(struct world *world) {
  usec idle = SEC(world->weather.of[LINK_IDLE_S]);
  usec since = world->now > idle ? world->now - idle : 0;
  uint32_t share = world->conn_count / SWEEPS + 1;
  if (world->swept >= world->conn_count) world->swept = 0;
  for (; share > 0 && world->swept < world->conn_count; share--, world->swept++)
    close_if_idle(world, world->swept, since);
  sweep_later(world);
}

/* ---- what arrives ---- */

static void hold_back(struct world *world, const struct event *event, usec until) {
  struct event *again = event_new(event->kind, slice_of(event->bytes, event->len));
  *again = *event;
  again->held = true;
  queue_push(&world->queue, until, event->peer, again);
}

/* True: it has to wait, or will never come. Those behind it wait at least as long, in order. */
static bool is_held_back(struct world *world, const struct event *event) {
  bool blocked = world_blocked(world, event->from, event->peer);
  if (event->flow == 0) return blocked;
  struct conn *conn = &world->conn[(event->flow - 1) / 2];
  unsigned end = (event->flow - 1) % 2;
  if (!conn->open[end] || conn->peer[1 - end] != event->from) return true;
  if (blocked) {
    if (conn->stalled_at[end] == 0) conn->stalled_at[end] = world->now;
    if (world->now - conn->stalled_at[end] > STALLED_US) {
      if (!conn->broken) break_conn(world, (event->flow - 1) / 2, world->now);
      return true;
    }
    conn->hold_until[end] = usec_max(conn->hold_until[end], world->now + AGAIN_US);
  } else if (event->held ? world->now >= conn->hold_until[end]
                         : world->now > conn->hold_until[end]) {
    conn->stalled_at[end] = 0;
    return false;
  }
  hold_back(world, event, conn->hold_until[end]);
  return true;
}

static bool is_dropped(const struct world *world, const struct event *event) {
  struct slice text = slice_of(event->bytes, event->len);
  if (!world->peer[event->peer].drops || !slice_starts(text, SLICE("LOCSER "))) return false;
  struct slice line = slice_skip(text, slice_find(text, SLICE("Overlay-Key:")));
  line = slice_first(line, slice_find_byte(line, '\r'));
  return line.len > 0 && slice_find(line, SLICE(";direct")) == line.len &&
         slice_find(line, SLICE(";final")) == line.len;
}

void net_on_message(struct world *world, struct event *event) {
  if (is_held_back(world, event) || is_dropped(world, event)) return;
  struct endpoint from = seen_from(event->from, event->flow);
  from.transport = event->at.transport;
  if (world_proves(world)) from.transport = TRANSPORT_TLS;
  const struct input input = {.kind = IN_MESSAGE,
                              .flow = event->flow,
                              .proven = proven_by(world, event->from),
                              .peer = from,
                              .data = slice_of(event->bytes, event->len)};
  world->messages++;
  world->message_bytes += event->len;
  if (event->len > world->message_max) world->message_max = event->len;
  if (!liar_takes(world, event)) world_step(world, event->peer, &input);
  world->diverting = false;
}

void net_on_flow(struct world *world, struct event *event) {
  if (event->flow != 0 && event->status != OK) {
    uint32_t c = (event->flow - 1) / 2;
    unsigned end = (event->flow - 1) % 2;
    if (!world->conn[c].open[end]) return;
    end_close(world, c, end);
  }
  struct endpoint at = event->at;
  const struct key *proven = NULL;
  if (event->flow != 0) {
    uint32_t other = world_peer_at(world, &event->at);
    at = seen_from(other, event->flow);
    proven = proven_by(world, other);
  }
  if (world_proves(world)) at.transport = TRANSPORT_TLS;
  const struct input input = {.kind = IN_FLOW,
                              .proven = proven,
                              .status = event->status,
                              .flow = event->flow,
                              .ticket = event->ticket,
                              .peer = at};
  world_step(world, event->peer, &input);
}
