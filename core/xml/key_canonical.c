/* SPDX-License-Identifier: BSD-2-Clause */
/* One text for everything that means the same resource. */
#include "xml/body.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

static void put_lower(struct buf *out, struct slice text) {
  for (size_t i = 0; i < text.len; i++) buf_put_char(out, lower(text.at[i]));
}

/* RFC 2396 section 2.3. */
static bool is_unreserved(uint64_t c) {
  return c < 128 && c != 0 &&
         (is_letter((char)c) || is_digit((char)c) || strchr("-_.!~*'()", (int)c) != NULL);
}

/* Escapes of unreserved characters are decoded, the others get upper-case digits. False: a
 * character that no URI has, or half an escape. */
static bool put_unescaped(struct buf *out, struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    if (c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"') return false;
    if (c != '%') {
      buf_put_char(out, c);
      continue;
    }
    uint64_t code;
    struct slice digits = slice_first(slice_skip(text, i + 1), 2);
    if (digits.len != 2 || !slice_hex_to_u64(digits, &code)) return false;
    i += 2;
    if (is_unreserved(code)) {
      buf_put_char(out, (char)code);
    } else {
      uint8_t byte = (uint8_t)code;
      buf_put_char(out, '%');
      buf_put_hex(out, &byte, 1);
    }
  }
  return true;
}

/* A name, IPv4 address or bracketed IPv6 address. */
static bool put_host(struct buf *out, struct slice host) {
  bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
  for (size_t i = 0; i < host.len; i++) {
    char c = host.at[i];
    bool inside = bracketed && i > 0 && i + 1 < host.len;
    bool ok = is_letter(c) || is_digit(c) || c == '.' || (c == '-' && !bracketed) ||
              (c == ':' && inside) || (bracketed && !inside);
    if (!ok) return false;
  }
  put_lower(out, host);
  return host.len > 0;
}

/* Keeps `replica` of ";name=value;name..." and drops the others. */
static bool put_replica(struct buf *out, struct slice params) {
  bool found = false;
  while (params.len > 0) {
    params = slice_skip(params, 1);
    size_t end = slice_find_byte(params, ';');
    struct slice param = slice_first(params, end);
    params = slice_skip(params, end);
    struct slice name = slice_first(param, slice_find_byte(param, '='));
    if (!slice_equal_nocase(name, SLICE("replica"))) continue;
    if (found) return false;
    found = true;
    buf_put_cstr(out, ";replica");
    if (!put_unescaped(out, slice_skip(param, name.len))) return false;
  }
  return true;
}

/* Where the host ends and port, parameters or headers begin. */
static size_t host_end(struct slice text) {
  size_t i = 0;
  if (text.len > 0 && text.at[0] == '[') i = slice_find_byte(text, ']');
  while (i < text.len && text.at[i] != ':' && text.at[i] != ';' && text.at[i] != '?') i++;
  return i;
}

static bool is_port(struct slice text) {
  uint64_t port;
  return text.len == 0 || slice_to_u64(text, 65535, &port);
}

/* user@host without its scheme. */
static bool put_address(struct buf *out, struct slice address, bool needs_user) {
  size_t at = slice_find_byte(address, '@');
  struct slice rest = address;
  if (at < address.len) {
    struct slice user = slice_first(address, at);
    user = slice_first(user, slice_find_byte(user, ':')); /* no password */
    if (user.len == 0 || !put_unescaped(out, user)) return false;
    buf_put_char(out, '@');
    rest = slice_skip(address, at + 1);
  } else if (needs_user) {
    return false;
  }
  size_t end = host_end(rest);
  if (!put_host(out, slice_first(rest, end))) return false;
  rest = slice_skip(rest, end);
  rest = slice_first(rest, slice_find_byte(rest, '?')); /* no headers */
  size_t params = slice_find_byte(rest, ';');
  if (params > 0 && !is_port(slice_skip(slice_first(rest, params), 1))) return false;
  return put_replica(out, slice_skip(rest, params));
}

/* Takes "name:" off the front of *text. */
static bool take_scheme(struct slice *text, struct slice name) {
  if (!slice_starts_nocase(*text, name)) return false;
  *text = slice_skip(*text, name.len);
  return true;
}

static void skip_sip(struct slice *text) {
  if (!take_scheme(text, SLICE("sip:"))) (void)take_scheme(text, SLICE("sips:"));
}

/* What follows "subscribe:": event package, colon, address. */
static bool put_event(struct buf *out, struct slice *text) {
  struct slice event = slice_first(*text, slice_find_byte(*text, ':'));
  if (event.len == 0 || event.len == text->len) return false;
  for (size_t i = 0; i < event.len; i++) {
    char c = event.at[i];
    if (!is_letter(c) && !is_digit(c) && (c == 0 || strchr("-.!%*_+`'~", c) == NULL)) return false;
  }
  put_lower(out, event);
  buf_put_char(out, ':');
  *text = slice_skip(*text, event.len + 1);
  return true;
}

static bool put_immutable(struct buf *out, struct slice hash) {
  if (hash.len != 64) return false;
  for (size_t i = 0; i < hash.len; i++) {
    char c = lower(hash.at[i]);
    if (!is_digit(c) && !(c >= 'a' && c <= 'f')) return false;
  }
  buf_put_cstr(out, "immut:");
  put_lower(out, hash);
  return true;
}

/* user@host, with no colon that could end a scheme before the user ends. */
static bool is_bare_address(struct slice text) {
  size_t at = slice_find_byte(text, '@');
  return at < text.len && slice_find_byte(text, ':') > at;
}

static bool put_canonical(struct buf *out, struct slice text) {
  static const char *const about[] = {"certificate:", "presence:", "offline:"};
  if (is_bare_address(text) || slice_starts_nocase(text, SLICE("sip:")) ||
      slice_starts_nocase(text, SLICE("sips:"))) {
    skip_sip(&text);
    buf_put_cstr(out, "sip:");
    return put_address(out, text, false);
  }
  for (unsigned i = 0; i < sizeof about / sizeof *about; i++) {
    if (!take_scheme(&text, slice_cstr(about[i]))) continue;
    buf_put_cstr(out, about[i]);
    skip_sip(&text);
    return put_address(out, text, true);
  }
  if (take_scheme(&text, SLICE("subscribe:"))) {
    buf_put_cstr(out, "subscribe:");
    if (!put_event(out, &text)) return false;
    skip_sip(&text);
    return put_address(out, text, true);
  }
  if (take_scheme(&text, SLICE("immut:"))) return put_immutable(out, text);
  buf_put(out, text); /* private: and all others, byte for byte */
  return true;
}

enum err xml_key_canonical(struct slice key_text, struct buf *out) {
  size_t len = out->len;
  bool was_over = out->overflow;
  struct slice text = slice_trim(key_text);
  bool ok = text.len > 0 && put_canonical(out, text);
  if (ok && !out->overflow) return OK;
  buf_truncate(out, len);
  out->overflow = was_over;
  return ok ? ERR_LIMIT : ERR_SYNTAX;
}
