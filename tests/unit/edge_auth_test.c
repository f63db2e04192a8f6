/* SPDX-License-Identifier: BSD-2-Clause */
/* Digest authentication at the edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/digest.h"
#include "support/edge_world.h"

static struct edge_world w; /* opened anew by each test */
static struct edge_config config;

static void make_secret(const char *user, const char *password, struct user_secret *out) {
  char text[256];
  int n = snprintf(text, sizeof text, "%s:example.net:%s", user, password);
  w.crypto.sha256(w.crypto.context, slice_of(text, (size_t)n), out->sha256);
  w.crypto.md5(w.crypto.context, slice_of(text, (size_t)n), out->md5);
}

static struct user_secret users[2];

/* bob has a password, carol too, nobody else has; REGISTER is not for all. */
static void open_world(void) {
  world_begin(&w, &config);
  users[0].address = SLICE("sip:carol@example.net");
  make_secret("carol", "other", &users[0]);
  users[1].address = SLICE("sip:bob@example.net");
  make_secret("bob", "secret", &users[1]);
  config.user = users;
  config.user_count = 2;
  config.digest_off = false;
  config.trusted_count = 0;
  config.limits.transactions_max = 512;
  world_open_config(&w, 1, &config);
  assert_non_null(w.edge[0]);
}

struct asking {
  const char *method, *uri, *from, *to, *lines;
  bool inside; /* of a dialog */
};
static const struct asking registering = {"REGISTER",
                                          "sip:example.net",
                                          "sip:bob@example.net",
                                          "sip:bob@example.net",
                                          "Contact: <sip:bob@192.0.2.9:5070>\n",
                                          false};
static const struct asking calling = {"INVITE",
                                      "sip:alice@example.net",
                                      "sip:bob@example.net",
                                      "sip:alice@example.net",
                                      "Contact: <sip:bob@192.0.2.9:5070>\n",
                                      false};

static void ask(const struct phone *phone, const struct asking *what, const char *credentials) {
  static unsigned number;
  number++;
  world_send(&w, phone,
             "%s %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bKa%u;rport\nMax-Forwards: 70\n"
             "From: <%s>;tag=a\nTo: <%s>%s\nCall-ID: auth\nCSeq: %u %s\n%s%sContent-Length: 0\n\n",
             what->method, what->uri, phone->flow == 0 ? "UDP" : "TCP", phone_text(phone), number,
             what->from, what->to, what->inside ? ";tag=b" : "", number, what->method, what->lines,
             credentials);
}

