/* SPDX-License-Identifier: BSD-2-Clause */
/* What a response context sends, and where to: groups of equal q (RFC 3261 16.6, R-7.15), names by
 * the DNS, and the next address of a name when one has failed (RFC 3263 4.3; ). */
#include "edge/fork_state.h"
#include "edge/redirect.h"
#include "sip/locate.h"
#include "sip/print.h"

#define NAMING_TIMEOUT SEC(10)
#define NEXT_INVITE_US \
  4000000u /* without an answer the next address is tried: well over 100 Trying */
#define NEXT_OTHER_US 8000000u /* longer, as others are answered 100 late (RFC 4320) */
/* RFC 3261 18.1.1 has 1300 bytes: what this peer adds is left out of it. */
#define LARGE_BYTES 1000u

/* ---- names ---- */

static unsigned families_of(const struct edge *edge) {
  unsigned families = edge->config.advertise.family == 6 ? LOCATE_IPV6 : LOCATE_IPV4;
  for (unsigned i = 0; i < edge->config.listen_count; i++)
    families |= edge->config.listen[i].family == 6 ? LOCATE_IPV6 : LOCATE_IPV4;
  return families;
}

static enum locate_status locate(struct edge_step *step, struct slice next, size_t bytes,
                                 struct locate_result *result) {
  struct edge *edge = step->edge;
  struct sip_uri uri;
  result->count = 0;
  if (edge->names == NULL) {
    edge->names = memory_take(edge->memory, sizeof *edge->names);
    if (edge->names == NULL) return LOCATE_NO_ROOM;
    dns_cache_init(&edge->names->cache, edge->memory, &edge->rng);
  }
  if (sip_uri_parse(next, &uri) != OK || uri.host.len == 0) return LOCATE_NONE;
  struct locate_query query = {.uri = &uri,
                               .transports = 1u << TRANSPORT_UDP | 1u << TRANSPORT_TCP,
                               .families = families_of(edge),
                               .large = bytes > LARGE_BYTES};
  return locate_run(&edge->names->cache, step->now, &query, &edge->rng, step->out, result);
}

/* TLS to other domains is not offered: nothing would say whose the other end is. */
static bool is_secure(const struct hop *hop) {
  return hop->at.transport == TRANSPORT_TLS || hop->at.transport == TRANSPORT_WSS;
}

static bool is_avoided(const struct edge *edge, usec now, const struct endpoint *at) {
  for (unsigned i = 0; i < NAMES_AVOIDED_MAX; i++)
    if (edge->names->avoided[i].until > now && endpoint_equal(&edge->names->avoided[i].at, at))
      return true;
  return false;
}

/* Those that failed lately go to the end. */
static void order_hops(const struct edge *edge, usec now, struct locate_result *result) {
  struct locate_result ordered = {0};
  for (unsigned pass = 0; pass < 2; pass++)
    for (unsigned i = 0; i < result->count; i++)
      if (is_avoided(edge, now, &result->at[i]) == (pass == 1))
        ordered.at[ordered.count++] = result->at[i];
  *result = ordered;
}

void fork_avoid(struct edge_step *step, const struct branch *branch, uint32_t seconds) {
  struct edge *edge = step->edge;
  if (branch->hops.len == 0) return;
  struct avoided *place = &edge->names->avoided[0];
  for (unsigned i = 0; i < NAMES_AVOIDED_MAX; i++) {
    struct avoided *other = &edge->names->avoided[i];
    if (other->until < place->until) place = other;
    if (!endpoint_equal(&other->at, &branch->target.hop.at)) continue;
    place = other;
    break;
  }
  *place = (struct avoided){branch->target.hop.at, step->now + SEC(seconds)};
}

bool fork_name_hop(struct edge_step *step, struct slice next, size_t bytes, struct hop *hop) {
  struct locate_result result;
  if (locate(step, next, bytes, &result) != LOCATE_FOUND) return false;
  order_hops(step->edge, step->now, &result);
  *hop = (struct hop){.at = result.at[0]};
  return true;
}

static const struct {
  uint16_t status;
  const char *reason;
} refusal[] = {
    [LOCATE_NONE] = {404, "Domain Does Not Exist Or Offers No SIP"},
    [LOCATE_SILENT] = {504, "DNS Does Not Answer"},
    [LOCATE_FOREIGN] = {404, "Domain Has No Transport In Common"},
    [LOCATE_NO_ROOM] = {503, NULL},
};

