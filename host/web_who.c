/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/web_who.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define HOST_BYTES_MAX 255u
#define TOKEN_BYTES_MIN 16u
#define PATH_BYTES 4096

/* ---- Host ---- */

static bool host_characters(struct slice host) {
  for (size_t i = 0; i < host.len; i++) {
    char c = host.at[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '.' && c != '-' && c != ':' && c != '[' && c != ']') return false;
  }
  return host.len > 0 && host.len <= HOST_BYTES_MAX;
}

/* The name of NAME or NAME:PORT. Empty: the port is none. */
static struct slice name_of(struct slice host) {
  size_t colon = slice_find_byte(host, ':');
  uint64_t port;
  if (colon < host.len && !slice_to_u64(slice_skip(host, colon + 1), UINT16_MAX, &port))
    return SLICE_EMPTY;
  return slice_first(host, colon);
}

bool web_host_good(const struct web_who *who, struct slice host) {
  struct endpoint literal;
  if (!host_characters(host)) return false;
  if (endpoint_parse(host, TRANSPORT_WS, 80, &literal)) return true;
  struct slice name = name_of(host);
  if (slice_equal_nocase(name, SLICE("localhost"))) return true;
  for (unsigned i = 0; i < who->names->count; i++)
    if (slice_equal_nocase(name, slice_cstr(who->names->text[i]))) return true;
  return false;
}

bool web_host_is_loopback(struct slice host) {
  struct endpoint literal;
  if (endpoint_parse(host, TRANSPORT_WS, 80, &literal)) return endpoint_is_loopback(&literal);
  return slice_equal_nocase(name_of(host), SLICE("localhost"));
}

/* ---- Origin ---- */

bool web_origin_good(const struct web_who *who, const struct web_request *request) {
  struct slice origin = request->origin, rest = origin;
  if (origin.len == 0) return true;
  if (slice_take(&rest, request->secure ? SLICE("https://") : SLICE("http://")) &&
      slice_equal_nocase(rest, request->host))
    return true;
  for (unsigned i = 0; i < who->origins->count; i++)
    if (slice_equal_nocase(origin, slice_cstr(who->origins->text[i]))) return true;
  return false;
}

/* ---- the token ---- */

bool web_token_plausible(struct slice text) {
  if (text.len < TOKEN_BYTES_MIN || text.len > WEB_TOKEN_BYTES_MAX) return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '_') return false;
  }
  return true;
}

bool web_token_equal(const struct web_who *who, struct slice text) {
  struct slice token = slice_cstr(who->token);
  unsigned differs = token.len == 0 || token.len != text.len;
  for (size_t i = 0; i < token.len; i++)
    differs |= (unsigned)(token.at[i] ^ (i < text.len ? text.at[i] : 0));
  return differs == 0;
}

static bool cookie_good(const struct web_who *who, struct slice cookies) {
  while (cookies.len > 0) {
    struct slice one = slice_trim(slice_take_until(&cookies, ';'));
    cookies = slice_skip(cookies, 1);
    if (slice_take(&one, SLICE(WEB_TOKEN_COOKIE "=")) && web_token_equal(who, one)) return true;
  }
  return false;
}

bool web_token_good(const struct web_who *who, const struct web_request *request) {
  bool here = endpoint_is_loopback(&request->from) && web_host_is_loopback(request->host);
  if (here && !who->token_always) return true;
  struct slice bearer = request->authorization;
  if (slice_starts_nocase(bearer, SLICE("Bearer ")) &&
      web_token_equal(who, slice_trim(slice_skip(bearer, 7))))
    return true;
  return cookie_good(who, request->cookie);
}

static enum err say(struct why *why, const char *path, const char *what) {
  return why_say(why, ERR_IO, "web-token %s: %s", path, what);
}

static enum err make(struct web_who *who, const char *path, struct why *why) {
  uint8_t bytes[16];
  struct buf text = buf_over(who->token, sizeof who->token);
  if (uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL) != 0)
    return say(why, path, "no random numbers");
  buf_put_hex(&text, bytes, sizeof bytes);
  who->token[text.len] = '\0';
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return say(why, path, strerror(errno));
  bool good = dprintf(fd, "%s\n", who->token) > 0;
  good = close(fd) == 0 && good;
  return good ? OK : say(why, path, "cannot be written");
}

static enum err load(struct web_who *who, int fd, const char *path, struct why *why) {
  char text[WEB_TOKEN_BYTES_MAX + 8];
  struct stat status;
  ssize_t n = read(fd, text, sizeof text);
  bool shared = fstat(fd, &status) != 0 || (status.st_mode & 077) != 0;
  close(fd);
  if (shared) return say(why, path, "others can read it; chmod 600 it");
  struct slice token = slice_trim(slice_of(text, n > 0 ? (size_t)n : 0));
  if (!web_token_plausible(token))
    return say(why, path, "a token is 16 to 128 letters, digits, - and _");
  memcpy(who->token, token.at, token.len);
  who->token[token.len] = '\0';
  return OK;
}

enum err web_token_load(struct web_who *who, const char *file, const char *data, struct why *why) {
  char path[PATH_BYTES];
  bool given = *file != '\0';
  snprintf(path, sizeof path, "%s%s", given ? file : data, given ? "" : "/web-token");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  who->token_always = given;
  if (fd >= 0) return load(who, fd, path, why);
  if (given || errno != ENOENT) return say(why, path, strerror(errno));
  return make(who, path, why);
}
