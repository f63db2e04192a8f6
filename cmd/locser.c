/* SPDX-License-Identifier: BSD-2-Clause */
/* locser(1): most commands ask a running locserd (host/cli.h); `identity`, `ca`, `user`, `invite`
 * and `join` work on files, with or without one. */
#include <fcntl.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/peer.h"
#include "cmd/grant.h"
#include "cmd/invite.h"
#include "cmd/password.h"
#include "cmd/provision.h"
#include "crypto/ca.h"
#include "crypto/membership.h"
#include "crypto/user_keys.h"
#include "host/cli.h"
#include "host/dumps.h"
#include "host/settings.h"

struct words {
  const char *data, *folder, *days_text, *name, *control, *password, *provision;
  unsigned days;
  bool private, none, generate;
  const char *verb, *argument, *file;
};
struct verb {
  const char *group, *name, *argument, *file; /* NULL: none */
  int (*run)(const struct words *words);
  const char *text;
};

static int fail(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return CLI_REFUSED;
}

static int print(enum err err, const struct buf *out, const struct key_error *why) {
  if (err != OK) return fail(why->text);
  fwrite(out->at, 1, out->len, stdout);
  return CLI_DONE;
}

/* A file, or - for standard input. False: said why. */
static bool read_file(const char *path, char *text, size_t cap, struct slice *out) {
  int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  size_t len = 0;
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0 && len < cap && (n = read(fd, text + len, cap - len)) > 0) len += (size_t)n;
  if (fd > STDIN_FILENO) close(fd);
  *out = slice_of(text, len);
  if (n >= 0 && len < cap) return true;
  if (n < 0)
    perror(path);
  else
    fail("the file is too long");
  return false;
}

static void print_key(const char *name, const struct key *key) {
  char hex[KEY_HEX];
  struct buf out = buf_over(hex, sizeof hex);
  key_put(&out, key);
  printf("%-12s%.*s\n", name, KEY_HEX, hex);
}

/* ---- identity ---- */

/* The key of the data folder, which must be there. False: said why. */
static bool open_identity(const struct words *words, struct identity *identity) {
  struct key_error why = {""};
  EVP_PKEY *key = NULL;
  enum err err = key_file_load(words->data, "identity", &key, &why);
  EVP_PKEY_free(key);
  if (err == ERR_NOT_FOUND)
    (void)file_error(&why, err, words->data,
                     "no identity is here; locserd makes one at its first start, or: locser "
                     "identity new");
  if (err == OK) err = identity_open(words->data, identity, &why);
  if (err != OK) fail(why.text);
  return err == OK;
}

static void print_until(const X509 *certificate) {
  struct tm until;
  char text[32];
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &until) != 1) return;
  strftime(text, sizeof text, "%Y-%m-%d", &until);
  printf("%-12s%s\n", "until", text);
}

static int identity_show(const struct words *words) {
  struct identity identity;
  struct membership membership;
  struct key_error why = {""};
  if (!open_identity(words, &identity)) return CLI_REFUSED;
  print_key("Peer-ID", &identity.peer_id);
  enum err err = membership_open(words->data, &identity, &membership, &why);
  if (err == OK) {
    printf("%-12s%s\n", "overlay", membership.trusted != NULL ? "closed" : "open");
    if (membership.certificate != NULL) print_until(membership.certificate);
    membership_close(&membership);
  } else {
    fail(why.text);
  }
  identity_close(&identity);
  return err == OK ? CLI_DONE : CLI_REFUSED;
}

static int identity_new(const struct words *words) {
  char path[FILE_PATH_BYTES];
  struct stat status;
  struct identity identity;
  struct key_error why = {""};
  if (mkdir(words->data, 0700) != 0 && access(words->data, W_OK) != 0) {
    perror(words->data);
    return CLI_REFUSED;
  }
  if (file_path(path, words->data, "identity", &why) != OK) return fail(why.text);
  if (lstat(path, &status) == 0) {
    (void)file_error(&why, ERR_EXISTS, path,
                     "there is one already; move it away first (its records and its place in the "
                     "ring are then another peer's)");
    return fail(why.text);
  }
  if (identity_open(words->data, &identity, &why) != OK) return fail(why.text);
  print_key("Peer-ID", &identity.peer_id);
  identity_close(&identity);
  return CLI_DONE;
}

static int identity_export(const struct words *words) {
  struct identity identity;
  if (!open_identity(words, &identity)) return CLI_REFUSED;
  int done = words->private
                 ? PEM_write_PKCS8PrivateKey(stdout, identity.key, NULL, NULL, 0, NULL, NULL)
                 : PEM_write_PUBKEY(stdout, identity.key);
  identity_close(&identity);
  return done == 1 ? CLI_DONE : fail("OpenSSL wrote no key");
}