/* ---- one branch ---- */

static bool forms_dialog(const struct sip_message *message) {
  if (message->to_tag.len != 0) return false;
  return message->method == SIP_INVITE || message->method == SIP_SUBSCRIBE ||
         message->method == SIP_REFER;
}

static bool has_other_flow(const struct fork *fork, const struct branch *branch) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_WAITING && fork_same_phone(&fork->branch[i], branch))
      return true;
  return false;
}

static unsigned hop_count(const struct branch *branch) {
  return (unsigned)(branch->hops.len / sizeof(struct endpoint));
}

/* A request over 1300 bytes to a given UDP address stays on UDP (against RFC 3261 18.1.1): that
 * address is a phone's, and nothing says that it listens on TCP. Between peers a Path asks for TCP,
 * and for a name streams are tried first. */
static void send_branch(struct edge_step *step, struct fork *fork, struct branch *branch,
                        const struct edge_request *request) {
  struct edge *edge = step->edge;
  if (branch->target.secure && !is_secure(&branch->target.hop)) {
    fork_branch_failed(step, fork, branch, 480, "No Contact By TLS");
    return;
  }
  char branch_text[FORK_BRANCH_BYTES];
  struct buf text = buf_over(branch_text, sizeof branch_text);
  fork_put_branch(&text, edge, request->message, rng_u64(&edge->rng));
  struct fork_print print = {
      .request = request,
      .target = &branch->target,
      .drop = fork->drop,
      .record_route = edge->config.record_route && forms_dialog(request->message),
      .breadth = fork->breadth,
      .branch = buf_slice(&text),
  };
  size_t mark = outbox_mark(step->out);
  fork_put_request(&step->out->bytes, edge, &print);
  struct slice bytes = outbox_text(step->out, mark);
  const struct hop *hop = &branch->target.hop;
  struct transaction_request send = {.to = {.flow = hop->flow, .at = hop->at},
                                     .bytes = bytes,
                                     .branch = print.branch,
                                     .user = fork_user(edge, fork)};
  struct transaction_timing timing = edge->transactions.timing;
  timing.timeout_us = fork->invite ? NEXT_INVITE_US : NEXT_OTHER_US;
  if (branch->hop + 1 < hop_count(branch)) send.timing = &timing;
  branch->state = BRANCH_SENT;
  if (bytes.len > SIP_MESSAGE_BYTES_MAX) {
    fork_branch_failed(step, fork, branch, 513, NULL);
  } else if (transactions_send(&edge->transactions, step->now, &send, step->out, &branch->client) !=
             OK) {
    fork_branch_failed(step, fork, branch, 503, NULL);
  } else {
    branch->alive = true;
    branch->hurried = fork->invite && has_other_flow(fork, branch);
    usec wait = branch->hurried ? FORK_FLOW_WAIT : FORK_TIMER_C;
    if (fork->invite) timers_set(&edge->timers, &branch->timer, step->now + wait);
  }
}

static void take_hop(struct branch *branch, unsigned hop) {
  branch->hop = hop;
  branch->target.hop = (struct hop){0};
  memcpy(&branch->target.hop.at, branch->hops.at + hop * sizeof(struct endpoint),
         sizeof(struct endpoint));
}

static void name_branch(struct edge_step *step, struct fork *fork, struct branch *branch,
                        const struct edge_request *request) {
  struct edge *edge = step->edge;
  struct locate_result result;
  bool naming = branch->state == BRANCH_NAMING;
  enum locate_status status =
      locate(step, branch->target.next, request->message->bytes.len, &result);
  if (status == LOCATE_ASKING) {
    if (!naming) {
      branch->naming_until = step->now + NAMING_TIMEOUT;
      edge->naming++;
    }
    branch->state = BRANCH_NAMING;
    timers_set(&edge->timers, &branch->timer, branch->naming_until);
    return;
  }
  if (naming) edge->naming--;
  branch->state = BRANCH_WAITING;
  timers_clear(&edge->timers, &branch->timer);
  order_hops(edge, step->now, &result);
  if (status == LOCATE_FOUND) {
    branch->hops = edge_keep(edge, slice_of(result.at, result.count * sizeof result.at[0]));
    if (branch->hops.at == NULL) status = LOCATE_NO_ROOM;
  }
  if (status != LOCATE_FOUND) {
    fork_branch_failed(step, fork, branch, refusal[status].status, refusal[status].reason);
    return;
  }
  take_hop(branch, 0);
  send_branch(step, fork, branch, request);
}

