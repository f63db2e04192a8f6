/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/sip_parse.h"

#include <stdio.h>

#include "bench/bench.h"
#include "bench/sip_sample.h"
#include "sip/framing.h"
#include "sip/print.h"

#ifdef HAVE_OSIP
#include <osipparser2/osip_parser.h>
#endif

#define SAMPLE_BYTES 832
_Static_assert(sizeof(SIP_SAMPLE) - 1 == SAMPLE_BYTES, "the sample has its stated size");
_Static_assert(sizeof(SIP_SAMPLE_BODY) - 1 == 260, "the body has its stated size");

static struct sip_message message;

bool sip_parse_times(struct slice text, unsigned times) {
  struct sip_problem problem;
  for (unsigned i = 0; i < times; i++)
    if (sip_message_parse(text, SIP_STREAM, &message, &problem) != OK) return false;
  return true;
}

bool sip_forward_times(struct slice text, unsigned times) {
  static const struct endpoint here = {
      .addr = {192, 0, 2, 1}, .port = 5060, .family = 4, .transport = TRANSPORT_TCP};
  static const struct endpoint source = {
      .addr = {192, 0, 2, 21}, .port = 49152, .family = 4, .transport = TRANSPORT_TCP};
  static char bytes[4096];
  for (unsigned i = 0; i < times; i++) {
    struct buf out = buf_over(bytes, sizeof bytes);
    if (!sip_parse_times(text, 1)) return false;
    struct sip_request_edit edit = {.via_sent_by = &here,
                                    .via_branch = SLICE("z9hG4bK00112233445566778899"),
                                    .source = &source,
                                    .max_forwards = message.max_forwards - 1};
    sip_put_forwarded_request(&out, &message, &edit);
    if (out.overflow) return false;
  }
  return true;
}

#ifdef HAVE_OSIP
bool osip_parse_times(struct slice text, unsigned times) {
  static bool ready;
  if (!ready && parser_init() != 0) return false;
  ready = true;
  for (unsigned i = 0; i < times; i++) {
    osip_message_t *sip;
    if (osip_message_init(&sip) != 0) return false;
    int status = osip_message_parse(sip, text.at, text.len);
    osip_message_free(sip);
    if (status != 0) return false;
  }
  return true;
}
#else
bool osip_parse_times(struct slice text, unsigned times) {
  (void)text, (void)times;
  return false;
}
#endif

static bool frame_times(struct slice text, unsigned times) {
  for (unsigned i = 0; i < times; i++) {
    size_t scanned = 0;
    if (sip_frame_next(text, &scanned).kind != SIP_FRAME_MESSAGE) return false;
  }
  return true;
}

/* What a case of bench_run gets as its context: the function to call. */
struct subject {
  bool (*times)(struct slice message, unsigned times);
};

static void run(void *context, unsigned times) {
  const struct subject *subject = context;
  subject->times(slice_of(SIP_SAMPLE, SAMPLE_BYTES), times);
}

int bench_parse(void) {
  struct subject ours = {sip_parse_times}, hop = {sip_forward_times}, framing = {frame_times};
  struct subject osip = {osip_parse_times};
  struct bench_case cases[] = {
      {"parse", run, &ours, 0},
      {"cut out of a stream", run, &framing, 0},
      {"parse, edit and print for the next hop", run, &hop, 0},
      {"libosip2: init, parse, free", run, &osip, 0},
  };
  unsigned count = sizeof cases / sizeof *cases;
  struct slice sample = slice_of(SIP_SAMPLE, SAMPLE_BYTES);
  if (!sip_parse_times(sample, 1) || !sip_forward_times(sample, 1) || !frame_times(sample, 1)) {
    printf("  the sample was refused\n");
    return 1;
  }
  if (!osip_parse_times(sample, 1)) {
    printf("  libosip2 is not here to compare with\n");
    count--;
  }
  bench_run(cases, count, 30, 5000);
  bench_print(cases, count);
  if (count == sizeof cases / sizeof *cases)
    printf("  parse / libosip2: %.3f (wanted: at most 0.25)\n",
           cases[0].best_ns / cases[count - 1].best_ns);
  return 0;
}
