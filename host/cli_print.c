/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/cli_print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char *text_of(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text != NULL ? text : "";
}

static json_int_t number_of(const json_t *object, const char *name) {
  return json_integer_value(json_object_get(object, name));
}

/* UTC to the second, or "-". */
static const char *time_text(json_int_t ms, char out[32]) {
  time_t seconds = (time_t)(ms / 1000);
  struct tm day;
  if (ms <= 0 || gmtime_r(&seconds, &day) == NULL) return "-";
  strftime(out, 32, "%Y-%m-%d %H:%M:%SZ", &day);
  return out;
}

static const char *ms_text(json_int_t us, char out[32]) {
  snprintf(out, 32, "%" JSON_INTEGER_FORMAT ".%03d", us / 1000, (int)(us % 1000));
  return out;
}

static void print_list(FILE *to, const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    fprintf(to, "%s%s", i > 0 ? " " : "", json_string_value(item));
  }
  fputc('\n', to);
}

void cli_print_fields(FILE *to, const json_t *result) {
  const char *name;
  json_t *value;
  int width = 0;
  json_object_foreach((json_t *)(uintptr_t)result, name, value) {
    if ((int)strlen(name) > width) width = (int)strlen(name);
  }
  json_object_foreach((json_t *)(uintptr_t)result, name, value) {
    fprintf(to, "%-*s  ", width, name);
    if (json_is_array(value))
      print_list(to, value);
    else if (json_is_integer(value))
      fprintf(to, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    else
      fprintf(to, "%s\n", json_is_string(value) ? json_string_value(value) : "");
  }
}

void cli_print_ring(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    fprintf(to, "%-12s %-40s  %s\n", text_of(row, "role"), text_of(row, "peer"),
            text_of(row, "address"));
  }
}

void cli_print_peers(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    char ms[32];
    json_int_t us = number_of(row, "rtt_us");
    fprintf(to, "%-40s  %-22s %10s ms  %s\n", text_of(row, "peer"), text_of(row, "address"),
            us > 0 ? ms_text(us, ms) : "-", text_of(row, "role"));
  }
}

void cli_print_records(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    char when[32];
    fprintf(to, "%-40s  %-8s %20s %6" JSON_INTEGER_FORMAT " B  %s\n", text_of(row, "key"),
            text_of(row, "state"), time_text(number_of(row, "expires"), when),
            number_of(row, "bytes"), text_of(row, "text"));
  }
}

void cli_print_bindings(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    char when[32];
    fprintf(to, "%s  %s  %s  until %s\n", text_of(row, "aor"), text_of(row, "contact"),
            text_of(row, "transport"), time_text(number_of(row, "expires"), when));
  }
}

void cli_print_presence(FILE *to, const json_t *result) {
  fputs(text_of(json_array_get(result, 0), "document"), to);
}

void cli_print_watchers(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    char when[32];
    fprintf(to, "%-8s %s  by %s  until %s\n", text_of(row, "state"), text_of(row, "watcher"),
            text_of(row, "address"), time_text(number_of(row, "expires"), when));
  }
}

static void print_hop(FILE *to, const json_t *row, json_int_t hop) {
  char ms[32];
  fprintf(to, "%3" JSON_INTEGER_FORMAT "  %-40s  %-22s %10s ms\n", hop, text_of(row, "peer"),
          text_of(row, "address"), ms_text(number_of(row, "us"), ms));
}

void cli_print_hops(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) print_hop(to, row, number_of(row, "hop"));
}

void cli_print_responsible(FILE *to, const json_t *result) {
  size_t count = json_array_size(result);
  const json_t *row = count > 0 ? json_array_get(result, count - 1) : NULL;
  if (row != NULL) fprintf(to, "%s  %s\n", text_of(row, "peer"), text_of(row, "address"));
}

void cli_print_contacts(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    char when[32];
    const char *path = text_of(row, "path");
    fprintf(to, "%s  q=%.3g  until %s%s%s\n", text_of(row, "contact"),
            json_number_value(json_object_get(row, "q")),
            time_text(number_of(row, "expires"), when), *path != '\0' ? "  path " : "", path);
  }
}

void cli_print_messages(FILE *to, const json_t *result) {
  size_t i;
  json_t *row;
  json_array_foreach(result, i, row) {
    if (strncmp(text_of(row, "value"), "<o:claim>", 9) == 0) continue;
    fprintf(to, "from peer %-40s  %zu bytes, sealed\n", text_of(row, "owner"),
            strlen(text_of(row, "value")));
  }
}

void cli_print_nothing(FILE *to, const json_t *result) {
  (void)to;
  (void)result;
}

void cli_print_event(FILE *to, const json_t *result) {
  static const char *const names[] = {"status", "peer", "key", "n", "a", "b"};
  json_int_t us = number_of(result, "time");
  time_t seconds = (time_t)(us / 1000000);
  struct tm day;
  char clock[16] = "";
  if (gmtime_r(&seconds, &day) != NULL) strftime(clock, sizeof clock, "%H:%M:%S", &day);
  fprintf(to, "%s.%06d %-18s", clock, (int)(us % 1000000), text_of(result, "name"));
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const json_t *value = json_object_get(result, names[i]);
    if (json_is_string(value)) fprintf(to, " %s=%s", names[i], json_string_value(value));
    if (json_is_integer(value))
      fprintf(to, " %s=%" JSON_INTEGER_FORMAT, names[i], json_integer_value(value));
  }
  fputc('\n', to);
  fflush(to);
}
