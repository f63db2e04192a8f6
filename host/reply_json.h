/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's typed answers and trace events as JSON. Every function returns a new reference. */
#ifndef HOST_REPLY_JSON_H
#define HOST_REPLY_JSON_H

#include <jansson.h>

#include "node/node.h"

/* The result of a reply whose code is 200. */
json_t *reply_to_json(const struct node_reply *reply);
/* params of the notification; offset_us: wall clock minus monotonic clock. */
json_t *trace_to_json(const struct trace *trace, int64_t offset_us);
/* A JSON string; bytes that are not UTF-8 become '?'. */
json_t *text_to_json(struct slice text);

#endif
