/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/fork.h"

#include "base/assert.h"
#include "edge/best.h"
#include "sip/print.h"

#define POOL_CHUNK 16u
#define BREADTH_DEFAULT 60u /* RFC 5393 section 5.3.3.1 */

enum branch_state {
  BRANCH_WAITING, /* not sent yet */
  BRANCH_SENT,
  BRANCH_DONE, /* its final answer is known */
};

struct branch {
  struct fork_target target; /* texts owned */
  struct slice texts;
  struct handle client;
  struct timer timer; /* Timer C */
  enum branch_state state;
  bool alive;     /* its client transaction has not ended */
  bool hurried;   /* another flow of the same phone waits: `timer` is FORK_FLOW_WAIT */
  bool ringing;   /* it drew a provisional answer other than 100 */
  bool abandoned; /* another flow was tried instead */
};

struct fork {
  struct handle server;
  uint32_t flow;
  struct endpoint from;
  unsigned drop;
  struct slice uri;      /* owned: the Request-URI to look up or to follow */
  struct slice instance; /* owned: of the GRUU asked for, or empty */
  bool invite;
  bool locating, located;
  bool finished; /* a final answer went out, or nobody waits for one */
  bool cancelled;
  bool server_alive;
  uint16_t q;       /* of the group that is being tried */
  uint32_t breadth; /* Max-Breadth for each branch of the group */
  unsigned count;
  struct branch branch[FORK_BRANCHES_MAX];
  struct best best;
  struct timer timer; /* the location service is silent, or there is more to send */
};

void fork_init(struct edge *edge) {
  pool_init(&edge->forks, edge->memory, sizeof(struct fork), POOL_CHUNK,
            edge->transactions.server.limit);
}

static void drop_texts(struct edge *edge, struct fork *fork) {
  edge_drop(edge, &fork->uri);
  edge_drop(edge, &fork->instance);
  best_clear(edge, &fork->best);
  for (unsigned i = 0; i < fork->count; i++) edge_drop(edge, &fork->branch[i].texts);
}

void fork_free_all(struct edge *edge) {
  uint32_t index = 0;
  struct fork *fork;
  while ((fork = pool_next(&edge->forks, &index)) != NULL) drop_texts(edge, fork);
  pool_free(&edge->forks);
}

static struct fork *fork_at(const struct edge *edge, uint64_t user) {
  return pool_at(&edge->forks, handle_unpack(user));
}

static uint64_t user_of(const struct edge *edge, const struct fork *fork) {
  return handle_pack(pool_handle_of(&edge->forks, fork));
}

struct fork *fork_new(struct edge_step *step, const struct edge_request *request, unsigned drop,
                      struct slice uri) {
  struct edge *edge = step->edge;
  struct handle handle;
  struct fork *fork = pool_take(&edge->forks, &handle);
  if (fork == NULL) return NULL;
  fork->uri = edge_keep(edge, uri);
  if (fork->uri.at == NULL) {
    pool_give(&edge->forks, handle);
    return NULL;
  }
  fork->server = request->transaction;
  fork->server_alive = true;
  fork->flow = request->flow;
  fork->from = request->from;
  fork->drop = drop;
  fork->invite = request->message->method == SIP_INVITE;
  fork->timer.owner = handle_pack(handle);
  fork->timer.kind = EDGE_TIMER_FORK;
  if (fork->invite) edge->calls++;
  transactions_set_user(&edge->transactions, fork->server, handle_pack(handle));
  return fork;
}

/* Frees the context when nothing can come any more. */
static void reap(struct edge *edge, struct fork *fork) {
  if (fork->server_alive || fork->locating) return;
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].alive) return;
  for (unsigned i = 0; i < fork->count; i++) timers_clear(&edge->timers, &fork->branch[i].timer);
  timers_clear(&edge->timers, &fork->timer);
  drop_texts(edge, fork);
  if (fork->invite) edge->calls--;
  pool_give(&edge->forks, pool_handle_of(&edge->forks, fork));
}

