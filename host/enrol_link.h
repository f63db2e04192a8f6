/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to enrolment: one TLS connection with a deadline, and the proofs. */
#ifndef HOST_ENROL_LINK_H
#define HOST_ENROL_LINK_H

#include <openssl/ssl.h>

#include "host/enrol.h"

#define ENROL_PROOF_BYTES 32u

struct enrol_link {
  int fd;
  SSL *ssl;
  int64_t until_ms; /* of the monotonic clock */
};

int64_t enrol_now_ms(void);
/* TLS 1.3 and nothing else. Server: with key and certificate. */
SSL_CTX *enrol_context(EVP_PKEY *key, X509 *certificate);
/* Waits until fd can be read or written; false: the time is over. */
bool enrol_wait(int fd, bool writing, int64_t until_ms);
/* Takes the connected socket over, shakes hands. False: to be closed all the same. */
bool enrol_open(struct enrol_link *link, SSL_CTX *context, int fd, bool accepted, int64_t until_ms);
void enrol_close(struct enrol_link *link);
/* Reads until an empty line, which is left out; at most what fits. */
bool enrol_read(struct enrol_link *link, struct buf *out);
bool enrol_write(struct enrol_link *link, struct slice text);
/* Appends in hexadecimal what only who knows the secret can say, on this connection alone, at this
 * end of it, about this text. */
bool enrol_put_proof(struct buf *out, struct enrol_link *link, const struct invite *invite,
                     const char *role, struct slice text);
/* Cuts "WORD PROOF\n" off, and compares in constant time. */
bool enrol_check_proof(struct slice *text, struct enrol_link *link, const struct invite *invite,
                       const char *role, const char *word);

#endif