/* The value of nonce in the n-th challenge. */
static void nonce_of(const struct sent *challenge, unsigned n, char *out, size_t cap) {
  const char *value = sent_header(
      challenge,
      strncmp(challenge->bytes, "SIP/2.0 407", 11) == 0 ? "Proxy-Authenticate" : "WWW-Authenticate",
      n);
  assert_non_null(value);
  const char *at = strstr(value, "nonce=\"");
  assert_non_null(at);
  snprintf(out, cap, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
}

static void put_hex(const uint8_t *bytes, size_t len, char *out) {
  for (size_t i = 0; i < len; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void hash(bool md5, const char *text, char *hex) {
  uint8_t out[32];
  if (md5)
    w.crypto.md5(w.crypto.context, slice_cstr(text), out);
  else
    w.crypto.sha256(w.crypto.context, slice_cstr(text), out);
  put_hex(out, md5 ? 16 : 32, hex);
}

struct answering {
  const char *user, *password, *nonce;
  unsigned nc;
  bool md5, no_qop;
};

/* What a phone makes of a challenge. */
static const char *answer(const struct asking *what, const struct answering *a) {
  static char line[1024];
  char text[512], first[65], second[65], response[65];
  snprintf(text, sizeof text, "%s:example.net:%s", a->user, a->password);
  hash(a->md5, text, first);
  snprintf(text, sizeof text, "%s:%s", what->method, what->uri);
  hash(a->md5, text, second);
  if (a->no_qop)
    snprintf(text, sizeof text, "%s:%s:%s", first, a->nonce, second);
  else
    snprintf(text, sizeof text, "%s:%s:%08x:c:auth:%s", first, a->nonce, a->nc, second);
  hash(a->md5, text, response);
  char counted[64] = "";
  if (!a->no_qop) snprintf(counted, sizeof counted, "qop=auth, nc=%08x, cnonce=\"c\", ", a->nc);
  snprintf(line, sizeof line,
           "%s: Digest username=\"%s\", realm=\"example.net\", nonce=\"%s\", uri=\"%s\", %s"
           "algorithm=%s, response=\"%s\"\n",
           strcmp(what->method, "REGISTER") == 0 ? "Authorization" : "Proxy-Authorization", a->user,
           a->nonce, what->uri, counted, a->md5 ? "MD5" : "SHA-256", response);
  return line;
}

/* Asks, and takes the nonce of the first challenge. */
static const char *challenged(const struct phone *phone, const struct asking *what,
                              const char *credentials, const char *start) {
  static char nonce[130];
  ask(phone, what, credentials);
  nonce_of(world_expect(&w, phone, start), 0, nonce, sizeof nonce);
  return nonce;
}

static struct sent *try(const struct phone *phone, const struct asking *what,
                        const struct answering *a, const char *start) {
  ask(phone, what, answer(what, a));
  return world_expect(&w, phone, start);
}

static void registers(const struct phone *phone) {
  const char *nonce = challenged(phone, &registering, "", "SIP/2.0 401 ");
  try(phone, &registering, &(struct answering){"bob", "secret", nonce, 1, false, false},
      "SIP/2.0 200 ");
}

/* two challenges, the stronger first, each with its nonce. */
static void offers_both_algorithms(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  ask(&bob, &registering, "");
  struct sent *no = world_expect(&w, &bob, "SIP/2.0 401 Unauthorized");
  char nonce[2][130];
  for (unsigned i = 0; i < 2; i++) nonce_of(no, i, nonce[i], sizeof nonce[i]);
  assert_string_not_equal(nonce[0], nonce[1]);
  assert_non_null(
      strstr(sent_header(no, "WWW-Authenticate", 0), "algorithm=SHA-256, qop=\"auth\""));
  assert_non_null(strstr(sent_header(no, "WWW-Authenticate", 1), "algorithm=MD5, qop=\"auth\""));
  assert_null(sent_header(no, "WWW-Authenticate", 2));
  assert_non_null(strstr(sent_header(no, "WWW-Authenticate", 0), "realm=\"example.net\""));
  assert_false(sent_has(no, "stale"));
  assert_int_equal(w.binds, 0);
  try(&bob, &registering, &(struct answering){"bob", "secret", nonce[0], 1, false, false},
      "SIP/2.0 200 ");
  try(&bob, &registering, &(struct answering){"bob", "secret", nonce[1], 1, true, false},
      "SIP/2.0 200 ");
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  world_close(&w);
}

/* from this machine too; who has no password here registers as before. */
static void asks_where_there_is_a_password(void **state) {
  (void)state;
  open_world();
  struct phone local = phone_udp(0, "127.0.0.1:5070"), far = phone_udp(0, "192.0.2.9:5071");
  struct asking alice = registering;
  alice.from = alice.to = "sip:alice@example.net";
  alice.lines = "Contact: <sip:alice@127.0.0.1:5070>\n";
  challenged(&local, &registering, "", "SIP/2.0 401 ");
  ask(&local, &alice, "");
  world_expect(&w, &local, "SIP/2.0 200 ");
  ask(&far, &alice, "");
  assert_true(sent_has(world_expect(&w, &far, "SIP/2.0 403 "), "locser user add"));
  /* The case of the domain, escapes and ports make no other address of it. */
  struct asking bob = registering;
  bob.from = bob.to = "sip:%62ob@EXAMPLE.net:5060";
  challenged(&far, &bob, "", "SIP/2.0 401 ");
  /* Switched off for all. */
  config.digest_off = true;
  assert_int_equal(edge_reconfigure(w.edge[0], &config), OK);
  ask(&far, &registering, "");
  world_expect(&w, &far, "SIP/2.0 200 ");
  world_close(&w);
}

static void wrong_is_wrong(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  const char *nonce = challenged(&bob, &registering, "", "SIP/2.0 401 ");
  const struct answering wrong[] = {
      {"bob", "Secret", nonce, 1, false, false},   /* another password */
      {"carol", "other", nonce, 1, false, false},  /* another user's */
      {"carol", "secret", nonce, 1, false, false}, /* a name that does not belong to it */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct sent *no = try(&bob, &registering, &wrong[i], "SIP/2.0 401 ");
    assert_false(sent_has(no, "stale"));
    assert_null(sent_header(no, "WWW-Authenticate", 1)); /* in the algorithm that it can */
  }
  assert_int_equal(w.binds, 0);
  /* A digest of something else is not taken for this. */
  struct asking other = registering;
  other.uri = "sip:elsewhere.example";
  const struct answering good = {"bob", "secret", nonce, 1, false, false};
  ask(&bob, &registering, answer(&other, &good));
  world_expect(&w, &bob, "SIP/2.0 400 ");
  ask(&bob, &registering, "Authorization: Digest username=\"bob\"\n");
  world_expect(&w, &bob, "SIP/2.0 400 Bad Authorization");
  /* Others may stand beside it. */
  char both[2048];
  snprintf(both, sizeof both, "Authorization: Basic dTpw\n%s", answer(&registering, &good));
  ask(&bob, &registering, both);
  world_expect(&w, &bob, "SIP/2.0 200 ");
  world_close(&w);
}

/* a count is good once, in any order; a nonce for some time, and for who was given it. */
static void nonces_are_used_up(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  char nonce[130];
  snprintf(nonce, sizeof nonce, "%s", challenged(&bob, &registering, "", "SIP/2.0 401 "));
  struct answering a = {"bob", "secret", nonce, 2, false, false};
  static const struct {
    unsigned nc;
    bool good;
  } counts[] = {{2, true},  {2, false}, {1, true},  {1, false}, {70, true}, {7, true},
                {6, false}, {69, true}, {0, false}, {71, true}, {7, false}};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    a.nc = counts[i].nc;
    struct sent *got =
        try(&bob, &registering, &a, counts[i].good ? "SIP/2.0 200 " : "SIP/2.0 401 ");
    if (!counts[i].good) assert_true(sent_has(got, "stale=true"));
  }
  /* Somebody else, from elsewhere, cannot use it. */
  struct phone other = phone_udp(0, "198.51.100.9:5070");
  a.nc = 100;
  assert_true(sent_has(try(&other, &registering, &a, "SIP/2.0 401 "), "stale=true"));
  try(&bob, &registering, &a, "SIP/2.0 200 ");
  world_advance(&w, SEC(301));
  a.nc = 101;
  struct sent *stale = try(&bob, &registering, &a, "SIP/2.0 401 ");
  assert_true(sent_has(stale, "stale=true"));
  nonce_of(stale, 0, nonce, sizeof nonce);
  a.nc = 1;
  try(&bob, &registering, &a, "SIP/2.0 200 ");
  /* Changed in its time, its number or its proof. */
  static const unsigned places[] = {15, 31, 63};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    char forged[130];
    snprintf(forged, sizeof forged, "%s", nonce);
    forged[places[i]] = forged[places[i]] == '0' ? '1' : '0';
    struct answering f = {"bob", "secret", forged, 2, false, false};
    assert_true(sent_has(try(&bob, &registering, &f, "SIP/2.0 401 "), "stale=true"));
  }
  /* Without qop there is no count: once. */
  struct answering bare = {"bob", "secret", nonce, 0, true, true};
  snprintf(nonce, sizeof nonce, "%s", challenged(&bob, &registering, "", "SIP/2.0 401 "));
  try(&bob, &registering, &bare, "SIP/2.0 200 ");
  assert_true(sent_has(try(&bob, &registering, &bare, "SIP/2.0 401 "), "stale=true"));
  world_close(&w);
}

/* the table of counts is full: the oldest goes, and is worth nothing any more. */
static void a_full_table_forgets_the_oldest(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  char nonce[18][130];
  for (unsigned i = 0; i < 18; i++)
    snprintf(nonce[i], sizeof nonce[i], "%s", challenged(&bob, &registering, "", "SIP/2.0 401 "));
  for (unsigned i = 1; i < 18; i++) /* 17 in a table of 16 */
    try(&bob, &registering, &(struct answering){"bob", "secret", nonce[i], 1, false, false},
        "SIP/2.0 200 ");
  static const unsigned gone[] = {0, 1}, there[] = {2, 17};
  for (unsigned i = 0; i < 2; i++) {
    struct answering again = {"bob", "secret", nonce[gone[i]], 2, false, false};
    assert_true(sent_has(try(&bob, &registering, &again, "SIP/2.0 401 "), "stale=true"));
    again.nonce = nonce[there[i]];
    try(&bob, &registering, &again, "SIP/2.0 200 ");
  }
  world_close(&w);
}

/* */
static void guessing_is_limited(void **state) {
  (void)state;
  open_world();
  struct phone thief = phone_udp(0, "192.0.2.66:5070"), bob = phone_udp(0, "203.0.113.9:5070");
  char nonce[130];
  snprintf(nonce, sizeof nonce, "%s", challenged(&thief, &registering, "", "SIP/2.0 401 "));
  struct answering a = {"bob", "guess", nonce, 1, false, false};
  for (unsigned i = 0; i < 20; i++) try(&thief, &registering, &a, "SIP/2.0 401 ");
  assert_int_equal(edge_stats(w.edge[0]).refused_guesses, 0);
  a.password = "secret"; /* not even looked at */
  assert_true(sent_has(try(&thief, &registering, &a, "SIP/2.0 503 "), "Retry-After: "));
  assert_int_equal(edge_stats(w.edge[0]).refused_guesses, 1);
  assert_int_equal(w.binds, 0);
  registers(&bob); /* others are not concerned */
  world_advance(&w, SEC(6));
  try(&thief, &registering, &a, "SIP/2.0 200 ");
  world_close(&w);
}

/* */
static void callers_are_asked_too(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070"), thief = phone_udp(0, "192.0.2.66:5070");
  char nonce[130];
  snprintf(nonce, sizeof nonce, "%s", challenged(&bob, &calling, "", "SIP/2.0 407 "));
  ask(&bob, &calling, answer(&calling, &(struct answering){"bob", "secret", nonce, 1, 0, 0}));
  world_expect(&w, &bob, "SIP/2.0 100 ");
  world_expect(&w, &bob, "SIP/2.0 480 "); /* nobody there, but it was let through */
  /* Where bob has registered he is not asked again. */
  registers(&bob);
  ask(&bob, &calling, "");
  world_expect(&w, &bob, "SIP/2.0 100 ");
  world_expect(&w, &bob, "SIP/2.0 480 ");
  static const char *const methods[] = {"INVITE", "MESSAGE", "SUBSCRIBE", "PUBLISH"};
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    struct asking what = calling;
    what.method = methods[i];
    ask(&thief, &what, "");
    world_expect(&w, &thief, "SIP/2.0 407 Proxy Authentication Required");
  }
  /* Inside a dialog, and in the name of somebody without password here, nobody is asked. */
  struct asking inside = calling;
  inside.method = "BYE";
  inside.uri = "sip:x@192.0.2.77";
  inside.inside = true;
  struct phone callee = phone_udp(0, "192.0.2.77:5060");
  ask(&thief, &inside, "");
  world_expect(&w, &callee, "BYE ");
  struct asking stranger = calling;
  stranger.from = "sip:alice@example.net";
  ask(&thief, &stranger, "");
  world_expect(&w, &thief, "SIP/2.0 100 ");
  world_expect(&w, &thief, "SIP/2.0 480 ");
  /* a user of this peer is somebody, before the first REGISTER too. */
  w.locate_status = ERR_NOT_FOUND;
  ask(&thief, &stranger, "");
  world_expect(&w, &thief, "SIP/2.0 100 ");
  world_expect(&w, &thief, "SIP/2.0 404 Nobody Has This Address");
  stranger.uri = "sip:carol@example.net";
  ask(&thief, &stranger, "");
  world_expect(&w, &thief, "SIP/2.0 100 ");
  world_expect(&w, &thief, "SIP/2.0 480 ");
  w.locate_status = OK;
  /* A new password: what the old one opened vouches for nothing. */
  make_secret("bob", "changed", &users[1]);
  assert_int_equal(edge_reconfigure(w.edge[0], &config), OK);
  challenged(&bob, &calling, "", "SIP/2.0 407 ");
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  world_close(&w);
}

