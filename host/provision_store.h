/* SPDX-License-Identifier: BSD-2-Clause */
/* Accounts that wait for a phone to fetch them: a file each in DIR/provision, 0600,
 * written by `locser user`, read and removed by locserd. Its name is the secret part of the URL. */
#ifndef HOST_PROVISION_STORE_H
#define HOST_PROVISION_STORE_H

#include "base/buf.h"
#include "host/why.h"

#define PROVISION_FOLDER "provision"
#define PROVISION_WAITING_MAX 1000u
#define PROVISION_WAITS_S (24 * 3600) /* from its being written */
#define PROVISION_KEY_DIGITS 32u      /* lower-case hexadecimal: 128 bits */
#define PROVISION_MAC_DIGITS 12u
#define PROVISION_FILE_BYTES_MAX 2048u

struct provision_account {
  char key[PROVISION_KEY_DIGITS + 1];
  char mac[PROVISION_MAC_DIGITS + 1]; /* empty: any phone, for a QR code */
  char address[512];                  /* "sip:bob@example.net" */
  char password[264];
  int64_t until_s; /* wall clock */
};

/* As sip_profile_read_mac. */
bool provision_read_mac(struct slice text, char out[PROVISION_MAC_DIGITS + 1]) MUST_USE;
/* The file's text. */
void provision_account_put(struct buf *out, const struct provision_account *account);
/* Reads that file. False: it is not there, or not as written here, or others may read it. */
bool provision_account_read(const char *data, const char *key,
                            struct provision_account *out) MUST_USE;
/* Calls each for every account, PROVISION_WAITING_MAX at most; returns how many. Those whose time
 * is over are removed. The account is the callee's no longer than the call. */
unsigned provision_each(const char *data,
                        void (*each)(void *context, const struct provision_account *account),
                        void *context);
/* False: it was not there, or cannot be removed. */
bool provision_remove(const char *data, const char *key);

#endif