enum err fork_add(struct edge_step *step, struct fork *fork, const struct fork_target *target) {
  struct edge *edge = step->edge;
  uint32_t limit = edge->config.limits.forks_max;
  if (fork->count == FORK_BRANCHES_MAX || fork->count >= limit) return ERR_FULL;
  struct branch *branch = &fork->branch[fork->count];
  *branch = (struct branch){.target = *target};
  size_t mark = outbox_mark(step->out);
  buf_put(&step->out->bytes, target->uri);
  buf_put(&step->out->bytes, target->routes);
  branch->texts = edge_keep(edge, outbox_text(step->out, mark));
  if (branch->texts.at == NULL) return ERR_MEMORY;
  branch->target.uri = slice_first(branch->texts, target->uri.len);
  branch->target.routes = slice_skip(branch->texts, target->uri.len);
  branch->timer.owner = user_of(edge, fork);
  branch->timer.kind = EDGE_TIMER_BRANCH;
  fork->count++;
  return OK;
}

/* The request, as long as it has no final answer. */
static bool view_request(const struct edge *edge, const struct fork *fork,
                         struct sip_message *message, struct edge_request *request) {
  struct transaction_view view;
  struct sip_problem problem;
  if (!fork->server_alive || !transactions_view(&edge->transactions, fork->server, &view))
    return false;
  if (view.request.len == 0) return false;
  enum err parsed = sip_message_parse(view.request, SIP_DATAGRAM, message, &problem);
  if (parsed != OK) return false;
  *request = (struct edge_request){message, fork->flow, fork->from, fork->server};
  return true;
}

/* ---- the final answer ---- */

static void stop_waiting(struct fork *fork) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_WAITING) fork->branch[i].state = BRANCH_DONE;
}

static void cancel_branches(struct edge_step *step, struct fork *fork) {
  stop_waiting(fork);
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_SENT)
      transactions_cancel(&step->edge->transactions, step->now, fork->branch[i].client, step->out);
}

static void finished(struct edge_step *step, struct fork *fork) {
  fork->finished = true;
  fork->locating = false;
  timers_clear(&step->edge->timers, &fork->timer);
  best_clear(step->edge, &fork->best);
}

static void answer(struct edge_step *step, struct fork *fork, uint16_t status, const char *reason) {
  struct sip_message message;
  struct edge_request request;
  if (!fork->finished && view_request(step->edge, fork, &message, &request)) {
    if (status == 503)
      edge_reply_busy(step, &request, reason);
    else
      edge_reply(step, &request, status, reason);
  }
  finished(step, fork);
}

void fork_refuse(struct edge_step *step, struct fork *fork, uint16_t status, const char *reason) {
  stop_waiting(fork);
  answer(step, fork, status, reason);
}

/* Every branch has its final answer: the best goes back (RFC 3261 section 16.7, steps 6 to 9). */
static void answer_best(struct edge_step *step, struct fork *fork) {
  if (fork->cancelled && (fork->best.status == 0 || fork->best.status == 408)) {
    answer(step, fork, 487, NULL);
  } else if (fork->best.status == 0) {
    answer(step, fork, 480, NULL);
  } else if (fork->best.status == 430 && fork->located) {
    answer(step, fork, 480, "No Phone Can Be Reached"); /* RFC 5626: 430 is not for phones */
  } else if (fork->best.status == 503) {
    answer(step, fork, 500, "Next Hop Is Unavailable"); /* RFC 3261 16.7 step 6 */
  } else if (fork->best.response.len == 0) {
    answer(step, fork, fork->best.status, NULL);
  } else {
    size_t mark = outbox_mark(step->out);
    best_put(&step->out->bytes, &fork->best);
    transactions_respond(&step->edge->transactions, step->now, fork->server, fork->best.status,
                         outbox_text(step->out, mark), step->out);
    finished(step, fork);
  }
}

static bool has_branch(const struct fork *fork, enum branch_state state) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == state) return true;
  return false;
}

