/* SPDX-License-Identifier: BSD-2-Clause */
/* locser user add|passwd --provision, locser user qr: accounts that wait for a phone (R-7.84,
 * */
#ifndef CMD_PROVISION_H
#define CMD_PROVISION_H

#include <stdbool.h>

#include "base/slice.h"

#define PROVISION_FOR_QR "qr"

/* "qr", or the MAC of a phone. False: said why. */
bool provision_word_good(const char *word);
/* Writes the file, in place of one that waits for the same address or phone. False: said why. */
bool provision_put(const char *data, struct slice address, const char *password, const char *word);
/* Says where the running locserd serves it; for PROVISION_FOR_QR, as a QR code. Exit status. */
int provision_show(const char *data, const char *control, struct slice address);
/* What waits for the address waits no more. */
void provision_forget(const char *data, struct slice address);

#endif
