/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/dns_cache.h"

#include "base/assert.h"

#define POOL_CHUNK 32u

struct entry {
  enum dns_type type;
  enum dns_state state;
  struct slice name;         /* owned, as first asked for */
  struct dns_record *record; /* owned, with their texts in the same block */
  size_t record_bytes;       /* of that block */
  unsigned count;
  usec until; /* an answer lapses, a question may be asked again */
  usec used_at;
};

void dns_cache_init(struct dns_cache *cache, const struct memory *memory, struct rng *rng) {
  cache->memory = memory;
  cache->hash = (struct hash_key){rng_u64(rng), rng_u64(rng)};
  pool_init(&cache->pool, memory, sizeof(struct entry), POOL_CHUNK, DNS_CACHE_ENTRIES);
  map_init(&cache->map, memory);
}

static void forget_records(struct dns_cache *cache, struct entry *entry) {
  memory_give(cache->memory, entry->record, entry->record_bytes);
  entry->record = NULL;
  entry->record_bytes = 0;
  entry->count = 0;
}

static void forget_texts(struct dns_cache *cache, struct entry *entry) {
  forget_records(cache, entry);
  memory_give(cache->memory, (void *)(uintptr_t)entry->name.at, entry->name.len);
}

void dns_cache_free(struct dns_cache *cache) {
  uint32_t index = 0;
  struct entry *entry;
  while ((entry = pool_next(&cache->pool, &index)) != NULL) forget_texts(cache, entry);
  pool_free(&cache->pool);
  map_free(&cache->map);
}

