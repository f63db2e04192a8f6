/* SPDX-License-Identifier: BSD-2-Clause */
/* The state agent of RFC 3903: what devices publish of themselves. */
#include "base/assert.h"
#include "edge/events.h"
#include "sip/print.h"
#include "usage/presence.h"

/* ---- the list of a presentity ---- */

static struct publication *find(const struct edge *edge, const struct presentity *presentity,
                                uint64_t tag) {
  struct publication *publication;
  for (uint32_t i = presentity->publications; i != 0; i = publication->next) {
    publication = event_at(&edge->presence->publications, i);
    if (publication->tag == tag) return publication;
  }
  return NULL;
}

static void unlink_publication(struct edge *edge, struct publication *publication) {
  ASSERT(publication != NULL);
  struct presence *p = edge->presence;
  struct presentity *presentity = event_at(&p->presentities, publication->presentity);
  uint32_t own = event_index(&p->publications, publication), *link = &presentity->publications;
  while (*link != own) link = &((struct publication *)event_at(&p->publications, *link))->next;
  *link = publication->next;
  presentity->publication_count--;
}

void publication_free(struct edge *edge, struct publication *publication) {
  struct presence *p = edge->presence;
  unlink_publication(edge, publication);
  timers_clear(&edge->timers, &publication->timer);
  edge_drop(edge, &publication->body);
  pool_give(&p->publications, pool_handle_of(&p->publications, publication));
}

static void remove_publication(struct edge_step *step, struct publication *publication) {
  struct presentity *presentity =
      event_at(&step->edge->presence->presentities, publication->presentity);
  publication_free(step->edge, publication);
  event_changed(step, presentity, true);
  event_presentity_leave(step, presentity);
}

void publish_on_timer(struct edge_step *step, struct timer *timer) {
  struct presence *p = step->edge->presence;
  struct publication *publication = pool_at(&p->publications, handle_unpack(timer->owner));
  ASSERT(publication != NULL);
  remove_publication(step, publication);
}

/* Of an address with as many as it may have, the one that nobody touched for longest goes. */
static void make_room(struct edge *edge, const struct presentity *presentity) {
  struct publication *oldest = NULL, *publication;
  if (presentity->publication_count < EVENT_PUBLICATIONS_MAX) return;
  for (uint32_t i = presentity->publications; i != 0; i = publication->next) {
    publication = event_at(&edge->presence->publications, i);
    if (oldest == NULL || publication->touched_at < oldest->touched_at) oldest = publication;
  }
  publication_free(edge, oldest);
}

/* Never twice the same, and no other than a publication of this address is found by it. */
static uint64_t new_tag(struct edge *edge) {
  uint64_t tag = rng_u64(&edge->rng);
  return tag == 0 ? 1 : tag;
}

static struct publication *add(struct edge_step *step, struct slice aor, struct slice body) {
  struct edge *edge = step->edge;
  struct presentity *presentity = event_presentity_make(edge, aor);
  struct presence *p = edge->presence;
  struct handle handle;
  if (presentity == NULL) return NULL;
  make_room(edge, presentity);
  struct publication *publication = pool_take(&p->publications, &handle);
  if (publication != NULL) publication->body = edge_keep(edge, body);
  if (publication == NULL || publication->body.at == NULL) {
    if (publication != NULL) pool_give(&p->publications, handle);
    event_presentity_leave(step, presentity);
    return NULL;
  }
  publication->timer.kind = EDGE_TIMER_PUBLICATION;
  publication->timer.owner = handle_pack(handle);
  publication->mark = (uint32_t)rng_u64(&edge->rng) | 1;
  publication->presentity = event_index(&p->presentities, presentity);
  publication->next = presentity->publications;
  presentity->publications = handle.index + 1;
  presentity->publication_count++;
  return publication;
}

/* ---- a PUBLISH ---- */

static void answer(struct edge_step *step, const struct edge_request *request, uint64_t tag,
                   uint32_t expires_s) {
  size_t mark = edge_reply_begin(step, request, 200, NULL);
  struct buf *out = &step->out->bytes;
  buf_put_cstr(out, "SIP-ETag: ");
  buf_put_hex64(out, tag, 16);
  buf_put_cstr(out, "\r\n");
  sip_put_header_u64(out, "Expires", expires_s);
  edge_reply_end(step, request, 200, mark);
}

