/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/stun.h"

#define HEAD_BYTES 20u
#define MAGIC 0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu
#define BINDING_REQUEST 0x0001u
#define BINDING_SUCCESS 0x0101u
#define BINDING_ERROR 0x0111u
#define UNKNOWN_MAX 32u /* listed in a 420; more are left out */

enum attribute {
  ATTRIBUTE_MESSAGE_INTEGRITY = 0x0008,
  ATTRIBUTE_ERROR_CODE = 0x0009,
  ATTRIBUTE_UNKNOWN = 0x000a,
  ATTRIBUTE_MESSAGE_INTEGRITY_SHA256 = 0x001c,
  ATTRIBUTE_XOR_MAPPED = 0x0020,
  ATTRIBUTE_FINGERPRINT = 0x8028,
};

static unsigned read16(struct slice s, size_t at) {
  return (unsigned)(unsigned char)s.at[at] << 8 | (unsigned char)s.at[at + 1];
}

static uint32_t read32(struct slice s, size_t at) {
  return (uint32_t)read16(s, at) << 16 | read16(s, at + 2);
}

static void put16(struct buf *out, unsigned n) {
  buf_put_char(out, (char)(unsigned char)(n >> 8));
  buf_put_char(out, (char)(unsigned char)n);
}

static void put32(struct buf *out, uint32_t n) {
  put16(out, n >> 16);
  put16(out, n & 0xffff);
}

/* CRC-32 of ITU-T V.42, bit by bit: a datagram is short. */
static uint32_t crc32(struct slice s) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < s.len; i++) {
    crc ^= (unsigned char)s.at[i];
    for (unsigned bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

bool stun_is(struct slice datagram) {
  return datagram.len >= HEAD_BYTES && ((unsigned char)datagram.at[0] & 0xc0) == 0 &&
         read32(datagram, 4) == MAGIC;
}

/* Those of RFC 8489 that a request may carry and that a server without passwords need not heed. */
static bool is_understood(unsigned type) {
  switch (type) {
    case 0x0001: /* MAPPED-ADDRESS */
    case 0x0006: /* USERNAME */
    case ATTRIBUTE_MESSAGE_INTEGRITY:
    case ATTRIBUTE_ERROR_CODE:
    case ATTRIBUTE_UNKNOWN:
    case 0x0014: /* REALM */
    case 0x0015: /* NONCE */
    case ATTRIBUTE_MESSAGE_INTEGRITY_SHA256:
    case 0x001d: /* PASSWORD-ALGORITHM */
    case 0x001e: /* USERHASH */
    case ATTRIBUTE_XOR_MAPPED:
      return true;
    default:
      return type >= 0x8000; /* comprehension-optional */
  }
}

struct asked {
  bool fingerprint;
  unsigned unknown_count;
  unsigned unknown[UNKNOWN_MAX];
};

/* False: malformed, or a fingerprint that is wrong: it is not STUN, then (RFC 8489 section 14.7).
 */
static bool read_attributes(struct slice request, struct asked *asked) {
  bool sealed = false; /* what follows a MESSAGE-INTEGRITY does not count */
  for (size_t at = HEAD_BYTES; at < request.len;) {
    if (request.len - at < 4 || asked->fingerprint) return false;
    unsigned type = read16(request, at);
    size_t len = read16(request, at + 2), padded = (len + 3) & ~(size_t)3;
    if (padded > request.len - at - 4) return false;
    if (type == ATTRIBUTE_FINGERPRINT) {
      if (len != 4) return false;
      if (read32(request, at + 4) != (crc32(slice_first(request, at)) ^ FINGERPRINT_XOR))
        return false;
      asked->fingerprint = true;
    } else if (!sealed && !is_understood(type) && asked->unknown_count < UNKNOWN_MAX) {
      asked->unknown[asked->unknown_count++] = type;
    }
    sealed =
        sealed || type == ATTRIBUTE_MESSAGE_INTEGRITY || type == ATTRIBUTE_MESSAGE_INTEGRITY_SHA256;
    at += 4 + padded;
  }
  return true;
}

static void put_mapped(struct buf *out, struct slice request, const struct endpoint *from) {
  size_t bytes = from->family == 6 ? 16 : 4;
  put16(out, ATTRIBUTE_XOR_MAPPED);
  put16(out, 4 + (unsigned)bytes);
  put16(out, from->family == 6 ? 2 : 1);
  put16(out, from->port ^ MAGIC >> 16);
  /* XORed with the cookie and, of IPv6, the transaction after it: as they stand in the request. */
  for (size_t i = 0; i < bytes; i++) buf_put_char(out, (char)(from->addr[i] ^ request.at[4 + i]));
}

/* The reason phrase is left out: an answer should not be larger than it must. */
static void put_refusal(struct buf *out, const struct asked *asked) {
  put16(out, ATTRIBUTE_ERROR_CODE);
  put16(out, 4);
  put32(out, 4 << 8 | 20);
  put16(out, ATTRIBUTE_UNKNOWN);
  put16(out, 2 * asked->unknown_count);
  for (unsigned i = 0; i < asked->unknown_count; i++) put16(out, asked->unknown[i]);
  if (asked->unknown_count % 2 != 0) put16(out, 0);
}

static void set_length(struct buf *out, size_t mark) {
  if (out->overflow) return;
  size_t len = out->len - mark - HEAD_BYTES;
  out->at[mark + 2] = (char)(unsigned char)(len >> 8);
  out->at[mark + 3] = (char)(unsigned char)len;
}

static void put_fingerprint(struct buf *out, size_t mark) {
  size_t end = out->len;
  put32(out, 0);
  put32(out, 0);
  set_length(out, mark); /* the checksum is made with itself counted */
  if (out->overflow) return;
  uint32_t crc = crc32(slice_of(out->at + mark, end - mark)) ^ FINGERPRINT_XOR;
  buf_truncate(out, end);
  put16(out, ATTRIBUTE_FINGERPRINT);
  put16(out, 4);
  put32(out, crc);
}

enum stun_result stun_put_answer(struct buf *out, struct slice request,
                                 const struct endpoint *from) {
  struct asked asked = {0};
  if (!stun_is(request) || read16(request, 0) != BINDING_REQUEST) return STUN_NOTHING;
  if (read16(request, 2) != request.len - HEAD_BYTES || request.len % 4 != 0) return STUN_NOTHING;
  if (from->family != 4 && from->family != 6) return STUN_NOTHING;
  if (!read_attributes(request, &asked)) return STUN_NOTHING;
  size_t mark = out->len;
  put16(out, asked.unknown_count == 0 ? BINDING_SUCCESS : BINDING_ERROR);
  put16(out, 0);
  buf_put(out, slice_first(slice_skip(request, 4), HEAD_BYTES - 4)); /* cookie, transaction */
  if (asked.unknown_count == 0)
    put_mapped(out, request, from);
  else
    put_refusal(out, &asked);
  set_length(out, mark);
  if (asked.fingerprint) put_fingerprint(out, mark);
  return asked.unknown_count == 0 ? STUN_BOUND : STUN_REFUSED;
}