/* the callee does not get to see what the password can be guessed from. */
static void credentials_are_not_passed_on(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070"), callee = phone_udp(0, "192.0.2.77:5060");
  struct asking direct = calling;
  direct.uri = "sip:alice@192.0.2.77";
  char nonce[130], more[2048];
  snprintf(nonce, sizeof nonce, "%s", challenged(&bob, &direct, "", "SIP/2.0 407 "));
  ask(&bob, &direct, answer(&direct, &(struct answering){"bob", "secret", nonce, 1, 0, 0}));
  assert_null(sent_header(world_expect(&w, &callee, "INVITE "), "Proxy-Authorization", 0));
  /* Beside those for another proxy they stay: the other needs its own. */
  snprintf(more, sizeof more,
           "%sProxy-Authorization: Digest username=\"bob\", realm=\"elsewhere\", nonce=\"n\", "
           "uri=\"sip:r\", response=\"8ca523f5e9506fed4657c9700eebdbec\"\n",
           answer(&direct, &(struct answering){"bob", "secret", nonce, 2, 0, 0}));
  ask(&bob, &direct, more);
  assert_non_null(sent_header(world_expect(&w, &callee, "INVITE "), "Proxy-Authorization", 1));
  world_close(&w);
}

/* a phone that was silent at two challenges gets the one that every phone knows. */
static void a_phone_that_gave_up_gets_md5(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  ask(&bob, &registering, "");
  assert_non_null(sent_header(world_expect(&w, &bob, "SIP/2.0 401 "), "WWW-Authenticate", 1));
  world_advance(&w, SEC(2)); /* another try, not another state of mind */
  ask(&bob, &registering, "");
  assert_non_null(sent_header(world_expect(&w, &bob, "SIP/2.0 401 "), "WWW-Authenticate", 1));
  world_advance(&w, SEC(30));
  char nonce[130];
  ask(&bob, &registering, "");
  struct sent *one = world_expect(&w, &bob, "SIP/2.0 401 ");
  assert_non_null(strstr(sent_header(one, "WWW-Authenticate", 0), "algorithm=MD5"));
  assert_null(sent_header(one, "WWW-Authenticate", 1));
  nonce_of(one, 0, nonce, sizeof nonce);
  try(&bob, &registering, &(struct answering){"bob", "secret", nonce, 1, true, false},
      "SIP/2.0 200 ");
  /* When its nonce is old it is asked in MD5 alone again. */
  world_advance(&w, SEC(400));
  one = try(&bob, &registering, &(struct answering){"bob", "secret", nonce, 2, true, false},
            "SIP/2.0 401 ");
  assert_non_null(strstr(sent_header(one, "WWW-Authenticate", 0), "algorithm=MD5"));
  assert_null(sent_header(one, "WWW-Authenticate", 1));
  /* Where the peer offers SHA-256 alone, it stays so. */
  config.algorithms = 1u << DIGEST_SHA256;
  assert_int_equal(edge_reconfigure(w.edge[0], &config), OK);
  ask(&bob, &registering, "");
  world_expect(&w, &bob, "SIP/2.0 401 ");
  world_advance(&w, SEC(60));
  ask(&bob, &registering, "");
  one = world_expect(&w, &bob, "SIP/2.0 401 ");
  assert_non_null(strstr(sent_header(one, "WWW-Authenticate", 0), "algorithm=SHA-256"));
  assert_null(sent_header(one, "WWW-Authenticate", 1));
  nonce_of(one, 0, nonce, sizeof nonce);
  try(&bob, &registering, &(struct answering){"bob", "secret", nonce, 1, true, false},
      "SIP/2.0 401 ");
  world_close(&w);
}

/* Memory ends at any moment: an answer, never a way in. */
static void no_memory_lets_nobody_in(void **state) {
  (void)state;
  open_world();
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  char nonce[130];
  snprintf(nonce, sizeof nonce, "%s", challenged(&bob, &registering, "", "SIP/2.0 401 "));
  config.user_count = 1;
  w.memory.fail_after = w.memory.taken;
  assert_int_equal(edge_reconfigure(w.edge[0], &config), ERR_MEMORY);
  w.memory.fail_after = TEST_MEMORY_UNLIMITED;
  ask(&bob, &registering, "");
  world_expect(&w, &bob, "SIP/2.0 401 "); /* bob still has his password */
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(offers_both_algorithms),
      cmocka_unit_test(asks_where_there_is_a_password),
      cmocka_unit_test(wrong_is_wrong),
      cmocka_unit_test(nonces_are_used_up),
      cmocka_unit_test(a_full_table_forgets_the_oldest),
      cmocka_unit_test(guessing_is_limited),
      cmocka_unit_test(callers_are_asked_too),
      cmocka_unit_test(credentials_are_not_passed_on),
      cmocka_unit_test(a_phone_that_gave_up_gets_md5),
      cmocka_unit_test(no_memory_lets_nobody_in),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
