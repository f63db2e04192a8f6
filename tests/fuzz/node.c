/* SPDX-License-Identifier: BSD-2-Clause */
/* A small ring of whole nodes. The bytes are a story: messages of strangers made from templates or
 * from what the peers really said, changed or not; time that passes; peers that die, come back or
 * fall silent; completions that fail, come twice, or for nothing. No promise inside may break. */
#include <stdlib.h>

#include "support/records.h"
#include "support/world.h"

#define MESSAGE_MAX 8192u
#define SAID_MAX 8u

static struct net net;
static struct said {
  char bytes[MESSAGE_MAX];
  size_t len;
} said[SAID_MAX]; /* messages between the peers, for replays */
static unsigned said_next;

static const uint8_t *in;
static size_t in_left;

static uint8_t take_byte(void) {
  if (in_left == 0) return 0;
  in_left--;
  return *in++;
}

static uint64_t take_number(unsigned bytes) {
  uint64_t n = 0;
  while (bytes-- > 0) n = n << 8 | take_byte();
  return n;
}

static void remember(struct net *w, uint32_t node, const struct output *out) {
  (void)w, (void)node;
  if (out->data.len > MESSAGE_MAX) return;
  struct said *slot = &said[said_next++ % SAID_MAX];
  memcpy(slot->bytes, out->data.at, out->data.len);
  slot->len = out->data.len;
}

#define HEAD(uri, key)                                                                     \
  "LOCSER " uri                                                                            \
  " SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKa\r\n"                     \
  "From: <sip:a@a.example>;tag=1\r\nTo: <sip:bob@example.net>\r\nCall-ID: c@a.example\r\n" \
  "CSeq: 1 LOCSER\r\nMax-Forwards: 7\r\nContent-Type: text/xml\r\n" key "\r\n"
#define PARAMS(method, params) \
  "<methodCall><methodName>" method "</methodName><params>" params "</params></methodCall>"
#define OVERLAY(inside)                                                      \
  "<param><overlay xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\">" inside \
  "</overlay>"                                                               \
  "</param>"
#define SELF                                                                    \
  "<self id=\"2222222222222222222222222222222222222222\" at=\"10.0.0.2:5060\" " \
  "incarnation=\"1\"/>"
#define KEY_A "Overlay-Key: 1000000000000000000000000000000000000000"
#define KEY_B "Overlay-Key: 6000000000000000000000000000000000000000"
#define QUERY "<param><dhtRecord><key>sip:bob@example.net</key></dhtRecord></param>"
#define RECORD                                                                  \
  "<param>" TEST_RECORD("sip:bob@example.net", "2026-05-03T12:00:00.000Z", "n", \
                        "2026-05-03T12:00:00.000Z", "5", "<a></a>") "</param>"

