/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd/invite.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/qr.h"
#include "crypto/ca.h"
#include "crypto/certificate.h"
#include "crypto/membership.h"
#include "crypto/pem.h"
#include "host/address.h"
#include "host/cli.h"
#include "host/client.h"
#include "host/datadir.h"
#include "host/enrol.h"
#include "host/settings.h"

#define SECONDS 900u
#define USES_MAX 100u
#define CA_FILE "overlay-ca.pem" /* in a data folder */

struct words {
  const char *ca, *data, *listen, *advertise, *overlay, *control, *line;
  const char *peer[INVITE_ADDRESSES_MAX];
  unsigned peers;
  uint64_t seconds, uses, days;
  bool qr, help;
  char overlay_text[INVITE_TEXT_BYTES]; /* what a running locserd says */
  char peer_text[INVITE_ADDRESSES_MAX][INVITE_TEXT_BYTES];
};

static int fail(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return CLI_REFUSED;
}

static int complain(const char *command, const char *text, const char *word) {
  fprintf(stderr, "locser: %s%s%s; see locser %s --help\n", text, word != NULL ? ": " : "",
          word != NULL ? word : "", command);
  return CLI_USAGE;
}

/* ---- words ---- */

static void invite_usage(FILE *to) {
  fputs(
      "usage: locser invite [options]\n\n"
      "Prints one line with which a new peer joins this closed overlay (locser join LINE), and\n"
      "waits until it has. Whoever has the line may join: hand it over in private.\n\n"
      "  --ca DIR               folder of the CA (locser-ca)\n"
      "  --qr                   show the line as a QR code as well\n"
      "  --seconds N            it is good for so long (900)\n"
      "  --uses N               so many peers may join with it (1)\n"
      "  --days N               their certificates are good for so long (397)\n"
      "  --listen HOST:PORT     wait there (address of the running locserd, any port)\n"
      "  --advertise HOST:PORT  what the line says instead, behind a router\n"
      "  --peer HOST:PORT       where the new peer finds the ring (the running locserd)\n"
      "  --overlay NAME         name of the overlay (that of the running locserd)\n"
      "  --control PATH         control socket of the running locserd\n",
      to);
}

static void join_usage(FILE *to) {
  fputs(
      "usage: locser join [--data DIR] LINE\n"
      "       locser join [--data DIR] --ca DIR\n\n"
      "Makes the peer of this data folder a member of a closed overlay: by the line that locser\n"
      "invite printed (- reads it from standard input), or by the CA itself where it is at hand.\n"
      "Then start locserd.\n\n"
      "  --data DIR  data folder of the peer (as locserd's)\n"
      "  --ca DIR    folder of the CA\n"
      "  --days N    the certificate is good for so long (397), with --ca\n",
      to);
}

static bool take_number(const char *text, uint64_t max, uint64_t *out) {
  return slice_to_u64(slice_cstr(text), max, out) && *out > 0;
}

enum word { CA = 256, DATA, LISTEN, ADVERTISE, PEER, OVERLAY, CONTROL, SECONDS_, USES, DAYS, QR };

static int take_word(struct words *words, const char *command, int c) {
  switch (c) {
    case CA:
      words->ca = optarg;
      break;
    case DATA:
      words->data = optarg;
      break;
    case LISTEN:
      words->listen = optarg;
      break;
    case ADVERTISE:
      words->advertise = optarg;
      break;
    case OVERLAY:
      words->overlay = optarg;
      break;
    case CONTROL:
      words->control = optarg;
      break;
    case QR:
      words->qr = true;
      break;
    case PEER:
      if (words->peers == INVITE_ADDRESSES_MAX) return complain(command, "too many peers", optarg);
      words->peer[words->peers++] = optarg;
      break;
    case SECONDS_:
      if (!take_number(optarg, 7 * 86400, &words->seconds))
        return complain(command, "--seconds is a number from 1 to 604800, not", optarg);
      break;
    case USES:
      if (!take_number(optarg, USES_MAX, &words->uses))
        return complain(command, "--uses is a number from 1 to 100, not", optarg);
      break;
    case DAYS:
      if (!take_number(optarg, 36500, &words->days))
        return complain(command, "--days is a number from 1 to 36500, not", optarg);
      break;
    case ':':
      return complain(command, "needs a value", NULL);
    default:
      return complain(command, "no such option, or not with this command", NULL);
  }
  return CLI_DONE;
}

