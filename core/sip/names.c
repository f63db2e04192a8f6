/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of headers and methods. Length and two letters pick the one candidate; then the whole
 * name is compared. */
#include "sip/names.h"

struct name {
  const char *text;
  size_t len;
};

#define NAME_OF(id, name, compact) [id] = {name, sizeof(name) - 1},
static const struct name header_names[SIP_H_COUNT] = {SIP_HEADER_NAMES(NAME_OF)};
#undef NAME_OF

_Static_assert(SIP_H_COUNT <= 64, "sip_request_edit.headers_drop has a bit for each header");

#define KEY(len, a, b) ((uint32_t)(len) << 16 | (uint32_t)(a) << 8 | (uint32_t)(b))

static enum sip_header_id candidate(uint32_t key) {
  /* clang-format off */
  switch (key) {
    case KEY(2, 't', 'o'): return SIP_H_TO;
    case KEY(3, 'v', 'i'): return SIP_H_VIA;
    case KEY(4, 'f', 'r'): return SIP_H_FROM;
    case KEY(4, 'c', 's'): return SIP_H_CSEQ;
    case KEY(4, 'p', 'a'): return SIP_H_PATH;
    case KEY(4, 'd', 'a'): return SIP_H_DATE;
    case KEY(5, 'r', 'o'): return SIP_H_ROUTE;
    case KEY(5, 'a', 'l'): return SIP_H_ALLOW;
    case KEY(5, 'e', 'v'): return SIP_H_EVENT;
    case KEY(6, 'a', 'c'): return SIP_H_ACCEPT;
    case KEY(7, 'c', 'a'): return SIP_H_CALL_ID;
    case KEY(7, 'c', 'o'): return SIP_H_CONTACT;
    case KEY(7, 'e', 'x'): return SIP_H_EXPIRES;
    case KEY(7, 'r', 'e'): return SIP_H_REQUIRE;
    case KEY(7, 'w', 'a'): return SIP_H_WARNING;
    case KEY(7, 's', 'u'): return SIP_H_SUBJECT;
    case KEY(9, 's', 'u'): return SIP_H_SUPPORTED;
    case KEY(11, 'm', 'i'): return SIP_H_MIN_EXPIRES;
    case KEY(11, 'm', 'a'): return SIP_H_MAX_BREADTH;
    case KEY(11, 'u', 'n'): return SIP_H_UNSUPPORTED;
    case KEY(11, 'r', 'e'): return SIP_H_RETRY_AFTER;
    case KEY(11, 'o', 'v'): return SIP_H_OVERLAY_KEY;
    case KEY(12, 'm', 'a'): return SIP_H_MAX_FORWARDS;
    case KEY(12, 'r', 'e'): return SIP_H_RECORD_ROUTE;
    case KEY(12, 'c', 'o'): return SIP_H_CONTENT_TYPE;
    case KEY(13, 'p', 'r'): return SIP_H_PROXY_REQUIRE;
    case KEY(13, 'a', 'u'): return SIP_H_AUTHORIZATION;
    case KEY(14, 'c', 'o'): return SIP_H_CONTENT_LENGTH;
    case KEY(16, 'c', 'o'): return SIP_H_CONTENT_ENCODING;
    case KEY(16, 'w', 'w'): return SIP_H_WWW_AUTHENTICATE;
    case KEY(18, 'p', 'r'): return SIP_H_PROXY_AUTHENTICATE;
    case KEY(19, 'p', 'r'): return SIP_H_PROXY_AUTHORIZATION;
    case KEY(19, 'r', 'e'): return SIP_H_REQUEST_DISPOSITION;
    default: return SIP_H_OTHER;
  }
  /* clang-format on */
}

static enum sip_header_id of_compact(char c) {
  char letter = (char)(c | 0x20);
#define IF_COMPACT(id, name, compact) \
  if (letter == (compact)) return id;
  SIP_HEADER_NAMES(IF_COMPACT)
#undef IF_COMPACT
  return SIP_H_OTHER;
}

enum sip_header_id sip_header_of(struct slice name) {
  if (name.len == 1) return of_compact(name.at[0]);
  if (name.len == 0) return SIP_H_OTHER;
  enum sip_header_id id = candidate(KEY(name.len, name.at[0] | 0x20, name.at[1] | 0x20));
  if (id == SIP_H_OTHER || name.len != header_names[id].len) return SIP_H_OTHER;
  /* Nearly all senders write the canonical spelling. */
  if (memcmp(name.at, header_names[id].text, name.len) == 0) return id;
  struct slice canonical = slice_of(header_names[id].text, header_names[id].len);
  return slice_equal_nocase(name, canonical) ? id : SIP_H_OTHER;
}

const char *sip_header_name(enum sip_header_id id) {
  return (unsigned)id < SIP_H_COUNT && header_names[id].text != NULL ? header_names[id].text : "";
}

static const struct name method_names[] = {
    [SIP_INVITE] = {"INVITE", 6},     [SIP_ACK] = {"ACK", 3},
    [SIP_BYE] = {"BYE", 3},           [SIP_CANCEL] = {"CANCEL", 6},
    [SIP_REGISTER] = {"REGISTER", 8}, [SIP_OPTIONS] = {"OPTIONS", 7},
    [SIP_MESSAGE] = {"MESSAGE", 7},   [SIP_SUBSCRIBE] = {"SUBSCRIBE", 9},
    [SIP_NOTIFY] = {"NOTIFY", 6},     [SIP_PUBLISH] = {"PUBLISH", 7},
    [SIP_INFO] = {"INFO", 4},         [SIP_PRACK] = {"PRACK", 5},
    [SIP_UPDATE] = {"UPDATE", 6},     [SIP_REFER] = {"REFER", 5},
    [SIP_LOCSER] = {"LOCSER", 6},
};

/* Method names are compared with case (RFC 3261 7.1). */
enum sip_method sip_method_of(struct slice name) {
  for (unsigned i = SIP_METHOD_OTHER + 1; i < sizeof method_names / sizeof *method_names; i++)
    if (name.len == method_names[i].len && name.at[0] == method_names[i].text[0] &&
        memcmp(name.at, method_names[i].text, name.len) == 0)
      return (enum sip_method)i;
  return SIP_METHOD_OTHER;
}

const char *sip_method_name(enum sip_method method) {
  size_t count = sizeof method_names / sizeof *method_names;
  return (size_t)method < count && method_names[method].text != NULL ? method_names[method].text
                                                                     : "";
}
