/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/redirect.h"

#include "edge/order.h"
#include "edge/route.h"
#include "edge/target.h"
#include "sip/print.h"

#define AOR_BYTES_MAX 512u
#define CONTACT_LINE_BYTES_MAX 4096u

/* ---- followed ---- */

/* An address that is looked up in the overlay: its canonical form. */
static bool put_own_aor(struct buf *out, const struct edge *edge, const struct sip_uri *uri) {
  struct endpoint literal;
  bool own = endpoint_parse_host(uri->host, &literal) ? route_is_address(edge, uri)
                                                      : edge_serves(edge, uri->host);
  return own && uri->user.len != 0 && sip_uri_put_aor(out, uri) == OK && !out->overflow;
}

static bool was_tried(const struct fork *fork, const struct fork_target *target) {
  struct sip_uri uri, other;
  if (target->locate && slice_equal(target->uri, fork->first_aor)) return true;
  if (sip_uri_parse(target->uri, &uri) != OK) return true;
  for (unsigned i = 0; i < fork->count; i++) {
    const struct fork_target *before = &fork->branch[i].target;
    if (before->locate == target->locate && sip_uri_parse(before->uri, &other) == OK &&
        sip_uri_equal(&uri, &other))
      return true;
  }
  return false;
}

static bool add_target(struct edge_step *step, struct fork *fork, const struct branch *branch,
                       struct slice text) {
  struct sip_address address;
  char memory[AOR_BYTES_MAX];
  struct buf aor = buf_over(memory, sizeof memory);
  if (sip_address_parse(text, &address) != OK || address.uri.host.len == 0) return false;
  const struct sip_uri *uri = &address.uri;
  bool secure = uri->scheme == SIP_SCHEME_SIPS;
  if (fork->secure && !secure) return false; /* never less than the caller asked for */
  struct fork_target target = {.uri = target_without_headers(uri), .secure = secure};
  target.q_permille =
      (uint16_t)((uint32_t)branch->target.q_permille * order_read_q(address.params) / 1000);
  if (put_own_aor(&aor, step->edge, uri)) {
    target.locate = true;
    target.uri = buf_slice(&aor);
  } else if (sip_uri_endpoint(uri, &target.hop.at) != OK) {
    target.next = uri->text;
  } else if (!target_has_transport(&target)) {
    return false;
  }
  return !was_tried(fork, &target) && fork_add(step, fork, &target) == OK;
}

bool redirect_follow(struct edge_step *step, struct fork *fork, const struct branch *branch,
                     const struct sip_message *response) {
  if (!fork->located || fork->ending) return false;
  if (response->status < 300 || response->status > 302) return false;
  struct sip_values contacts = sip_values_of(response, SIP_H_CONTACT);
  struct slice text;
  bool added = false;
  while (sip_values_next(&contacts, &text)) added |= add_target(step, fork, branch, text);
  return added;
}

void redirect_locate(struct edge_step *step, struct fork *fork, struct branch *branch) {
  struct edge *edge = step->edge;
  struct slice aor = edge_keep(edge, branch->target.uri);
  if (edge_calls_left(step) == 0 || aor.at == NULL) {
    edge_drop(edge, &aor);
    fork_branch_failed(step, fork, branch, 503, NULL);
    return;
  }
  edge_drop(edge, &fork->uri);
  edge_drop(edge, &fork->instance);
  fork->uri = aor;
  fork->locating = true;
  fork->locating_until = step->now + FORK_LOCATE_TIMEOUT;
  branch->state = BRANCH_LOCATING;
  timers_set(&edge->timers, &fork->timer, fork->locating_until);
  edge_call_add(step, EDGE_LOCATE, fork_user(edge, fork), fork->uri, NULL, 0);
}

/* ---- answered ---- */

/* As the value of a header in a URI: unreserved and hnv-unreserved stand (RFC 3261 25.1). */
static void put_escaped(struct buf *out, struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 (c != '\0' && strchr("-_.!~*'()[]/?:+$", c) != NULL);
    if (plain) {
      buf_put_char(out, c);
    } else {
      buf_put_char(out, '%');
      buf_put_hex(out, &c, 1);
    }
  }
}

/* The Path becomes a Route that the caller is to put in. */
static bool put_contact(struct buf *out, const struct contact *contact) {
  struct sip_uri uri;
  if (sip_uri_parse(contact->uri, &uri) != OK || uri.host.len == 0) return false;
  buf_put_cstr(out, "Contact: <");
  buf_put(out, target_without_headers(&uri));
  for (unsigned i = 0; i < contact->path_count; i++) {
    buf_put_cstr(out, i == 0 ? "?Route=" : "%2C");
    put_escaped(out, contact->path[i]);
  }
  buf_put_char(out, '>');
  if (contact->q_permille < 1000) {
    buf_put_cstr(out, ";q=0.");
    for (unsigned digit = 100; digit > 0; digit /= 10)
      buf_put_u64(out, contact->q_permille / digit % 10);
  }
  buf_put_cstr(out, "\r\n");
  return !out->overflow;
}

bool redirect_answer(struct edge_step *step, struct fork *fork,
                     const struct contact *const *contact, unsigned count) {
  struct sip_message message;
  struct edge_request request;
  char memory[CONTACT_LINE_BYTES_MAX];
  if (fork->own || !fork_view_request(step->edge, fork, &message, &request)) return false;
  unsigned good = 0;
  for (unsigned i = 0; i < count; i++) {
    struct buf line = buf_over(memory, sizeof memory);
    good += put_contact(&line, contact[i]);
  }
  if (good == 0) return false;
  size_t mark = edge_reply_begin(step, &request, 302, NULL);
  if (good > step->edge->config.limits.forks_max) good = step->edge->config.limits.forks_max;
  for (unsigned i = 0; i < count && good > 0; i++) {
    struct buf line = buf_over(memory, sizeof memory);
    if (!put_contact(&line, contact[i])) continue;
    buf_put(&step->out->bytes, buf_slice(&line));
    good--;
  }
  edge_reply_end(step, &request, 302, mark);
  fork_finished(step, fork);
  return true;
}
