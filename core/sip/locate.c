/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/locate.h"

#include "base/assert.h"

struct run {
  struct dns_cache *cache;
  usec now;
  const struct locate_query *query;
  struct rng *rng;
  struct outbox *out;
  struct locate_result *result;
  unsigned targets; /* names asked for addresses */
  bool asking, silent, no_room, foreign;
};

/* What the NAPTR records of a domain, or their absence, lead to. */
struct service {
  enum transport transport;
  uint16_t order, preference;
  struct slice name; /* of its SRV records */
};

static bool is_secure(const struct run *run) { return run->query->uri->scheme == SIP_SCHEME_SIPS; }

static bool can_use(const struct run *run, enum transport transport) {
  if (is_secure(run) && transport != TRANSPORT_TLS && transport != TRANSPORT_WSS) return false;
  return run->query->transports & 1u << transport;
}

static struct dns_answer ask(struct run *run, enum dns_type type, struct slice name) {
  struct dns_answer answer = dns_cache_ask(run->cache, run->now, type, name, run->out);
  run->asking = run->asking || answer.state == DNS_ASKED;
  run->silent = run->silent || answer.state == DNS_SILENT;
  run->no_room = run->no_room || answer.state == DNS_NO_ROOM;
  return answer;
}

/* ---- addresses ---- */

static void add_hop(struct run *run, struct endpoint at, uint16_t port, enum transport transport) {
  struct locate_result *result = run->result;
  at.port = port;
  at.transport = (uint8_t)transport;
  for (unsigned i = 0; i < result->count; i++)
    if (endpoint_equal(&result->at[i], &at)) return;
  if (result->count < LOCATE_HOPS_MAX) result->at[result->count++] = at;
}

static void add_addresses(struct run *run, struct slice host, uint16_t port,
                          enum transport transport) {
  if (run->targets == LOCATE_TARGETS_MAX) return;
  run->targets++;
  struct dns_answer answer = ask(run, DNS_ADDRESS, host);
  for (unsigned i = 0; i < answer.count; i++) {
    const struct endpoint *at = &answer.record[i].address;
    unsigned family = at->family == 6 ? LOCATE_IPV6 : LOCATE_IPV4;
    if (run->query->families & family)
      add_hop(run, *at, port, transport);
    else
      run->foreign = true;
  }
}

/* ---- SRV ---- */

/* RFC 2782: of the records of one priority, those without weight first, one is drawn by weight. */
static unsigned draw(const struct dns_record *const *record, unsigned count, struct rng *rng) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) sum += record[i]->preference;
  uint64_t mark = rng_between(rng, 0, sum), running = 0;
  for (unsigned i = 0; i < count; i++) {
    running += record[i]->preference;
    if (running >= mark) return i;
  }
  return count - 1;
}

static bool is_before(const struct dns_record *a, const struct dns_record *b) {
  if (a->order != b->order) return a->order < b->order;
  return a->preference == 0 && b->preference != 0;
}

static void order_srv(const struct dns_answer *answer, const struct dns_record **out,
                      struct rng *rng) {
  for (unsigned i = 0; i < answer->count; i++) {
    unsigned at = i;
    for (; at > 0 && is_before(&answer->record[i], out[at - 1]); at--) out[at] = out[at - 1];
    out[at] = &answer->record[i];
  }
  for (unsigned i = 0; i < answer->count; i++) {
    unsigned same = 1;
    while (i + same < answer->count && out[i + same]->order == out[i]->order) same++;
    unsigned drawn = i + draw(out + i, same, rng);
    const struct dns_record *first = out[drawn];
    for (; drawn > i; drawn--) out[drawn] = out[drawn - 1];
    out[i] = first;
  }
}

/* False: there are no such records. One with the root as target says that there is no such service
 * (RFC 2782), which is an answer too. */
static bool add_srv(struct run *run, struct slice name, enum transport transport) {
  struct dns_answer answer = ask(run, DNS_SRV, name);
  const struct dns_record *ordered[DNS_RECORDS_MAX];
  order_srv(&answer, ordered, run->rng);
  for (unsigned i = 0; i < answer.count; i++)
    if (ordered[i]->name.len != 0 && ordered[i]->port != 0)
      add_addresses(run, ordered[i]->name, ordered[i]->port, transport);
  return answer.count != 0;
}

static const char *srv_prefix(enum transport transport) {
  switch (transport) {
    case TRANSPORT_UDP:
      return "_sip._udp.";
    case TRANSPORT_TCP:
      return "_sip._tcp.";
    case TRANSPORT_TLS:
      return "_sips._tcp.";
    case TRANSPORT_WS:
    case TRANSPORT_WSS:
      break;
  }
  return NULL;
}

static bool add_srv_of(struct run *run, struct slice host, enum transport transport) {
  char memory[DNS_NAME_BYTES_MAX];
  struct buf name = buf_over(memory, sizeof memory);
  const char *prefix = srv_prefix(transport);
  if (prefix == NULL) return false;
  buf_put_cstr(&name, prefix);
  buf_put(&name, host);
  return !name.overflow && add_srv(run, buf_slice(&name), transport);
}

/* ---- NAPTR ---- */

static bool read_service(struct slice text, enum transport *out) {
  if (slice_equal_nocase(text, SLICE("SIP+D2U")))
    *out = TRANSPORT_UDP;
  else if (slice_equal_nocase(text, SLICE("SIP+D2T")))
    *out = TRANSPORT_TCP;
  else if (slice_equal_nocase(text, SLICE("SIPS+D2T")))
    *out = TRANSPORT_TLS;
  else
    return false;
  return true;
}

