/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd/grant.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/peer.h"
#include "crypto/certificate.h"
#include "crypto/grant.h"
#include "host/cli.h"
#include "host/client.h"

#define VALUE_BYTES 16384u

struct desk {
  struct client_link *link;
  struct user_keys *keys;
  struct slice address;
  struct key self; /* Peer-ID of the running locserd */
  struct seal_recipient to[GRANT_PEERS_MAX];
  unsigned count;
};

static int fail(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return CLI_REFUSED;
}

static const char *hex_of(const struct key *key, char out[KEY_HEX + 1]) {
  struct buf digits = buf_over(out, KEY_HEX);
  key_put(&digits, key);
  out[KEY_HEX] = '\0';
  return out;
}

/* NULL: said why. */
static json_t *call(struct desk *desk, const char *method, json_t *params) {
  struct why why = {""};
  int status;
  json_t *answer = client_call(desk->link, method, params, &status, &why);
  if (answer == NULL) fail(why.text);
  return answer;
}

/* Records of a key; no records at all are an empty list. NULL: said why. */
static json_t *fetch(struct desk *desk, const char *scheme, struct slice of) {
  struct why why = {""};
  int status;
  char key[1100];
  snprintf(key, sizeof key, "%s%.*s", scheme, SLICE_FMT(of));
  json_t *answer = client_call(desk->link, "fetch", json_pack("{s:s}", "key", key), &status, &why);
  if (answer == NULL && status == 404) return json_array();
  if (answer == NULL) fail(why.text);
  return answer;
}

static bool owner_is(const json_t *row, const struct key *owner) {
  struct key key;
  const char *text = json_string_value(json_object_get(row, "owner"));
  return text != NULL && key_parse(slice_cstr(text), &key) && key_equal(&key, owner);
}

static const char *text_of(const json_t *row, const char *name) {
  const char *text = json_string_value(json_object_get(row, name));
  return text != NULL ? text : "";
}

/* The key by which this peer receives, as its own record says. NULL: said why. */
static EVP_PKEY *receiving_key(struct desk *desk, const struct key *peer) {
  char hex[KEY_HEX + 1], user[KEY_HEX + sizeof PEER_USER_DOMAIN];
  uint8_t der[4096];
  size_t i, len = 0;
  json_t *row;
  snprintf(user, sizeof user, "%s" PEER_USER_DOMAIN, hex_of(peer, hex));
  json_t *rows = fetch(desk, "certificate:", slice_cstr(user));
  json_array_foreach(rows, i, row) {
    size_t room = sizeof der;
    if (owner_is(row, peer) && base64_decode(slice_cstr(text_of(row, "receives")), der, &room))
      len = room;
  }
  struct certificate_key found = {0};
  bool good = len > 0 && certificate_read(slice_of(der, len), &found) == OK;
  json_decref(rows);
  if (good && seal_key_fits(found.key)) return found.key;
  EVP_PKEY_free(found.key);
  if (rows != NULL)
    fprintf(stderr,
            "locser: peer %s has not said yet how to encrypt to it; there, say: locser publish\n"
            "locser: (its key takes a moment to be made: then try again)\n",
            hex);
  return NULL;
}

static bool add(struct desk *desk, const struct key *peer) {
  for (unsigned i = 0; i < desk->count; i++)
    if (key_equal(&desk->to[i].name, peer)) return true;
  if (desk->count == GRANT_PEERS_MAX) {
    fail("a user's keys go to 8 peers at most, this one included");
    return false;
  }
  EVP_PKEY *key = receiving_key(desk, peer);
  if (key == NULL) return false;
  desk->to[desk->count++] = (struct seal_recipient){*peer, key};
  return true;
}

/* Who has the keys now, by the record of the key that the user has here. -1: said why. */
static int named(struct desk *desk, struct key *names) {
  EVP_PKEY *key = NULL;
  struct key owner;
  json_t *row;
  size_t i;
  int count = 0;
  if (user_keys_key(desk->keys, desk->address, USER_SIGNS, &key) != OK ||
      key_file_hash(key, &owner) != OK) {
    EVP_PKEY_free(key);
    fail("this peer has no keys of that address: say it at the peer where the phone registers");
    return -1;
  }
  EVP_PKEY_free(key);
  json_t *rows = fetch(desk, "private:", slice_skip(desk->address, 4));
  if (rows == NULL) return -1;
  json_array_foreach(rows, i, row) if (owner_is(row, &owner)) count =
      (int)grant_names(slice_cstr(text_of(row, "value")), names, SEAL_RECIPIENTS_MAX);
  json_decref(rows);
  return count;
}

static int store(struct desk *desk) {
  char memory[2 * VALUE_BYTES], key[1100];
  struct buf value = buf_over(memory, sizeof memory);
  enum err err = grant_make(desk->keys, desk->address, desk->to, desk->count, &value);
  if (err == ERR_LIMIT) return fail("the sealed keys are too long for a record: revoke some peer");
  if (err != OK) return fail(err_text(err));
  snprintf(key, sizeof key, "private:%.*s", SLICE_FMT(slice_skip(desk->address, 4)));
  json_t *answer =
      call(desk, "store", json_pack("{s:s, s:s%}", "key", key, "value", value.at, value.len));
  json_decref(answer);
  return answer != NULL ? CLI_DONE : CLI_REFUSED;
}

