/* SPDX-License-Identifier: BSD-2-Clause */
/* Phones at one peer, and at Kamailio beside it: first registrations, refreshes, and calls with
 * Record-Route from INVITE to the 200 of BYE. Callees register and are called at
 * load->client, callers are at load->neighbour; what each receives tells it what to send next. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/bench.h"
#include "bench/kamailio.h"
#include "bench/load.h"

#define ADDRESSES 100u
#define ROUNDS 5u
#define FIRST_WINDOW 20u
#define FIRST_TRIES 20u /* on a machine that has other work the disk makes one wait */
#define REFRESH_WINDOW 64u
#define REFRESHES 3000u
#define CALLS_WINDOW 32u
#define CALLS 400u
#define BYTES 4096u
#define STUCK_US 5000000
#define CALL_MAX 0.7
#define REGISTER_MAX 1.0

enum who { LOCSER, KAMAILIO, SUBJECTS };
struct subject {
  struct server *server;
  struct load *load;
  double first_rate;
  double refresh_ns[ROUNDS], refresh_rate[ROUNDS], call_ns[ROUNDS], call_rate[ROUNDS];
  uint64_t lost;
};
static struct server locser;
static struct kamailio kamailio;
static struct subject subject[SUBJECTS];

static uint64_t cpu_ns(enum who who) {
  return who == LOCSER ? server_cpu_ns(&locser) : kamailio_cpu_ns(&kamailio);
}

/* ---- REGISTER ---- */

static uint64_t registers; /* in all: each CSeq is above the one before */

static size_t make_register(struct load *load, uint64_t number, char *out, size_t cap) {
  unsigned user = (unsigned)(number % ADDRESSES);
  unsigned long long n = registers++;
  return (size_t)snprintf(
      out, cap,
      "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKr%llu;"
      "rport\r\nMax-Forwards: 70\r\nFrom: <sip:p%u@example.net>;tag=r%u\r\n"
      "To: <sip:p%u@example.net>\r\nCall-ID: r%u@127.0.0.1\r\nCSeq: %llu REGISTER\r\n"
      "Contact: <sip:p%u@127.0.0.1:%u>\r\nUser-Agent: bench\r\nExpires: 3600\r\n"
      "Content-Length: 0\r\n\r\n",
      load->client_at.port, n, user, user, user, user, n + 1, user, load->client_at.port);
}

static double seconds_since(usec begin) { return (double)(bench_now() - begin) / 1e6; }

static bool register_first(struct subject *s) {
  usec begin = bench_now();
  unsigned tries = 0;
  while (load_each(s->load, s->server, ADDRESSES, FIRST_WINDOW, make_register) < ADDRESSES)
    if (++tries == FIRST_TRIES) return false;
  s->first_rate = ADDRESSES / seconds_since(begin);
  return true;
}

static void refresh(enum who who, unsigned round) {
  struct subject *s = &subject[who];
  uint64_t cpu = cpu_ns(who);
  usec begin = bench_now();
  uint64_t good = load_each(s->load, s->server, REFRESHES, REFRESH_WINDOW, make_register);
  s->refresh_rate[round] = (double)good / seconds_since(begin);
  s->refresh_ns[round] = (double)(cpu_ns(who) - cpu) / (double)(good > 0 ? good : 1);
  s->lost += REFRESHES - good;
}

/* ---- calls ---- */

static uint64_t branches; /* in all */
static uint64_t calls;    /* the same: names the Call-IDs */
enum call_state { CALL_BEGUN, CALL_ANSWERED, CALL_DONE };
static struct {
  uint64_t first, begun, done;
  enum call_state state[CALLS];
} run;

static void send_text(int fd, const struct endpoint *to, const struct buf *text) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};
  memcpy(&address.sin_addr, to->addr, 4);
  if (!text->overflow)
    sendto(fd, text->at, text->len, 0, (struct sockaddr *)&address, sizeof address);
}

