/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages that were on their way into the store while their recipient registered: its
 * sender's home had found no contact, and the mailbox was read before they were in it. It is read
 * again, a few times. */
#include "node/mail.h"

/* After the one before. The last is past all that allows. */
static const usec pause_us[] = {SEC(2), SEC(6), SEC(30)};
#define LOOKS (sizeof pause_us / sizeof pause_us[0])

static void drop(struct node *node, struct late *late) {
  timers_clear(&node->timers, &late->timer);
  memory_give(node->config.memory, late->address, late->len);
  pool_give(&node->lates, pool_handle_of(&node->lates, late));
}

void lates_free(struct node *node) {
  uint32_t index = 0;
  struct late *late;
  while ((late = pool_next(&node->lates, &index)) != NULL) drop(node, late);
  pool_free(&node->lates);
}

void late_begin(struct step *s, struct slice address) {
  struct node *node = s->node;
  struct handle handle;
  if (node->config.policy == WRITE_LABORATORY || address.len == 0) return;
  struct late *late = pool_take(&node->lates, &handle);
  if (late == NULL) return;
  char *copy = memory_take(node->config.memory, address.len);
  if (copy == NULL) {
    pool_give(&node->lates, handle);
    return;
  }
  memcpy(copy, address.at, address.len);
  *late = (struct late){.address = copy, .len = address.len};
  late->timer.owner = tag_handle(TAG_LATE, handle, 0);
  timers_set(&node->timers, &late->timer, s->now + pause_us[0]);
}

void late_end(struct node *node, struct slice address) {
  uint32_t index = 0;
  struct late *late;
  while ((late = pool_next(&node->lates, &index)) != NULL)
    if (slice_equal(slice_of(late->address, late->len), address)) drop(node, late);
}

void late_on_timer(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct late *late = tag_of(ticket) == TAG_LATE ? ticket_object(&node->lates, ticket) : NULL;
  if (late == NULL) return;
  struct slice address = slice_of(late->address, late->len);
  if (!edge_has_phone(node->edge, s->now, address)) {
    drop(node, late);
    return;
  }
  if (mailbox_is_open(node, address)) { /* how that goes decides whether there is a look at all */
    timers_set(&node->timers, &late->timer, s->now + pause_us[0]);
    return;
  }
  mailbox_begin(s, address);
  if (++late->looks == LOOKS)
    drop(node, late);
  else
    timers_set(&node->timers, &late->timer, s->now + pause_us[late->looks]);
}