static int identity_import(const struct words *words) {
  char text[CA_PEM_BYTES];
  struct slice pem;
  struct identity identity;
  struct membership_import done;
  struct key_error why = {""};
  if (!read_file(words->argument, text, sizeof text, &pem)) return CLI_REFUSED;
  if (!open_identity(words, &identity)) return CLI_REFUSED;
  enum err err = membership_import(words->data, &identity, pem, &done, &why);
  identity_close(&identity);
  if (err != OK) return fail(why.text);
  printf("imported:%s%s%s\n", done.overlay ? " the overlay's CA" : "",
         done.certificate ? " this peer's certificate" : "",
         done.revoked ? " the list of revoked ones" : "");
  puts(done.revoked && !done.certificate ? "A running locserd reads it at: locser reload"
                                         : "A running locserd must be restarted.");
  return CLI_DONE;
}

/* ---- ca ---- */

static int ca_init_verb(const struct words *words) {
  struct key_error why = {""};
  if (ca_init(words->folder, words->name, &why) != OK) return fail(why.text);
  printf("made %s: keep ca.key to yourself; ca.pem is for everybody\n", words->folder);
  return CLI_DONE;
}

static int ca_show(const struct words *words) {
  char text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct key_error why = {""};
  return print(ca_certificate(words->folder, &out, &why), &out, &why);
}

static int ca_issue(const struct words *words) {
  char key[CA_PEM_BYTES], text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct key_error why = {""};
  struct slice pem;
  struct key id;
  if (!read_file(words->argument, key, sizeof key, &pem)) return CLI_REFUSED;
  return print(ca_issue_peer(words->folder, pem, words->days, &id, &out, &why), &out, &why);
}

static int ca_revoke_verb(const struct words *words) {
  char text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct key_error why = {""};
  return print(ca_revoke(words->folder, slice_cstr(words->argument), &out, &why), &out, &why);
}

static int ca_issue_for_user(const struct words *words) {
  char keys[CA_PEM_BYTES], text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  struct key_error why = {""};
  struct slice pem;
  if (!read_file(words->file, keys, sizeof keys, &pem)) return CLI_REFUSED;
  return print(
      ca_issue_user(words->folder, slice_cstr(words->argument), pem, words->days, &out, &why), &out,
      &why);
}

/* ---- user ---- */

#define USERS_MAX UINT32_MAX /* people who make users by hand have no limit */

/* "sip:bob@example.net", as a peer writes it into keys: the host in lower case. */
static bool put_address(const char *text, struct buf *out) {
  struct slice given = slice_cstr(text);
  if (slice_starts(given, SLICE("sip:"))) given = slice_skip(given, 4);
  size_t at = slice_find_byte(given, '@');
  if (at == 0 || at + 1 >= given.len) return false;
  buf_put_cstr(out, "sip:");
  buf_put(out, slice_first(given, at + 1));
  for (size_t i = at + 1; i < given.len; i++)
    buf_put_char(
        out, given.at[i] >= 'A' && given.at[i] <= 'Z' ? (char)(given.at[i] | 0x20) : given.at[i]);
  return !out->overflow;
}

/* NULL: said why. */
static struct user_keys *open_users(const struct words *words, struct buf *address) {
  struct key_error why = {""};
  if (words->argument != NULL && !put_address(words->argument, address)) {
    fail("an address is USER@DOMAIN");
    return NULL;
  }
  struct user_keys *keys = user_keys_open(words->data, USERS_MAX, &why);
  if (keys == NULL) fail(why.text);
  return keys;
}

static int fail_user(enum err err) {
  return fail(err == ERR_NOT_FOUND ? "this peer has no keys of that address"
              : err == ERR_REFUSED ? "none of the certificates is for a key of that address here"
                                   : err_text(err));
}

/* ---- who is a user here: an address with a password, with keys, or with both ---- */

struct user_table {
  struct passwords passwords;
  bool *listed; /* of passwords: beside its keys */
};

static void print_user(const char *owner, struct slice address, const char *what) {
  printf("%-*s  %.*s%s\n", KEY_HEX, owner, (int)address.len, address.at, what);
}

static bool is_peer(struct slice address) {
  struct slice end = SLICE(PEER_USER_DOMAIN);
  return address.len > end.len && slice_equal(slice_skip(address, address.len - end.len), end);
}

