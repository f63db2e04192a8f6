/* SPDX-License-Identifier: BSD-2-Clause */
/* What one source may cause: for each a few meters, and how much it
 * holds of the tables that all share. A source is a proven Peer-ID, or the prefix of an address.
 *
 * There is a fixed number of rows, and a keyed hash says which row is a source's: no stranger can
 * make the table grow beyond them, push another out of it, or choose with whom it shares a row. A
 * row has memory only while it says something: whose meters are whole and who holds nothing is let
 * go when room is needed. Without memory for it, who is measured is refused. */
#ifndef NODE_SOURCES_H
#define NODE_SOURCES_H

#include "base/endpoint.h"
#include "base/hash.h"
#include "base/key.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/usec.h"

#define SOURCE_ROWS 4096u
#define SOURCE_BITS4 24u       /* of an IPv4 address */
#define SOURCE_BITS6 48u       /* of an IPv6 address: what one site is given (RFC 6177) */
#define SOURCE_BURST_S 10u     /* so many seconds' worth at once */
#define SOURCE_PEER_FACTOR 10u /* a proven peer brings what others asked it for */

enum source_meter {
  SOURCE_REQUESTS,  /* LOCSER */
  SOURCE_PUTS,      /* of these, writes executed here */
  SOURCE_BYTES,     /* of writes and copies */
  SOURCE_DATAGRAMS, /* requests of other methods over UDP */
  SOURCE_METERS
};
enum source_table { SOURCE_HOPS, SOURCE_OPERATIONS, SOURCE_TABLES };

/* Whom a request came from. row 0: not measured. */
struct source {
  uint16_t row;
  bool peer;
};
struct source_row {
  usec full[SOURCE_METERS]; /* when the meter has its whole burst again */
  uint32_t held[SOURCE_TABLES];
  uint16_t row;
};
struct sources {
  struct hash_key hash;
  uint32_t per_s[SOURCE_METERS]; /* for a prefix */
  struct pool rows;              /* of struct source_row */
  struct map places;             /* row -> index in the pool */
  uint32_t sweep_at;             /* with so many rows the idle ones are let go */
};

void sources_init(struct sources *sources, const struct memory *memory, struct hash_key hash,
                  const uint32_t per_s[SOURCE_METERS]);
void sources_free(struct sources *sources);
struct source sources_of_peer(const struct sources *sources, const struct key *id);
struct source sources_of_address(const struct sources *sources, const struct endpoint *at);
/* May it have `amount` more now? Takes it if so. */
bool sources_take(struct sources *sources, struct source source, enum source_meter meter,
                  uint32_t amount, usec now);
/* One more entry of a table with room for `limit`; false: it holds half of the table already. */
bool sources_hold(struct sources *sources, uint16_t row, enum source_table table, uint32_t limit,
                  usec now);
void sources_release(struct sources *sources, uint16_t row, enum source_table table);

#endif
