/* SPDX-License-Identifier: BSD-2-Clause */
/* locser(1) */
#include "host/cli.h"
#include "keys_command.h"

int main(int argc, char **argv) {
  if (argc > 1 && keys_command_is(argv[1])) return keys_command(argc, argv);
  return cli_run(argc, argv, LOCSER_VERSION);
}
