/* SPDX-License-Identifier: BSD-2-Clause */
/* What is written is read back as the same: messages of random parts in random spellings, as they
 * stand and after the edits of a hop. Seeded, so that a failure repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sip/framing.h"
#include "sip/print.h"

#define ROUNDS 3000
#define EXTRAS_MAX 12

static struct rng rng;
static char first_bytes[16384], second_bytes[16384], parts_bytes[16384];
static struct buf parts; /* holds the texts that a model points at */
static struct sip_message one, two;

/* A message in parts: what must be read back. */
struct model {
  bool request;
  struct slice method, uri;
  uint16_t status;
  struct slice host, branch, from_tag, to_tag, call_id, body;
  uint32_t cseq;
  int max_forwards;
  struct {
    struct slice name, value;
  } extra[EXTRAS_MAX];
  unsigned extra_count;
};

static int setup(void **state) {
  (void)state;
  const uint8_t seed[16] = {11};
  rng_init(&rng, seed);
  return 0;
}

static uint64_t below(uint64_t n) { return rng_below(&rng, n); }

static struct slice random_text(const char *alphabet, size_t min, size_t max) {
  size_t len = (size_t)rng_between(&rng, min, max), from = parts.len, count = strlen(alphabet);
  for (size_t i = 0; i < len; i++) buf_put_char(&parts, alphabet[below(count)]);
  return slice_of(parts.at + from, len);
}

#define ALNUM "abcxyzABCXYZ0189"
#define TOKEN ALNUM "-.!%*_+`'~"

static struct slice random_host(void) {
  static const char *const hosts[] = {"192.0.2.1", "[2001:db8::1]", "a.example.com", "b", "x-1.y."};
  return slice_cstr(hosts[below(sizeof hosts / sizeof *hosts)]);
}

static struct slice random_uri(void) {
  size_t from = parts.len;
  buf_put_cstr(&parts, below(4) == 0 ? "sips:" : "sip:");
  if (below(4) != 0) {
    random_text(ALNUM "-_.!~*'()&=+$,;?/", 1, 20);
    if (below(3) == 0) buf_put_cstr(&parts, "%2f%41");
    buf_put_char(&parts, '@');
  }
  buf_put(&parts, random_host());
  if (below(3) == 0) {
    buf_put_char(&parts, ':');
    buf_put_u64(&parts, rng_between(&rng, 1, 65535));
  }
  for (uint64_t i = below(3); i > 0; i--) {
    buf_put_char(&parts, ';');
    random_text(ALNUM "-_.!~*'()[]/:&+$", 1, 8);
    if (below(2)) {
      buf_put_char(&parts, '=');
      random_text(ALNUM "[]/:&+$", 1, 8);
    }
  }
  return slice_of(parts.at + from, parts.len - from);
}

/* Any value of an unknown header: no white space at its ends, folds inside. */
static struct slice random_value(void) {
  size_t from = parts.len;
  if (below(5) == 0) return slice_of(parts.at + from, 0);
  random_text(TOKEN "\"<>;,:@\x01\x7f\xc3", 1, 30);
  for (uint64_t i = below(3); i > 0; i--) {
    buf_put_cstr(&parts, below(2) ? "\r\n " : " \t\"");
    random_text(TOKEN ",;:<", 1, 30);
  }
  return slice_of(parts.at + from, parts.len - from);
}

static void make_model(struct model *m) {
  *m = (struct model){.request = below(2) == 0};
  m->method = below(2) ? slice_cstr(sip_method_name(
                             (enum sip_method)rng_between(&rng, SIP_METHOD_OTHER + 1, SIP_LOCSER)))
                       : random_text(TOKEN, 1, 12);
  m->uri = random_uri();
  m->status = (uint16_t)rng_between(&rng, 100, 699);
  m->host = random_host();
  m->branch = random_text(TOKEN, 1, 20);
  m->from_tag = random_text(TOKEN, below(5) ? 1 : 0, 10);
  m->to_tag = random_text(TOKEN, below(2), 10);
  m->call_id = random_text(TOKEN "()<>:\\\"/[]?{}", 1, 30);
  m->cseq = (uint32_t)rng_u64(&rng);
  m->max_forwards = below(4) ? (int)below(256) : -1;
  m->body = random_text(ALNUM "\r\n\x01", 0, 50);
  m->extra_count = (unsigned)below(EXTRAS_MAX + 1);
  for (unsigned i = 0; i < m->extra_count; i++) {
    buf_put_cstr(&parts, "X-");
    m->extra[i].name = random_text(TOKEN, 1, 12);
    m->extra[i].name = slice_of(m->extra[i].name.at - 2, m->extra[i].name.len + 2);
    m->extra[i].value = random_value();
  }
  assert_false(parts.overflow);
}

/* A header in one of the spellings that mean the same. */
static void put_odd(struct buf *out, const char *name, const char *compact, struct slice value) {
  static const char *const colons[] = {":", ": ", " : ", "\t:\r\n ", ":\t "};
  static const char *const ends[] = {"\r\n", " \r\n", "\t\r\n\t\r\n"};
  buf_put_cstr(out, below(3) == 0 ? compact : name);
  buf_put_cstr(out, colons[below(5)]);
  buf_put(out, value);
  buf_put_cstr(out, ends[below(3)]);
}