static const char *const templates[] = {
    HEAD("sip:bob@example.net", KEY_A) "\r\n" PARAMS("get", QUERY),
    HEAD("sip:bob@example.net", KEY_B ";final") "\r\n" PARAMS("get", QUERY),
    HEAD("sip:bob@example.net", KEY_B ";deadline=300") "\r\n" PARAMS("put-auth", RECORD),
    HEAD("sip:bob@example.net",
         "Overlay-Key: B32F6A9F9E5B0E4E8E6BC21F6FB6A22DA0C4F2B8;final") "\r\n" PARAMS("put",
                                                                                      RECORD),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS("overlay.join", OVERLAY(SELF)),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS("overlay.notify", OVERLAY(SELF)),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS("overlay.neighbors", OVERLAY(SELF)),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS(
        "overlay.leave", OVERLAY(SELF "<successor id=\"7777777777777777777777777777777777777777\" "
                                      "at=\"10.0.0.3:5060\"/>")),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS(
        "overlay.update", OVERLAY(SELF "<subject id=\"6000000000000000000000000000000000000000\" "
                                       "at=\"10.0.0.2:5060\"/>")),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS(
        "overlay.replicate",
        OVERLAY(SELF "<range from=\"0000000000000000000000000000000000000000\" "
                     "to=\"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\"/>")),
    HEAD("sip:p@10.0.0.1", KEY_A ";direct") "\r\n" PARAMS("overlay.replicate",
                                                          RECORD OVERLAY(SELF)),
    HEAD("sip:p@10.0.0.1", KEY_B "\r\nRequest-Disposition: redirect") "\r\n" PARAMS("overlay.trace",
                                                                                    OVERLAY(SELF)),
    HEAD("sip:bob@example.net", "X: y") "\r\n" PARAMS("get", QUERY),
    HEAD("sip:bob@example.net", "X: y") "\r\n",
    "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9:40001;branch=z9hG4bKr;rport"
    "\r\nFrom: <sip:al@example.net>;tag=a\r\nTo: <sip:al@example.net>\r\nCall-ID: r\r\n"
    "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:al@203.0.113.9:40001>\r\n"
    "Expires: 60\r\nContent-Length: 0\r\n\r\n",
    "INVITE sip:al@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9:40001;branch=z9hG4bKi;rport"
    "\r\nFrom: <sip:bo@example.net>;tag=b\r\nTo: <sip:al@example.net>\r\nCall-ID: i\r\n"
    "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:bo@203.0.113.9:40001>\r\n"
    "Content-Length: 0\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK00000000.0000000100000000.1"
    "\r\nFrom: <sip:a@a.example>;tag=1\r\nTo: <sip:bob@example.net>;tag=2\r\nCall-ID: c\r\n"
    "CSeq: 1 LOCSER\r\nContent-Length: 0\r\n\r\n",
};

static struct endpoint some_address(void) {
  uint8_t b = take_byte();
  enum transport transport = b & 1 ? TRANSPORT_TCP : TRANSPORT_UDP;
  switch (b >> 1 & 3) {
    case 0:
      return net_stranger("127.0.0.1:40001", transport);
    case 1: {
      struct endpoint at = net_address(b >> 3 & 3);
      at.transport = (uint8_t)transport;
      return at;
    }
    default:
      return net_stranger("203.0.113.9:40001", transport);
  }
}

static uint32_t some_node(void) { return take_byte() % net.count; }

static size_t mutate(char *text, size_t len) {
  for (unsigned edits = take_byte() & 7; edits > 0 && len > 0; edits--) {
    size_t at = (size_t)take_number(2) % len;
    switch (take_byte() & 3) {
      case 0:
        text[at] = (char)take_byte();
        break;
      case 1: /* cut out */
      {
        size_t n = take_byte() % (len - at) + 1;
        memmove(text + at, text + at + n, len - at - n);
        len -= n;
        break;
      }
      case 2: /* repeat */
      {
        size_t n = take_byte() % (len - at) + 1;
        if (len + n > MESSAGE_MAX) break;
        memmove(text + at + n, text + at, len - at);
        len += n;
        break;
      }
      default: { /* put in */
        size_t n = take_byte() & 15;
        if (len + n > MESSAGE_MAX) break;
        memmove(text + at + n, text + at, len - at);
        for (size_t i = 0; i < n; i++) text[at + i] = (char)take_byte();
        len += n;
        break;
      }
    }
  }
  return len;
}

static void inject(const char *bytes, size_t len) {
  static char text[MESSAGE_MAX];
  uint32_t i = some_node();
  if (!net_runs(&net, i)) return;
  memcpy(text, bytes, len);
  test_sign_records(&net.crypto, text, len);
  len = mutate(text, len);
  struct endpoint from = some_address();
  uint32_t flow = endpoint_is_stream(&from) ? net_connect(&net, i, &from) : 0;
  net_inject(&net, i, flow, &from, slice_of(text, len));
  if (flow != 0 && (take_byte() & 1) != 0) net_close_flow(&net, flow);
}

