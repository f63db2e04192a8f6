/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys in memory stay there. */
#ifndef HOST_DUMPS_H
#define HOST_DUMPS_H

/* From now on a crash of this process leaves no core, and other processes of the same user cannot
 * look into its memory. Before any key is read. */
void dumps_forbid(void);

#endif
