/* SPDX-License-Identifier: BSD-2-Clause */
#include "dht/store.h"

#include "base/assert.h"
#include "base/hash.h"

#define CHUNK_ENTRIES 64u

void store_init(struct store *store, const struct memory *memory, uint32_t records_max,
                const uint8_t seed[16]) {
  *store = (struct store){.memory = memory};
  pool_init(&store->pool, memory, sizeof(struct entry), CHUNK_ENTRIES, records_max);
  pool_init(&store->owners, memory, sizeof(struct owner_use), CHUNK_ENTRIES, records_max);
  map_init(&store->owner_of_hash, memory);
  rng_init(&store->rng, seed);
  memcpy(&store->hash, seed, sizeof store->hash);
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
  pool_free(&store->owners);
  map_free(&store->owner_of_hash);
}

/* ---- owners ---- */

static struct owner_use *owner_use(const struct store *store, const struct key *owner) {
  struct map_cursor cursor;
  uint64_t hash = hash_bytes(store->hash, owner, sizeof *owner);
  uint32_t index = map_first(&store->owner_of_hash, hash, &cursor);
  for (; index != MAP_END; index = map_next(&store->owner_of_hash, &cursor)) {
    uint32_t at = index;
    struct owner_use *use = pool_next(&store->owners, &at);
    if (use != NULL && key_equal(&use->owner, owner)) return use;
  }
  return NULL;
}

const struct owner_use *store_owner(const struct store *store, const struct key *owner) {
  return owner_use(store, owner);
}

static bool owner_add(struct store *store, const struct key *owner) {
  struct owner_use *use = owner_use(store, owner);
  struct handle handle;
  if (use == NULL) {
    use = pool_take(&store->owners, &handle);
    if (use == NULL) return false;
    uint64_t hash = hash_bytes(store->hash, owner, sizeof *owner);
    if (map_put(&store->owner_of_hash, hash, handle.index) != OK) {
      pool_give(&store->owners, handle);
      return false;
    }
    use->owner = *owner;
  }
  use->entries++;
  return true;
}

static void owner_drop(struct store *store, const struct key *owner) {
  struct owner_use *use = owner_use(store, owner);
  ASSERT(use != NULL);
  if (--use->entries > 0) return;
  ASSERT(use->bytes == 0);
  struct handle handle = pool_handle_of(&store->owners, use);
  map_remove(&store->owner_of_hash, hash_bytes(store->hash, owner, sizeof *owner), handle.index);
  pool_give(&store->owners, handle);
}

void store_charge(struct store *store, const struct key *owner, size_t bytes) {
  struct owner_use *use = owner_use(store, owner);
  ASSERT(use != NULL);
  use->bytes += bytes;
}

void store_discharge(struct store *store, const struct key *owner, size_t bytes) {
  struct owner_use *use = owner_use(store, owner);
  ASSERT(use != NULL && use->bytes >= bytes);
  use->bytes -= bytes;
}

static int compare(const struct entry *entry, const struct record_id *id) {
  struct record_id own = record_id_of(&entry->record);
  return record_id_compare(&own, id);
}

/* ---- the treap ---- */

static void add_up(struct entry *e, const struct entry *below) {
  if (below == NULL) return;
  e->size += below->size;
  e->live += below->live;
  e->held += below->held;
  e->sum += below->sum;
  if (below->least < e->least) e->least = below->least;
}

static void sum_up(struct entry *e) {
  e->size = 1;
  e->live = e->counts;
  e->held = e->durable;
  e->sum = e->durable ? e->mark : 0;
  e->least = e->durable ? e->record.floor : UINT64_MAX;
  add_up(e, e->left);
  add_up(e, e->right);
}

/* Sums up on the way from `entry` to the root. */
static void refresh(struct entry *tree, const struct entry *entry, const struct record_id *id) {
  ASSERT(tree != NULL);
  if (tree != entry) refresh(compare(tree, id) < 0 ? tree->right : tree->left, entry, id);
  sum_up(tree);
}

