/* SPDX-License-Identifier: BSD-2-Clause */
/* Journals: writes are done one after the other, each some time after it was asked for. */
#include <stdlib.h>
#include <string.h>

#include "sim/liar.h"

static void free_bytes(struct record *record) {
  free((void *)(uintptr_t)record->bytes.at);
  record->bytes = SLICE_EMPTY;
}

static uint32_t place_of(const struct disk *disk, const struct record_id *id) {
  for (uint32_t i = 0; i < disk->count; i++) {
    struct record_id other = record_id_of(&disk->record[i]);
    if (record_id_compare(id, &other) == 0) return i;
  }
  return disk->count;
}

const struct record *disk_find(const struct disk *disk, const struct record_id *id) {
  uint32_t place = place_of(disk, id);
  return place < disk->count ? &disk->record[place] : NULL;
}

void disk_wipe(struct disk *disk) {
  for (uint32_t i = 0; i < disk->count; i++) free_bytes(&disk->record[i]);
  for (uint32_t i = 0; i < disk->tail_count; i++) free_bytes(&disk->tail[i].record);
  free(disk->record);
  free(disk->tail);
  *disk = (struct disk){0};
}

/* Takes the bytes of the write over. */
static void apply(struct sim_peer *peer, struct disk_write *write) {
  struct disk *disk = &peer->disk;
  struct record_id id = record_id_of(&write->record);
  uint32_t place = place_of(disk, &id);
  if (place < disk->count) {
    liar_keeps(peer, &disk->record[place]);
    free_bytes(&disk->record[place]);
    if (write->is_erase) disk->record[place] = disk->record[--disk->count];
  } else if (!write->is_erase) {
    disk->record = sim_grow(disk->record, &disk->room, disk->count, sizeof *disk->record);
    disk->count++;
  }
  if (!write->is_erase) disk->record[place] = write->record;
}

static usec write_time(struct world *world) {
  usec mean = world->weather.of[DISK_US];
  usec time = rng_between(&world->rng, mean / 2, mean + mean / 2);
  return dice(world, world->weather.of[DISK_SLOW], 1000) ? 100 * time : time;
}

void disk_write(struct world *world, uint32_t peer, const struct output *out) {
  struct disk *disk = &world->peer[peer].disk;
  struct disk_write write = {
      .record = out->record, .is_erase = out->kind == OUT_ERASE, .ticket = out->ticket};
  write.record.bytes = SLICE_EMPTY;
  if (!write.is_erase) {
    char *bytes = sim_take(out->record.bytes.len);
    memcpy(bytes, out->record.bytes.at, out->record.bytes.len);
    write.record.bytes = slice_of(bytes, out->record.bytes.len);
    write.fails = dice(world, world->weather.of[DISK_FAIL], 1000);
    world->stores++;
  }
  const uint64_t words[] = {(uint64_t)out->kind, out->record.version, out->record.floor,
                            out->record.expires};
  world_hash(world, words, sizeof words / sizeof words[0]);
  disk->tail = sim_grow(disk->tail, &disk->tail_room, disk->tail_count, sizeof *disk->tail);
  disk->tail[disk->tail_count++] = write;
  disk->busy_until = usec_max(disk->busy_until, world->now) + write_time(world);
  world_later(world, disk->busy_until, peer, event_new(EVENT_DISK, SLICE_EMPTY));
}

static struct disk_write take_oldest(struct disk *disk) {
  struct disk_write write = disk->tail[0];
  disk->tail_count--;
  memmove(&disk->tail[0], &disk->tail[1], disk->tail_count * sizeof *disk->tail);
  return write;
}

void disk_on_done(struct world *world, uint32_t peer) {
  struct disk *disk = &world->peer[peer].disk;
  struct disk_write write = take_oldest(disk);
  if (write.fails)
    free_bytes(&write.record);
  else
    apply(&world->peer[peer], &write);
  if (write.is_erase) return;
  const struct input input = {
      .kind = IN_STORED, .status = write.fails ? ERR_IO : OK, .ticket = write.ticket};
  world_step(world, peer, &input);
}

void disk_on_crash(struct world *world, uint32_t peer) {
  struct disk *disk = &world->peer[peer].disk;
  uint64_t written = rng_below(&world->rng, disk->tail_count + 1u);
  while (disk->tail_count > 0) {
    struct disk_write write = take_oldest(disk);
    if (written > 0 && !write.fails)
      apply(&world->peer[peer], &write);
    else
      free_bytes(&write.record);
    if (written > 0) written--;
  }
  disk->busy_until = 0;
}