static bool same_phone(const struct branch *a, const struct branch *b) {
  return a->target.phone != 0 && a->target.phone == b->target.phone;
}

static bool has_other_flow(const struct fork *fork, const struct branch *branch) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_WAITING && same_phone(&fork->branch[i], branch))
      return true;
  return false;
}

/* The phone has spoken: its other flows lead to nothing else (RFC 5626 section 7). */
static void stop_other_flows(struct fork *fork, const struct branch *branch) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_WAITING && same_phone(&fork->branch[i], branch))
      fork->branch[i].state = BRANCH_DONE;
}

static void branch_failed(struct edge_step *step, struct fork *fork, struct branch *branch,
                          uint16_t status) {
  branch->state = BRANCH_DONE;
  timers_clear(&step->edge->timers, &branch->timer);
  best_take_status(step->edge, &fork->best, status);
}

/* ---- sending ---- */

static bool forms_dialog(const struct sip_message *message) {
  if (message->to_tag.len != 0) return false;
  return message->method == SIP_INVITE || message->method == SIP_SUBSCRIBE ||
         message->method == SIP_REFER;
}

/* A request over 1300 bytes to a UDP address stays on UDP (against RFC 3261 18.1.1): that address
 * is a phone's, and nothing says that it listens on TCP. Between peers a Path asks for TCP. */
static void send_branch(struct edge_step *step, struct fork *fork, struct branch *branch,
                        const struct edge_request *request) {
  struct edge *edge = step->edge;
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
                                     .user = user_of(edge, fork)};
  branch->state = BRANCH_SENT;
  if (bytes.len > SIP_MESSAGE_BYTES_MAX) {
    branch_failed(step, fork, branch, 513);
  } else if (transactions_send(&edge->transactions, step->now, &send, step->out, &branch->client) !=
             OK) {
    branch_failed(step, fork, branch, 503);
  } else {
    branch->alive = true;
    branch->hurried = fork->invite && has_other_flow(fork, branch);
    usec wait = branch->hurried ? FORK_FLOW_WAIT : FORK_TIMER_C;
    if (fork->invite) timers_set(&edge->timers, &branch->timer, step->now + wait);
  }
}

/* It waits, and no other flow of the same phone is tried or comes before it. */
static bool is_ready(const struct fork *fork, unsigned i) {
  if (fork->branch[i].state != BRANCH_WAITING) return false;
  for (unsigned j = 0; j < fork->count; j++) {
    const struct branch *other = &fork->branch[j];
    bool before = other->state == BRANCH_SENT || (other->state == BRANCH_WAITING && j < i);
    if (j != i && before && same_phone(other, &fork->branch[i])) return false;
  }
  return true;
}

/* How many branches are ready: those of the highest q, or, while some of it are out, what
 * else of the same q came to be. */