static int read_words(struct words *words, const char *command, const struct option *known,
                      int argc, char *const argv[]) {
  *words = (struct words){.seconds = SECONDS, .uses = 1, .days = CA_PEER_DAYS};
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, "-:h", known, NULL)) != -1;) {
    if (c == 'h') {
      words->help = true;
    } else if (c == 1) {
      if (optarg == NULL || words->line != NULL || strcmp(command, "join") != 0)
        return complain(command, "one word too many", NULL);
      words->line = optarg;
    } else {
      int status = take_word(words, command, c);
      if (status != CLI_DONE) return status;
    }
  }
  return CLI_DONE;
}

/* ---- the CA ---- */

static X509 *read_certificate(struct slice pem) {
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  X509 *certificate = memory != NULL ? PEM_read_bio_X509(memory, NULL, NULL, NULL) : NULL;
  BIO_free(memory);
  return certificate;
}

static bool fingerprint(X509 *certificate, uint8_t out[INVITE_CA_BYTES]) {
  unsigned len = 0;
  return certificate != NULL && X509_digest(certificate, EVP_sha256(), out, &len) == 1 &&
         len == INVITE_CA_BYTES;
}

/* The SHA-256 of the CA's certificate. */
static bool ca_fingerprint(const char *dir, uint8_t out[INVITE_CA_BYTES]) {
  char text[CA_PEM_BYTES];
  struct buf pem = buf_over(text, sizeof text);
  struct key_error why = {""};
  if (ca_certificate(dir, &pem, &why) != OK) {
    fail(why.text);
    fputs("locser: say --ca DIR, or make one: locser ca init\n", stderr);
    return false;
  }
  X509 *certificate = read_certificate(buf_slice(&pem));
  bool good = fingerprint(certificate, out);
  X509_free(certificate);
  return good;
}

/* What makes the peer with that key a member, as PEM without an empty line. */
static enum err issue(const struct words *words, struct slice public_key, struct key *id,
                      struct buf *out, struct key_error *why) {
  enum err err = ca_issue_peer(words->ca, public_key, (unsigned)words->days, id, out, why);
  if (err != OK) return err;
  char text[CA_PEM_BYTES];
  size_t len = 0;
  err = file_load(words->ca, "revoked.pem", false, text, sizeof text, &len, why);
  buf_put(out, slice_of(text, len));
  if (err == OK && out->overflow) err = file_error(why, ERR_FULL, words->ca, "too much to tell");
  return err;
}

/* ---- invite ---- */

static void say(void *context, const char *text) {
  (void)context;
  fprintf(stderr, "locser: %s\n", text);
}

static enum err admit(void *context, struct slice public_key, struct buf *out, struct why *why) {
  const struct words *words = context;
  struct key_error reason = {""};
  struct key id;
  for (unsigned i = 0; i < words->peers; i++) {
    buf_put_cstr(out, "peer ");
    buf_put_cstr(out, words->peer[i]);
    buf_put_char(out, '\n');
  }
  enum err err = issue(words, public_key, &id, out, &reason);
  if (err == ERR_SYNTAX || err == ERR_REFUSED) return why_say(why, err, "%s", reason.text);
  if (err != OK) {
    say(NULL, reason.text);
    return why_say(why, err, "the CA cannot issue a certificate now; its operator sees why");
  }
  char hex[KEY_HEX];
  struct buf digits = buf_over(hex, sizeof hex);
  key_put(&digits, &id);
  fprintf(stderr, "locser: let in: peer %.*s\n", KEY_HEX, hex);
  return OK;
}

/* Overlay and addresses from the running locserd, where they were not given. */
static void ask_daemon(struct words *words) {
  struct why why = {""};
  int status;
  struct client_link *link = client_open(words->control, &why);
  if (link == NULL) return;
  json_t *answer = client_call(link, "status", NULL, &status, &why), *row;
  const char *name = json_string_value(json_object_get(answer, "overlay"));
  snprintf(words->overlay_text, sizeof words->overlay_text, "%s", name != NULL ? name : "");
  if (words->overlay == NULL && name != NULL) words->overlay = words->overlay_text;
  json_decref(answer);
  answer = client_call(link, "ring", NULL, &status, &why);
  size_t i;
  bool given = words->peers > 0;
  for (unsigned own = 0; own < 2; own++) /* this peer's own address first */
    json_array_foreach(answer, i, row) {
      const char *role = json_string_value(json_object_get(row, "role"));
      const char *at = json_string_value(json_object_get(row, "address"));
      bool self = role != NULL && strcmp(role, "self") == 0;
      if (given || at == NULL || self != (own == 0) || words->peers == INVITE_ADDRESSES_MAX)
        continue;
      snprintf(words->peer_text[words->peers], INVITE_TEXT_BYTES, "%s", at);
      words->peer[words->peers] = words->peer_text[words->peers];
      words->peers++;
    }
  json_decref(answer);
  client_close(link);
}

