/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/cli_immutable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/immutable.h"
#include "host/cli.h"
#include "host/cli_print.h"

#define BASE64_ROOM ((size_t)(IMMUTABLE_BYTES_MAX + 2) / 3 * 4 + 1)

static int complain(const char *what, int status, const struct why *why) {
  if (status > 0)
    fprintf(stderr, "locser: %s%s (%d)\n", what, why->text, status);
  else
    fprintf(stderr, "locser: %s%s\n", what, why->text);
  return status != 0 ? CLI_REFUSED : CLI_NO_DAEMON;
}

static int fail(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return CLI_REFUSED;
}

/* ---- put ---- */

/* *copies becomes the least that was seen. */
static int put_one(struct client_link *link, struct slice value, uint64_t seconds, struct buf *key,
                   json_int_t *copies) {
  char text[BASE64_ROOM];
  struct buf base64 = buf_over(text, sizeof text);
  struct why why = {""};
  int status;
  buf_put_base64(&base64, value.at, value.len);
  json_t *params = json_pack("{s:s%}", "value", base64.at, base64.len);
  if (seconds > 0) json_object_set_new(params, "expires", json_integer((json_int_t)seconds));
  json_t *result = client_call(link, "put-immut", params, &status, &why);
  if (result == NULL) return complain("", status, &why);
  const char *made = json_string_value(json_object_get(result, "key"));
  json_int_t n = json_integer_value(json_object_get(result, "copies"));
  if (made != NULL) buf_put_cstr(key, made);
  if (n < *copies) *copies = n;
  json_decref(result);
  return key->overflow || key->len != IMMUTABLE_KEY_BYTES ? fail("locserd gave no key") : CLI_DONE;
}

static int put_whole(struct client_link *link, struct slice value, uint64_t seconds,
                     struct buf *key, json_int_t *copies) {
  if (!immutable_needs_fragments(value)) return put_one(link, value, seconds, key, copies);
  char text[IMMUTABLE_BYTES_MAX];
  struct buf manifest = buf_over(text, sizeof text);
  immutable_manifest_put(&manifest, value.len);
  struct slice fragment;
  for (unsigned i = 0; (fragment = immutable_fragment(value, i)).len > 0; i++) {
    char part[IMMUTABLE_KEY_BYTES];
    struct buf part_key = buf_over(part, sizeof part);
    int status = put_one(link, fragment, seconds, &part_key, copies);
    if (status != CLI_DONE) return status;
    immutable_manifest_put_key(&manifest, buf_slice(&part_key));
  }
  return put_one(link, buf_slice(&manifest), seconds, key, copies);
}

/* NULL: said why. */
static char *read_file(const char *path, size_t *len) {
  int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  char *bytes = host_take(IMMUTABLE_TOTAL_MAX + 1);
  ssize_t n = fd < 0 ? -1 : 1;
  *len = 0;
  while (n > 0 && *len <= IMMUTABLE_TOTAL_MAX) {
    n = read(fd, bytes + *len, IMMUTABLE_TOTAL_MAX + 1 - *len);
    if (n < 0 && errno == EINTR)
      n = 1;
    else if (n > 0)
      *len += (size_t)n;
  }
  if (n < 0) perror(path);
  if (fd > STDIN_FILENO) close(fd);
  if (n >= 0 && *len > 0 && *len <= IMMUTABLE_TOTAL_MAX) return bytes;
  if (n >= 0) fail(*len == 0 ? "the file is empty" : "the file is larger than 1048576 bytes");
  free(bytes);
  return NULL;
}

int cli_put_immutable(struct client_link *link, const char *path, uint64_t seconds, bool json) {
  char text[IMMUTABLE_KEY_BYTES];
  struct buf key = buf_over(text, sizeof text);
  json_int_t copies = INT32_MAX;
  size_t len;
  char *bytes = read_file(path, &len);
  if (bytes == NULL) return CLI_REFUSED;
  int status = put_whole(link, slice_of(bytes, len), seconds, &key, &copies);
  free(bytes);
  if (status != CLI_DONE) return status;
  json_t *result = json_pack("{s:s%, s:I, s:I}", "key", key.at, key.len, "bytes", (json_int_t)len,
                             "copies", copies);
  if (json) {
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
  } else {
    cli_print_fields(stdout, result);
  }
  json_decref(result);
  return CLI_DONE;
}

/* ---- get ---- */

/* *len in: room, out: bytes. what: said before a complaint. */
static int get_one(struct client_link *link, struct slice key, const char *what, uint8_t *out,
                   size_t *len, json_int_t *expires) {
  struct why why = {""};
  int status;
  json_t *params = json_pack("{s:s%}", "uri", key.at, key.len);
  json_t *result = client_call(link, "get-immut", params, &status, &why);
  if (result == NULL) return complain(what, status, &why);
  const char *text = json_string_value(json_object_get(result, "value"));
  json_int_t until = json_integer_value(json_object_get(result, "expires"));
  if (until < *expires) *expires = until;
  bool good = text != NULL && base64_decode(slice_cstr(text), out, len);
  json_decref(result);
  return good ? CLI_DONE : fail("locserd gave no value, or one that is too large");
}

static int join(struct client_link *link, const struct immutable_manifest *manifest, uint8_t *out,
                json_int_t *expires) {
  size_t used = 0;
  for (unsigned i = 0; i < manifest->count; i++) {
    char what[64];
    size_t wanted = immutable_manifest_size(manifest, i), len = wanted;
    snprintf(what, sizeof what, "fragment %u of %u: ", i + 1, manifest->count);
    int status =
        get_one(link, immutable_manifest_key(manifest, i), what, out + used, &len, expires);
    if (status != CLI_DONE) return status;
    if (len != wanted) return fail("a fragment has another length than the manifest says");
    used += len;
  }
  return CLI_DONE;
}

static int print_value(const uint8_t *value, size_t len, json_int_t expires, bool json) {
  if (!json)
    return fwrite(value, 1, len, stdout) == len && fflush(stdout) == 0
               ? CLI_DONE
               : fail("standard output takes no more");
  size_t room = (len + 2) / 3 * 4;
  char *text = host_take(room);
  struct buf base64 = buf_over(text, room);
  buf_put_base64(&base64, value, len);
  json_t *result = json_pack("{s:I, s:I, s:s%}", "bytes", (json_int_t)len, "expires", expires,
                             "value", base64.at, base64.len);
  json_dumpf(result, stdout, JSON_COMPACT);
  putchar('\n');
  json_decref(result);
  free(text);
  return CLI_DONE;
}

int cli_get_immutable(struct client_link *link, const char *key, bool json) {
  uint8_t first[IMMUTABLE_BYTES_MAX + 2];
  size_t len = sizeof first;
  json_int_t expires = INT64_MAX;
  struct immutable_manifest manifest;
  const char *why;
  int status = get_one(link, slice_cstr(key), "", first, &len, &expires);
  if (status != CLI_DONE) return status;
  if (!immutable_is_manifest(slice_of(first, len))) return print_value(first, len, expires, json);
  if (immutable_manifest_read(slice_of(first, len), &manifest, &why) != OK) return fail(why);
  uint8_t *whole = host_take(manifest.total + 2);
  status = join(link, &manifest, whole, &expires);
  if (status == CLI_DONE) status = print_value(whole, manifest.total, expires, json);
  free(whole);
  return status;
}