static void put_address(struct buf *out, const char *name, const char *compact, struct slice tag) {
  char text[256];
  struct buf value = buf_over(text, sizeof text);
  static const char *const forms[] = {"<sip:a@b;lr>", "\"x \\\" <\" <sips:b>", "A B<tel:1>",
                                      "sip:a@b"};
  buf_put_cstr(&value, forms[below(4)]);
  if (below(3) == 0) buf_put_cstr(&value, " ; x=\"tag=1;\"");
  if (tag.len > 0) {
    buf_put_cstr(&value, below(2) ? ";tag=" : " ; TAG\r\n = ");
    buf_put(&value, tag);
  }
  put_odd(out, name, compact, buf_slice(&value));
}

static void put_number(struct buf *out, const char *name, const char *compact, uint64_t n,
                       struct slice after) {
  char text[64];
  struct buf value = buf_over(text, sizeof text);
  if (below(3) == 0) buf_put_cstr(&value, "00");
  buf_put_u64(&value, n);
  if (after.len > 0) buf_put_cstr(&value, below(2) ? " " : "\r\n\t");
  buf_put(&value, after);
  put_odd(out, name, compact, buf_slice(&value));
}

static void put_via(struct buf *out, const struct model *m) {
  char text[256];
  struct buf value = buf_over(text, sizeof text);
  buf_put_cstr(&value, below(2) ? "SIP/2.0/UDP " : "SIP / 2.0 /\r\n TCP\t");
  buf_put(&value, m->host);
  buf_put_cstr(&value, below(2) ? ";branch=" : ":5070 ; x; branch = ");
  buf_put(&value, m->branch);
  if (below(2)) buf_put_cstr(&value, ";rport;i=1");
  if (below(3) == 0) buf_put_cstr(&value, " , SIP/2.0/UDP b;branch=z9hG4bKlower");
  put_odd(out, "Via", "v", buf_slice(&value));
}

/* Headers in a random order: the mandatory ones, Max-Forwards, Content-Length, then the extra. */
static void put_model(struct buf *out, const struct model *m) {
  unsigned todo = 0x7f, extra = 0;
  if (m->request) {
    buf_put(out, m->method);
    buf_put_char(out, ' ');
    buf_put(out, m->uri);
    buf_put_cstr(out, " SIP/2.0\r\n");
  } else {
    buf_put_cstr(out, "SIP/2.0 ");
    buf_put_u64(out, m->status);
    buf_put_cstr(out, " Some Words\r\n");
  }
  while (todo != 0 || extra < m->extra_count) {
    unsigned pick = (unsigned)below(8);
    if (pick == 7 && extra < m->extra_count) {
      buf_put(out, m->extra[extra].name);
      buf_put_cstr(out, ": ");
      buf_put(out, m->extra[extra++].value);
      buf_put_cstr(out, "\r\n");
    }
    if (!(todo & 1u << pick)) continue;
    todo &= ~(1u << pick);
    if (pick == 0) put_via(out, m);
    if (pick == 1) put_address(out, "From", "f", m->from_tag);
    if (pick == 2) put_address(out, "TO", "T", m->to_tag);
    if (pick == 3) put_odd(out, "Call-ID", "i", m->call_id);
    if (pick == 4) put_number(out, "CSeq", "cseq", m->cseq, m->method);
    if (pick == 5) put_number(out, "Content-Length", "l", m->body.len, SLICE_EMPTY);
    if (pick == 6 && m->max_forwards >= 0)
      put_number(out, "Max-Forwards", "max-forwards", (uint64_t)m->max_forwards, SLICE_EMPTY);
  }
  buf_put_cstr(out, "\r\n");
  buf_put(out, m->body);
  assert_false(out->overflow);
}

static void parse(const struct buf *text, struct sip_message *out) {
  struct sip_problem problem;
  size_t scanned = 0;
  struct sip_frame frame = sip_frame_next(buf_slice(text), &scanned);
  assert_int_equal(frame.kind, SIP_FRAME_MESSAGE);
  assert_int_equal(frame.len, text->len);
  if (sip_message_parse(buf_slice(text), SIP_STREAM, out, &problem) != OK)
    fail_msg("%s in:\n%.*s", problem.reason, (int)text->len, text->at);
  assert_int_equal(out->bytes.len, text->len);
}

static void assert_slice(struct slice got, struct slice want) {
  if (!slice_equal(got, want)) fail_msg("'%.*s', not '%.*s'", SLICE_FMT(got), SLICE_FMT(want));
}

/* Unknown headers: the same, in the same order, byte for byte. */
static void assert_extras(const struct sip_message *m, const struct model *want) {
  unsigned seen = 0;
  for (unsigned i = 0; i < m->header_count; i++) {
    if (m->header[i].id != SIP_H_OTHER) continue;
    assert_true(seen < want->extra_count);
    assert_slice(m->header[i].name, want->extra[seen].name);
    assert_slice(m->header[i].value, want->extra[seen++].value);
  }
  assert_int_equal(seen, want->extra_count);
}

