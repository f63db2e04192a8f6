/* SPDX-License-Identifier: BSD-2-Clause */
/* ASSERT states what the program itself guarantees. It stays on in release builds and must be
 * unreachable from any input (the node fuzzer proves it). */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

void assert_failed(const char *expression, const char *file, int line)
    __attribute__((noreturn, cold));

#define ASSERT(expression) ((expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

#endif