static void print_user_with_keys(void *context, struct slice address, const struct key *owner,
                                 bool complete) {
  struct user_table *table = context;
  char hex[KEY_HEX + 1];
  struct buf out = buf_over(hex, sizeof hex);
  bool password = false;
  if (is_peer(address)) return; /* its own key lies among them */
  key_put(&out, owner);
  buf_put_char(&out, '\0');
  for (uint32_t i = 0; i < table->passwords.count; i++) {
    if (!slice_equal(table->passwords.user[i].address, address)) continue;
    table->listed[i] = password = true;
  }
  print_user(hex, address,
             password   ? (complete ? "  (password)" : "  (password, signs only)")
             : complete ? ""
                        : "  (signs only)");
}

static int user_list(const struct words *words) {
  struct user_table table = {0};
  struct key_error why = {""};
  struct user_keys *keys = open_users(words, NULL);
  if (keys == NULL) return CLI_REFUSED;
  enum err err = passwords_load(words->data, &table.passwords, &why);
  if (err == OK) {
    table.listed = calloc((size_t)table.passwords.count + 1, sizeof *table.listed);
    err = table.listed != NULL ? user_keys_list(keys, print_user_with_keys, &table) : ERR_MEMORY;
  }
  for (uint32_t i = 0; err == OK && i < table.passwords.count; i++)
    if (!table.listed[i])
      print_user("no keys yet", table.passwords.user[i].address, "  (password)");
  free(table.listed);
  passwords_free(&table.passwords);
  user_keys_close(keys);
  return err == OK ? CLI_DONE : *why.text != '\0' ? fail(why.text) : fail_user(err);
}

static int change_password(const struct words *words, enum password_change change) {
  char text[1024];
  struct buf address = buf_over(text, sizeof text);
  struct password_words how = {.data = words->data,
                               .control = words->control,
                               .given = words->password,
                               .generate = words->generate,
                               .provision = words->provision};
  bool there;
  if (!put_address(words->argument, &address)) return fail("an address is USER@DOMAIN");
  if (words->provision != NULL && !words->generate)
    return fail("--provision goes with --generate: the password waits in a file for the phone");
  if (words->provision != NULL && !provision_word_good(words->provision)) return CLI_REFUSED;
  if (!words->none) return password_set(&how, buf_slice(&address), change);
  if (change == PASSWORD_NEW) return fail("--none is for passwd");
  int status = password_remove(&how, buf_slice(&address), &there);
  return status == CLI_DONE && !there ? fail("that address has no password") : status;
}

static int user_add(const struct words *words) { return change_password(words, PASSWORD_NEW); }
static int user_passwd(const struct words *words) { return change_password(words, PASSWORD_OTHER); }

static int user_qr(const struct words *words) {
  char text[1024];
  struct buf address = buf_over(text, sizeof text);
  if (!put_address(words->argument, &address)) return fail("an address is USER@DOMAIN");
  return provision_show(words->data, words->control, buf_slice(&address));
}

static int user_request(const struct words *words) {
  char address_text[1024], text[USER_PEM_BYTES];
  struct buf address = buf_over(address_text, sizeof address_text);
  struct buf out = buf_over(text, sizeof text);
  struct user_keys *keys = open_users(words, &address);
  if (keys == NULL) return CLI_REFUSED;
  enum err err = user_keys_complete(keys, buf_slice(&address));
  if (err == OK) err = user_keys_export(keys, buf_slice(&address), false, &out);
  user_keys_close(keys);
  if (err != OK) return fail_user(err);
  fwrite(out.at, 1, out.len, stdout);
  return CLI_DONE;
}

static int user_import(const struct words *words) {
  char address_text[1024], text[CA_PEM_BYTES];
  struct buf address = buf_over(address_text, sizeof address_text);
  struct slice pem;
  unsigned count = 0;
  struct key_error why = {""};
  if (!read_file(words->file, text, sizeof text, &pem)) return CLI_REFUSED;
  if (membership_check_user(words->data, pem, &why) != OK) return fail(why.text);
  struct user_keys *keys = open_users(words, &address);
  if (keys == NULL) return CLI_REFUSED;
  enum err err = user_keys_certify(keys, buf_slice(&address), pem, &count);
  user_keys_close(keys);
  if (err != OK) return fail_user(err);
  printf("imported: %u of the user's certificates\n", count);
  puts("A running locserd reads them at: locser reload");
  return CLI_DONE;
}