static void assert_model(const struct sip_message *m, const struct model *want) {
  assert_int_equal(m->request, want->request);
  assert_slice(m->method_text, want->method);
  if (m->request) assert_slice(m->uri_text, want->uri);
  if (!m->request) assert_int_equal(m->status, want->status);
  assert_slice(m->from_tag, want->from_tag);
  assert_slice(m->to_tag, want->to_tag);
  assert_slice(m->call_id, want->call_id);
  assert_slice(m->body, want->body);
  assert_int_equal(m->cseq, want->cseq);
  assert_extras(m, want);
}

static struct buf printed_model(struct model *m) {
  struct buf out = buf_over(first_bytes, sizeof first_bytes);
  parts = buf_over(parts_bytes, sizeof parts_bytes);
  make_model(m);
  put_model(&out, m);
  return out;
}

static void what_is_written_is_read_back(void **state) {
  (void)state;
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct model m;
    struct buf text = printed_model(&m);
    parse(&text, &one);
    assert_model(&one, &m);
    assert_slice(one.via.host, m.host);
    assert_slice(one.via.branch, m.branch);
    assert_int_equal(one.max_forwards, m.max_forwards);
  }
}

static const struct endpoint source = {
    .addr = {192, 0, 2, 9}, .port = 5099, .family = 4, .transport = TRANSPORT_UDP};

static void a_request_that_nobody_edits_stays_as_it_is(void **state) {
  (void)state;
  const struct sip_request_edit nothing = {.max_forwards = -1};
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct model m;
    struct buf text = printed_model(&m), again = buf_over(second_bytes, sizeof second_bytes);
    parse(&text, &one);
    if (!one.request) continue;
    sip_put_forwarded_request(&again, &one, &nothing);
    assert_slice(buf_slice(&again), buf_slice(&text));
  }
}

/* The hop's own Via, Max-Forwards and the marks on the Via below: nothing else differs. */
static void a_hop_changes_only_what_it_must(void **state) {
  (void)state;
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct model m;
    struct buf text = printed_model(&m), again = buf_over(second_bytes, sizeof second_bytes);
    parse(&text, &one);
    if (!one.request) continue;
    struct sip_request_edit edit = {.via_sent_by = &source,
                                    .via_branch = SLICE("z9hG4bKhop"),
                                    .source = &source,
                                    .max_forwards = (int)below(256)};
    sip_put_forwarded_request(&again, &one, &edit);
    parse(&again, &two);
    assert_model(&two, &m);
    assert_int_equal(two.max_forwards, edit.max_forwards);
    assert_slice(two.via.branch, edit.via_branch);
    struct sip_values vias = sip_values_of(&two, SIP_H_VIA);
    struct slice value;
    struct sip_via below_ours;
    struct endpoint back;
    assert_true(sip_values_next(&vias, &value) && sip_values_next(&vias, &value));
    assert_int_equal(sip_via_parse(value, &below_ours), OK);
    assert_slice(below_ours.host, m.host);
    assert_slice(below_ours.branch, m.branch);
    assert_int_equal(sip_via_endpoint(&below_ours, &back), OK);
    assert_memory_equal(back.addr, source.addr, sizeof back.addr);
  }
}

/* Forward a request, answer it, take the answer back: the Vias are those of the request. */
static void an_answer_finds_its_way_back(void **state) {
  (void)state;
  static char third_bytes[16384], fourth_bytes[16384];
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct model m;
    struct buf text = printed_model(&m), hop = buf_over(second_bytes, sizeof second_bytes);
    struct buf answer = buf_over(third_bytes, sizeof third_bytes);
    struct buf back = buf_over(fourth_bytes, sizeof fourth_bytes);
    parse(&text, &one);
    if (!one.request) continue;
    struct sip_request_edit edit = {
        .via_sent_by = &source, .via_branch = SLICE("z9hG4bKhop"), .max_forwards = 9};
    sip_put_forwarded_request(&hop, &one, &edit);
    parse(&hop, &two);
    sip_put_response_head(&answer, &two, m.status, NULL, SLICE("mine"), &source);
    sip_put_body(&answer, "text/plain", m.body);
    parse(&answer, &two);
    assert_slice(two.via.branch, edit.via_branch);
    sip_put_forwarded_response(&back, &two, SLICE_EMPTY);
    parse(&back, &two);
    assert_int_equal(two.status, m.status);
    assert_slice(two.via.text, one.via.text);
    assert_slice(two.to_tag, m.to_tag.len > 0 ? m.to_tag : SLICE("mine"));
    assert_slice(two.call_id, m.call_id);
    assert_slice(two.body, m.body);
    assert_int_equal(sip_header_count(&two, SIP_H_VIA), sip_header_count(&one, SIP_H_VIA));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read_back),
      cmocka_unit_test(a_request_that_nobody_edits_stays_as_it_is),
      cmocka_unit_test(a_hop_changes_only_what_it_must),
      cmocka_unit_test(an_answer_finds_its_way_back),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
