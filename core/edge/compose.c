/* SPDX-License-Identifier: BSD-2-Clause */
/* The documents that watchers get. */
#include "edge/events.h"
#include "usage/presence.h"

static bool is_registered(const struct edge_step *step, struct slice aor) {
  const struct bindings *table = &step->edge->bindings;
  uint32_t at = bindings_start(table, aor);
  const struct binding *binding;
  while ((binding = bindings_next(table, aor, &at)) != NULL)
    if (binding->state != BINDING_PUT && !binding->closed && binding->expires_at > step->now)
      return true;
  return false;
}

bool compose_is_here(const struct edge_step *step, const struct presentity *presentity) {
  return presentity->publications != 0 || is_registered(step, presentity->aor);
}

/* Those touched last come first: where there is no room for all, the older ones are left out. */
static unsigned collect(const struct edge *edge, const struct presentity *presentity,
                        struct presence_part out[EVENT_PUBLICATIONS_MAX]) {
  usec at[EVENT_PUBLICATIONS_MAX];
  unsigned count = 0;
  const struct publication *publication;
  for (uint32_t i = presentity->publications; i != 0 && count < EVENT_PUBLICATIONS_MAX;
       i = publication->next) {
    publication = event_at(&edge->presence->publications, i);
    unsigned place = count++;
    for (; place > 0 && at[place - 1] < publication->touched_at; place--) {
      at[place] = at[place - 1];
      out[place] = out[place - 1];
    }
    at[place] = publication->touched_at;
    out[place] = (struct presence_part){publication->body, publication->mark};
  }
  return count;
}

/* What other homes say of the address. */
static unsigned collect_homes(const struct edge_step *step, const struct presentity *presentity,
                              struct presence_part *out) {
  unsigned count = 0;
  for (unsigned i = 0; presentity->homes != NULL && i < EVENT_HOMES_MAX; i++) {
    const struct home *home = &presentity->homes[i];
    if (home->document.len == 0 || home->until <= step->now) continue;
    uint32_t mark = (uint32_t)hash_bytes(step->edge->hash, &home->peer.id, sizeof home->peer.id);
    out[count++] = (struct presence_part){home->document, mark | 1};
  }
  return count;
}

struct slice compose_here(struct edge_step *step, const struct presentity *presentity) {
  struct presence_part part[EVENT_PUBLICATIONS_MAX];
  unsigned count = collect(step->edge, presentity, part);
  if (count == 1) part[0].mark = 0;
  size_t mark = outbox_mark(step->out);
  presence_compose(&step->out->bytes, presentity->aor, part, count,
                   count == 0 && is_registered(step, presentity->aor), EVENT_DOCUMENT_MAX);
  return outbox_text(step->out, mark);
}

struct slice compose_document(struct edge_step *step, struct presentity *presentity) {
  struct edge *edge = step->edge;
  struct presence_part part[EVENT_PUBLICATIONS_MAX + EVENT_HOMES_MAX];
  if (presentity->document.len > 0) return presentity->document;
  unsigned count = collect(edge, presentity, part), here = count;
  count += collect_homes(step, presentity, part + count);
  if (count == 1) part[0].mark = 0;
  size_t mark = outbox_mark(step->out);
  presence_compose(&step->out->bytes, presentity->aor, part, count,
                   here == 0 && is_registered(step, presentity->aor), EVENT_DOCUMENT_MAX);
  struct slice text = outbox_text(step->out, mark);
  presentity->document = edge_keep(edge, text);
  return presentity->document.len > 0 ? presentity->document : text;
}

static void put_text(struct buf *out, struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] == '<')
      buf_put_cstr(out, "&lt;");
    else if (text.at[i] == '&')
      buf_put_cstr(out, "&amp;");
    else if (text.at[i] == '"')
      buf_put_cstr(out, "&quot;");
    else
      buf_put_char(out, text.at[i]);
  }
}

static void put_watcher(struct edge_step *step, struct buf *out, uint64_t id, const char *status,
                        struct slice watcher) {
  buf_put_cstr(out, "<watcher id=\"w");
  buf_put_hex64(out, hash_bytes(step->edge->hash, &id, sizeof id), 16);
  buf_put_cstr(out, "\" event=\"subscribe\" status=\"");
  buf_put_cstr(out, status);
  buf_put_cstr(out, "\">");
  put_text(out, watcher);
  buf_put_cstr(out, "</watcher>");
}

static const char *status_of(enum event_decision decision, bool ends) {
  if (ends || decision == EVENT_BLOCK) return "terminated";
  return decision == EVENT_ALLOW ? "active" : "pending";
}

/* RFC 3858: all of them, as far as there is room. */
void compose_put_watchers(struct edge_step *step, struct buf *out,
                          const struct presentity *presentity, uint32_t version) {
  size_t from = out->len;
  const struct subscription *subscription;
  buf_put_cstr(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<watcherinfo xmlns=\""
               "urn:ietf:params:xml:ns:watcherinfo\" version=\"");
  buf_put_u64(out, version);
  buf_put_cstr(out, "\" state=\"full\"><watcher-list resource=\"");
  put_text(out, presentity->aor);
  buf_put_cstr(out, "\" package=\"presence\">");
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    if (subscription->package != EVENT_PRESENCE || out->len - from > EVENT_DOCUMENT_MAX) continue;
    put_watcher(step, out, subscription->tag,
                status_of(subscription->decision, subscription->end != NULL),
                subscription->watcher);
  }
  const struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&step->edge->presence->remotes, i);
    if (out->len - from > EVENT_DOCUMENT_MAX) break;
    put_watcher(step, out, remote->token, status_of(remote->decision, false), remote->watcher);
  }
  buf_put_cstr(out, "</watcher-list></watcherinfo>\n");
}
