/* SPDX-License-Identifier: BSD-2-Clause */
#include "locser/hops.h"

#include "base/assert.h"
#include "base/key.h"

_Static_assert(sizeof(struct hop) <= HOP_BYTES_MAX, "R-2.x: a forwarding entry is small");

#define HOPS_CHUNK 32u
#define COPIES_CHUNK 1u /* they are large, and few at a time */

static const struct slice branch_cookie = {"z9hG4bK", 7};
#define TAG_DIGITS 8u
#define BRANCH_LEN (7u + TAG_DIGITS + 1u + 16u + 1u + 1u)

void hops_init(struct hops *hops, const struct memory *memory, struct hash_key hash,
               uint32_t hops_max, uint32_t copies_max) {
  pool_init(&hops->pool, memory, sizeof(struct hop), HOPS_CHUNK, hops_max);
  pool_init(&hops->copies[HOP_COPY_SHORT], memory, sizeof(struct hop_copy) + HOP_SHORT_BYTES,
            COPIES_CHUNK, copies_max);
  pool_init(&hops->copies[HOP_COPY_LONG], memory, sizeof(struct hop_copy) + HOP_COPY_BYTES,
            COPIES_CHUNK, copies_max);
  hops->copies_max = copies_max;
  map_init(&hops->by_upstream, memory);
  hops->timers = (struct timers){0};
  hops->hash = hash;
}

void hops_free(struct hops *hops) {
  pool_free(&hops->pool);
  for (unsigned i = 0; i < HOP_COPY_SIZES; i++) pool_free(&hops->copies[i]);
  map_free(&hops->by_upstream);
}

void hops_trim(struct hops *hops) {
  pool_trim(&hops->pool);
  for (unsigned i = 0; i < HOP_COPY_SIZES; i++) pool_trim(&hops->copies[i]);
}

struct hop *hop_open(struct hops *hops, enum hop_kind kind) {
  struct handle handle;
  struct hop *hop = pool_take(&hops->pool, &handle);
  if (hop == NULL) return NULL;
  hop->kind = (uint8_t)kind;
  hop->timer.owner = handle_pack(handle);
  hop->tried = POOL_NO_INDEX;
  return hop;
}

void hop_close(struct hops *hops, struct hop *hop) {
  struct handle handle = handle_unpack(hop->timer.owner);
  if (hop->came_by != 0) map_remove(&hops->by_upstream, hop->came_by, handle.index);
  hop_drop_copy(hops, hop);
  timers_clear(&hops->timers, &hop->timer);
  pool_give(&hops->pool, handle);
}

void hop_keep_copy(struct hops *hops, struct hop *hop, struct slice message,
                   const struct endpoint *from) {
  uint32_t used = hops->copies[HOP_COPY_SHORT].used + hops->copies[HOP_COPY_LONG].used;
  if (message.len > HOP_COPY_BYTES || used >= hops->copies_max) return;
  enum hop_copy_size size = message.len <= HOP_SHORT_BYTES ? HOP_COPY_SHORT : HOP_COPY_LONG;
  struct handle handle;
  struct hop_copy *copy = pool_take_raw(&hops->copies[size], &handle);
  if (copy == NULL) return;
  hop->copy = handle;
  hop->copy_size = (uint8_t)size;
  copy->len = (uint32_t)message.len;
  copy->from = *from;
  memcpy(copy->bytes, message.at, message.len);
}

const struct hop_copy *hop_copy_of(const struct hops *hops, const struct hop *hop) {
  return pool_at(&hops->copies[hop->copy_size], hop->copy);
}

void hop_drop_copy(struct hops *hops, struct hop *hop) {
  if (!handle_is(hop->copy)) return;
  pool_give(&hops->copies[hop->copy_size], hop->copy);
  hop->copy = HANDLE_NONE;
}

void hop_put_branch(struct buf *out, const struct hop *hop) {
  buf_put(out, branch_cookie);
  buf_put_hex64(out, hop->loop_tag, TAG_DIGITS);
  buf_put_char(out, '.');
  buf_put_hex64(out, hop->timer.owner, 16);
  buf_put_char(out, '.');
  buf_put_hex64(out, hop->tries, 1);
}

struct hop *hop_of_branch(const struct hops *hops, struct slice branch, bool *current) {
  uint64_t tag, packed, tries;
  if (branch.len != BRANCH_LEN || !slice_starts(branch, branch_cookie) ||
      !slice_hex_to_u64(slice_first(slice_skip(branch, 7), TAG_DIGITS), &tag) ||
      !slice_hex_to_u64(slice_first(slice_skip(branch, 7 + TAG_DIGITS + 1), 16), &packed) ||
      !slice_hex_to_u64(slice_skip(branch, BRANCH_LEN - 1), &tries)) {
    return NULL;
  }
  struct hop *hop = pool_at(&hops->pool, handle_unpack(packed));
  if (hop == NULL || hop->loop_tag != tag) return NULL;
  if (current != NULL) *current = tries == (hop->tries & 0xf);
  return hop;
}

uint32_t hop_loop_tag(const struct hops *hops, const struct key *key, struct slice call_id) {
  struct hash_key mixed = {hops->hash.k0 ^ hash_bytes(hops->hash, key, sizeof *key), hops->hash.k1};
  return (uint32_t)hash_slice(mixed, call_id);
}

bool hop_is_loop(const struct hops *hops, const struct sip_message *request,
                 const struct endpoint *self, uint32_t loop_tag) {
  (void)hops;
  char tag_text[TAG_DIGITS];
  struct buf wanted = buf_over(tag_text, sizeof tag_text);
  buf_put_hex64(&wanted, loop_tag, TAG_DIGITS);
  /* As we wrote it or not at all: nearly always that settles it without reading any Via. */
  if (slice_find(request->headers, buf_slice(&wanted)) == request->headers.len) return false;
  struct sip_values vias = sip_values_of(request, SIP_H_VIA);
  struct slice text;
  while (sip_values_next(&vias, &text)) {
    struct sip_via via;
    uint64_t tag;
    struct endpoint sent_by;
    if (sip_via_parse(text, &via) != OK || via.branch.len != BRANCH_LEN) continue;
    if (!slice_hex_to_u64(slice_first(slice_skip(via.branch, 7), TAG_DIGITS), &tag)) continue;
    if (tag != loop_tag || !endpoint_parse_host(via.host, &sent_by)) continue;
    sent_by.port = via.port != 0 ? via.port : 5060;
    if (endpoint_same_address(&sent_by, self)) return true;
  }
  return false;
}

uint64_t hop_upstream(const struct hops *hops, const struct sip_message *request) {
  uint64_t sent_by = hash_slice_nocase(hops->hash, request->via.host) + request->via.port;
  struct hash_key mixed = {hops->hash.k0 ^ sent_by, hops->hash.k1};
  uint64_t hash = hash_slice(mixed, request->via.branch);
  return hash == 0 ? 1 : hash;
}

struct hop *hop_of_upstream(const struct hops *hops, uint64_t upstream) {
  struct map_cursor cursor;
  /* Sixty-four keyed bits are taken as identity: the entry is too small for the branch itself. */
  uint32_t index = map_first(&hops->by_upstream, upstream, &cursor);
  if (index == MAP_END) return NULL;
  struct hop *hop = pool_next(&hops->pool, &index);
  ASSERT(hop != NULL);
  return hop;
}

enum err hop_note_upstream(struct hops *hops, struct hop *hop, uint64_t upstream) {
  enum err err = map_put(&hops->by_upstream, upstream, handle_unpack(hop->timer.owner).index);
  if (err == OK) hop->came_by = upstream;
  return err;
}
