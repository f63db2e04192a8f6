/* SPDX-License-Identifier: BSD-2-Clause */
/* locser(1) */
#include "host/cli.h"

int main(int argc, char **argv) { return cli_run(argc, argv, LOCSER_VERSION); }
