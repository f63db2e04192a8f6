/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of locserd as text for people. */
#ifndef HOST_CLI_PRINT_H
#define HOST_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

typedef void cli_printer(FILE *to, const json_t *result);

cli_printer cli_print_fields; /* an object: one field a line */
cli_printer cli_print_ring;
cli_printer cli_print_peers;
cli_printer cli_print_records;
cli_printer cli_print_bindings;
cli_printer cli_print_hops; /* like traceroute */
cli_printer cli_print_responsible;
cli_printer cli_print_contacts;
cli_printer cli_print_presence;
cli_printer cli_print_watchers;
cli_printer cli_print_nothing;
cli_printer cli_print_messages;
/* One trace event on one line. */
cli_printer cli_print_event;

#endif
