/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/assert.h"
#include "edge/fork_state.h"
#include "edge/redirect.h"
#include "sip/print.h"

#define POOL_CHUNK 16u

void fork_init(struct edge *edge) {
  pool_init(&edge->forks, edge->memory, sizeof(struct fork), POOL_CHUNK,
            edge->transactions.server.limit);
}

static void drop_texts(struct edge *edge, struct fork *fork) {
  edge_drop(edge, &fork->uri);
  edge_drop(edge, &fork->instance);
  edge_drop(edge, &fork->first_aor);
  best_clear(edge, &fork->best);
  for (unsigned i = 0; i < fork->count; i++) {
    edge_drop(edge, &fork->branch[i].texts);
    edge_drop(edge, &fork->branch[i].hops);
  }
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

uint64_t fork_user(const struct edge *edge, const struct fork *fork) {
  return handle_pack(pool_handle_of(&edge->forks, fork));
}

bool fork_is_secure(const struct fork *fork) { return fork->secure; }

/* So that it is not parsed again. */
static void note_view(struct edge *edge, const struct edge_request *request) {
  struct transaction_view view;
  if (!transactions_view(&edge->transactions, request->transaction, &view) ||
      view.request.len != request->message->bytes.len)
    return;
  if (edge->view == NULL) edge->view = memory_take(edge->memory, sizeof *edge->view);
  if (edge->view == NULL) return; /* then it is parsed again */
  edge->viewed = request->transaction;
  sip_message_move(edge->view, request->message, view.request.at);
}

struct fork *fork_new(struct edge_step *step, const struct edge_request *request, unsigned drop,
                      struct slice uri, bool secure) {
  struct edge *edge = step->edge;
  struct handle handle;
  struct fork *fork = pool_take_raw(&edge->forks, &handle);
  if (fork == NULL) return NULL;
  memset(fork, 0, offsetof(struct fork, branch));
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
  fork->breadth_all = fork_breadth_of(request->message);
  fork->q_scale = 1000;
  fork->secure = secure;
  fork->timer.owner = handle_pack(handle);
  fork->timer.kind = EDGE_TIMER_FORK;
  if (fork->invite) edge->calls++;
  transactions_set_user(&edge->transactions, fork->server, handle_pack(handle));
  note_view(edge, request);
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
  branch->target.q_permille = (uint16_t)((uint32_t)target->q_permille * fork->q_scale / 1000);
  size_t mark = outbox_mark(step->out);
  buf_put(&step->out->bytes, target->uri);
  buf_put(&step->out->bytes, target->routes);
  buf_put(&step->out->bytes, target->next);
  branch->texts = edge_keep(edge, outbox_text(step->out, mark));
  if (branch->texts.at == NULL) return ERR_MEMORY;
  branch->target.uri = slice_first(branch->texts, target->uri.len);
  struct slice rest = slice_skip(branch->texts, target->uri.len);
  branch->target.routes = slice_first(rest, target->routes.len);
  branch->target.next = slice_skip(rest, target->routes.len);
  branch->timer.owner = fork_user(edge, fork);
  branch->timer.kind = EDGE_TIMER_BRANCH;
  fork->count++;
  return OK;
}

bool fork_view_request(const struct edge *edge, const struct fork *fork, struct sip_message *memory,
                       struct edge_request *request) {
  struct transaction_view view;
  struct sip_problem problem;
  if (!fork->server_alive || !transactions_view(&edge->transactions, fork->server, &view))
    return false;
  if (view.request.len == 0) return false;
  *request = (struct edge_request){memory, fork->flow, fork->from, fork->server};
  if (edge->view != NULL && handle_same(edge->viewed, fork->server) &&
      edge->view->bytes.at == view.request.at) {
    request->message = edge->view;
    return true;
  }
  return sip_message_parse(view.request, SIP_DATAGRAM, memory, &problem) == OK;
}

/* ---- the final answer ---- */

static void end_branch(struct edge *edge, struct branch *branch) {
  if (branch->state == BRANCH_NAMING) edge->naming--;
  branch->state = BRANCH_DONE;
  timers_clear(&edge->timers, &branch->timer);
}

void fork_stop_waiting(struct edge_step *step, struct fork *fork) {
  for (unsigned i = 0; i < fork->count; i++) {
    struct branch *branch = &fork->branch[i];
    if (branch->state == BRANCH_LOCATING) fork->locating = false;
    if (branch->state != BRANCH_SENT && branch->state != BRANCH_DONE)
      end_branch(step->edge, branch);
  }
}

static void cancel_branches(struct edge_step *step, struct fork *fork) {
  fork->ending = true;
  fork_stop_waiting(step, fork);
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_SENT)
      transactions_cancel(&step->edge->transactions, step->now, fork->branch[i].client, step->out);
}

