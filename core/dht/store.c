/* SPDX-License-Identifier: BSD-2-Clause */
#include "dht/store.h"

#include "base/assert.h"

#define CHUNK_ENTRIES 64u

void store_init(struct store *store, const struct memory *memory, uint32_t records_max,
                const uint8_t seed[16]) {
  *store = (struct store){.memory = memory};
  pool_init(&store->pool, memory, sizeof(struct entry), CHUNK_ENTRIES, records_max);
  rng_init(&store->rng, seed);
}

static void give_bytes(struct store *store, struct record *record) {
  if (record->bytes.len > 0) {
    char *at = NULL; /* the one owner may write to what others borrow */
    memcpy(&at, &record->bytes.at, sizeof at);
    memory_give(store->memory, at, record->bytes.len);
  }
  record->bytes = SLICE_EMPTY;
}

void store_free(struct store *store) {
  uint32_t index = 0;
  for (struct entry *e; (e = pool_next(&store->pool, &index)) != NULL;)
    give_bytes(store, &e->record);
  pool_free(&store->pool);
}

static int compare(const struct entry *entry, const struct record_id *id) {
  struct record_id own = record_id_of(&entry->record);
  return record_id_compare(&own, id);
}

/* ---- the treap ---- */

static void sum_up(struct entry *e) {
  e->size = 1 + (e->left != NULL ? e->left->size : 0) + (e->right != NULL ? e->right->size : 0);
  e->live = (uint32_t)e->counts + (e->left != NULL ? e->left->live : 0) +
            (e->right != NULL ? e->right->live : 0);
}

/* Those before id go left, the others right. */
static void split(struct entry *tree, const struct record_id *id, struct entry **left,
                  struct entry **right) {
  if (tree == NULL) {
    *left = *right = NULL;
  } else if (compare(tree, id) < 0) {
    split(tree->right, id, &tree->right, right);
    *left = tree;
    sum_up(tree);
  } else {
    split(tree->left, id, left, &tree->left);
    *right = tree;
    sum_up(tree);
  }
}

/* All of left come before all of right. */
static struct entry *join(struct entry *left, struct entry *right) {
  if (left == NULL) return right;
  if (right == NULL) return left;
  if (left->priority > right->priority) {
    left->right = join(left->right, right);
    sum_up(left);
    return left;
  }
  right->left = join(left, right->left);
  sum_up(right);
  return right;
}

struct entry *store_find(const struct store *store, const struct record_id *id) {
  struct entry *e = store->root;
  while (e != NULL) {
    int order = compare(e, id);
    if (order == 0) return e;
    e = order < 0 ? e->right : e->left;
  }
  return NULL;
}

struct entry *store_insert(struct store *store, const struct record_id *id) {
  struct handle handle;
  struct entry *e = pool_take(&store->pool, &handle);
  if (e == NULL) return NULL;
  e->handle = handle;
  e->record.key = id->key;
  e->record.owner = id->owner;
  e->record.nonce = id->nonce;
  e->priority = rng_u64(&store->rng);
  sum_up(e);
  struct entry *left, *right;
  split(store->root, id, &left, &right);
  store->root = join(join(left, e), right);
  return e;
}

void store_remove(struct store *store, struct entry *entry) {
  ASSERT(entry->writes == NULL);
  struct record_id id = record_id_of(&entry->record);
  struct entry **link = &store->root;
  while (*link != entry) {
    struct entry *e = *link;
    ASSERT(e != NULL);
    e->size--;
    e->live -= (uint32_t)entry->counts;
    link = compare(e, &id) < 0 ? &e->right : &e->left;
  }
  *link = join(entry->left, entry->right);
  timers_clear(&store->lapses, &entry->lapse);
  if (entry->durable) {
    store->records--;
    store->tombstones -= (uint32_t)entry->record.tombstone;
    store->bytes -= entry->record.bytes.len;
  }
  give_bytes(store, &entry->record);
  pool_give(&store->pool, entry->handle);
}

struct entry *store_after(const struct store *store, const struct record_id *id) {
  struct entry *e = store->root, *best = NULL;
  while (e != NULL) {
    if (compare(e, id) > 0) {
      best = e;
      e = e->left;
    } else {
      e = e->right;
    }
  }
  return best;
}

struct entry *store_at(const struct store *store, uint32_t n) {
  struct entry *e = store->root;
  while (e != NULL) {
    uint32_t before = e->left != NULL ? e->left->size : 0;
    if (n == before) return e;
    if (n < before) {
      e = e->left;
    } else {
      n -= before + 1;
      e = e->right;
    }
  }
  return NULL;
}

uint32_t store_rank(const struct store *store, const struct record_id *id, bool count_live) {
  const struct entry *e = store->root;
  uint32_t rank = 0;
  while (e != NULL) {
    if (compare(e, id) >= 0) {
      e = e->left;
      continue;
    }
    rank += count_live ? (uint32_t)e->counts : 1;
    if (e->left != NULL) rank += count_live ? e->left->live : e->left->size;
    e = e->right;
  }
  return rank;
}

void store_set_counts(struct store *store, struct entry *entry, bool counts) {
  if (entry->counts == counts) return;
  struct record_id id = record_id_of(&entry->record);
  entry->counts = counts;
  for (struct entry *e = store->root; e != NULL;) {
    if (counts)
      e->live++;
    else
      e->live--;
    if (e == entry) return;
    e = compare(e, &id) < 0 ? e->right : e->left;
  }
}

/* ---- records ---- */

void store_set(struct store *store, struct entry *entry, const struct record *record) {
  if (entry->durable) {
    store->bytes -= entry->record.bytes.len;
    store->tombstones -= (uint32_t)entry->record.tombstone;
  } else {
    store->records++;
  }
  give_bytes(store, &entry->record);
  entry->record = *record;
  entry->durable = true;
  entry->shed = entry->shedding = false;
  store->bytes += record->bytes.len;
  store->tombstones += (uint32_t)record->tombstone;
  timers_set(&store->lapses, &entry->lapse, record->floor);
  entry->lapse.owner = handle_pack(entry->handle);
}

struct entry *store_next_in(const struct store *store, const struct key *first,
                            const struct key *last, const struct record_id *after) {
  struct record_id at = {.key = *first};
  struct entry *e;
  if (after != NULL && record_id_compare(after, &at) >= 0) {
    e = store_after(store, after);
  } else {
    e = store_find(store, &at);
    if (e == NULL) e = store_after(store, &at);
  }
  while (e != NULL && !e->durable) {
    struct record_id id = record_id_of(&e->record);
    e = store_after(store, &id);
  }
  return e != NULL && key_compare(&e->record.key, last) <= 0 ? e : NULL;
}
