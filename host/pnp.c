/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/pnp.h"

#include <stdlib.h>
#include <string.h>

#include "host/address.h"
#include "host/clock.h"
#include "sip/profile.h"

#define ANSWER_BYTES_MAX 4096u
#define IN_BYTES_MAX (SIP_PROFILE_REQUEST_BYTES_MAX + 1)

struct pnp {
  struct loop *loop;
  struct provision *provision;
  uv_udp_t group, answers; /* what is asked; where answers leave, and theirs come back */
  struct endpoint self;
  uint32_t tokens;
  usec refilled_at;
  struct pnp_stats stats;
  char in[IN_BYTES_MAX], ignored[IN_BYTES_MAX];
};

/* ---- who is answered ---- */

static bool has_room(struct pnp *pnp) {
  usec now = clock_monotonic();
  uint64_t more = (now - pnp->refilled_at) * PNP_ANSWERS_PER_S / USEC_PER_SEC;
  if (more > 0) {
    pnp->refilled_at = now;
    pnp->tokens = more > PNP_ANSWERS_AT_ONCE - pnp->tokens ? PNP_ANSWERS_AT_ONCE
                                                           : pnp->tokens + (uint32_t)more;
  }
  if (pnp->tokens == 0) return false;
  pnp->tokens--;
  return true;
}

static unsigned bits_of(const struct sockaddr_in *mask) {
  return (unsigned)__builtin_popcount(mask->sin_addr.s_addr);
}

/* In a network that an interface of this machine is in. */
static bool is_local(const struct endpoint *source) {
  uv_interface_address_t *all;
  int count;
  bool local = false;
  if (uv_interface_addresses(&all, &count) != 0) return false;
  for (int i = 0; i < count && !local; i++) {
    if (all[i].address.address4.sin_family != AF_INET) continue;
    struct endpoint at = address_to(&(union address){.v4 = all[i].address.address4}, TRANSPORT_UDP);
    struct prefix network = prefix_of(&at, bits_of(&all[i].netmask.netmask4), 0);
    local = prefix_has(&network, source);
  }
  uv_free_interface_addresses(all, count);
  return local;
}

/* ---- answers ---- */

static void put_random(struct buf *out) {
  uint8_t bytes[8] = {0};
  uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL);
  buf_put_hex(out, bytes, sizeof bytes);
}

/* What the kernel does not take at once is lost: the phone asks again. */
static void send_to(struct pnp *pnp, const struct buf *out, const struct endpoint *to) {
  union address address;
  if (out->overflow) return;
  (void)address_of(to, &address);
  uv_buf_t data = uv_buf_init(out->at, (unsigned)out->len);
  (void)uv_udp_try_send(&pnp->answers, &data, 1, &address.any);
}

static void tell(struct pnp *pnp, const struct sip_message *m, const struct endpoint *source,
                 const char *url) {
  char memory[ANSWER_BYTES_MAX], tag_text[16], branch_text[32];
  struct buf out = buf_over(memory, sizeof memory), tag = buf_over(tag_text, sizeof tag_text);
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  struct endpoint to;
  put_random(&tag);
  buf_put_cstr(&branch, "z9hG4bK");
  put_random(&branch);
  struct sip_profile_answer answer = {.request = m,
                                      .source = source,
                                      .self = &pnp->self,
                                      .tag = buf_slice(&tag),
                                      .branch = buf_slice(&branch),
                                      .url = slice_cstr(url)};
  sip_profile_put_ok(&out, &answer, &to);
  send_to(pnp, &out, &to);
  buf_reset(&out);
  sip_profile_put_notify(&out, &answer, &to);
  send_to(pnp, &out, &to);
}

static void take(struct pnp *pnp, struct slice bytes, const struct endpoint *source) {
  struct sip_message message;
  struct sip_problem problem;
  struct sip_profile_asked asked;
  char url[PROVISION_URL_BYTES], text[ADDRESS_TEXT_BYTES];
  if (sip_message_parse(bytes, SIP_DATAGRAM, &message, &problem) != OK ||
      !sip_profile_read(&message, &asked))
    return;
  pnp->stats.asked++;
  bool found = provision_url(pnp->provision, asked.vendor, asked.mac, url);
  if (found && (!is_local(source) || !has_room(pnp))) {
    pnp->stats.limited++;
    return;
  }
  log_often(pnp->loop->log, LOG_PROVISION, TRACE_INFO,
            "provision: phone %s (%.*s %.*s) at %s asks for its settings; %s", asked.mac,
            SLICE_FMT(asked.vendor), SLICE_FMT(asked.model), address_text(source, text),
            found ? "told where" : "none wait, or there is no template");
  if (!found) return;
  pnp->stats.answered++;
  tell(pnp, &message, source, url);
}