void fork_finished(struct edge_step *step, struct fork *fork) {
  fork->finished = true;
  fork->locating = false;
  timers_clear(&step->edge->timers, &fork->timer);
  best_clear(step->edge, &fork->best);
}

static void answer(struct edge_step *step, struct fork *fork, uint16_t status, const char *reason) {
  struct sip_message memory;
  struct edge_request request;
  if (!fork->finished && fork_view_request(step->edge, fork, &memory, &request)) {
    if (status == 503)
      edge_reply_busy(step, &request, reason);
    else
      edge_reply(step, &request, status, reason);
  }
  fork_finished(step, fork);
}

void fork_refuse(struct edge_step *step, struct fork *fork, uint16_t status, const char *reason) {
  fork_stop_waiting(step, fork);
  answer(step, fork, status, reason);
}

/* Every branch has its final answer: the best goes back (RFC 3261 section 16.7, steps 6 to 9). */
static void answer_best(struct edge_step *step, struct fork *fork) {
  bool away = fork->best.status == 0 || fork->best.status == 430 || fork->best.status == 480 ||
              fork->best.status == 503 || (fork->own && fork->best.status == 408);
  if (fork->located && away && messages_keep(step, fork)) return;
  if (away && !fork->invite) messages_missed(step, fork);
  if (fork->cancelled && (fork->best.status == 0 || fork->best.status == 408)) {
    answer(step, fork, 487, NULL);
  } else if (fork->best.status == 0) {
    answer(step, fork, 480, NULL);
  } else if (fork->best.status == 430 && fork->located) {
    answer(step, fork, 480, "No Phone Can Be Reached"); /* RFC 5626: 430 is not for phones */
  } else if (fork->best.status == 503) {
    answer(step, fork, 500, "Next Hop Is Unavailable"); /* RFC 3261 16.7 step 6 */
  } else if (fork->best.response.len == 0) {
    answer(step, fork, fork->best.status, fork->best.reason);
  } else {
    size_t mark = outbox_mark(step->out);
    best_put(&step->out->bytes, &fork->best);
    transactions_respond(&step->edge->transactions, step->now, fork->server, fork->best.status,
                         outbox_text(step->out, mark), step->out);
    fork_finished(step, fork);
  }
}

static bool has_state(const struct fork *fork, enum branch_state state) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == state) return true;
  return false;
}

bool fork_same_phone(const struct branch *a, const struct branch *b) {
  return a->target.phone != 0 && a->target.phone == b->target.phone;
}

/* The phone has spoken: its other flows lead to nothing else (RFC 5626 section 7). */
static void stop_other_flows(struct fork *fork, const struct branch *branch) {
  for (unsigned i = 0; i < fork->count; i++)
    if (fork->branch[i].state == BRANCH_WAITING && fork_same_phone(&fork->branch[i], branch))
      fork->branch[i].state = BRANCH_DONE;
}

unsigned fork_busy(const struct fork *fork) {
  unsigned count = 0;
  for (unsigned i = 0; i < fork->count; i++)
    count += fork->branch[i].state != BRANCH_WAITING && fork->branch[i].state != BRANCH_DONE;
  return count;
}

void fork_branch_failed(struct edge_step *step, struct fork *fork, struct branch *branch,
                        uint16_t status, const char *reason) {
  end_branch(step->edge, branch);
  best_take_status(step->edge, &fork->best, status, reason);
}

/* ---- sending ---- */

void fork_run(struct edge_step *step, struct fork *fork) {
  unsigned size;
  while (!fork->finished && (size = fork_next_group(fork, &fork->q)) != 0) {
    struct sip_message memory;
    struct edge_request request;
    if (!fork_view_request(step->edge, fork, &memory, &request)) {
      fork_stop_waiting(step, fork);
    } else if (!fork_send_group(step, fork, &request, size)) {
      timers_set(&step->edge->timers, &fork->timer, step->now);
      return;
    }
  }
  if (fork->finished || fork_busy(fork) > 0 || has_state(fork, BRANCH_WAITING)) return;
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
  fork->first_aor = edge_keep(step->edge, aor);
  fork->locating = true;
  fork->located = true;
  fork->locating_until = step->now + FORK_LOCATE_TIMEOUT;
  timers_set(&step->edge->timers, &fork->timer, fork->locating_until);
  edge_call_add(step, EDGE_LOCATE, fork_user(step->edge, fork), fork->uri, NULL, 0);
}

struct fork *fork_located(struct edge *edge, uint64_t user, struct slice *aor,
                          struct slice *instance) {
  struct fork *fork = fork_at(edge, user);
  if (fork == NULL || !fork->locating) return NULL;
  fork->locating = false;
  timers_clear(&edge->timers, &fork->timer);
  for (unsigned i = 0; i < fork->count; i++) {
    struct branch *branch = &fork->branch[i];
    if (branch->state != BRANCH_LOCATING) continue;
    fork->q_scale = branch->target.q_permille; /* its contacts take its place */
    end_branch(edge, branch);
  }
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
  if (!has_state(fork, BRANCH_SENT)) answer(step, fork, 487, NULL);
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
  end_branch(step->edge, branch);
  forward_up(step, fork, response); /* every 2xx of an INVITE goes up at once */
  if (fork->finished) return;
  fork_finished(step, fork);
  cancel_branches(step, fork);
}

