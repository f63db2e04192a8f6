/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/auth.h"

#include "base/assert.h"
#include "edge/order.h"
#include "edge/state.h"
#include "sip/print.h"

#define SOURCE_BITS4 24u /* as counts */
#define SOURCE_BITS6 48u
#define GIVEN_UP_AFTER SEC(4) /* */
#define GIVEN_UP_UNTIL SEC(3600)

/* ---- users ---- */

void auth_init(struct edge *edge, struct slice seed) {
  edge->auth = (struct auth){0};
  nonces_init(&edge->auth.nonces, edge->memory, edge->config.crypto, seed, edge->hash,
              edge->config.limits.nonces_max);
}

void auth_free(struct edge *edge) {
  struct auth *auth = &edge->auth;
  auth_give_users(edge, &auth->users);
  memory_give(edge->memory, auth->guesses, AUTH_GUESS_ROWS * sizeof *auth->guesses);
  nonces_free(&auth->nonces);
}

static struct auth_user *find_in(const struct auth_users *users, struct slice aor) {
  uint32_t low = 0, high = users->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = slice_compare(users->user[middle].secret.address, aor);
    if (order == 0) return &users->user[middle];
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* In place; a comb sort: the list is the operator's, and may come in any order. */
static void sort(struct auth_users *users) {
  struct auth_user *user = users->user;
  for (uint32_t gap = users->count, moved = 1; gap > 1 || moved > 0;) {
    gap = gap > 1 ? (uint32_t)((uint64_t)gap * 10 / 13) : 1;
    moved = 0;
    for (uint32_t i = 0; i + gap < users->count; i++) {
      if (slice_compare(user[i].secret.address, user[i + gap].secret.address) <= 0) continue;
      struct auth_user other = user[i];
      user[i] = user[i + gap];
      user[i + gap] = other;
      moved++;
    }
  }
}

static bool same_secret(const struct user_secret *a, const struct user_secret *b) {
  return memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0 &&
         memcmp(a->md5, b->md5, sizeof a->md5) == 0;
}

enum err auth_copy_users(const struct edge *edge, const struct edge_config *config,
                         struct auth_users *out) {
  size_t rows = config->user_count * sizeof *out->user, bytes = rows;
  *out = (struct auth_users){0};
  if (config->user_count == 0) return OK;
  for (uint32_t i = 0; i < config->user_count; i++) bytes += config->user[i].address.len;
  char *block = memory_take(edge->memory, bytes);
  if (block == NULL) return ERR_MEMORY;
  *out = (struct auth_users){(void *)block, config->user_count, bytes};
  struct buf texts = buf_over(block + rows, bytes - rows);
  for (uint32_t i = 0; i < config->user_count; i++) {
    struct slice address = config->user[i].address;
    out->user[i].secret = config->user[i];
    out->user[i].secret.address = slice_of(texts.at + texts.len, address.len);
    buf_put(&texts, address);
  }
  sort(out);
  return OK;
}

void auth_give_users(const struct edge *edge, struct auth_users *users) {
  memory_give(edge->memory, users->user, users->bytes);
}

void auth_take_users(struct edge *edge, const struct auth_users *fresh) {
  uint32_t at = 0;
  struct binding *binding;
  while ((binding = bindings_each(&edge->bindings, &at)) != NULL) {
    const struct auth_user *old = find_in(&edge->auth.users, binding->aor);
    const struct auth_user *now = find_in(fresh, binding->aor);
    if (old == NULL || now == NULL || !same_secret(&old->secret, &now->secret))
      binding->vouches = false;
  }
  auth_give_users(edge, &edge->auth.users);
  edge->auth.users = *fresh;
}

static struct auth_user *find(const struct edge *edge, struct slice aor) {
  if (edge->config.digest_off) return NULL;
  return find_in(&edge->auth.users, aor);
}

bool auth_knows(const struct edge *edge, struct slice aor) { return find(edge, aor) != NULL; }

/* ---- guesses (R-7.42) ---- */

static usec *guesses_of(struct edge *edge, const struct endpoint *from,
                        const struct prefix *source) {
  struct auth *auth = &edge->auth;
  if (edge_is_trusted(edge, from)) return NULL;
  if (auth->guesses == NULL)
    auth->guesses = memory_take(edge->memory, AUTH_GUESS_ROWS * sizeof *auth->guesses);
  if (auth->guesses == NULL) return NULL;
  return &auth->guesses[hash_bytes(edge->hash, source, sizeof *source) % AUTH_GUESS_ROWS];
}

static bool may_guess(const usec *guesses, usec now) {
  return guesses == NULL || *guesses <= now + (AUTH_GUESSES_BURST - 1) * AUTH_GUESS_US;
}

static void count_guess(usec *guesses, usec now) {
  if (guesses != NULL) *guesses = (*guesses > now ? *guesses : now) + AUTH_GUESS_US;
}

/* ---- challenges ---- */

struct demand {
  struct edge_step *step;
  const struct edge_request *request;
  struct auth_user *user;
  struct slice name, realm; /* of the address */
  enum auth_role role;
  struct prefix source;
};

/* One that a phone has shown it can do is asked for again. Some phones give up when they see an
 * algorithm that they do not know, whatever else is offered: to these MD5 alone is said the next
 * time. */
static unsigned algorithms_to_offer(const struct demand *d, const struct digest_credentials *seen) {
  unsigned all = d->step->edge->config.algorithms, md5 = 1u << DIGEST_MD5;
  usec now = d->step->now, asked_at = d->user->asked_at;
  if (seen != NULL && (all & 1u << seen->algorithm) != 0) return 1u << seen->algorithm;
  if (seen == NULL && (all & md5) != 0 && asked_at != 0 && now - asked_at >= GIVEN_UP_AFTER &&
      now - asked_at < GIVEN_UP_UNTIL)
    return md5;
  return all;
}

static bool challenge(struct demand *d, const struct digest_credentials *seen, bool stale) {
  struct edge *edge = d->step->edge;
  uint16_t status = d->role == AUTH_PROXY ? 407 : 401;
  const char *name = d->role == AUTH_PROXY ? "Proxy-Authenticate" : "WWW-Authenticate";
  unsigned offered = algorithms_to_offer(d, seen);
  if (seen == NULL) d->user->asked_at = d->step->now;
  size_t mark = edge_reply_begin(d->step, d->request, status, NULL);
  for (unsigned i = 0; i < DIGEST_ALGORITHMS; i++) {
    char nonce_memory[NONCE_BYTES], memory[ORDER_AOR_BYTES_MAX + NONCE_BYTES + 128];
    struct buf nonce = buf_over(nonce_memory, sizeof nonce_memory);
    struct buf value = buf_over(memory, sizeof memory);
    if ((offered & 1u << i) == 0) continue;
    nonces_put(&edge->auth.nonces, d->step->now, &d->source, &nonce);
    digest_put_challenge(&value, &(struct digest_challenge){.algorithm = (enum digest_algorithm)i,
                                                            .realm = d->realm,
                                                            .nonce = buf_slice(&nonce),
                                                            .stale = stale});
    sip_put_header(&d->step->out->bytes, name, buf_slice(&value));
  }
  edge_reply_end(d->step, d->request, status, mark);
  return false;
}

/* ---- answers ---- */

static bool refuse(struct demand *d, uint16_t status, const char *reason) {
  edge_reply(d->step, d->request, status, reason);
  return false;
}

/* The first credentials for this realm. ERR_NOT_FOUND: none. */
static enum err find_credentials(const struct demand *d, struct digest_credentials *out) {
  const struct sip_message *message = d->request->message;
  enum sip_header_id id = d->role == AUTH_PROXY ? SIP_H_PROXY_AUTHORIZATION : SIP_H_AUTHORIZATION;
  if (message->first[id] == SIP_NO_HEADER) return ERR_NOT_FOUND;
  for (unsigned i = message->first[id]; i < message->header_count; i++) {
    if (message->header[i].id != id) continue;
    enum err err = digest_read(message->header[i].value, out);
    if (err == ERR_UNSUPPORTED) continue;
    if (err != OK || slice_equal_nocase(out->realm, d->realm)) return err;
  }
  return ERR_NOT_FOUND;
}

/* RFC 7616 section 3.4.6: what was signed must be what is asked for. Ports and parameters may
 * differ, and with REGISTER the user, since phones do not agree what stands there. */
static bool is_of_request(const struct sip_message *message, struct slice text) {
  struct sip_uri signed_uri, asked;
  if (slice_equal(text, message->uri_text)) return true;
  if (sip_uri_parse(text, &signed_uri) != OK || sip_uri_parse(message->uri_text, &asked) != OK)
    return false;
  if (!slice_equal_nocase(signed_uri.host, asked.host)) return false;
  return message->method == SIP_REGISTER || slice_equal(signed_uri.user, asked.user);
}

static bool is_right(const struct demand *d, const struct digest_credentials *credentials) {
  const struct user_secret *secret = &d->user->secret;
  const uint8_t *hash = credentials->algorithm == DIGEST_SHA256 ? secret->sha256 : secret->md5;
  bool right = digest_is_right(d->step->edge->config.crypto, credentials,
                               d->request->message->method_text, hash);
  return right && slice_equal(credentials->username, d->name);
}

static bool judge(struct demand *d, const struct digest_credentials *credentials) {
  struct edge *edge = d->step->edge;
  usec now = d->step->now, made_at;
  uint64_t number;
  if ((edge->config.algorithms & 1u << credentials->algorithm) == 0)
    return challenge(d, NULL, false);
  /* Nothing is said about a response to a nonce that is not this source's: asking so would be a way
   * to guess that nobody counts. */
  if (!nonces_read(&edge->auth.nonces, now, &d->source, credentials->nonce, &number, &made_at))
    return challenge(d, credentials, true);
  if (!is_of_request(d->request->message, credentials->uri))
    return refuse(d, 400, "Digest Is Of Another Request-URI");
  usec *guesses = guesses_of(edge, &d->request->from, &d->source);
  if (!may_guess(guesses, now)) {
    edge->auth.refused_guesses++;
    edge_reply_busy(d->step, d->request, "Too Many Wrong Passwords");
    return false;
  }
  if (!is_right(d, credentials)) {
    count_guess(guesses, now);
    return challenge(d, credentials, false);
  }
  if (!nonces_use(&edge->auth.nonces, now, number, made_at, credentials->nc))
    return challenge(d, credentials, true);
  d->user->asked_at = 0;
  return true;
}

bool auth_demand(struct edge_step *step, const struct edge_request *request, struct slice aor,
                 enum auth_role role) {
  struct demand d = {.step = step, .request = request, .role = role};
  struct digest_credentials credentials;
  d.user = find(step->edge, aor);
  ASSERT(d.user != NULL);
  d.realm = slice_skip(aor, slice_find_byte(aor, ':') + 1);
  d.name = slice_take_until(&d.realm, '@');
  d.realm = slice_skip(d.realm, 1);
  d.source = prefix_of(&request->from, SOURCE_BITS4, SOURCE_BITS6);
  enum err err = find_credentials(&d, &credentials);
  if (err == OK) return judge(&d, &credentials);
  if (err == ERR_NOT_FOUND) return challenge(&d, NULL, false);
  return refuse(&d, 400, role == AUTH_PROXY ? "Bad Proxy-Authorization" : "Bad Authorization");
}

/* ---- callers (R-7.40, R-7.41) ---- */

static bool read_caller(const struct edge *edge, const struct sip_message *message,
                        struct buf *aor) {
  const struct sip_header *header = sip_header_first(message, SIP_H_FROM);
  struct sip_address address;
  return edge->auth.users.count > 0 && header != NULL &&
         sip_address_parse(header->value, &address) == OK && address.uri.user.len != 0 &&
         sip_uri_put_aor(aor, &address.uri) == OK && !aor->overflow &&
         auth_knows(edge, buf_slice(aor));
}

/* Does it come from where the user has registered with the password? */
static bool is_vouched_for(const struct edge *edge, const struct edge_request *request,
                           struct slice aor) {
  uint32_t at = bindings_start(&edge->bindings, aor);
  const struct binding *binding;
  while ((binding = bindings_next(&edge->bindings, aor, &at)) != NULL) {
    if (!binding->vouches || binding->state == BINDING_PUT || binding->closed) continue;
    if (binding->flow != request->flow) continue;
    if (request->flow != 0 || endpoint_equal(&binding->source, &request->from)) return true;
  }
  return false;
}

bool auth_demand_caller(struct edge_step *step, const struct edge_request *request) {
  char memory[ORDER_AOR_BYTES_MAX];
  struct buf aor = buf_over(memory, sizeof memory);
  if (!read_caller(step->edge, request->message, &aor)) return true;
  if (is_vouched_for(step->edge, request, buf_slice(&aor))) return true;
  return auth_demand(step, request, buf_slice(&aor), AUTH_PROXY);
}

bool auth_consumes(const struct edge *edge, const struct edge_request *request) {
  const struct sip_message *message = request->message;
  const struct prefix source = prefix_of(&request->from, SOURCE_BITS4, SOURCE_BITS6);
  const enum sip_header_id id = SIP_H_PROXY_AUTHORIZATION;
  if (message->first[id] == SIP_NO_HEADER) return false;
  for (unsigned i = message->first[id]; i < message->header_count; i++) {
    struct digest_credentials credentials;
    if (message->header[i].id != id) continue;
    if (digest_read(message->header[i].value, &credentials) != OK ||
        !nonces_is_own(&edge->auth.nonces, &source, credentials.nonce))
      return false;
  }
  return true;
}