/* All who were named, this peer, and one more. */
static int grant(struct desk *desk, const struct key *peer) {
  struct key names[SEAL_RECIPIENTS_MAX];
  int count = named(desk, names);
  if (count < 0) return CLI_REFUSED;
  json_decref(call(desk, "publish", NULL));
  bool good = add(desk, &desk->self);
  for (int i = 0; good && i < count; i++) good = add(desk, &names[i]);
  if (!good || !add(desk, peer) || store(desk) != CLI_DONE) return CLI_REFUSED;
  puts("granted: a phone may register there now");
  return CLI_DONE;
}

static bool is_key_hash(struct slice address) {
  struct key hash;
  address = slice_skip(address, 4);
  return key_parse(slice_first(address, slice_find_byte(address, '@')), &hash);
}

static bool may_revoke(struct desk *desk, const struct key *peer, const struct key *names,
                       int count) {
  json_t *status = call(desk, "status", NULL);
  const char *kind = json_string_value(json_object_get(status, "overlay-kind"));
  bool open = kind != NULL && strcmp(kind, "open") == 0, there = false;
  json_decref(status);
  for (int i = 0; i < count; i++) there = there || key_equal(&names[i], peer);
  if (!open)
    fail(
        "in a closed overlay its CA takes keys back: locser ca revoke ADDRESS; a laboratory has "
        "nothing to take back");
  else if (key_equal(peer, &desk->self))
    fail("that is this peer itself: say it at another that has the keys");
  else if (is_key_hash(desk->address))
    fail("the user part is the hash of the key: this address cannot have another");
  else if (!there)
    fail("that peer has not been granted the keys (locser user granted ADDRESS)");
  return open && !key_equal(peer, &desk->self) && !is_key_hash(desk->address) && there;
}

/* From here on the old keys are gone, and each step can be made up for later. */
static int change_keys(struct desk *desk) {
  enum err err = user_keys_succeed(desk->keys, desk->address);
  if (err != OK) return fail(err_text(err));
  json_t *reloaded = call(desk, "reload", NULL);
  char uri[1100];
  snprintf(uri, sizeof uri, "%.*s", SLICE_FMT(desk->address));
  json_t *known = reloaded != NULL ? call(desk, "publish", json_pack("{s:s}", "uri", uri)) : NULL;
  json_decref(reloaded);
  json_decref(known);
  if (known == NULL)
    return fail(
        "the new keys are here, but nobody knows them yet. Say: locser reload, then "
        "locser publish ADDRESS, then grant the keys to the other peers again");
  if (store(desk) == CLI_DONE) return CLI_DONE;
  return fail(
      "the address has new keys, but they could not be granted. Say, for each other peer that is "
      "to have them: locser user grant ADDRESS PEER-ID");
}

/* To all who were named but one, under new keys. */
static int revoke(struct desk *desk, const struct key *peer) {
  struct key names[SEAL_RECIPIENTS_MAX];
  int count = named(desk, names);
  if (count < 0 || !may_revoke(desk, peer, names, count)) return CLI_REFUSED;
  json_decref(call(desk, "publish", NULL));
  bool good = add(desk, &desk->self);
  for (int i = 0; good && i < count; i++)
    if (!key_equal(&names[i], peer)) good = add(desk, &names[i]);
  if (!good || change_keys(desk) != CLI_DONE) return CLI_REFUSED;
  puts("revoked: the address has new keys");
  if (desk->count > 1)
    puts(
        "At the other peers its phones are reached again when their contacts are put anew; at "
        "once after: locser publish ADDRESS");
  return CLI_DONE;
}

static int list(struct desk *desk) {
  struct key names[SEAL_RECIPIENTS_MAX];
  char hex[KEY_HEX + 1];
  int count = named(desk, names);
  for (int i = 0; i < count; i++)
    printf("%s%s\n", hex_of(&names[i], hex),
           key_equal(&names[i], &desk->self) ? "  (this peer)" : "");
  return count < 0 ? CLI_REFUSED : CLI_DONE;
}

static bool open_desk(struct desk *desk, const char *control) {
  struct why why = {""};
  desk->link = client_open(control, &why);
  if (desk->link == NULL) {
    fail(why.text);
    return false;
  }
  json_t *status = call(desk, "status", NULL);
  const char *id = json_string_value(json_object_get(status, "peer-id"));
  bool good = id != NULL && key_parse(slice_cstr(id), &desk->self);
  json_decref(status);
  return good;
}

int grant_run(enum grant_verb verb, const char *control, struct user_keys *keys,
              struct slice address, const char *peer) {
  struct desk desk = {.keys = keys, .address = address};
  struct key id;
  if (verb != GRANT_LIST && !key_parse(slice_cstr(peer), &id))
    return fail("a Peer-ID is 40 hexadecimal digits");
  if (!open_desk(&desk, control)) return desk.link == NULL ? CLI_NO_DAEMON : CLI_REFUSED;
  int status = verb == GRANT_LIST     ? list(&desk)
               : verb == GRANT_REVOKE ? revoke(&desk, &id)
                                      : grant(&desk, &id);
  for (unsigned i = 0; i < desk.count; i++) EVP_PKEY_free(desk.to[i].key);
  client_close(desk.link);
  return status;
}