/* ---- sockets ---- */

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *out) {
  struct pnp *pnp = handle->data;
  (void)wanted;
  *out = uv_buf_init(handle == (uv_handle_t *)&pnp->group ? pnp->in : pnp->ignored, IN_BYTES_MAX);
}

static void on_asked(uv_udp_t *socket, ssize_t n, const uv_buf_t *data, const struct sockaddr *from,
                     unsigned flags) {
  if (n <= 0 || from == NULL || from->sa_family != AF_INET || (flags & UV_UDP_PARTIAL) != 0) return;
  union address address = {0};
  memcpy(&address.v4, from, sizeof address.v4);
  struct endpoint source = address_to(&address, TRANSPORT_UDP);
  take(socket->data, slice_of(data->base, (size_t)n), &source);
}

/* 200 to a NOTIFY, which nothing waits for. */
static void on_ignored(uv_udp_t *socket, ssize_t n, const uv_buf_t *data,
                       const struct sockaddr *from, unsigned flags) {
  (void)socket, (void)n, (void)data, (void)from, (void)flags;
}

static enum err say(struct why *why, const char *what, const struct endpoint *at, int error) {
  char text[ADDRESS_TEXT_BYTES];
  return why_say(why, ERR_IO, "provision: cannot %s %s: %s", what, address_text(at, text),
                 uv_strerror(error));
}

static enum err open_answers(struct pnp *pnp, const struct endpoint *at, struct why *why) {
  union address address;
  struct endpoint any = *at;
  any.port = 0;
  (void)address_of(&any, &address);
  int error = uv_udp_bind(&pnp->answers, &address.any, 0);
  int len = sizeof address;
  if (error == 0) error = uv_udp_getsockname(&pnp->answers, &address.any, &len);
  if (error == 0) error = uv_udp_recv_start(&pnp->answers, give_room, on_ignored);
  if (error != 0) return say(why, "send from", &any, error);
  pnp->self = address_to(&address, TRANSPORT_UDP);
  return OK;
}

static enum err open_group(struct pnp *pnp, const struct endpoint *group, const struct endpoint *at,
                           struct why *why) {
  union address address;
  char host[16] = "", interface[16] = "";
  (void)address_of(group, &address);
  uv_ip4_name(&address.v4, host, sizeof host);
  int error = uv_udp_bind(&pnp->group, &address.any, UV_UDP_REUSEADDR);
  (void)address_of(at, &address);
  uv_ip4_name(&address.v4, interface, sizeof interface);
  if (error == 0) error = uv_udp_set_membership(&pnp->group, host, interface, UV_JOIN_GROUP);
  if (error == 0) error = uv_udp_recv_start(&pnp->group, give_room, on_asked);
  return error == 0 ? OK : say(why, "listen on the group", group, error);
}

enum err pnp_new(struct loop *loop, struct provision *provision, const struct endpoint *group,
                 const struct endpoint *at, struct pnp **out, struct why *why) {
  struct pnp *pnp = host_take(sizeof *pnp);
  pnp->loop = loop;
  pnp->provision = provision;
  pnp->tokens = PNP_ANSWERS_AT_ONCE;
  pnp->refilled_at = clock_monotonic();
  uv_udp_init(&loop->uv, &pnp->group);
  uv_udp_init(&loop->uv, &pnp->answers);
  pnp->group.data = pnp->answers.data = pnp;
  *out = pnp;
  enum err err = open_answers(pnp, at, why);
  return err == OK ? open_group(pnp, group, at, why) : err;
}

void pnp_stop(struct pnp *pnp) {
  if (pnp == NULL) return;
  uv_close((uv_handle_t *)&pnp->group, NULL);
  uv_close((uv_handle_t *)&pnp->answers, NULL);
}

void pnp_free(struct pnp *pnp) { free(pnp); }

struct pnp_stats pnp_stats(const struct pnp *pnp) {
  return pnp != NULL ? pnp->stats : (struct pnp_stats){0};
}