/* Host and port where to wait. */
static bool where_to_listen(const struct words *words, struct endpoint *at) {
  struct why why = {""};
  const char *text = words->listen != NULL ? words->listen : words->peer[0];
  if (address_resolve(text, TRANSPORT_TCP, 0, at, &why) != OK) {
    fail(why.text);
    return false;
  }
  if (words->listen == NULL) at->port = 0;
  return true;
}

static int listen_at(struct endpoint *at) {
  union address address;
  char text[ADDRESS_TEXT_BYTES];
  socklen_t len = address_of(at, &address);
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
      bind(fd, &address.any, len) == 0 && listen(fd, 16) == 0 &&
      getsockname(fd, &address.any, &len) == 0) {
    *at = address_to(&address, TRANSPORT_TCP);
    return fd;
  }
  fprintf(stderr, "locser: cannot wait at %s: %s; say --listen HOST:PORT\n", address_text(at, text),
          strerror(errno));
  if (fd >= 0) close(fd);
  return -1;
}

static bool fill(const struct words *words, const struct endpoint *at, struct invite *invite) {
  *invite = (struct invite){.count = 1, .until_s = (uint64_t)time(NULL) + words->seconds};
  char text[ADDRESS_TEXT_BYTES];
  if (words->advertise == NULL && endpoint_is_wildcard(at)) {
    fail("the line needs an address that others reach: say --advertise HOST:PORT");
    return false;
  }
  snprintf(invite->address[0], INVITE_TEXT_BYTES, "%s",
           words->advertise != NULL ? words->advertise : address_text(at, text));
  snprintf(invite->overlay, INVITE_TEXT_BYTES, "%s",
           words->overlay != NULL ? words->overlay : "locser");
  return ca_fingerprint(words->ca, invite->ca) &&
         RAND_priv_bytes(invite->secret, sizeof invite->secret) == 1;
}

/* The line on standard output is all that ever shows the secret. */
static bool show(const struct words *words, const struct invite *invite) {
  char line[INVITE_LINE_BYTES];
  struct buf out = buf_over(line, sizeof line);
  struct invite same;
  struct why why = {""};
  invite_put(&out, invite);
  buf_put_char(&out, '\0');
  bool good = !out.overflow && invite_parse(slice_cstr(line), &same, &why) == OK;
  if (good) {
    puts(line);
    if (words->qr) (void)qr_print(stdout, line);
    fflush(stdout);
    fprintf(stderr,
            "locser: waiting at %s for %llu s; on the new peer's machine: locser join 'LINE'\n",
            invite->address[0], (unsigned long long)words->seconds);
  } else {
    fail("the address or the name of the overlay does not fit into an invitation");
  }
  OPENSSL_cleanse(line, sizeof line);
  OPENSSL_cleanse(&same, sizeof same);
  return good;
}

/* For TLS alone: a key of this hour. */
static bool make_key(struct enrol_offer *offer) {
  char der[1024];
  struct buf out = buf_over(der, sizeof der);
  const unsigned char *at = (const unsigned char *)der;
  offer->key = EVP_EC_gen("P-256");
  if (offer->key == NULL || certificate_make(offer->key, &out) != OK) return false;
  offer->certificate = d2i_X509(NULL, &at, (long)out.len);
  return offer->certificate != NULL;
}

static int serve(struct words *words, struct endpoint *at) {
  struct invite invite;
  struct why why = {""};
  struct enrol_offer offer = {.invite = &invite,
                              .listener = listen_at(at),
                              .uses = (unsigned)words->uses,
                              .admit = admit,
                              .say = say,
                              .context = words};
  if (offer.listener < 0) return CLI_REFUSED;
  int status = CLI_REFUSED;
  if (fill(words, at, &invite) && make_key(&offer) && show(words, &invite))
    status = enrol_serve(&offer, &why) == OK ? CLI_DONE : fail(why.text);
  OPENSSL_cleanse(&invite, sizeof invite);
  X509_free(offer.certificate);
  EVP_PKEY_free(offer.key);
  close(offer.listener);
  return status;
}

