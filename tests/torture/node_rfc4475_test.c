/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of RFC 4475 against a whole peer, over UDP: what the element answers, beyond what
 * its parser says. They lie in $LOCSER_TORTURE, or next to the source folder; without them that
 * part is skipped. And Figure 1 of the seed draft, as printed and corrected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/world.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "."
#endif

static struct net net;
static char bytes[70000];
static char answer[70000];

static bool load(const char *folder, const char *name, const char *suffix, struct slice *out) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return false;
  *out = slice_of(bytes, fread(bytes, 1, sizeof bytes, file));
  fclose(file);
  return true;
}

static void open_peer(void) {
  net_open(&net, 9);
  net.config.digest_off = true;
  prefix_parse(SLICE("203.0.113.0/24"), &net.config.trusted[0]); /* what it says, not how much */
  net_add(&net, NULL, NET_NONE);
  net_run_for(&net, SEC(1));
}

/* What one datagram draws first: a final status, 0 for nothing; 1 if a request went out. */
static unsigned ask(struct slice message) {
  struct endpoint from = net_stranger("203.0.113.9:5060", TRANSPORT_UDP);
  unsigned status = 0;
  net_clear_inbox(&net);
  net_inject(&net, 0, 0, &from, message);
  net_run_for(&net, SEC(10));
  answer[0] = 0;
  for (unsigned n = 0; n < net.inbox_count; n++) {
    const struct net_letter *letter = &net.inbox[n];
    unsigned code = 1;
    if (strncmp(letter->text, "SIP/2.0 ", 8) == 0) code = (unsigned)atoi(letter->text + 8);
    if (code >= 100 && code < 200) continue;
    if (status != 0) continue;
    status = code;
    snprintf(answer, sizeof answer, "%s", letter->text);
  }
  return status;
}

struct expectation {
  const char *name;
  unsigned status;  /* 0: nothing, 1: it is forwarded */
  const char *text; /* in the answer, or NULL */
};

/* A ring of one, for every domain; nobody but who registers here is known. Where RFC 4475 leaves a
 * choice, the strict side is taken. */
static const struct expectation expectations[] = {
    {"wsinv", 404, NULL},
    {"intmeth", 480, NULL}, /* unknown method for a user: a proxy's, and the user is not there */
    {"esc01", 480, NULL},
    {"escnull", 200, "%00"},
    {"esc02", 501, NULL},
    {"lwsdisp", 480, NULL},
    {"longreq", 480, NULL},
    {"dblreq", 200, NULL},
    {"semiuri", 480, NULL},
    {"transports", 480, NULL},
    {"mpart01", 1, "MESSAGE "},
    {"unreason", 0, NULL},
    {"noreason", 0, NULL},
    {"badinv01", 400, "Via"},
    {"clerr", 400, "Content-Length"},
    {"ncl", 400, "Content-Length"},
    {"scalar02", 400, "CSeq"},
    {"scalarlg", 0, NULL},
    {"quotbal", 400, "To"},
    {"ltgtruri", 400, "Request-URI"},
    {"lwsruri", 400, "Request-URI"},
    {"lwsstart", 400, "Request-Line"},
    {"trws", 400, "Request-Line"},
    {"escruri", 400, "Request-URI"},
    {"baddate", 480, NULL},
    {"regbadct", 400, "Contact"},
    {"badaspec", 400, "To"},
    {"baddn", 400, "From"},
    {"badvers", 505, NULL},
    {"mismatch01", 400, "CSeq"},
    {"mismatch02", 400, "CSeq"},
    {"bigcode", 0, NULL},
    {"badbranch", 400, "Branch"},
    {"insuf", 400, "From"},
    {"unkscm", 416, NULL},
    {"novelsc", 416, NULL},
    {"unksm2", 400, "To"},
    {"bext01", 420, "Unsupported: "},
    {"invut", 480, NULL},
    {"regaut01", 200, NULL},
    {"multi01", 400, "CSeq"},
    {"mcl01", 400, "Content-Length"},
    {"bcast", 0, NULL},
    {"zeromf", 483, NULL},
    {"cparam01", 200, "<sip:+19725552222@gw1.example.net>"},
    {"cparam02", 200, ";unknownparam>"},
    {"regescrt", 200, "Route=%3C"},
    {"sdp01", 480, NULL},
    {"inv2543", 480, NULL},
};

static void test_rfc4475(void **state) {
  (void)state;
  const char *folder = getenv("LOCSER_TORTURE");
  if (folder == NULL) folder = SOURCE_DIR "/../shared/torture/rfc4475";
  struct slice message;
  if (!load(folder, "wsinv", ".dat", &message)) {
    print_message("the messages of RFC 4475 are not here\n");
    skip();
  }
  unsigned wrong = 0;
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
    const struct expectation *want = &expectations[i];
    open_peer();
    if (!load(folder, want->name, ".dat", &message)) fail_msg("there is no %s", want->name);
    unsigned got = ask(message);
    bool says = want->text == NULL || strstr(answer, want->text) != NULL;
    if (got != want->status || !says) {
      print_message("%s: %u, not %u %s\n%s\n", want->name, got, want->status,
                    want->text != NULL ? want->text : "", answer);
      wrong++;
    }
    assert_true(net_close(&net));
  }
  assert_int_equal(wrong, 0);
}

/* All of them, one after the other, to one peer, over UDP and a stream: it must live on. */
static void test_one_peer_takes_them_all(void **state) {
  (void)state;
  const char *folder = getenv("LOCSER_TORTURE");
  if (folder == NULL) folder = SOURCE_DIR "/../shared/torture/rfc4475";
  struct slice message;
  if (!load(folder, "wsinv", ".dat", &message)) skip();
  open_peer();
  struct endpoint from = net_stranger("203.0.113.9:5060", TRANSPORT_TCP);
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
    assert_true(load(folder, expectations[i].name, ".dat", &message));
    ask(message);
    net_inject(&net, 0, net_connect(&net, 0, &from), &from, message);
    net_run_for(&net, SEC(1));
  }
  assert_int_equal(net_get(&net, 0, "sip:nobody@example.net")->code, 404);
  assert_true(net_close(&net));
}

/* the reason names the Via, and the answer goes to where the request came from. */
static void test_figure_1(void **state) {
  (void)state;
  struct slice message;
  open_peer();
  assert_true(load(SOURCE_DIR "/tests/torture", "figure1", ".txt", &message));
  assert_int_equal(ask(message), 400);
  assert_memory_equal(answer, "SIP/2.0 400 Malformed Via", 25);
  assert_int_equal(net.inbox[0].to.addr[0], 203);
  assert_true(load(SOURCE_DIR "/tests/torture", "figure1-corrected", ".txt", &message));
  assert_int_equal(ask(message), 404);
  assert_int_equal(net_put(&net, 0, "sip:bob@biloxi.example.com", "sip:bob@192.0.2.4")->code, 200);
  assert_int_equal(ask(message), 200);
  assert_non_null(strstr(answer, "sip:bob@192.0.2.4"));
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rfc4475),
      cmocka_unit_test(test_one_peer_takes_them_all),
      cmocka_unit_test(test_figure_1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
