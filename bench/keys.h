/* SPDX-License-Identifier: BSD-2-Clause */
/* The hashes that all benchmarks share. */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include "base/crypto.h"

const struct crypto *bench_crypto(void);

#endif
