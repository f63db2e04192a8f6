/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/via_print.h"

#include "sip/scan.h"

static const char *transport_upper(uint8_t transport) {
  switch ((enum transport)transport) {
    case TRANSPORT_UDP:
      return "UDP";
    case TRANSPORT_TCP:
      return "TCP";
    case TRANSPORT_TLS:
      return "TLS";
    case TRANSPORT_WS:
      return "WS";
    case TRANSPORT_WSS:
      return "WSS";
  }
  return "UDP";
}

void sip_put_between(struct buf *out, const char *from, const char *to) {
  buf_put(out, slice_between(from, to));
}

void sip_put_via(struct buf *out, const struct endpoint *sent_by, struct slice branch) {
  buf_put(out, SLICE("Via: SIP/2.0/"));
  buf_put_cstr(out, transport_upper(sent_by->transport));
  buf_put_char(out, ' ');
  endpoint_put(out, sent_by);
  buf_put(out, SLICE(";branch="));
  buf_put(out, branch);
  if (sent_by->transport == TRANSPORT_UDP) buf_put(out, SLICE(";rport"));
  buf_put(out, SLICE("\r\n"));
}

const struct sip_header *sip_top_via_header(const struct sip_message *m) {
  return m->via.text.at == NULL ? NULL : sip_header_first(m, SIP_H_VIA);
}

/* received is needed when sent-by is a name or another address, and with rport always; one that
 * the sender wrote itself is not kept. */
static bool needs_mark(const struct sip_via *via, const struct endpoint *source) {
  struct endpoint sent_by = {0};
  if (via->rport.at != NULL || via->received.at != NULL) return true;
  if (!endpoint_parse_host(via->host, &sent_by)) return true;
  return sent_by.family != source->family ||
         memcmp(sent_by.addr, source->addr, sizeof sent_by.addr) != 0;
}

/* IPv6 addresses stand without brackets in received (RFC 3261 25.1). */
static void put_received(struct buf *out, const struct endpoint *source) {
  char text[64];
  struct buf host = buf_over(text, sizeof text);
  endpoint_put_host(&host, source);
  struct slice address = buf_slice(&host);
  if (address.len > 0 && address.at[0] == '[') address = slice_of(text + 1, address.len - 2);
  buf_put(out, SLICE(";received="));
  buf_put(out, address);
}

static bool is_mark(struct slice name) {
  return slice_equal_nocase(name, SLICE("received")) || slice_equal_nocase(name, SLICE("rport"));
}

/* The value without received and rport. */
static void put_unmarked(struct buf *out, const struct sip_via *via) {
  if (via->received.at == NULL && via->rport.at == NULL) {
    buf_put(out, via->text);
    return;
  }
  struct slice params = via->params, name, value;
  /* Most senders write a bare rport, last. */
  const struct slice last = SLICE(";rport");
  size_t rest = via->text.len < last.len ? 0 : via->text.len - last.len;
  if (via->received.at == NULL && via->rport.at == via->text.at + via->text.len &&
      slice_equal(slice_skip(via->text, rest), last)) {
    buf_put(out, slice_first(via->text, rest));
    return;
  }
  /* A broken Via may have marks but no params; its parameters begin at the first ';'. */
  size_t head = slice_find_byte(via->text, ';');
  if (params.at == NULL) params = slice_skip(via->text, head);
  sip_put_between(out, via->text.at, sip_trim_end(via->text.at, via->text.at + head));
  while (sip_param_next(&params, &name, &value)) {
    if (is_mark(name)) continue;
    buf_put_char(out, ';');
    sip_put_between(out, name.at, sip_trim_end(name.at, params.at));
  }
}

void sip_put_marked_via(struct buf *out, const struct sip_message *m,
                        const struct endpoint *source) {
  const struct sip_header *h = sip_top_via_header(m);
  const struct sip_via *via = &m->via;
  if (source == NULL || source->family == 0 || !needs_mark(via, source)) {
    buf_put(out, h->line);
    return;
  }
  sip_put_between(out, h->line.at, via->text.at);
  put_unmarked(out, via);
  put_received(out, source);
  if (via->rport.at != NULL) {
    buf_put(out, SLICE(";rport="));
    buf_put_u64(out, source->port);
  }
  sip_put_between(out, via->text.at + via->text.len, h->line.at + h->line.len);
}

void sip_put_via_rest(struct buf *out, const struct sip_message *m) {
  const struct sip_header *h = sip_top_via_header(m);
  const char *end = h->value.at + h->value.len;
  const char *rest = sip_skip_ws(m->via.text.at + m->via.text.len, end);
  if (rest < end) rest = sip_skip_ws(rest + 1, end); /* after the comma */
  if (rest == end) return;
  sip_put_between(out, h->line.at, m->via.text.at);
  sip_put_between(out, rest, h->line.at + h->line.len);
}
