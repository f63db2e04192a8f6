/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/remember.h"

#include <stdio.h>

#include "host/address.h"

#define PATH_BYTES 4096

static bool is_among(const struct endpoint *at, const struct endpoint *list, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    if (endpoint_same_address(at, &list[i])) return true;
  return false;
}

unsigned remember_load(const char *data, struct endpoint *join, unsigned count, unsigned max) {
  char path[PATH_BYTES], line[ADDRESS_TEXT_BYTES + 2];
  snprintf(path, sizeof path, "%s/peers", data);
  FILE *file = fopen(path, "r");
  if (file == NULL) return count;
  while (count < max && fgets(line, sizeof line, file) != NULL) {
    struct endpoint at;
    struct slice text = slice_trim(slice_cstr(line));
    if (!endpoint_parse(text, TRANSPORT_TCP, 0, &at) || at.port == 0) continue;
    if (!is_among(&at, join, count)) join[count++] = at;
  }
  fclose(file);
  return count;
}

void remember_save(const char *data, const struct node *node) {
  struct peer peers[NODE_JOIN_MAX];
  unsigned count = node_peers(node, peers, NODE_JOIN_MAX);
  char path[PATH_BYTES], fresh[PATH_BYTES], text[ADDRESS_TEXT_BYTES];
  if (count == 0) return;
  snprintf(path, sizeof path, "%s/peers", data);
  if ((size_t)snprintf(fresh, sizeof fresh, "%s/peers.new", data) >= sizeof fresh) return;
  FILE *file = fopen(fresh, "w");
  if (file == NULL) return;
  bool good = true;
  for (unsigned i = 0; i < count; i++)
    good = fprintf(file, "%s\n", address_text(&peers[i].at, text)) > 0 && good;
  good = fclose(file) == 0 && good;
  if (!good || rename(fresh, path) != 0) remove(fresh);
}
