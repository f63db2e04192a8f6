/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/write_policy.h"

/* how far a first `since` may be from now. */
#define SINCE_TOLERANCE ((msec_wall)5 * 60 * 1000)

/* The rows of the table. */
enum row {
  ROW_OWN,    /* the address's key alone */
  ROW_PIN,    /* the same, and in an open overlay it is what pins the key */
  ROW_INBOX,  /* any known key writes; the address's key removes what anybody wrote */
  ROW_COMMON, /* any known key writes */
  ROW_NEVER,  /* not by put-auth and remove-auth */
};
static const struct {
  const char *scheme;
  enum row row;
  bool event; /* an event package stands before the address */
} rows[] = {
    {"sip:", ROW_OWN, false},       {"presence:", ROW_OWN, false},
    {"private:", ROW_OWN, false},   {"certificate:", ROW_PIN, false},
    {"offline:", ROW_INBOX, false}, {"subscribe:", ROW_INBOX, true},
    {"immut:", ROW_NEVER, false},
};

static enum row row_of(struct slice key_text, struct slice *address) {
  *address = SLICE_EMPTY;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct slice scheme = slice_cstr(rows[i].scheme);
    if (!slice_starts(key_text, scheme)) continue;
    struct slice rest = slice_skip(key_text, scheme.len);
    if (rows[i].event) rest = slice_skip(rest, slice_find_byte(rest, ':') + 1);
    *address = slice_first(rest, slice_find_byte(rest, ';')); /* without ;replica= */
    return rows[i].row;
  }
  return ROW_COMMON;
}

struct slice write_address(enum write_mode mode, struct slice key_text) {
  struct slice address;
  enum row row = row_of(key_text, &address);
  bool asks = mode == WRITE_OPEN && (row == ROW_OWN || row == ROW_PIN || row == ROW_INBOX);
  return asks ? address : SLICE_EMPTY;
}

/* "<40 digits>@...". */
static bool is_key_hash(struct slice address, struct key *out) {
  size_t at = slice_find_byte(address, '@');
  return at < address.len && key_parse(slice_first(address, at), out);
}

/* */
static bool is_issued_for(const struct write_signer *signer, struct slice address) {
  size_t at = slice_find_byte(address, '@');
  struct slice domain = at < address.len ? slice_skip(address, at + 1) : address;
  if (!signer->issued) return false;
  for (unsigned i = 0; i < signer->name_count && i < WRITE_NAMES_MAX; i++)
    if (slice_equal(signer->names[i], address) || slice_equal(signer->names[i], domain))
      return true;
  return false;
}

static enum write_verdict refuse(const char **why, const char *text) {
  *why = text;
  return WRITE_REFUSED;
}

/* may this key become, or stay, the address's? */
static enum write_verdict judge_pin(const struct write_request *request,
                                    const struct write_signer *signer, const struct write_pin *pin,
                                    msec_wall now, const char **why) {
  if (pin->state == WRITE_PIN_KNOWN) {
    if (!key_equal(&pin->key, &signer->key) && !key_equal(&pin->key, &request->before))
      return refuse(why, WRITE_OTHER_KEY);
    if (request->since >= pin->since) return WRITE_ALLOWED;
    return refuse(why, "since is earlier than the one that is pinned");
  }
  if (request->removal) return refuse(why, "no key is pinned for this address");
  msec_wall off = request->since > now ? request->since - now : now - request->since;
  if (off > SINCE_TOLERANCE) return refuse(why, "since is more than 5 minutes off");
  return WRITE_ALLOWED;
}

bool write_is_pin(enum write_mode mode, struct slice key_text) {
  struct slice address;
  struct key hash;
  return mode == WRITE_OPEN && row_of(key_text, &address) == ROW_PIN &&
         !is_key_hash(address, &hash);
}

bool write_needs_pin(enum write_mode mode, const struct write_request *request,
                     const struct write_signer *signer) {
  struct slice address;
  struct key hash;
  enum row row = row_of(request->key_text, &address);
  if (mode != WRITE_OPEN || is_key_hash(address, &hash)) return false;
  bool own_record = key_equal(&request->owner, &signer->key);
  return row == ROW_INBOX ? request->removal && !own_record : row == ROW_OWN || row == ROW_PIN;
}