/* The next header line of `rest`, with its line end; empty: there is none. */
static struct slice next_line(struct slice *rest) {
  size_t len = slice_find(*rest, SLICE("\r\n")) + 2;
  if (len <= 2 || len > rest->len) return SLICE_EMPTY;
  struct slice line = slice_first(*rest, len);
  *rest = slice_skip(*rest, len);
  return line;
}

static struct slice headers_of(struct slice message) {
  struct slice rest = message;
  (void)next_line(&rest);
  return rest;
}

/* All lines that begin with it. */
static void copy_lines(struct buf *out, struct slice message, struct slice name) {
  struct slice rest = headers_of(message), line;
  while ((line = next_line(&rest)).len > 0)
    if (slice_starts(line, name)) buf_put(out, line);
}

/* The value of the first line that begins with it, without line end. */
static struct slice value_of(struct slice message, struct slice name) {
  struct slice rest = headers_of(message), line;
  while ((line = next_line(&rest)).len > 0)
    if (slice_starts(line, name)) return slice_skip(slice_first(line, line.len - 2), name.len);
  return SLICE_EMPTY;
}

static const char sdp[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

static void put_body(struct buf *out, bool with_sdp) {
  if (with_sdp) buf_put_cstr(out, "Content-Type: application/sdp\r\n");
  buf_put_cstr(out, "Content-Length: ");
  buf_put_u64(out, with_sdp ? sizeof sdp - 1 : 0);
  buf_put_cstr(out, "\r\n\r\n");
  if (with_sdp) buf_put_cstr(out, sdp);
}

static void put_via(struct buf *out, const struct endpoint *at, const char *kind, uint64_t branch) {
  buf_put_cstr(out, "Via: SIP/2.0/UDP 127.0.0.1:");
  buf_put_u64(out, at->port);
  buf_put_cstr(out, ";branch=z9hG4bK");
  buf_put_cstr(out, kind);
  buf_put_u64(out, branch);
  buf_put_cstr(out, ";rport\r\nMax-Forwards: 70\r\n");
}

static void begin_call(struct subject *s) {
  char memory[BYTES];
  struct buf out = buf_over(memory, sizeof memory);
  uint64_t call = calls++, user = call % ADDRESSES;
  run.begun++;
  buf_put_cstr(&out, "INVITE sip:p");
  buf_put_u64(&out, user);
  buf_put_cstr(&out, "@example.net SIP/2.0\r\n");
  put_via(&out, &s->load->neighbour_at, "i", branches++);
  buf_put_cstr(&out, "From: <sip:caller@example.net>;tag=c");
  buf_put_u64(&out, call);
  buf_put_cstr(&out, "\r\nTo: <sip:p");
  buf_put_u64(&out, user);
  buf_put_cstr(&out, "@example.net>\r\nCall-ID: c");
  buf_put_u64(&out, call);
  buf_put_cstr(&out, "@127.0.0.1\r\nCSeq: 1 INVITE\r\nContact: <sip:caller@127.0.0.1:");
  buf_put_u64(&out, s->load->neighbour_at.port);
  buf_put_cstr(&out, ">\r\nUser-Agent: bench\r\n");
  put_body(&out, true);
  send_text(s->load->neighbour, &s->server->at, &out);
}

static void answer(struct subject *s, struct slice request, const char *status, bool invite) {
  char memory[BYTES];
  struct buf out = buf_over(memory, sizeof memory);
  buf_put_cstr(&out, "SIP/2.0 ");
  buf_put_cstr(&out, status);
  buf_put_cstr(&out, "\r\n");
  copy_lines(&out, request, SLICE("Via: "));
  copy_lines(&out, request, SLICE("Record-Route: "));
  copy_lines(&out, request, SLICE("From: "));
  buf_put_cstr(&out, "To: ");
  buf_put(&out, value_of(request, SLICE("To: ")));
  buf_put_cstr(&out, invite ? ";tag=b\r\n" : "\r\n");
  copy_lines(&out, request, SLICE("Call-ID: "));
  copy_lines(&out, request, SLICE("CSeq: "));
  if (invite) {
    buf_put_cstr(&out, "Contact: <sip:callee@127.0.0.1:");
    buf_put_u64(&out, s->load->client_at.port);
    buf_put_cstr(&out, ">\r\n");
  }
  put_body(&out, status[0] == '2' && invite);
  send_text(s->load->client, &s->server->at, &out);
}

static void on_request(struct subject *s, struct slice request) {
  if (slice_starts(request, SLICE("INVITE "))) {
    answer(s, request, "180 Ringing", true);
    answer(s, request, "200 OK", true);
  } else if (slice_starts(request, SLICE("BYE "))) {
    answer(s, request, "200 OK", false);
  }
}

/* Lines of the route set, the last Record-Route first. */
static void put_routes(struct buf *out, struct slice message) {
  struct slice values[8], rest = headers_of(message), line;
  unsigned count = 0;
  const struct slice name = SLICE("Record-Route: ");
  while ((line = next_line(&rest)).len > 0)
    if (slice_starts(line, name) && count < 8) values[count++] = slice_skip(line, name.len);
  while (count > 0) {
    buf_put_cstr(out, "Route: ");
    buf_put(out, values[--count]);
  }
}

static void send_inside(struct subject *s, struct slice ok, const char *method, uint64_t number) {
  char memory[BYTES];
  struct buf out = buf_over(memory, sizeof memory);
  struct slice contact = value_of(ok, SLICE("Contact: <"));
  buf_put_cstr(&out, method);
  buf_put_cstr(&out, " ");
  buf_put(&out, slice_first(contact, slice_find_byte(contact, '>')));
  buf_put_cstr(&out, " SIP/2.0\r\n");
  put_via(&out, &s->load->neighbour_at, method, branches++);
  put_routes(&out, ok);
  copy_lines(&out, ok, SLICE("From: "));
  copy_lines(&out, ok, SLICE("To: "));
  copy_lines(&out, ok, SLICE("Call-ID: "));
  buf_put_cstr(&out, "CSeq: ");
  buf_put_u64(&out, number);
  buf_put_cstr(&out, " ");
  buf_put_cstr(&out, method);
  buf_put_cstr(&out, "\r\n");
  put_body(&out, false);
  send_text(s->load->neighbour, &s->server->at, &out);
}

/* NULL: of no call of this round. */
static enum call_state *state_of(struct slice response) {
  struct slice id = value_of(response, SLICE("Call-ID: c"));
  uint64_t number;
  if (!slice_to_u64(slice_first(id, slice_find_byte(id, '@')), UINT64_MAX, &number)) return NULL;
  return number - run.first < CALLS ? &run.state[number - run.first] : NULL;
}

/* What comes again, on a machine that has other work, counts once. */
static void on_response(struct subject *s, struct slice response) {
  enum call_state *state = state_of(response);
  if (state == NULL || !slice_starts(response, SLICE("SIP/2.0 200"))) return;
  struct slice cseq = value_of(response, SLICE("CSeq: "));
  if (slice_equal(cseq, SLICE("1 INVITE"))) {
    send_inside(s, response, "ACK", 1);
    if (*state == CALL_BEGUN) send_inside(s, response, "BYE", 2);
    if (*state == CALL_BEGUN) *state = CALL_ANSWERED;
  } else if (slice_equal(cseq, SLICE("2 BYE")) && *state == CALL_ANSWERED) {
    *state = CALL_DONE;
    run.done++;
  }
}

static void take_all(struct subject *s, int fd, void (*on)(struct subject *s, struct slice text)) {
  char memory[BYTES];
  for (ssize_t n; (n = recv(fd, memory, sizeof memory, MSG_DONTWAIT)) > 0;)
    on(s, slice_of(memory, (size_t)n));
}

/* So many calls; those that do not end are lost. */
static void call_round(enum who who, unsigned round) {
  struct subject *s = &subject[who];
  uint64_t cpu = cpu_ns(who), seen = 0;
  usec begin = bench_now(), moved = begin;
  memset(&run, 0, sizeof run);
  run.first = calls;
  while (run.done < CALLS && bench_now() - moved < STUCK_US) {
    while (run.begun < CALLS && run.begun - run.done < CALLS_WINDOW) begin_call(s);
    take_all(s, s->load->client, on_request);
    take_all(s, s->load->neighbour, on_response);
    if (run.done == seen) continue;
    seen = run.done;
    moved = bench_now();
  }
  s->call_ns[round] = (double)(cpu_ns(who) - cpu) / (double)(run.done > 0 ? run.done : 1);
  s->call_rate[round] = (double)run.done / seconds_since(begin);
  s->lost += CALLS - run.done;
}

/* ---- printing ---- */

/* Of each round by itself: what disturbs the machine for a while disturbs both. */
static double ratio(const double *a, const double *b) {
  double ratios[ROUNDS];
  for (unsigned i = 0; i < ROUNDS; i++) ratios[i] = a[i] / b[i];
  return bench_median(ratios, ROUNDS);
}

static void print_one(const struct subject *s, const char *name) {
  printf(
      "  %-10s first REGISTER %6.0f/s; refresh %6.2f us CPU, %6.0f/s; call %6.1f us CPU, %5.0f/s",
      name, s->first_rate, bench_median(s->refresh_ns, ROUNDS) / 1e3,
      bench_median(s->refresh_rate, ROUNDS), bench_median(s->call_ns, ROUNDS) / 1e3,
      bench_median(s->call_rate, ROUNDS));
  if (s->lost > 0) printf("  (%llu lost)", (unsigned long long)s->lost);
  printf("\n");
}

static void print_goal(const char *what, double is, double wanted, bool at_least) {
  bool missed = at_least ? is < wanted : is > wanted;
  printf("  %-44s %6.2f (wanted: at %s %.1f)%s\n", what, is, at_least ? "least" : "most", wanted,
         missed ? "  MISSED" : "");
}

static void print_all(bool compare) {
  const struct subject *a = &subject[LOCSER], *b = &subject[KAMAILIO];
  print_one(a, "locserd");
  if (!compare) {
    printf("  not compared: no Kamailio here (Debian package kamailio)\n");
    return;
  }
  print_one(b, "kamailio");
  print_goal("CPU of a call / Kamailio's", ratio(a->call_ns, b->call_ns), CALL_MAX, false);
  print_goal("CPU of a refresh / Kamailio's", ratio(a->refresh_ns, b->refresh_ns), REGISTER_MAX,
             false);
  print_goal("refreshes per second / Kamailio's", ratio(a->refresh_rate, b->refresh_rate),
             REGISTER_MAX, true);
}

static bool prepare(enum who who) {
  struct subject *s = &subject[who];
  s->server = who == LOCSER ? &locser : &kamailio.server;
  s->load = calloc(1, sizeof *s->load);
  bool started = who == LOCSER ? server_start_peer(&locser, "udp") : kamailio_start(&kamailio);
  if (started && s->load != NULL && load_open(s->load) && register_first(s)) return true;
  printf("  %s could not be started, or did not take %u addresses\n",
         who == LOCSER ? "locserd" : "kamailio", ADDRESSES);
  return false;
}

int bench_phones(void) {
  unsigned count = kamailio_is_there() ? SUBJECTS : 1;
  bool good = true;
  load_pin();
  for (unsigned i = 0; i < count; i++) good = good && prepare((enum who)i);
  for (unsigned i = 0; i < count && good; i++) call_round((enum who)i, 0);
  for (unsigned round = 0; round < ROUNDS && good; round++) {
    for (unsigned i = 0; i < count; i++) call_round((enum who)i, round);
    for (unsigned i = 0; i < count; i++) refresh((enum who)i, round);
  }
  if (good) print_all(count == SUBJECTS);
  server_stop(&locser);
  if (count == SUBJECTS) kamailio_stop(&kamailio);
  for (unsigned i = 0; i < count; i++) {
    if (subject[i].load != NULL) load_close(subject[i].load);
    free(subject[i].load);
  }
  return good ? 0 : 1;
}