void dns_cache_trim(struct dns_cache *cache) { pool_trim(&cache->pool); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static uint64_t hash_of(const struct dns_cache *cache, enum dns_type type, struct slice name) {
  char text[DNS_NAME_BYTES_MAX + 1];
  ASSERT(name.len <= DNS_NAME_BYTES_MAX);
  for (size_t i = 0; i < name.len; i++) text[i] = lower(name.at[i]);
  text[name.len] = (char)('0' + (int)type);
  return hash_bytes(cache->hash, text, name.len + 1);
}

static struct entry *find(const struct dns_cache *cache, uint64_t hash, enum dns_type type,
                          struct slice name) {
  struct map_cursor cursor;
  for (uint32_t i = map_first(&cache->map, hash, &cursor); i != MAP_END;
       i = map_next(&cache->map, &cursor)) {
    struct entry *entry = pool_at_index(&cache->pool, i);
    ASSERT(entry != NULL);
    if (entry->type == type && slice_equal_nocase(entry->name, name)) return entry;
  }
  return NULL;
}

static void drop(struct dns_cache *cache, struct entry *entry) {
  struct handle handle = pool_handle_of(&cache->pool, entry);
  map_remove(&cache->map, hash_of(cache, entry->type, entry->name), handle.index);
  forget_texts(cache, entry);
  pool_give(&cache->pool, handle);
}

/* The answer that lapses next, or a question that is late, goes; none that is being read. */
static bool make_room(struct dns_cache *cache, usec now) {
  uint32_t index = 0;
  struct entry *entry, *first = NULL;
  while ((entry = pool_next(&cache->pool, &index)) != NULL) {
    if (entry->used_at == now || (entry->state == DNS_ASKED && entry->until > now)) continue;
    if (first == NULL || entry->until < first->until) first = entry;
  }
  if (first != NULL) drop(cache, first);
  return first != NULL;
}

static struct entry *add(struct dns_cache *cache, usec now, uint64_t hash, enum dns_type type,
                         struct slice name) {
  if (cache->pool.used == cache->pool.limit && !make_room(cache, now)) return NULL;
  struct handle handle;
  struct entry *entry = pool_take(&cache->pool, &handle);
  if (entry == NULL) return NULL;
  char *text = memory_take(cache->memory, name.len);
  if (text == NULL || map_put(&cache->map, hash, handle.index) != OK) {
    memory_give(cache->memory, text, name.len);
    pool_give(&cache->pool, handle);
    return NULL;
  }
  memcpy(text, name.at, name.len);
  entry->type = type;
  entry->name = slice_of(text, name.len);
  return entry;
}

/* Letters, digits, '-', '_' and single dots inside. */
static bool is_name(struct slice name) {
  if (name.len == 0 || name.len > DNS_NAME_BYTES_MAX) return false;
  char before = '.';
  for (size_t i = 0; i < name.len; i++) {
    char c = name.at[i];
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '-' && c != '_' && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.';
}

static bool is_invalid(struct slice name) {
  struct slice top = SLICE(".invalid");
  if (name.len < top.len) return slice_equal_nocase(name, slice_skip(top, 1));
  return slice_equal_nocase(slice_skip(name, name.len - top.len), top);
}

static struct dns_answer answer_of(const struct entry *entry) {
  return (struct dns_answer){entry->state, entry->count, entry->record};
}

struct dns_answer dns_cache_ask(struct dns_cache *cache, usec now, enum dns_type type,
                                struct slice name, struct outbox *out) {
  if (name.len > 1 && name.at[name.len - 1] == '.') name.len--;
  if (!is_name(name) || is_invalid(name)) return (struct dns_answer){.state = DNS_KNOWN};
  uint64_t hash = hash_of(cache, type, name);
  struct entry *entry = find(cache, hash, type, name);
  if (entry == NULL) entry = add(cache, now, hash, type, name);
  if (entry == NULL) return (struct dns_answer){.state = DNS_NO_ROOM};
  entry->used_at = now;
  if (entry->until > now) return answer_of(entry);
  forget_records(cache, entry);
  entry->state = DNS_ASKED;
  entry->until = now + DNS_QUESTION_TIME;
  struct output *question = outbox_add(out, OUT_RESOLVE);
  question->ticket = handle_pack(pool_handle_of(&cache->pool, entry));
  question->resolve = type;
  question->text = outbox_copy(out, name);
  return answer_of(entry);
}

static struct slice put_text(struct buf *text, struct slice from) {
  size_t at = text->len;
  buf_put(text, from);
  ASSERT(!text->overflow);
  return from.len == 0 ? SLICE_EMPTY : slice_of(text->at + at, from.len);
}

static bool keep_records(struct dns_cache *cache, struct entry *entry,
                         const struct dns_record *record, unsigned count) {
  size_t bytes = count * sizeof *record, texts = 0;
  for (unsigned i = 0; i < count; i++)
    texts += record[i].flags.len + record[i].service.len + record[i].name.len;
  char *block = memory_take(cache->memory, bytes + texts);
  if (block == NULL) return false;
  entry->record = (void *)block;
  entry->record_bytes = bytes + texts;
  entry->count = count;
  struct buf text = buf_over(block + bytes, texts);
  for (unsigned i = 0; i < count; i++) {
    struct dns_record *own = &entry->record[i];
    *own = record[i];
    own->flags = put_text(&text, record[i].flags);
    own->service = put_text(&text, record[i].service);
    own->name = put_text(&text, record[i].name);
  }
  return true;
}

static uint32_t ttl_of(const struct dns_record *record, unsigned count) {
  uint32_t ttl_s = DNS_TTL_MOST_S;
  for (unsigned i = 0; i < count; i++)
    if (record[i].ttl_s < ttl_s) ttl_s = record[i].ttl_s;
  return ttl_s < DNS_TTL_LEAST_S ? DNS_TTL_LEAST_S : ttl_s;
}

bool dns_cache_put(struct dns_cache *cache, usec now, uint64_t ticket, enum err status,
                   const struct dns_record *record, unsigned count) {
  struct entry *entry = pool_at(&cache->pool, handle_unpack(ticket));
  if (entry == NULL || entry->state != DNS_ASKED) return false;
  if (status == ERR_NOT_FOUND || (status == OK && count == 0)) {
    entry->state = DNS_KNOWN;
    entry->until = now + SEC(DNS_TTL_NOTHING_S);
    return true;
  }
  if (count > DNS_RECORDS_MAX) count = DNS_RECORDS_MAX;
  if (status != OK || !keep_records(cache, entry, record, count)) {
    entry->state = DNS_SILENT;
    entry->until = now + SEC(DNS_TTL_SILENCE_S);
    return true;
  }
  entry->state = DNS_KNOWN;
  entry->until = now + SEC(ttl_of(record, count));
  return true;
}
