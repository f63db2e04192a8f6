/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/profile.h"

#include "sip/print.h"

#define SIP_PORT 5060u
#define USER_BYTES_MAX 96u

/* ---- what is asked ---- */

static bool hex_digit(char c, char *lower) {
  *lower = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
  return (*lower >= '0' && *lower <= '9') || (*lower >= 'a' && *lower <= 'f');
}

bool sip_profile_read_mac(struct slice text, char out[SIP_PROFILE_MAC_DIGITS + 1]) {
  unsigned digits = 0;
  bool separated = true;
  for (size_t i = 0; i < text.len; i++) {
    char lower;
    if (hex_digit(text.at[i], &lower)) {
      if (digits == SIP_PROFILE_MAC_DIGITS) return false;
      out[digits++] = lower;
      separated = false;
    } else if ((text.at[i] == ':' || text.at[i] == '-') && !separated && digits % 2 == 0) {
      separated = true;
    } else {
      return false;
    }
  }
  out[digits] = '\0';
  return digits == SIP_PROFILE_MAC_DIGITS && !separated;
}

/* "%3a" as ':', everything else as it stands. False: too long. */
static bool colons(struct slice user, struct buf *out) {
  for (size_t i = 0; i < user.len; i++) {
    bool colon = slice_starts_nocase(slice_skip(user, i), SLICE("%3a"));
    buf_put_char(out, colon ? ':' : user.at[i]);
    if (colon) i += 2;
  }
  return !out->overflow;
}

/* "MAC%3a000413ABCDEF", or "urn%3auuid%3a..." whose last 12 digits are the MAC (RFC 6080 section
 * 5.1.1.1, RFC 4122 section 4.1.6). */
static bool mac_of(const struct sip_uri *uri, char out[SIP_PROFILE_MAC_DIGITS + 1]) {
  char memory[USER_BYTES_MAX];
  struct buf text = buf_over(memory, sizeof memory);
  if (uri->scheme != SIP_SCHEME_SIP || !colons(uri->user, &text)) return false;
  if (slice_equal_nocase(uri->user, SLICE("MAC"))) /* "MAC:000413ABCDEF", which should be escaped */
    return sip_profile_read_mac(uri->password, out);
  struct slice user = buf_slice(&text);
  if (slice_starts_nocase(user, SLICE("urn:uuid:")) && user.len > SIP_PROFILE_MAC_DIGITS)
    return sip_profile_read_mac(slice_skip(user, user.len - SIP_PROFILE_MAC_DIGITS), out);
  if (!slice_starts_nocase(user, SLICE("MAC:")) && !slice_starts_nocase(user, SLICE("MAC-")))
    return false;
  return sip_profile_read_mac(slice_skip(user, 4), out);
}

static bool mac_in_header(const struct sip_message *m, enum sip_header_id id,
                          char out[SIP_PROFILE_MAC_DIGITS + 1]) {
  const struct sip_header *header = sip_header_first(m, id);
  struct sip_address address;
  return header != NULL && sip_address_parse(header->value, &address) == OK &&
         mac_of(&address.uri, out);
}

/* A parameter without quotes; empty if it has characters that no name of a product has. */
static struct slice name_in(struct slice params, const char *name) {
  struct slice value;
  if (!sip_param_get(params, name, &value)) return SLICE_EMPTY;
  if (value.len >= 2 && value.at[0] == '"') value = slice_of(value.at + 1, value.len - 2);
  if (value.len > SIP_PROFILE_VALUE_BYTES_MAX) return SLICE_EMPTY;
  for (size_t i = 0; i < value.len; i++)
    if (value.at[i] < ' ' || value.at[i] > '~' || value.at[i] == '"' || value.at[i] == '\\')
      return SLICE_EMPTY;
  return value;
}

