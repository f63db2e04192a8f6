/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings for phones: the templates, and the accounts that wait in the data folder, of which
 * everything but the password is kept here. */
#ifndef HOST_PROVISION_H
#define HOST_PROVISION_H

#include "base/endpoint.h"
#include "host/provision_store.h"
#include "host/provision_template.h"

#define PROVISION_TEMPLATES_MAX 16u
#define PROVISION_URL_BYTES 512u

struct provision;

/* templates: a folder with files named *.in, or "" for those in the program. */
enum err provision_new(const char *data, const char *templates, struct provision **out,
                       struct why *why) MUST_USE;
/* May be NULL, here and in provision_waiting. */
void provision_free(struct provision *provision);
/* Reads the accounts again, which a command may have changed. */
void provision_renew(struct provision *provision);
/* Accounts that wait. */
unsigned provision_waiting(const struct provision *provision);

/* Where the peer is, as phones are told: SIP over UDP, and "http://192.0.2.1:8088/provision/". */
void provision_at(struct provision *provision, const struct endpoint *sip, const char *base);
/* That, or "" for none. */
const char *provision_base(const struct provision *provision);
/* The URL for a phone that says its vendor and MAC. False: nothing waits for it, or there is no
 * template for its vendor. */
bool provision_url(struct provision *provision, struct slice vendor, const char *mac,
                   char out[PROVISION_URL_BYTES]) MUST_USE;

struct provision_settings {
  char *text; /* owned by the caller */
  size_t len;
  char type[64];
  struct provision_account account; /* its password is gone */
};
/* What is behind "KEY/NAME", once: the account is removed first. ERR_NOT_FOUND: nothing, or not any
 * more. ERR_IO: it cannot be removed; ERR_UNSUPPORTED: it cannot be said in that template; both:
 * it stays. */
enum err provision_take(struct provision *provision, struct slice path,
                        struct provision_settings *out) MUST_USE;

#endif
