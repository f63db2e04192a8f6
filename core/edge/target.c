/* SPDX-License-Identifier: BSD-2-Clause */
/* From the contacts of an address to the targets of a request: RFC 3261 section 16.5, R-7.13. */
#include "edge/target.h"

#include "base/assert.h"
#include "edge/fork.h"
#include "edge/order.h"

/* Headers of a Contact URI are for who dials it, not for a Request-URI (RFC 3261 19.1.5). */
struct slice target_without_headers(const struct sip_uri *uri) {
  if (uri->headers.at == NULL) return uri->text;
  return slice_first(uri->text, slice_find_byte(uri->text, '?'));
}

/* The way by a Path: this peer's own is replaced by what its token says, the rest become Route
 * values (RFC 3327 section 5.4). */
static bool by_path(const struct edge *edge, const struct contact *contact,
                    struct fork_target *target, struct buf *routes) {
  struct sip_address path;
  unsigned i = 0;
  if (sip_address_parse(contact->path[0], &path) != OK) return false;
  if (route_is_own(edge, &path.uri)) {
    enum route_token token = route_read_token(edge, &path.uri, &target->hop);
    if (token != ROUTE_TOKEN_GOOD) return false;
    target->by_token = true;
    i++;
  } else if (path.uri.scheme != SIP_SCHEME_SIP) {
    return false;
  } else if (sip_uri_endpoint(&path.uri, &target->hop.at) != OK) {
    target->next = path.uri.text;
  }
  target->by_peer = i == 0;
  for (; i < contact->path_count; i++) {
    buf_put_cstr(routes, "Route: ");
    buf_put(routes, contact->path[i]);
    buf_put_cstr(routes, "\r\n");
  }
  return !routes->overflow;
}

bool target_has_transport(const struct fork_target *target) {
  const struct hop *hop = &target->hop;
  return target->next.len != 0 || hop->flow != 0 || hop->at.transport == TRANSPORT_UDP ||
         hop->at.transport == TRANSPORT_TCP;
}

bool target_of_contact(const struct edge *edge, const struct contact *contact,
                       struct fork_target *target, struct buf *routes) {
  struct sip_uri uri;
  if (sip_uri_parse(contact->uri, &uri) != OK || uri.host.len == 0) return false;
  *target =
      (struct fork_target){.uri = target_without_headers(&uri), .q_permille = contact->q_permille};
  target->secure = uri.scheme == SIP_SCHEME_SIPS;
  if (contact->path_count != 0) {
    if (!by_path(edge, contact, target, routes)) return false;
  } else if (route_is_address(edge, &uri)) {
    return false; /* a contact that is this peer would only loop */
  } else if (sip_uri_endpoint(&uri, &target->hop.at) != OK) {
    target->next = uri.text;
  } else {
    /* Its dialog may know it by a GRUU, which an ACK cannot wait for. */
    target->by_token = contact->instance.len != 0 && target->hop.at.transport == TRANSPORT_UDP;
  }
  if (contact->instance.len != 0) target->phone = hash_slice(edge->hash, contact->instance) | 1;
  target->routes = buf_slice(routes);
  return target_has_transport(target);
}

/* Over a Path the link to the other peer is TLS, at the same port, and the Request-URI says sips,
 * so that it takes no less care. */
static void make_secure(struct fork_target *target, struct buf *uri) {
  target->secure = true;
  if (!target->by_peer) return;
  if (target->hop.at.transport == TRANSPORT_TCP) target->hop.at.transport = TRANSPORT_TLS;
  if (!slice_starts_nocase(target->uri, SLICE("sip:"))) return;
  buf_put_cstr(uri, "sips");
  buf_put(uri, slice_skip(target->uri, 3));
  if (!uri->overflow) target->uri = buf_slice(uri);
}

static void add(struct edge_step *step, struct fork *fork, const struct contact *contact) {
  char memory[TARGET_ROUTES_BYTES_MAX];
  struct buf routes = buf_over(memory, sizeof memory);
  struct fork_target target;
  if (!target_of_contact(step->edge, contact, &target, &routes)) return;
  char uri_memory[ORDER_URI_BYTES_MAX + 8];
  struct buf uri = buf_over(uri_memory, sizeof uri_memory);
  if (fork_is_secure(fork) || target.secure) make_secure(&target, &uri);
  enum err added = fork_add(step, fork, &target);
  (void)added; /* beyond the limit of branches, or without memory: the others are tried */
}

static bool is_later(const struct contact *a, const struct contact *b) {
  return a->expires > b->expires;
}
static bool is_preferred(const struct contact *a, const struct contact *b) {
  return a->q_permille > b->q_permille;
}

static void sort(const struct contact **contact, unsigned count,
                 bool (*before)(const struct contact *a, const struct contact *b)) {
  for (unsigned i = 1; i < count; i++) {
    const struct contact *moved = contact[i];
    unsigned at = i;
    for (; at > 0 && before(moved, contact[at - 1]); at--) contact[at] = contact[at - 1];
    contact[at] = moved;
  }
}

bool target_is_bound(const struct binding *binding, usec now) {
  return binding->state != BINDING_PUT && !binding->closed && binding->expires_at > now;
}

/* One of each binding; of two the later one, and always this peer's own. */
static unsigned join(const struct contact **out, unsigned count, unsigned own,
                     const struct contact *contact) {
  for (unsigned i = 0; i < count; i++) {
    if (!contact_same_binding(out[i], contact)) continue;
    if (i >= own && contact->expires > out[i]->expires) out[i] = contact;
    return count;
  }
  if (count < TARGET_CONTACTS_MAX) out[count++] = contact;
  return count;
}

static bool is_of(const struct contact *contact, struct slice instance) {
  return instance.len == 0 || slice_equal(contact->instance, instance);
}

unsigned target_collect(const struct edge_step *step, struct slice aor, struct slice instance,
                        const struct contact *contacts, unsigned contact_count,
                        const struct contact *out[TARGET_CONTACTS_MAX]) {
  const struct bindings *table = &step->edge->bindings;
  unsigned count = 0;
  uint32_t at = bindings_start(table, aor);
  const struct binding *binding;
  while ((binding = bindings_next(table, aor, &at)) != NULL)
    if (target_is_bound(binding, step->now) && is_of(&binding->contact, instance))
      count = join(out, count, 0, &binding->contact);
  unsigned own = count;
  for (unsigned i = 0; i < contact_count; i++)
    if (is_of(&contacts[i], instance)) count = join(out, count, own, &contacts[i]);
  sort(out + own, count - own, is_later);
  sort(out, count, is_preferred);
  return count;
}

void target_add_contacts(struct edge_step *step, struct fork *fork,
                         const struct contact *const *contact, unsigned count) {
  for (unsigned i = 0; i < count; i++) add(step, fork, contact[i]);
}