static bool is_sip_service(struct slice text) {
  return slice_starts_nocase(text, SLICE("SIP+")) || slice_starts_nocase(text, SLICE("SIPS+"));
}

/* Fills those of use, best first. *sip: there are records for SIP at all. */
static unsigned read_naptr(const struct run *run, const struct dns_answer *answer,
                           struct service out[LOCATE_SERVICES_MAX], bool *sip) {
  unsigned count = 0;
  *sip = false;
  for (unsigned i = 0; i < answer->count; i++) {
    const struct dns_record *record = &answer->record[i];
    if (!is_sip_service(record->service)) continue;
    *sip = true;
    struct service service = {TRANSPORT_UDP, record->order, record->preference, record->name};
    if (!slice_equal_nocase(record->flags, SLICE("s")) || record->name.len == 0 ||
        !read_service(record->service, &service.transport) || !can_use(run, service.transport) ||
        count == LOCATE_SERVICES_MAX)
      continue;
    unsigned at = count++;
    for (; at > 0 &&
           (service.order < out[at - 1].order ||
            (service.order == out[at - 1].order && service.preference < out[at - 1].preference));
         at--)
      out[at] = out[at - 1];
    out[at] = service;
  }
  return count;
}

/* ---- the procedure ---- */

/* RFC 3261 18.1.1: too long for UDP. Otherwise the order stays. */
static void put_streams_first(struct locate_result *result) {
  unsigned streams = 0;
  for (unsigned i = 0; i < result->count; i++) {
    struct endpoint at = result->at[i];
    if (!endpoint_is_stream(&at)) continue;
    memmove(&result->at[streams + 1], &result->at[streams], (i - streams) * sizeof at);
    result->at[streams++] = at;
  }
}

static uint16_t default_port(enum transport transport) {
  return transport == TRANSPORT_TLS ? 5061 : 5060;
}

/* The addresses of the domain itself, where nothing says what it speaks. */
static void add_plain(struct run *run, struct slice host, uint16_t port) {
  const enum transport choice[] = {is_secure(run) ? TRANSPORT_TLS : TRANSPORT_UDP, TRANSPORT_TCP};
  unsigned count = run->query->large && can_use(run, TRANSPORT_TCP) ? 2 : 1;
  for (unsigned i = 0; i < count; i++)
    if (can_use(run, choice[i]))
      add_addresses(run, host, port != 0 ? port : default_port(choice[i]), choice[i]);
    else
      run->foreign = true;
}

/* RFC 3263 4.1: the domain says by NAPTR what it speaks, else by which SRV records there are. */
static void choose_transport(struct run *run, struct slice host) {
  struct dns_answer answer = ask(run, DNS_NAPTR, host);
  struct service service[LOCATE_SERVICES_MAX];
  bool sip, found = false;
  if (answer.state == DNS_ASKED) return;
  unsigned count = read_naptr(run, &answer, service, &sip);
  for (unsigned i = 0; i < count; i++) found |= add_srv(run, service[i].name, service[i].transport);
  if (sip && count == 0) {
    run->foreign = true; /* it offers others only */
    return;
  }
  if (count == 0) {
    static const enum transport choice[] = {TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS};
    for (unsigned i = 0; i < 3; i++)
      if (can_use(run, choice[i]) && (choice[i] != TRANSPORT_TLS || is_secure(run)))
        found |= add_srv_of(run, host, choice[i]);
  }
  if (!found && !run->asking) add_plain(run, host, 0);
}

/* False: it is not one that this peer knows, or may use here. */
static bool read_transport(const struct run *run, bool *given, enum transport *out) {
  struct slice text;
  *given = sip_param_get(run->query->uri->params, "transport", &text);
  if (!*given) return true;
  if (!transport_parse(text, out)) return false;
  if (is_secure(run) && *out == TRANSPORT_TCP) *out = TRANSPORT_TLS; /* RFC 3261 26.2.2 */
  return can_use(run, *out);
}

static void find(struct run *run) {
  const struct sip_uri *uri = run->query->uri;
  struct slice host = uri->host;
  struct endpoint literal = {0};
  bool given;
  enum transport transport = is_secure(run) ? TRANSPORT_TLS : TRANSPORT_UDP;
  if (!read_transport(run, &given, &transport)) {
    run->foreign = true;
    return;
  }
  (void)sip_param_get(uri->params, "maddr", &host);
  uint16_t port = uri->port != 0 ? uri->port : default_port(transport);
  if (endpoint_parse_host(host, &literal)) {
    if (can_use(run, transport)) add_hop(run, literal, port, transport);
    run->foreign = run->result->count == 0;
  } else if (!given && uri->port != 0) {
    add_plain(run, host, uri->port);
  } else if (given && (uri->port != 0 || !add_srv_of(run, host, transport))) {
    if (!run->asking) add_addresses(run, host, port, transport);
  } else if (!given) {
    choose_transport(run, host);
  }
  if (!given && run->query->large) put_streams_first(run->result);
}

enum locate_status locate_run(struct dns_cache *cache, usec now, const struct locate_query *query,
                              struct rng *rng, struct outbox *out, struct locate_result *result) {
  ASSERT(query->uri->scheme == SIP_SCHEME_SIP || query->uri->scheme == SIP_SCHEME_SIPS);
  struct run run = {.cache = cache, .now = now, .query = query, .rng = rng, .out = out};
  run.result = result;
  result->count = 0;
  find(&run);
  if (run.asking) return LOCATE_ASKING;
  if (result->count != 0) return LOCATE_FOUND;
  if (run.no_room) return LOCATE_NO_ROOM;
  if (run.silent) return LOCATE_SILENT;
  return run.foreign ? LOCATE_FOREIGN : LOCATE_NONE;
}
