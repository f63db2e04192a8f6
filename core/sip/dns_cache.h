/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of the DNS, kept for as long as they say, and questions under way. Everybody who wants
 * the same name shares one question.
 *
 * At most DNS_CACHE_ENTRIES names. When all are taken, the answer that lapses next makes room;
 * where every entry is a question under way, one more question is refused (DNS_NO_ROOM). */
#ifndef SIP_DNS_CACHE_H
#define SIP_DNS_CACHE_H

#include "base/dns.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/outbox.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/usec.h"

#define DNS_CACHE_ENTRIES 256u
#define DNS_TTL_LEAST_S 2u        /* less is not worth less: one call asks several times */
#define DNS_TTL_MOST_S 3600u      /* no record is believed for longer */
#define DNS_TTL_NOTHING_S 30u     /* there is no such name */
#define DNS_TTL_SILENCE_S 5u      /* nobody knows now */
#define DNS_QUESTION_TIME SEC(15) /* a question without an answer may then be asked again */

struct dns_cache {
  struct pool pool;
  struct map map;
  struct hash_key hash;
  const struct memory *memory;
};

enum dns_state {
  DNS_ASKED,   /* an answer will come */
  DNS_KNOWN,   /* count may be 0: there is nothing */
  DNS_SILENT,  /* the DNS gave no answer */
  DNS_NO_ROOM, /* or no memory */
};
struct dns_answer {
  enum dns_state state;
  unsigned count;
  const struct dns_record *record; /* good for asking at the same `now`, until dns_cache_put */
};

void dns_cache_init(struct dns_cache *cache, const struct memory *memory, struct rng *rng);
void dns_cache_free(struct dns_cache *cache);
void dns_cache_trim(struct dns_cache *cache);

/* What is known of the name; where nothing is, an OUT_RESOLVE is added. What cannot be a host name,
 * and names under .invalid (RFC 6761), are known to have nothing. */
struct dns_answer dns_cache_ask(struct dns_cache *cache, usec now, enum dns_type type,
                                struct slice name, struct outbox *out);
/* The answer to an OUT_RESOLVE. ERR_NOT_FOUND: no such name, or nothing of that kind; another
 * error: it cannot be known now. The records are copied. False: nobody asked. */
bool dns_cache_put(struct dns_cache *cache, usec now, uint64_t ticket, enum err status,
                   const struct dns_record *record, unsigned count);

#endif
