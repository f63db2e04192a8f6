/* SPDX-License-Identifier: BSD-2-Clause */
/* A transaction table under virtual time, the messages to feed it, and a log of what it does. */
#ifndef SUPPORT_TRANSACTIONS_H
#define SUPPORT_TRANSACTIONS_H

#include "sip/transaction.h"
#include "support/memory.h"

#define SERVERS_MAX 8u
#define CLIENTS_MAX 8u

struct table {
  struct test_memory memory;
  struct transactions t;
  struct outbox out;
  usec now;
  enum transport transport;
  struct handle client, server;
  uint64_t ticket; /* of the last thing sent */
  char log[4096];
  size_t log_len;
  char sent[SIP_MESSAGE_BYTES_MAX]; /* the last thing sent */
  size_t sent_len;
};

void table_open(struct table *w, enum transport transport, size_t bytes_max, uint64_t fail_after);
/* Frees the table; everything taken must come back. */
void table_close(struct table *w);
void table_assert_empty(const struct table *w);

/* Adds "MILLISECONDS what" to the log. */
void table_tell(struct table *w, const char *what);
void table_tell_event(struct table *w, const struct transaction_event *e);
/* Logs what lies in the outbox as ">METHOD" or ">STATUS" and empties it. */
void table_flush(struct table *w);
/* Works through all that is due until `until`. */
void table_run(struct table *w, usec until);

struct table_text {
  char at[2048];
};

struct table_request {
  const char *method, *uri, *via, *from_tag, *to_tag, *call_id, *extra, *body;
  unsigned cseq;
};

#define SERVER_VIA "SIP/2.0/UDP phone.example.net:5070;branch=z9hG4bKs1;rport"
#define CLIENT_VIA "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc1"

struct slice table_request_text(struct table_text *text, const struct table_request *p);
struct slice table_response_text(struct table_text *text, unsigned status, const char *method,
                                 const char *branch, const char *to_tag);
struct sip_message table_parsed(struct slice bytes);
/* The other side: flow 7 on streams. */
struct sip_target table_peer(const struct table *w);

struct transaction_event table_give_request(struct table *w, const struct table_request *parts);
struct transaction_event table_give_response(struct table *w, unsigned status, const char *method,
                                             const char *branch, const char *to_tag);
/* A client transaction of branch z9hG4bKc1 and user 42, as w->client. */
enum err table_send_request(struct table *w, const char *method, const char *extra);
/* Answers w->server; the To tag is t1. */
bool table_respond(struct table *w, unsigned status, const char *method);

#endif
