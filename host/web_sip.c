/* SPDX-License-Identifier: BSD-2-Clause */
/* SIP over WebSocket (RFC 7118, R-7.71): a message of the one is a message of the other. */
#include "host/address.h"
#include "host/web_internal.h"

#define PING SLICE("\r\n\r\n")

void web_sip_undelivered(struct loop *loop, uint64_t ticket, const struct endpoint *peer,
                         enum err why) {
  if (ticket != 0)
    loop_later(loop,
               &(struct input){.kind = IN_FLOW, .ticket = ticket, .status = why, .peer = *peer});
}

void web_sip_open(struct web_client *client) {
  client->web->stats.flows++;
  web_expect_message(client, WEB_FIRST_MESSAGE_S);
}

/* A message that is nothing but line ends is a keep-alive (RFC 5626 section 3.5.1). */
static bool is_blank(struct slice text) {
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] != '\r' && text.at[i] != '\n') return false;
  return true;
}

void web_sip_message(struct web_client *client) {
  struct web *web = client->web;
  struct slice text = slice_of(client->in, client->in_len);
  web_expect_message(client, 0);
  if (is_blank(text)) {
    if (slice_starts(text, PING)) web_put(client, SLICE("\r\n"), false, 0, WEB_SIP_BYTES_MAX);
    return;
  }
  web->stats.received++;
  loop_step(web->loop,
            &(struct input){
                .kind = IN_MESSAGE, .flow = client->number, .peer = client->from, .data = text});
}

/* May come from a timer of libwebsockets, so the turn is made sure of. */
void web_sip_close(struct web_client *client) {
  struct web *web = client->web;
  web->stats.flows--;
  if (web->stopped) return;
  for (struct web_words *words = client->first; words != NULL; words = words->next)
    web_sip_undelivered(web->loop, words->ticket, &client->from, ERR_CLOSED);
  loop_later(
      web->loop,
      &(struct input){
          .kind = IN_FLOW, .flow = client->number, .status = ERR_CLOSED, .peer = client->from});
  loop_soon(web->loop);
}

/* Text if it is UTF-8, else binary (RFC 7118 section 5). Overlong forms and surrogates are none
 * (RFC 3629). */
static bool is_utf8(struct slice text) {
  const unsigned char *at = (const unsigned char *)text.at;
  for (size_t i = 0; i < text.len;) {
    unsigned char c = at[i++];
    if (c < 0x80) continue;
    unsigned more = c >= 0xc2 && c <= 0xdf   ? 1
                    : (c & 0xf0) == 0xe0     ? 2
                    : c >= 0xf0 && c <= 0xf4 ? 3
                                             : 0;
    if (more == 0 || more > text.len - i) return false;
    unsigned char low = 0x80, high = 0xbf;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
    if (at[i] < low || at[i] > high) return false;
    for (unsigned n = 1; n < more; n++)
      if ((at[i + n] & 0xc0) != 0x80) return false;
    i += more;
  }
  return true;
}

void web_send(struct web *web, struct loop *loop, uint32_t flow, const struct endpoint *peer,
              uint64_t ticket, struct slice data) {
  struct web_client *client = web != NULL ? web_client_of(web, flow) : NULL;
  if (client == NULL || client->kind != WEB_SIP || client->dropped || client->closing) {
    web_sip_undelivered(loop, ticket, peer, ERR_CLOSED);
    return;
  }
  if (web_put(client, data, !is_utf8(data), ticket, WEB_SIP_BYTES_MAX)) {
    web->stats.sent++;
    return;
  }
  char text[ADDRESS_TEXT_BYTES];
  web->stats.bad++;
  log_often(loop->log, LOG_WEB, TRACE_WARNING, "web: %s does not read what it is sent; closing",
            address_text(&client->from, text));
  web_sip_undelivered(loop, ticket, peer, ERR_FULL);
}

void web_close_flow(struct web *web, uint32_t flow) {
  struct web_client *client = web != NULL ? web_client_of(web, flow) : NULL;
  if (client == NULL || client->kind != WEB_SIP) return;
  client->closing = true;
  lws_callback_on_writable(client->wsi);
}
