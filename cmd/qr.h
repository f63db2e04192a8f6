/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_QR_H
#define CMD_QR_H

#include <stdbool.h>
#include <stdio.h>

/* Prints the text as a QR code of block characters, dark on light whatever the terminal's colours
 * are. False: too long for one. */
bool qr_print(FILE *to, const char *text);

#endif