static void changed(struct store *store, const struct entry *entry) {
  struct record_id id = record_id_of(&entry->record);
  refresh(store->root, entry, &id);
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
  if (!owner_add(store, &id->owner)) {
    pool_give(&store->pool, handle);
    return NULL;
  }
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

static struct entry *without(struct entry *tree, const struct entry *entry,
                             const struct record_id *id) {
  ASSERT(tree != NULL);
  if (tree == entry) return join(entry->left, entry->right);
  struct entry **link = compare(tree, id) < 0 ? &tree->right : &tree->left;
  *link = without(*link, entry, id);
  sum_up(tree);
  return tree;
}

void store_remove(struct store *store, struct entry *entry) {
  ASSERT(entry->writes == NULL);
  struct record_id id = record_id_of(&entry->record);
  store->root = without(store->root, entry, &id);
  timers_clear(&store->lapses, &entry->lapse);
  if (entry->durable) {
    store->records--;
    store->tombstones -= (uint32_t)entry->record.tombstone;
    store->bytes -= entry->record.bytes.len;
    store_discharge(store, &id.owner, entry->record.bytes.len);
  }
  owner_drop(store, &id.owner);
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
  entry->counts = counts;
  changed(store, entry);
}

/* ---- records ---- */

/* The same at every peer that holds this very record, whatever else it knows of it. */
static uint64_t mark_of(const struct record *r) {
  struct {
    struct record_id id;
    struct key digest;
    uint8_t version[8], tombstone;
  } text = {.id = record_id_of(r), .digest = r->digest, .tombstone = r->tombstone};
  for (unsigned i = 0; i < 8; i++) text.version[i] = (uint8_t)(r->version >> (56 - 8 * i));
  return hash_bytes((struct hash_key){0, 0}, &text, sizeof text);
}

void store_set(struct store *store, struct entry *entry, const struct record *record) {
  if (entry->durable) {
    store->bytes -= entry->record.bytes.len;
    store_discharge(store, &record->owner, entry->record.bytes.len);
    store->tombstones -= (uint32_t)entry->record.tombstone;
  } else {
    store->records++;
  }
  give_bytes(store, &entry->record);
  entry->record = *record;
  entry->durable = true;
  entry->shed = entry->told = entry->shedding = false;
  store->bytes += record->bytes.len;
  store_charge(store, &record->owner, record->bytes.len);
  store->tombstones += (uint32_t)record->tombstone;
  timers_set(&store->lapses, &entry->lapse, record->floor);
  entry->lapse.owner = handle_pack(entry->handle);
  entry->mark = mark_of(record);
  changed(store, entry);
}

void store_set_floor(struct store *store, struct entry *entry, msec_wall floor) {
  entry->record.floor = floor;
  timers_set(&store->lapses, &entry->lapse, floor);
  changed(store, entry);
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

/* ---- digests ---- */

struct digest {
  msec_wall until;
  unsigned *budget;
  uint32_t count;
  uint64_t sum;
};

/* after, upto: NULL where no entry of the tree is that far. */
static bool digest_tree(struct digest *d, const struct entry *e, const struct record_id *after,
                        const struct record_id *upto) {
  if (e == NULL) return true;
  if (*d->budget == 0) return false;
  --*d->budget;
  if (after == NULL && upto == NULL && e->least > d->until) {
    d->count += e->held;
    d->sum += e->sum;
    return true;
  }
  if (after != NULL && compare(e, after) <= 0) return digest_tree(d, e->right, after, upto);
  if (upto != NULL && compare(e, upto) > 0) return digest_tree(d, e->left, after, upto);
  if (e->durable && e->record.floor > d->until) {
    d->count++;
    d->sum += e->mark;
  }
  return digest_tree(d, e->left, after, NULL) && digest_tree(d, e->right, NULL, upto);
}

void store_digest(const struct store *store, struct sync_part *part, msec_wall until,
                  unsigned *budget) {
  struct digest d = {.until = until, .budget = budget};
  part->known = digest_tree(&d, store->root, part->has_after ? &part->after : NULL, &part->upto);
  part->count = part->known ? d.count : 0;
  part->digest = part->known ? d.sum : 0;
}
