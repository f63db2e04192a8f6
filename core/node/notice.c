/* SPDX-License-Identifier: BSD-2-Clause */
/* Notices of delivery: the peer that delivered a kept message answers for the
 * phone, which may know nothing of them. */
#include "node/mail.h"
#include "usage/imdn.h"

/* Made from the message's: the notice of a message that comes twice is the same notice. */
static void put_id(const struct node *node, struct buf *out, const struct message *message,
                   bool delivered) {
  message_put_id(out, node->config.crypto, message->to, message->id, delivered ? 1 : 2);
}

void notice_send(struct step *s, const struct message *message, bool delivered) {
  struct node *node = s->node;
  struct imdn_request asked;
  if (!imdn_read(message->type, message->body, &asked)) return;
  if (delivered ? !asked.positive : !asked.negative) return;
  char id_text[MESSAGE_ID_BYTES], text[MESSAGE_BODY_MAX];
  struct buf id = buf_over(id_text, sizeof id_text), body = buf_over(text, sizeof text);
  put_id(node, &id, message, delivered);
  const struct imdn_notice notice = {.of = &asked,
                                     .from = message->to,
                                     .to = message->from,
                                     .id = buf_slice(&id),
                                     .sent = message->sent,
                                     .now = node_wall(node, s->now),
                                     .delivered = delivered};
  imdn_put(&body, &notice);
  if (body.overflow) return;
  const struct edge_mail mail = {.from = message->to,
                                 .id = buf_slice(&id),
                                 .type = SLICE(IMDN_TYPE),
                                 .body = buf_slice(&body),
                                 .sent = node_wall(node, s->now)};
  struct edge_calls calls;
  calls.count = 0;
  (void)edge_send(node->edge, s->now, node_wall(node, s->now), message->from, &mail, &calls,
                  s->out);
  pump_edge(s, &calls);
}