static bool event_of(const struct sip_message *m, struct sip_profile_asked *out) {
  const struct sip_header *event = sip_header_first(m, SIP_H_EVENT);
  if (event == NULL) return false; /* there is one at most, else the message is none */
  struct slice params = event->value, type;
  if (!slice_equal_nocase(slice_trim(slice_take_until(&params, ';')), SLICE("ua-profile")))
    return false;
  params = slice_skip(params, 1);
  if (sip_param_get(params, "profile-type", &type) && !slice_equal_nocase(type, SLICE("device")) &&
      !slice_equal_nocase(type, SLICE("\"device\"")))
    return false;
  out->vendor = name_in(params, "vendor");
  out->model = name_in(params, "model");
  return true;
}

bool sip_profile_read(const struct sip_message *m, struct sip_profile_asked *out) {
  struct sip_uri uri;
  *out = (struct sip_profile_asked){0};
  if (!m->request || m->method != SIP_SUBSCRIBE || m->to_tag.len > 0 || m->from_tag.len == 0 ||
      m->bytes.len > SIP_PROFILE_REQUEST_BYTES_MAX || !event_of(m, out))
    return false;
  if (sip_header_first(m, SIP_H_ACCEPT) != NULL &&
      !sip_values_have(m, SIP_H_ACCEPT, "application/url"))
    return false;
  return mac_in_header(m, SIP_H_FROM, out->mac) || mac_in_header(m, SIP_H_TO, out->mac) ||
         (sip_uri_parse(m->uri_text, &uri) == OK && mac_of(&uri, out->mac));
}

/* ---- the answers ---- */

static struct slice value_of(const struct sip_message *m, enum sip_header_id id) {
  const struct sip_header *header = sip_header_first(m, id);
  return header != NULL ? header->value : SLICE_EMPTY;
}

static void put_contact(struct buf *out, const struct endpoint *self) {
  buf_put_cstr(out, "Contact: <sip:");
  endpoint_put(out, self);
  buf_put_cstr(out, ">\r\n");
}

void sip_profile_put_ok(struct buf *out, const struct sip_profile_answer *answer,
                        struct endpoint *to) {
  const struct sip_via *via = &answer->request->via;
  *to = *answer->source;
  if (via->rport.at == NULL) to->port = via->port != 0 ? via->port : SIP_PORT;
  sip_put_response_head(out, answer->request, 200, NULL, answer->tag, answer->source);
  put_contact(out, answer->self);
  sip_put_header_u64(out, "Expires", 0);
  sip_put_body(out, "", SLICE_EMPTY);
}

void sip_profile_put_notify(struct buf *out, const struct sip_profile_answer *answer,
                            struct endpoint *to) {
  const struct sip_message *request = answer->request;
  struct sip_values contacts = sip_values_of(request, SIP_H_CONTACT);
  struct sip_address contact;
  struct endpoint place;
  struct slice value;
  bool given = sip_values_next(&contacts, &value) && sip_address_parse(value, &contact) == OK &&
               sip_uri_endpoint(&contact.uri, &place) == OK;
  *to = *answer->source;
  if (given && place.family == to->family && memcmp(place.addr, to->addr, sizeof to->addr) == 0)
    to->port = place.port;
  buf_put_cstr(out, "NOTIFY ");
  if (given) {
    buf_put(out, contact.uri.text);
  } else {
    buf_put_cstr(out, "sip:");
    endpoint_put(out, to);
  }
  buf_put_cstr(out, " SIP/2.0\r\n");
  sip_put_via(out, answer->self, answer->branch);
  sip_put_header_u64(out, "Max-Forwards", 20);
  buf_put_cstr(out, "From: ");
  buf_put(out, value_of(request, SIP_H_TO));
  buf_put_cstr(out, ";tag=");
  buf_put(out, answer->tag);
  buf_put_cstr(out, "\r\n");
  sip_put_header(out, "To", value_of(request, SIP_H_FROM));
  sip_put_header(out, "Call-ID", request->call_id);
  buf_put_cstr(out, "CSeq: 1 NOTIFY\r\n");
  put_contact(out, answer->self);
  sip_put_header(out, "Event", value_of(request, SIP_H_EVENT));
  buf_put_cstr(out, "Subscription-State: terminated;reason=timeout\r\n");
  sip_put_body(out, "application/url", answer->url);
}
