/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding headers, and stepping through the values of those that are lists. */
#include "sip/message.h"
#include "sip/scan.h"

const struct sip_header *sip_header_first(const struct sip_message *m, enum sip_header_id id) {
  return m->first[id] == SIP_NO_HEADER ? NULL : &m->header[m->first[id]];
}

const struct sip_header *sip_header_named(const struct sip_message *m, const char *name) {
  struct slice wanted = slice_cstr(name);
  for (unsigned i = 0; i < m->header_count; i++)
    if (slice_equal_nocase(m->header[i].name, wanted)) return &m->header[i];
  return NULL;
}

unsigned sip_header_count(const struct sip_message *m, enum sip_header_id id) {
  unsigned count = 0;
  if (m->first[id] == SIP_NO_HEADER) return 0;
  for (unsigned i = m->first[id]; i < m->header_count; i++) count += m->header[i].id == id;
  return count;
}

struct sip_values sip_values_of(const struct sip_message *m, enum sip_header_id id) {
  struct sip_values values = {.message = m, .id = id, .header = SIP_HEADERS_MAX};
  if (m->first[id] != SIP_NO_HEADER) {
    values.header = m->first[id];
    values.rest = m->header[values.header].value;
  }
  return values;
}

/* Makes `rest` the next header's value. False: no more. */
static bool next_header(struct sip_values *values) {
  const struct sip_message *m = values->message;
  for (unsigned i = values->header + 1; i < m->header_count; i++) {
    if (m->header[i].id != values->id) continue;
    values->header = i;
    values->rest = m->header[i].value;
    return true;
  }
  values->header = SIP_HEADERS_MAX;
  return false;
}

/* `rest` is what is left of a header; rest.at == NULL: nothing, go to the next. An element between
 * two commas may be empty (its parser will refuse it); a header that is empty has no elements. */
bool sip_values_next(struct sip_values *values, struct slice *value) {
  if (values->header >= SIP_HEADERS_MAX) return false;
  while (values->rest.at == NULL || (values->rest.len == 0 && !values->after_comma))
    if (!next_header(values)) return false;
  const char *from = values->rest.at, *end = from + values->rest.len;
  const char *stop = sip_scan_list_value(from, end);
  *value = slice_trim(slice_between(from, stop));
  values->after_comma = stop < end;
  values->rest = stop < end ? slice_between(stop + 1, end) : SLICE_EMPTY;
  return true;
}

bool sip_values_have(const struct sip_message *m, enum sip_header_id id, const char *token) {
  struct sip_values values = sip_values_of(m, id);
  struct slice value, wanted = slice_cstr(token);
  while (sip_values_next(&values, &value)) {
    struct slice head = slice_trim(slice_first(value, slice_find_byte(value, ';')));
    if (slice_equal_nocase(head, wanted)) return true;
  }
  return false;
}