static int user_grants(const struct words *words, enum grant_verb verb) {
  char address_text[1024];
  struct buf address = buf_over(address_text, sizeof address_text);
  struct user_keys *keys = open_users(words, &address);
  if (keys == NULL) return CLI_REFUSED;
  int status = grant_run(verb, words->control, keys, buf_slice(&address), words->file);
  user_keys_close(keys);
  return status;
}

static int user_grant(const struct words *words) { return user_grants(words, GRANT_ADD); }
static int user_revoke(const struct words *words) { return user_grants(words, GRANT_REVOKE); }
static int user_granted(const struct words *words) { return user_grants(words, GRANT_LIST); }

/* All of it: password and keys. */
static int user_remove(const struct words *words) {
  char address_text[1024];
  struct buf address = buf_over(address_text, sizeof address_text);
  struct password_words how = {.data = words->data, .control = words->control};
  bool had_password = false;
  struct user_keys *keys = open_users(words, &address);
  if (keys == NULL) return CLI_REFUSED;
  int status = password_remove(&how, buf_slice(&address), &had_password);
  enum err err = status == CLI_DONE ? user_keys_remove(keys, buf_slice(&address)) : OK;
  user_keys_close(keys);
  if (status != CLI_DONE || (err == ERR_NOT_FOUND && had_password)) return status;
  return err == OK              ? CLI_DONE
         : err == ERR_NOT_FOUND ? fail("there is no such user here")
                                : fail_user(err);
}

/* ---- words ---- */

static const struct verb verbs[] = {
    {"identity", "show", NULL, NULL, identity_show, "Peer-ID, and which overlay has let it in"},
    {"identity", "new", NULL, NULL, identity_new, "make a key before the first start"},
    {"identity", "export", NULL, NULL, identity_export,
     "print the public key (--private: the key)"},
    {"identity", "import", "FILE", NULL, identity_import, "take what an overlay's CA gave"},
    {"ca", "init", NULL, NULL, ca_init_verb, "make the CA of a closed overlay (--name NAME)"},
    {"ca", "show", NULL, NULL, ca_show, "print its certificate"},
    {"ca", "issue-peer", "FILE", NULL, ca_issue,
     "print a certificate for a peer's public key (--days N)"},
    {"ca", "issue-user", "ADDRESS", "FILE", ca_issue_for_user,
     "print certificates for a user's public keys (--days N)"},
    {"ca", "revoke", "PEER-ID", NULL, ca_revoke_verb,
     "take the certificates of a peer, or ADDRESS, back; print the list"},
    {"user", "add", "ADDRESS", NULL, user_add,
     "a user with a password, asked for or read from standard input"},
    {"user", "passwd", "ADDRESS", NULL, user_passwd, "another password (--none: no more)"},
    {"user", "qr", "ADDRESS", NULL, user_qr,
     "show again what --provision qr showed: a QR code for Linphone"},
    {"user", "list", NULL, NULL, user_list,
     "the users here: those with passwords, those with keys"},
    {"user", "request", "ADDRESS", NULL, user_request,
     "print a user's public keys, made if need be, for the overlay's CA"},
    {"user", "import", "ADDRESS", "FILE", user_import, "take the certificates that the CA gave"},
    {"user", "grant", "ADDRESS", "PEER-ID", user_grant,
     "let that peer act for the user: its phones may register there"},
    {"user", "revoke", "ADDRESS", "PEER-ID", user_revoke,
     "take that back: the user gets new keys, which the other peers are granted"},
    {"user", "granted", "ADDRESS", NULL, user_granted, "the peers that may"},
    {"user", "remove", "ADDRESS", NULL, user_remove, "forget a user: password and keys"},
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static bool works_on_files(const char *word) {
  return strcmp(word, "identity") == 0 || strcmp(word, "ca") == 0 || strcmp(word, "user") == 0;
}

static void usage(const char *group, FILE *to) {
  bool ca = strcmp(group, "ca") == 0;
  fprintf(to, "usage: locser %s %s VERB\n\n", group, ca ? "[--dir DIR]" : "[--data DIR]");
  for (size_t i = 0; i < VERB_COUNT; i++) {
    char left[40];
    if (strcmp(verbs[i].group, group) != 0) continue;
    snprintf(left, sizeof left, "%s %s %s", verbs[i].name,
             verbs[i].argument != NULL ? verbs[i].argument : "",
             verbs[i].file != NULL ? verbs[i].file : "");
    fprintf(to, "  %-24s %s\n", left, verbs[i].text);
  }
  fputs(ca ? "\n  --dir DIR   folder of the CA (locser-ca)\n"
           : "\n  --data DIR  data folder of the peer (as locserd's)\n",
        to);
  if (strcmp(group, "user") == 0)
    fputs(
        "  --control PATH   control socket of the running locserd (control in the data folder)\n"
        "  --generate       add, passwd: make a password and print it\n"
        "  --provision MAC  with --generate: it waits for this phone (qr: as a QR code for "
        "Linphone)\n"
        "  --password TEXT  add, passwd: this one, which others on this machine can see\n",
        to);
  fputs("FILE may be - for standard input.\n", to);
}

static int complain(const char *group, const char *text, const char *word) {
  fprintf(stderr, "locser: %s%s%s; see locser %s --help\n", text, word != NULL ? ": " : "",
          word != NULL ? word : "", group);
  return CLI_USAGE;
}

static int read_words(struct words *words, const char *group, int argc, char *const argv[],
                      bool *help) {
  static const struct option known[] = {
      {"data", required_argument, NULL, 'd'},
      {"dir", required_argument, NULL, 'f'},
      {"days", required_argument, NULL, 'n'},
      {"name", required_argument, NULL, 'o'},
      {"control", required_argument, NULL, 'c'},
      {"private", no_argument, NULL, 'p'},
      {"password", required_argument, NULL, 's'},
      {"none", no_argument, NULL, '0'},
      {"provision", required_argument, NULL, 'v'},
      {"generate", no_argument, NULL, 'g'},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  uint64_t days = CA_PEER_DAYS;
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, "-:h", known, NULL)) != -1;) {
    if (c == 'd') words->data = optarg;
    if (c == 'c') words->control = optarg;
    if (c == 'f') words->folder = optarg;
    if (c == 'o') words->name = optarg;
    if (c == 'p') words->private = true;
    if (c == 's') words->password = optarg;
    if (c == '0') words->none = true;
    if (c == 'v') words->provision = optarg;
    if (c == 'g') words->generate = true;
    if (c == 'h') *help = true;
    if (c == ':') return complain(group, "needs a value", argv[optind - 1]);
    if (c == '?') return complain(group, "no such option", argv[optind - 1]);
    if (c == 'n' &&
        (optarg == NULL || !slice_to_u64(slice_cstr(optarg), 36500, &days) || days == 0))
      return complain(group, "--days is a number from 1 to 36500, not", optarg);
    if (c == 1 && words->file != NULL) return complain(group, "one word too many", optarg);
    if (c == 1 && words->argument != NULL) words->file = optarg;
    if (c == 1 && words->verb != NULL && words->argument == NULL) words->argument = optarg;
    if (c == 1 && words->verb == NULL) words->verb = optarg;
  }
  words->days = (unsigned)days;
  return CLI_DONE;
}

