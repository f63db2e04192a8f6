/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/nonces.h"

#define TIME_DIGITS 16u
#define NUMBER_DIGITS 16u
#define PLAIN_BYTES (TIME_DIGITS + NUMBER_DIGITS)

void nonces_init(struct nonces *nonces, const struct memory *memory, const struct crypto *crypto,
                 struct slice seed, struct hash_key hash, uint32_t limit) {
  *nonces = (struct nonces){
      .memory = memory, .crypto = crypto, .hash = hash, .limit = limit == 0 ? 1 : limit};
  crypto->hmac_sha256(crypto->context, seed, SLICE("nonces"), nonces->key);
  map_init(&nonces->map, memory);
}

void nonces_free(struct nonces *nonces) {
  memory_give(nonces->memory, nonces->use, nonces->limit * sizeof *nonces->use);
  nonces->use = NULL;
  map_free(&nonces->map);
}

/* The hash that ends a nonce. */
static void put_proof(const struct nonces *nonces, struct slice plain, const struct prefix *source,
                      struct buf *out) {
  char memory[PLAIN_BYTES + sizeof *source];
  uint8_t proof[32];
  struct buf text = buf_over(memory, sizeof memory);
  buf_put(&text, plain);
  buf_put(&text, slice_of((const char *)source->addr, sizeof source->addr));
  buf_put_char(&text, (char)source->family);
  nonces->crypto->hmac_sha256(nonces->crypto->context,
                              slice_of((const char *)nonces->key, sizeof nonces->key),
                              buf_slice(&text), proof);
  for (unsigned i = 0; i < (NONCE_BYTES - PLAIN_BYTES) / 2; i++) buf_put_hex64(out, proof[i], 2);
}

void nonces_put(struct nonces *nonces, usec now, const struct prefix *source, struct buf *out) {
  char memory[PLAIN_BYTES];
  struct buf plain = buf_over(memory, sizeof memory);
  buf_put_hex64(&plain, now, TIME_DIGITS);
  buf_put_hex64(&plain, ++nonces->number, NUMBER_DIGITS);
  buf_put(out, buf_slice(&plain));
  put_proof(nonces, buf_slice(&plain), source, out);
}

bool nonces_is_own(const struct nonces *nonces, const struct prefix *source, struct slice text) {
  char memory[NONCE_BYTES - PLAIN_BYTES];
  struct buf proof = buf_over(memory, sizeof memory);
  if (text.len != NONCE_BYTES) return false;
  put_proof(nonces, slice_first(text, PLAIN_BYTES), source, &proof);
  unsigned wrong = 0;
  for (size_t i = 0; i < proof.len; i++)
    wrong |= (unsigned)(proof.at[i] ^ text.at[PLAIN_BYTES + i]);
  return wrong == 0;
}

bool nonces_read(const struct nonces *nonces, usec now, const struct prefix *source,
                 struct slice text, uint64_t *number, usec *made_at) {
  if (!nonces_is_own(nonces, source, text) ||
      !slice_hex_to_u64(slice_first(text, TIME_DIGITS), made_at) ||
      !slice_hex_to_u64(slice_of(text.at + TIME_DIGITS, NUMBER_DIGITS), number))
    return false;
  return *made_at <= now && now - *made_at < NONCE_LIFE;
}

static uint64_t hash_of(const struct nonces *nonces, uint64_t number) {
  return hash_bytes(nonces->hash, &number, sizeof number);
}

static struct nonce_use *find(const struct nonces *nonces, uint64_t number) {
  struct map_cursor cursor;
  for (uint32_t i = map_first(&nonces->map, hash_of(nonces, number), &cursor); i != MAP_END;
       i = map_next(&nonces->map, &cursor))
    if (nonces->use[i].number == number) return &nonces->use[i];
  return NULL;
}

/* Entries stand in the order of their first use. */
static void drop_first(struct nonces *nonces) {
  const struct nonce_use *use = &nonces->use[nonces->first];
  if (use->number > nonces->floor) nonces->floor = use->number;
  (void)map_remove(&nonces->map, hash_of(nonces, use->number), nonces->first);
  nonces->first = (nonces->first + 1) % nonces->limit;
  nonces->count--;
}

/* Those that are over by themselves. Their number says nothing about others. */
static void drop_old(struct nonces *nonces, usec now) {
  uint64_t floor = nonces->floor;
  while (nonces->count > 0 && now - nonces->use[nonces->first].made_at >= NONCE_LIFE)
    drop_first(nonces);
  nonces->floor = floor;
}

static bool add(struct nonces *nonces, usec now, uint64_t number, usec made_at, uint32_t count) {
  if (number <= nonces->floor) return false;
  if (nonces->use == NULL)
    nonces->use = memory_take(nonces->memory, nonces->limit * sizeof *nonces->use);
  if (nonces->use == NULL) return false;
  drop_old(nonces, now);
  if (nonces->count == nonces->limit) drop_first(nonces);
  if (number <= nonces->floor) return false;
  uint32_t place = (nonces->first + nonces->count) % nonces->limit;
  if (map_put(&nonces->map, hash_of(nonces, number), place) != OK) return false;
  nonces->use[place] = (struct nonce_use){number, made_at, count, 1};
  nonces->count++;
  return true;
}

bool nonces_use(struct nonces *nonces, usec now, uint64_t number, usec made_at, uint32_t count) {
  if (count == 0) return false;
  struct nonce_use *use = find(nonces, number);
  if (use == NULL) return add(nonces, now, number, made_at, count);
  if (count > use->highest) {
    uint32_t by = count - use->highest;
    use->used = by < NONCE_COUNTS_WINDOW ? use->used << by | 1 : 1;
    use->highest = count;
    return true;
  }
  uint32_t behind = use->highest - count;
  if (behind >= NONCE_COUNTS_WINDOW || (use->used >> behind & 1) != 0) return false;
  use->used |= UINT64_C(1) << behind;
  return true;
}