void fork_name_again(struct edge_step *step, struct fork *fork, struct branch *branch) {
  struct sip_message memory;
  struct edge_request request;
  if (step->now >= branch->naming_until)
    fork_branch_failed(step, fork, branch, 504, "DNS Does Not Answer");
  else if (!fork_view_request(step->edge, fork, &memory, &request))
    fork_stop_waiting(step, fork);
  else
    name_branch(step, fork, branch, &request);
}

bool fork_send_next(struct edge_step *step, struct fork *fork, struct branch *branch) {
  struct sip_message memory;
  struct edge_request request;
  if (fork->finished || fork->ending || branch->hop + 1 >= hop_count(branch)) return false;
  if (!fork_view_request(step->edge, fork, &memory, &request)) return false;
  take_hop(branch, branch->hop + 1);
  send_branch(step, fork, branch, &request);
  return branch->state == BRANCH_SENT;
}

/* ---- groups ---- */

/* It waits, and no other flow of the same phone is tried or comes before it. */
static bool is_ready(const struct fork *fork, unsigned i) {
  if (fork->branch[i].state != BRANCH_WAITING) return false;
  if (fork->branch[i].target.locate && fork->locating) return false; /* one after the other */
  for (unsigned j = 0; j < fork->count; j++) {
    const struct branch *other = &fork->branch[j];
    bool before = other->state == BRANCH_SENT || other->state == BRANCH_NAMING ||
                  (other->state == BRANCH_WAITING && j < i);
    if (j != i && before && fork_same_phone(other, &fork->branch[i])) return false;
  }
  return true;
}

/* May one more be out (RFC 5393 section 5.3.3)? */
static bool has_breadth(const struct fork *fork) {
  return (uint64_t)fork->breadth * (fork_busy(fork) + 1) <= fork->breadth_all;
}

unsigned fork_next_group(const struct fork *fork, uint16_t *q) {
  bool begun = fork_busy(fork) > 0;
  unsigned size = 0;
  *q = fork->q;
  if (begun && !has_breadth(fork)) return 0;
  for (unsigned i = 0; i < fork->count; i++) {
    uint16_t own = fork->branch[i].target.q_permille;
    if (!is_ready(fork, i) || (begun && own != fork->q)) continue;
    if (!begun && (size == 0 || own > *q)) {
      *q = own;
      size = 0;
    }
    size += own == *q;
  }
  return size;
}

uint32_t fork_breadth_of(const struct sip_message *message) {
  const struct sip_header *header = sip_header_first(message, SIP_H_MAX_BREADTH);
  uint64_t breadth;
  if (header == NULL || !slice_to_u64(header->value, UINT32_MAX, &breadth))
    return FORK_BREADTH_DEFAULT;
  return (uint32_t)breadth;
}

bool fork_send_group(struct edge_step *step, struct fork *fork, const struct edge_request *request,
                     unsigned size) {
  if (fork->breadth_all == 0) {
    fork_stop_waiting(step, fork);
    best_take_status(step->edge, &fork->best, 440, NULL);
    return true;
  }
  if (fork_busy(fork) == 0) fork->breadth = fork->breadth_all < size ? 1 : fork->breadth_all / size;
  bool ready[FORK_BRANCHES_MAX] = {false}; /* branches that are added meanwhile wait */
  for (unsigned i = 0; i < fork->count; i++)
    ready[i] = is_ready(fork, i) && fork->branch[i].target.q_permille == fork->q;
  for (unsigned i = 0; i < fork->count; i++) {
    struct branch *branch = &fork->branch[i];
    if (!ready[i] || (branch->target.locate && fork->locating)) continue;
    if (!has_breadth(fork)) return true; /* the others when these have failed */
    if (!outbox_has(step->out, LOCATE_QUESTIONS_MAX + 8, request->message->bytes.len + 8192))
      return false;
    if (branch->target.locate)
      redirect_locate(step, fork, branch);
    else if (branch->target.next.len != 0)
      name_branch(step, fork, branch, request);
    else
      send_branch(step, fork, branch, request);
  }
  return true;
}