static int run_verb(const char *group, const struct words *words) {
  if (words->verb == NULL) return complain(group, "say what to do", NULL);
  for (size_t i = 0; i < VERB_COUNT; i++) {
    const struct verb *verb = &verbs[i];
    if (strcmp(verb->group, group) != 0 || strcmp(verb->name, words->verb) != 0) continue;
    const char *missing = verb->argument != NULL && words->argument == NULL ? verb->argument
                          : words->file == NULL                             ? verb->file
                                                                            : NULL;
    const char *extra = verb->argument == NULL ? words->argument
                        : verb->file == NULL   ? words->file
                                               : NULL;
    if (missing != NULL || extra != NULL)
      return complain(group, missing != NULL ? "needs" : "one word too many",
                      missing != NULL ? missing : extra);
    return verb->run(words);
  }
  return complain(group, "no such verb", words->verb);
}

static int work_on_files(int argc, char *const argv[]) {
  const char *group = argv[1];
  char *data = settings_default_data();
  struct words words = {.data = data, .folder = "locser-ca", .name = "locser"};
  bool help = false;
  int status = read_words(&words, group, argc - 1, argv + 1, &help);
  if (help)
    usage(group, stdout);
  else if (status == CLI_DONE && words.data == NULL)
    status = complain(group, "there is no home directory; say --data DIR", NULL);
  else if (status == CLI_DONE)
    status = run_verb(group, &words);
  free(data);
  return status;
}

int main(int argc, char **argv) {
  dumps_forbid(); /* */
  if (argc > 1 && works_on_files(argv[1])) return work_on_files(argc, argv);
  if (argc > 1 && strcmp(argv[1], "invite") == 0) return cmd_invite(argc - 1, argv + 1);
  if (argc > 1 && strcmp(argv[1], "join") == 0) return cmd_join(argc - 1, argv + 1);
  return cli_run(argc, argv, LOCSER_VERSION);
}
