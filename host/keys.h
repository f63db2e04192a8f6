/* SPDX-License-Identifier: BSD-2-Clause */
/* OUT_SIGN and OUT_VERIFY on the thread pool: a key may have to be made and synced to disk, and
 * signatures take time. Each is answered by IN_SIGNED or IN_VERIFIED. */
#ifndef HOST_KEYS_H
#define HOST_KEYS_H

#include "host/loop.h"

#define KEYS_BUSY_MAX 8192u /* requests in the pool; beyond: ERR_BUSY at once */

void keys_sign(struct loop *loop, uint64_t ticket, struct slice address, struct slice record);
void keys_verify(struct loop *loop, uint64_t ticket, struct slice record);

#endif