static void command(void) {
  static const char *const uris[] = {"sip:bob@example.net", "sip:eve@example.net", "", "tel:1",
                                     "certificate:bob@example.net"};
  uint32_t i = some_node();
  if (!net_runs(&net, i)) return;
  uint8_t b = take_byte();
  const struct node_command what = {.kind = (enum node_command_kind)(b % (COMMAND_LEAVE + 1)),
                                    .uri = slice_cstr(uris[take_byte() % 5]),
                                    .contact = slice_cstr(b & 64 ? "sip:bob@192.0.2.4" : "x"),
                                    .trace = (b & 128) != 0};
  net_ask(&net, i, &what);
}

/* An answer that nobody expects: any ticket, any outcome. */
static void completion(void) {
  static const enum input_kind kinds[] = {IN_STORED, IN_SIGNED,   IN_VERIFIED, IN_FLOW,
                                          IN_SEALED, IN_UNSEALED, IN_USER,     IN_OPENED};
  uint32_t i = some_node();
  if (!net_runs(&net, i)) return;
  const struct input input = {.kind = kinds[take_byte() & 7],
                              .status = take_byte() & 1 ? OK : ERR_IO,
                              .flow = take_byte(),
                              .ticket = take_number(1) << 56 | take_number(1) << 24 | take_byte(),
                              .peer = some_address(),
                              .data = SLICE("<dhtRecord/>")};
  /* A host answers an OUT_STORE once; what it may do is to fail it, or to answer nothing known. */
  if (input.kind == IN_STORED && input.status == OK) return;
  net_step(&net, i, &input);
}

static void act(void) {
  switch (take_byte() % 12) {
    case 0:
    case 1:
    case 2: {
      const char *text = templates[take_byte() % (sizeof templates / sizeof templates[0])];
      inject(text, strlen(text));
      break;
    }
    case 3: {
      const struct said *what = &said[take_byte() % SAID_MAX];
      inject(what->bytes, what->len);
      break;
    }
    case 4: {
      size_t n = take_byte();
      if (n > in_left) n = in_left;
      const char *at = (const char *)in;
      in += n;
      in_left -= n;
      inject(at, n);
      break;
    }
    case 5:
      net_run_for(&net, MSEC(take_number(1)));
      break;
    case 6:
      net_run_for(&net, MSEC(100 * take_number(1)));
      break;
    case 7:
      command();
      break;
    case 8: {
      uint32_t i = some_node();
      if (net_runs(&net, i)) {
        net_kill(&net, i, (take_byte() & 1) != 0);
      } else {
        net_restart(&net, i);
      }
      break;
    }
    case 9: {
      struct net_node *node = &net.at[some_node()];
      node->paused = !node->paused;
      break;
    }
    case 10:
      net.journal_fail_permille = take_byte() * 4u;
      net.refuse_text = take_byte() & 1 ? "dhtRecord" : NULL;
      net.loss_permille = take_byte();
      break;
    default:
      completion();
      break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct key ids[] = {{{0x10}}, {{0x60}}, {{0xb0}}};
  in = data;
  in_left = size;
  uint8_t first = take_byte();
  memset(said, 0, sizeof said);
  said_next = 0;
  net_open(&net, first);
  net.on_send = remember;
  if (first & 64) net.config.peer_transport = TRANSPORT_UDP;
  if (first & 32) {
    net.config.limits.hops_max = 6;
    net.config.limits.operations_max = 3;
    net.config.limits.records_max = 3;
    net.config.limits.retry_copies_max = 2;
    net.config.limits.learnt_peers_max = 2;
  }
  for (unsigned i = 0; i < 1u + first % 3; i++) net_add(&net, &ids[i], i == 0 ? NET_NONE : 0);
  net_run_for(&net, SEC(2));
  while (in_left > 0) act();
  net_run_for(&net, SEC(12));
  if (!net_close(&net)) abort();
  return 0;
}