static unsigned next_group(const struct fork *fork, uint16_t *q) {
  bool begun = has_branch(fork, BRANCH_SENT);
  unsigned size = 0;
  *q = fork->q;
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

static uint32_t breadth_of(const struct sip_message *message) {
  const struct sip_header *header = sip_header_first(message, SIP_H_MAX_BREADTH);
  uint64_t breadth;
  if (header == NULL || !slice_to_u64(header->value, UINT32_MAX, &breadth)) return BREADTH_DEFAULT;
  return (uint32_t)breadth;
}

/* False: the outbox is full, the rest goes at the next tick. */
static bool send_group(struct edge_step *step, struct fork *fork,
                       const struct edge_request *request, unsigned size) {
  if (!has_branch(fork, BRANCH_SENT)) fork->breadth = breadth_of(request->message) / size;
  if (fork->breadth == 0) { /* RFC 5393 section 5.3.3 */
    stop_waiting(fork);
    best_take_status(step->edge, &fork->best, 440);
    return true;
  }
  bool ready[FORK_BRANCHES_MAX];
  for (unsigned i = 0; i < fork->count; i++)
    ready[i] = is_ready(fork, i) && fork->branch[i].target.q_permille == fork->q;
  for (unsigned i = 0; i < fork->count; i++) {
    if (!ready[i]) continue;
    if (!outbox_has(step->out, 8, request->message->bytes.len + 8192)) return false;
    send_branch(step, fork, &fork->branch[i], request);
  }
  return true;
}

void fork_run(struct edge_step *step, struct fork *fork) {
  unsigned size;
  while (!fork->finished && (size = next_group(fork, &fork->q)) != 0) {
    struct sip_message message;
    struct edge_request request;
    if (!view_request(step->edge, fork, &message, &request)) {
      stop_waiting(fork);
    } else if (!send_group(step, fork, &request, size)) {
      timers_set(&step->edge->timers, &fork->timer, step->now);
      return;
    }
  }
  if (fork->finished || has_branch(fork, BRANCH_SENT) || has_branch(fork, BRANCH_WAITING)) return;
  answer_best(step, fork);
}

/* ---- location ---- */

void fork_locate(struct edge_step *step, struct fork *fork, struct slice aor,
                 struct slice instance) {
  if (edge_calls_left(step) == 0) {
    fork_refuse(step, fork, 503, NULL);
    return;
  }
  edge_drop(step->edge, &fork->uri);
  fork->uri = edge_keep(step->edge, aor);
  fork->instance = edge_keep(step->edge, instance);
  if (fork->uri.at == NULL || (instance.len != 0 && fork->instance.at == NULL)) {
    fork_refuse(step, fork, 503, NULL);
    return;
  }
  fork->locating = true;
  fork->located = true;
  timers_set(&step->edge->timers, &fork->timer, step->now + FORK_LOCATE_TIMEOUT);
  edge_call_add(step, EDGE_LOCATE, user_of(step->edge, fork), fork->uri, NULL, 0);
}

struct fork *fork_located(struct edge *edge, uint64_t user, struct slice *aor,
                          struct slice *instance) {
  struct fork *fork = fork_at(edge, user);
  if (fork == NULL || !fork->locating) return NULL;
  fork->locating = false;
  timers_clear(&edge->timers, &fork->timer);
  *aor = fork->uri;
  *instance = fork->instance;
  return fork;
}

/* ---- what comes ---- */

static struct branch *branch_of(struct fork *fork, struct handle client) {
  for (unsigned i = 0; i < fork->count; i++)
    if (handle_same(fork->branch[i].client, client)) return &fork->branch[i];
  return NULL;
}

void fork_on_cancel(struct edge_step *step, uint64_t user) {
  struct fork *fork = fork_at(step->edge, user);
  if (fork == NULL || fork->finished) return;
  fork->cancelled = true;
  cancel_branches(step, fork);
  if (!has_branch(fork, BRANCH_SENT)) answer(step, fork, 487, NULL);
}

static void forward_up(struct edge_step *step, struct fork *fork,
                       const struct sip_message *response) {
  size_t mark = outbox_mark(step->out);
  sip_put_forwarded_response(&step->out->bytes, response, SLICE_EMPTY);
  transactions_respond(&step->edge->transactions, step->now, fork->server, response->status,
                       outbox_text(step->out, mark), step->out);
}

static bool has_next_via(const struct sip_message *response) {
  struct sip_values vias = sip_values_of(response, SIP_H_VIA);
  struct slice via;
  return sip_values_next(&vias, &via) && sip_values_next(&vias, &via);
}

static void on_provisional(struct edge_step *step, struct fork *fork, struct branch *branch,
                           const struct sip_message *response) {
  bool hurried = branch->hurried;
  branch->hurried = false;
  if (branch->timer.set && (hurried || response->status != 100))
    timers_set(&step->edge->timers, &branch->timer, step->now + FORK_TIMER_C);
  if (response->status == 100) return;
  branch->ringing = true;
  if (!fork->finished) forward_up(step, fork, response);
}

static void on_success(struct edge_step *step, struct fork *fork, struct branch *branch,
                       const struct sip_message *response) {
  branch->state = BRANCH_DONE;
  timers_clear(&step->edge->timers, &branch->timer);
  forward_up(step, fork, response); /* every 2xx of an INVITE goes up at once */
  if (fork->finished) return;
  finished(step, fork);
  cancel_branches(step, fork);
}

/* Says this answer that the flow failed, and nothing of the phone behind it (RFC 5626 section 7)?
 */
static bool is_of_flow(const struct branch *branch, uint16_t status) {
  return status == 430 || status == 503 || (status == 408 && !branch->ringing);
}

static void on_failure(struct edge_step *step, struct fork *fork, struct branch *branch,
                       const struct sip_message *response) {
  branch->state = BRANCH_DONE;
  timers_clear(&step->edge->timers, &branch->timer);
  if (fork->finished || branch->abandoned) return;
  if (!is_of_flow(branch, response->status)) stop_other_flows(fork, branch);
  best_take(step->edge, &fork->best, response);
  if (response->status >= 600) cancel_branches(step, fork);
  fork_run(step, fork);
}

void fork_on_response(struct edge_step *step, const struct transaction_event *event,
                      const struct sip_message *response) {
  struct fork *fork = fork_at(step->edge, event->user);
  struct branch *branch = fork == NULL ? NULL : branch_of(fork, event->handle);
  if (branch == NULL) return;
  bool forwardable = has_next_via(response);
  if (response->status < 200) {
    if (forwardable) on_provisional(step, fork, branch, response);
  } else if (!forwardable) {
    branch_failed(step, fork, branch, 502);
    fork_run(step, fork);
  } else if (response->status < 300) {
    on_success(step, fork, branch, response);
  } else {
    on_failure(step, fork, branch, response);
  }
}

static void on_client_ended(struct edge_step *step, struct fork *fork,
                            const struct transaction_event *event) {
  struct branch *branch = branch_of(fork, event->handle);
  if (branch == NULL) return;
  branch->alive = false;
  branch->client = HANDLE_NONE;
  if (branch->state == BRANCH_SENT) {
    /* RFC 3261 16.8, 16.9: silence is a 408, no transport a 503; a flow that broke a 430. */
    uint16_t broken = branch->target.by_token ? 430 : 503;
    if (event->kind != TRANSACTION_TRANSPORT_ERROR && branch->ringing)
      stop_other_flows(fork, branch);
    branch_failed(step, fork, branch, event->kind == TRANSACTION_TRANSPORT_ERROR ? broken : 408);
    fork_run(step, fork);
  }
}

void fork_on_ended(struct edge_step *step, const struct transaction_event *event) {
  struct fork *fork = fork_at(step->edge, event->user);
  if (fork == NULL) return;
  if (event->client) {
    on_client_ended(step, fork, event);
  } else {
    fork->server_alive = false;
    stop_waiting(fork);
    finished(step, fork);
  }
  reap(step->edge, fork);
}

static void on_timer_c(struct edge_step *step, struct fork *fork, struct timer *timer) {
  for (unsigned i = 0; i < fork->count; i++) {
    struct branch *branch = &fork->branch[i];
    if (&branch->timer != timer) continue;
    transactions_cancel(&step->edge->transactions, step->now, branch->client, step->out);
    if (!branch->hurried || branch->state != BRANCH_SENT) continue;
    branch->abandoned = true;
    branch_failed(step, fork, branch, 408);
    fork_run(step, fork);
    return;
  }
}

void fork_on_timer(struct edge_step *step, struct timer *timer) {
  struct fork *fork = fork_at(step->edge, timer->owner);
  ASSERT(fork != NULL);
  if (timer->kind == EDGE_TIMER_BRANCH)
    on_timer_c(step, fork, timer);
  else if (fork->locating)
    answer(step, fork, 503, "The Overlay Does Not Answer");
  else
    fork_run(step, fork);
}
