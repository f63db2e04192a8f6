/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_asked(const struct output *question, const char *name) {
  return slice_equal_nocase(question->text, slice_cstr(name));
}

static unsigned read_line(const char *line, const struct output *question,
                          struct dns_record record[2], enum err *status) {
  static char text[DNS_RECORDS_MAX + 2][6][64];
  static unsigned next;
  char(*word)[64] = text[next++ % (DNS_RECORDS_MAX + 2)];
  int words = sscanf(line, "%*s %63s %63s %63s %63s %63s %63s", word[0], word[1], word[2], word[3],
                     word[4], word[5]);
  if (strncmp(line, "SILENT ", 7) == 0) {
    static const char *const types[] = {"A", "SRV", "NAPTR"};
    if (strcmp(types[question->resolve], word[0]) == 0 && is_asked(question, word[1]))
      *status = ERR_TIMEOUT;
    return 0;
  }
  if (!is_asked(question, word[0])) return 0;
  record[0] = record[1] = (struct dns_record){.ttl_s = 60};
  if (line[0] == 'A' && question->resolve == DNS_ADDRESS) {
    for (int i = 1; i < words; i++)
      if (!endpoint_parse_host(slice_cstr(word[i]), &record[i - 1].address)) abort();
    return (unsigned)words - 1;
  }
  if (line[0] == 'S' && question->resolve == DNS_SRV) {
    record->order = (uint16_t)strtoul(word[1], NULL, 10);
    record->preference = (uint16_t)strtoul(word[2], NULL, 10);
    record->port = (uint16_t)strtoul(word[3], NULL, 10);
    record->name = strcmp(word[4], ".") == 0 ? SLICE_EMPTY : slice_cstr(word[4]);
    return 1;
  }
  if (line[0] == 'N' && question->resolve == DNS_NAPTR) {
    record->order = (uint16_t)strtoul(word[1], NULL, 10);
    record->preference = (uint16_t)strtoul(word[2], NULL, 10);
    record->flags = slice_cstr(word[3]);
    record->service = slice_cstr(word[4]);
    record->name = strcmp(word[5], ".") == 0 ? SLICE_EMPTY : slice_cstr(word[5]);
    return 1;
  }
  return 0;
}

void zone_ask(const struct zone *zone, const struct output *question, struct zone_answer *answer) {
  *answer = (struct zone_answer){0};
  for (unsigned i = 0; i < ZONE_LINES_MAX && zone->line[i] != NULL; i++)
    if (answer->count < DNS_RECORDS_MAX)
      answer->count +=
          read_line(zone->line[i], question, answer->record + answer->count, &answer->status);
  if (answer->status == OK && answer->count == 0) answer->status = ERR_NOT_FOUND;
}