/* Says this answer that the flow failed, and nothing of the phone behind it (RFC 5626 section 7)?
 */
static bool is_of_flow(const struct branch *branch, uint16_t status) {
  return status == 430 || status == 503 || (status == 408 && !branch->ringing);
}

/* RFC 3261 21.5.4 */
static uint32_t retry_after_s(const struct sip_message *response) {
  const struct sip_header *header = sip_header_first(response, SIP_H_RETRY_AFTER);
  uint64_t seconds = 0;
  if (header != NULL) {
    size_t digits = 0;
    while (digits < header->value.len && header->value.at[digits] >= '0' &&
           header->value.at[digits] <= '9')
      digits++;
    if (!slice_to_u64(slice_first(header->value, digits), UINT32_MAX, &seconds)) seconds = 0;
  }
  return seconds == 0 || seconds > FORK_AVOIDED_S ? FORK_AVOIDED_S : (uint32_t)seconds;
}

static void on_failure(struct edge_step *step, struct fork *fork, struct branch *branch,
                       const struct sip_message *response) {
  end_branch(step->edge, branch);
  if (fork->finished || branch->abandoned) return;
  if (response->status == 503) {
    fork_avoid(step, branch, retry_after_s(response));
    if (fork_send_next(step, fork, branch)) return;
  }
  if (!is_of_flow(branch, response->status)) stop_other_flows(fork, branch);
  if (!redirect_follow(step, fork, branch, response)) best_take(step->edge, &fork->best, response);
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
    fork_branch_failed(step, fork, branch, 502, NULL);
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
    fork_avoid(step, branch, FORK_AVOIDED_S);
    if (fork_send_next(step, fork, branch)) return;
    /* RFC 3261 16.8, 16.9: silence is a 408, no transport a 503; a flow that broke a 430. */
    uint16_t broken = branch->target.by_token ? 430 : 503;
    if (event->kind != TRANSACTION_TRANSPORT_ERROR && branch->ringing)
      stop_other_flows(fork, branch);
    fork_branch_failed(step, fork, branch,
                       event->kind == TRANSACTION_TRANSPORT_ERROR ? broken : 408, NULL);
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
    fork_stop_waiting(step, fork);
    fork_finished(step, fork);
  }
  reap(step->edge, fork);
}

/* or the branch waits for the DNS. */
static void on_branch_timer(struct edge_step *step, struct fork *fork, struct branch *branch) {
  if (branch->state == BRANCH_NAMING) {
    fork_name_again(step, fork, branch);
  } else {
    transactions_cancel(&step->edge->transactions, step->now, branch->client, step->out);
    if (!branch->hurried || branch->state != BRANCH_SENT) return;
    branch->abandoned = true;
    fork_branch_failed(step, fork, branch, 408, NULL);
  }
  fork_run(step, fork);
}

static struct branch *branch_of_timer(struct fork *fork, const struct timer *timer) {
  for (unsigned i = 0; i < fork->count; i++)
    if (&fork->branch[i].timer == timer) return &fork->branch[i];
  ASSERT(false);
  return NULL;
}

void fork_on_names(struct edge *edge, usec now) {
  uint32_t index = 0;
  struct fork *fork;
  while (edge->naming > 0 && (fork = pool_next(&edge->forks, &index)) != NULL)
    for (unsigned i = 0; i < fork->count; i++)
      if (fork->branch[i].state == BRANCH_NAMING)
        timers_set(&edge->timers, &fork->branch[i].timer, now);
}

static void on_location_late(struct edge_step *step, struct fork *fork) {
  fork->locating = false;
  for (unsigned i = 0; i < fork->count; i++) {
    if (fork->branch[i].state != BRANCH_LOCATING) continue;
    fork_branch_failed(step, fork, &fork->branch[i], 503, NULL);
    fork_run(step, fork);
    return;
  }
  answer(step, fork, 503, "The Overlay Does Not Answer");
}

bool fork_is_first_location(const struct fork *fork) { return fork->count == 0; }

void fork_on_timer(struct edge_step *step, struct timer *timer) {
  struct fork *fork = fork_at(step->edge, timer->owner);
  ASSERT(fork != NULL);
  if (timer->kind == EDGE_TIMER_BRANCH)
    on_branch_timer(step, fork, branch_of_timer(fork, timer));
  else if (fork->locating && step->now >= fork->locating_until)
    on_location_late(step, fork);
  else
    fork_run(step, fork);
}