int cmd_invite(int argc, char *const argv[]) {
  static const struct option known[] = {
      {"ca", required_argument, NULL, CA},
      {"qr", no_argument, NULL, QR},
      {"seconds", required_argument, NULL, SECONDS_},
      {"uses", required_argument, NULL, USES},
      {"days", required_argument, NULL, DAYS},
      {"listen", required_argument, NULL, LISTEN},
      {"advertise", required_argument, NULL, ADVERTISE},
      {"peer", required_argument, NULL, PEER},
      {"overlay", required_argument, NULL, OVERLAY},
      {"control", required_argument, NULL, CONTROL},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  struct words words;
  struct endpoint at;
  int status = read_words(&words, "invite", known, argc, argv);
  if (status != CLI_DONE) return status;
  if (words.help) {
    invite_usage(stdout);
    return CLI_DONE;
  }
  if (words.ca == NULL) words.ca = "locser-ca";
  ask_daemon(&words);
  if (words.peers == 0)
    return fail("no locserd answers here: start it, or say where the ring is (--peer HOST:PORT)");
  return where_to_listen(&words, &at) ? serve(&words, &at) : CLI_REFUSED;
}

/* ---- join ---- */

/* Belongs the folder to another overlay already? Then said why. */
static bool is_anothers(const char *data, const uint8_t ca[INVITE_CA_BYTES]) {
  char text[CA_PEM_BYTES];
  uint8_t there[INVITE_CA_BYTES];
  size_t len = 0;
  struct key_error why = {""};
  if (file_load(data, CA_FILE, false, text, sizeof text, &len, &why) == ERR_NOT_FOUND) return false;
  X509 *certificate = read_certificate(slice_of(text, len));
  bool same = fingerprint(certificate, there) && memcmp(there, ca, sizeof there) == 0;
  X509_free(certificate);
  if (!same)
    fprintf(stderr,
            "locser: %s belongs to another closed overlay; say --data DIR to use another folder\n",
            data);
  return !same;
}

static bool put_pem(struct buf *out, X509 *certificate) {
  BIO *memory = BIO_new(BIO_s_mem());
  return pem_put(out, memory, memory != NULL && PEM_write_bio_X509(memory, certificate) == 1);
}

/* Appends the one certificate that is the CA of the invitation, so that it comes first. */
static bool put_ca(struct slice pem, const uint8_t ca[INVITE_CA_BYTES], struct buf *out) {
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  bool found = false;
  for (X509 *one;
       !found && memory != NULL && (one = PEM_read_bio_X509(memory, NULL, NULL, NULL)) != NULL;) {
    uint8_t digest[INVITE_CA_BYTES];
    found = fingerprint(one, digest) && memcmp(digest, ca, sizeof digest) == 0 &&
            X509_check_ca(one) != 0 && put_pem(out, one);
    X509_free(one);
  }
  BIO_free(memory);
  return found;
}

/* Takes the lines "peer HOST:PORT" off, for the file of remembered peers. */
static void take_peers(struct slice *given, struct buf *peers) {
  while (slice_starts(*given, SLICE("peer "))) {
    struct slice line = slice_first(*given, slice_find_byte(*given, '\n'));
    *given = slice_skip(*given, line.len + 1);
    char text[INVITE_TEXT_BYTES];
    struct slice at = slice_skip(line, 5);
    if (at.len >= sizeof text) continue;
    memcpy(text, at.at, at.len);
    text[at.len] = '\0';
    if (!address_plausible(text, 0)) continue;
    buf_put(peers, at);
    buf_put_char(peers, '\n');
  }
}

static int take_membership(const struct words *words, const struct identity *identity,
                           struct slice given, const uint8_t ca[INVITE_CA_BYTES]) {
  static char text[ENROL_TEXT_BYTES + 8192];
  char lines[INVITE_ADDRESSES_MAX * INVITE_TEXT_BYTES];
  struct buf pem = buf_over(text, sizeof text), peers = buf_over(lines, sizeof lines);
  struct key_error why = {""};
  struct membership_import done = {0};
  take_peers(&given, &peers);
  if (!put_ca(given, ca, &pem))
    return fail(
        "what came is not from the CA of the invitation: do not use that line again, and "
        "ask for a new one");
  buf_put(&pem, given);
  if (pem.overflow) return fail("what came is too long");
  if (membership_import(words->data, identity, buf_slice(&pem), &done, &why) != OK)
    return fail(why.text);
  if (!done.certificate) return fail("no certificate came");
  if (peers.len > 0 && file_save(words->data, "peers", buf_slice(&peers), 0600, &why) != OK)
    return fail(why.text);
  return CLI_DONE;
}

static int join_by_ca(const struct words *words, const struct identity *identity,
                      struct slice public_key) {
  static char text[ENROL_TEXT_BYTES];
  uint8_t ca[INVITE_CA_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct key_error why = {""};
  struct key id;
  if (!ca_fingerprint(words->ca, ca) || is_anothers(words->data, ca)) return CLI_REFUSED;
  if (issue(words, public_key, &id, &out, &why) != OK) return fail(why.text);
  return take_membership(words, identity, buf_slice(&out), ca);
}

static int join_by_line(const struct words *words, const struct identity *identity,
                        struct slice public_key, const struct invite *invite) {
  static char text[ENROL_TEXT_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct why why = {""};
  if (is_anothers(words->data, invite->ca)) return CLI_REFUSED;
  enum err err = enrol_join(invite, public_key, &out, &why);
  if (err == ERR_CLOSED) {
    bool late = (uint64_t)time(NULL) > invite->until_s;
    fprintf(stderr, "locser: %s\nlocser: %s\n", why.text,
            late ? "the invitation has run out; ask for a new one"
                 : "the invitation was used already or is closed, or that machine cannot be "
                   "reached from here; ask for a new one");
    return CLI_REFUSED;
  }
  if (err != OK) return fail(why.text);
  return take_membership(words, identity, buf_slice(&out), invite->ca);
}

static bool read_line(const struct words *words, struct invite *invite) {
  char text[INVITE_LINE_BYTES] = "";
  struct why why = {""};
  struct slice line = slice_cstr(words->line);
  if (strcmp(words->line, "-") == 0)
    line = fgets(text, sizeof text, stdin) != NULL ? slice_cstr(text) : SLICE_EMPTY;
  bool good = invite_parse(line, invite, &why) == OK;
  OPENSSL_cleanse(text, sizeof text);
  if (!good) fail(why.text);
  return good;
}

static bool put_public_key(struct buf *out, const struct identity *identity) {
  BIO *memory = BIO_new(BIO_s_mem());
  return pem_put(out, memory, memory != NULL && PEM_write_bio_PUBKEY(memory, identity->key) == 1);
}

static int join_in(const struct words *words, const struct invite *invite) {
  char text[1024];
  struct buf public_key = buf_over(text, sizeof text);
  struct key_error why = {""};
  struct identity identity;
  if (identity_open(words->data, &identity, &why) != OK) return fail(why.text);
  int status = !put_public_key(&public_key, &identity) ? fail("OpenSSL wrote no key")
               : words->ca != NULL ? join_by_ca(words, &identity, buf_slice(&public_key))
                                   : join_by_line(words, &identity, buf_slice(&public_key), invite);
  identity_close(&identity);
  return status;
}

static int join(const struct words *words) {
  struct invite invite = {0};
  struct why why = {""};
  int lock = -1;
  if (words->ca == NULL && !read_line(words, &invite)) return CLI_REFUSED;
  if (datadir_open(words->data, &lock, &why) != OK) return fail(why.text);
  int status = join_in(words, &invite);
  close(lock);
  if (status == CLI_DONE && words->ca == NULL)
    printf("joined; now start the peer: locserd --overlay %s --data %s\n", invite.overlay,
           words->data);
  else if (status == CLI_DONE)
    printf("joined; now start the peer: locserd --data %s\n", words->data);
  OPENSSL_cleanse(&invite, sizeof invite);
  return status;
}

int cmd_join(int argc, char *const argv[]) {
  static const struct option known[] = {
      {"data", required_argument, NULL, DATA},
      {"ca", required_argument, NULL, CA},
      {"days", required_argument, NULL, DAYS},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  struct words words;
  int status = read_words(&words, "join", known, argc, argv);
  if (status != CLI_DONE) return status;
  if (words.help) {
    join_usage(stdout);
    return CLI_DONE;
  }
  if ((words.line == NULL) == (words.ca == NULL))
    return complain("join", "give the line of an invitation, or --ca DIR", NULL);
  char *data = settings_default_data();
  if (words.data == NULL) words.data = data;
  status = words.data != NULL
               ? join(&words)
               : complain("join", "there is no home directory; say --data DIR", NULL);
  free(data);
  return status;
}