/* False: it was answered. An empty body is none. */
static bool check_body(struct edge_step *step, const struct edge_request *request) {
  const struct sip_message *message = request->message;
  const struct sip_header *type = sip_header_first(message, SIP_H_CONTENT_TYPE);
  const struct sip_header *coding = sip_header_first(message, SIP_H_CONTENT_ENCODING);
  struct slice media = type == NULL ? SLICE_EMPTY : type->value;
  media = slice_trim(slice_first(media, slice_find_byte(media, ';')));
  const char *why = NULL;
  if (message->body.len == 0) return true;
  if (!slice_equal_nocase(media, SLICE("application/pidf+xml")) ||
      (coding != NULL && !slice_equal_nocase(coding->value, SLICE("identity")))) {
    size_t mark = edge_reply_begin(step, request, 415, NULL);
    sip_put_header(&step->out->bytes, "Accept", SLICE("application/pidf+xml"));
    edge_reply_end(step, request, 415, mark);
    return false;
  }
  if (message->body.len > EVENT_PUBLICATION_MAX) {
    edge_reply(step, request, 413, NULL);
    return false;
  }
  if (presence_check(step->edge->config.xml, message->body, &why) == OK) return true;
  edge_reply(step, request, 400, "Body Is No PIDF Document");
  return false;
}

/* The time of it is over at `expires_s`; a body takes the place of the one before. */
static bool update(struct edge_step *step, struct publication *publication, struct slice body,
                   uint32_t expires_s) {
  struct edge *edge = step->edge;
  if (body.len > 0) {
    struct slice fresh = edge_keep(edge, body);
    if (fresh.at == NULL) return false;
    edge_drop(edge, &publication->body);
    publication->body = fresh;
  }
  publication->tag = new_tag(edge);
  publication->touched_at = step->now;
  timers_set(&edge->timers, &publication->timer, step->now + SEC(expires_s));
  return true;
}

static void publish_first(struct edge_step *step, const struct edge_request *request,
                          struct slice aor, uint32_t expires_s) {
  struct slice body = request->message->body;
  struct edge *edge = step->edge;
  if (body.len == 0) {
    edge_reply(step, request, 400, "PUBLISH Without Body Or SIP-If-Match");
    return;
  }
  if (expires_s == 0) {
    answer(step, request, new_tag(edge), 0);
    return;
  }
  struct publication *publication = add(step, aor, body);
  if (publication == NULL) {
    edge_reply_busy(step, request, "No Room For Another Publication");
    return;
  }
  (void)update(step, publication, SLICE_EMPTY, expires_s);
  answer(step, request, publication->tag, expires_s);
  event_changed(step, event_at(&edge->presence->presentities, publication->presentity), true);
}

static void publish_again(struct edge_step *step, const struct edge_request *request,
                          struct publication *publication, uint32_t expires_s) {
  struct slice body = request->message->body;
  if (expires_s == 0) {
    answer(step, request, publication->tag, 0);
    remove_publication(step, publication);
    return;
  }
  if (!update(step, publication, body, expires_s)) {
    edge_reply_busy(step, request, "No Room For This Publication");
    return;
  }
  answer(step, request, publication->tag, expires_s);
  if (body.len > 0)
    event_changed(step, event_at(&step->edge->presence->presentities, publication->presentity),
                  true);
}

void publish_on_request(struct edge_step *step, const struct edge_request *request,
                        struct slice aor) {
  const struct sip_header *match = sip_header_named(request->message, "SIP-If-Match");
  uint32_t expires_s;
  uint64_t tag = 0;
  if (!event_expires(step, request, &expires_s) || !check_body(step, request)) return;
  if (match == NULL) {
    publish_first(step, request, aor, expires_s);
    return;
  }
  struct presentity *presentity = event_presentity(step->edge, aor);
  struct publication *publication = NULL;
  if (presentity != NULL && match->value.len == 16 && slice_hex_to_u64(match->value, &tag))
    publication = find(step->edge, presentity, tag);
  if (publication == NULL)
    edge_reply(step, request, 412, NULL);
  else
    publish_again(step, request, publication, expires_s);
}