bool write_pin_wins(const struct write_pin *a, const struct write_pin *b) {
  if (key_equal(&a->before, &b->key)) return true;
  if (key_equal(&b->before, &a->key)) return false;
  bool siblings = !key_is_zero(&a->before) && key_equal(&a->before, &b->before);
  if (siblings && a->named != b->named) return a->named < b->named;
  if (a->since != b->since) return a->since < b->since;
  if (!siblings && a->named != b->named) return a->named > b->named;
  return key_compare(&a->key, &b->key) < 0;
}

/* Is the signer's key the address's own? */
static enum write_verdict judge_own(enum write_mode mode, struct slice address,
                                    const struct write_signer *signer, const struct write_pin *pin,
                                    const char **why) {
  struct key hash;
  if (mode == WRITE_CLOSED) {
    if (is_issued_for(signer, address)) return WRITE_ALLOWED;
    return refuse(why,
                  "the overlay's CA has issued no certificate in force to this key for the "
                  "address or its domain");
  }
  if (is_key_hash(address, &hash)) {
    if (key_equal(&hash, &signer->key)) return WRITE_ALLOWED;
    return refuse(why, "the user part of the address is the hash of another key");
  }
  if (pin->state == WRITE_PIN_UNREACHABLE) {
    *why = "the certificate record of the address cannot be reached";
    return WRITE_UNSURE;
  }
  if (pin->state == WRITE_PIN_KNOWN && key_equal(&pin->key, &signer->key)) return WRITE_ALLOWED;
  return refuse(why, pin->state == WRITE_PIN_NONE
                         ? "no key is pinned for this address: write its certificate record first"
                         : WRITE_OTHER_KEY);
}

static enum write_verdict judge_others(enum write_mode mode, const struct write_signer *signer,
                                       const char **why) {
  if (mode != WRITE_CLOSED || signer->issued) return WRITE_ALLOWED;
  return refuse(why, "the overlay's CA has issued no certificate in force to this key");
}

enum write_verdict write_judge(enum write_mode mode, const struct write_request *request,
                               const struct write_signer *signer, const struct write_pin *pin,
                               msec_wall now, const char **why) {
  struct slice address;
  struct key hash;
  enum row row = row_of(request->key_text, &address);
  bool own_record = key_equal(&request->owner, &signer->key);
  if (row == ROW_NEVER) return refuse(why, "an immutable value has no owner");
  /* the one case in which a key writes another's record. */
  if (!own_record && !(row == ROW_INBOX && request->removal && mode != WRITE_LABORATORY))
    return refuse(why, "the record is signed by another key than its owner's");
  if (mode == WRITE_LABORATORY) return WRITE_ALLOWED;
  if (!own_record) return judge_own(mode, address, signer, pin, why);
  if (row == ROW_INBOX || row == ROW_COMMON) return judge_others(mode, signer, why);
  bool pins = row == ROW_PIN && mode == WRITE_OPEN && !is_key_hash(address, &hash) &&
              pin->state != WRITE_PIN_UNREACHABLE;
  return pins ? judge_pin(request, signer, pin, now, why)
              : judge_own(mode, address, signer, pin, why);
}

/* two pins that were made apart meet. */
static enum write_verdict judge_pin_copy(const struct write_request *request,
                                         const struct write_signer *signer,
                                         const struct write_pin *pin, msec_wall now,
                                         const char **why) {
  const struct write_pin fresh = {WRITE_PIN_KNOWN, signer->key, request->since, request->before,
                                  request->named};
  if (request->since > now + SINCE_TOLERANCE) return refuse(why, "since is in the future");
  if (pin->state == WRITE_PIN_KNOWN && !key_equal(&pin->key, &signer->key) &&
      write_pin_wins(pin, &fresh))
    return refuse(why, "another key was pinned for this address earlier");
  return WRITE_ALLOWED;
}

enum write_verdict write_judge_copy(enum write_mode mode, const struct write_request *request,
                                    const struct write_signer *signer, const struct write_pin *pin,
                                    msec_wall now, const char **why) {
  bool own_record = key_equal(&request->owner, &signer->key);
  if (!own_record || !write_needs_pin(mode, request, signer))
    return write_judge(mode, request, signer, pin, now, why);
  if (write_is_pin(mode, request->key_text))
    return request->removal && pin->state != WRITE_PIN_KNOWN
               ? WRITE_ALLOWED
               : judge_pin_copy(request, signer, pin, now, why);
  return pin->state == WRITE_PIN_KNOWN ? write_judge(mode, request, signer, pin, now, why)
                                       : WRITE_ALLOWED;
}
