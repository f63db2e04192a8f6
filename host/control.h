/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: a Unix socket of mode 0600 that speaks JSON-RPC 2.0, one object a
 * line.
 *
 *   method     params                    result
 *   status                               {name: text or number, ...}
 *   ring                                 [{role, peer, address}]
 *   peers                                [{role, peer, address, rtt_us}]
 *   records                              [{key, text, state, version, expires, bytes}]
 *   bindings                             [{aor, contact, transport, expires}] of phones here
 *   lookup     {uri, trace?}             [{hop, peer, address, us}], responsible last
 *   get        {uri}                     [{contact, path, expires, q}]
 *   put        {uri, contact, expires?}  {copies}
 *   remove     {uri, contact}            {removed}
 *   put-immut  {value, expires?}         {key, copies}; value in base64
 *   get-immut  {uri}                     {value, expires}
 *   fetch      {key}                     [{owner, value, receives}] that are valid under a key
 *   store      {key, value}              {copies}: a value under private:, signed here
 *   presence   {uri}                     [{document}]
 *   watchers   {uri}                     [{watcher, state, address, expires}]
 *   allow, ask, block  {uri, contact}    true: whether contact, an address, may watch uri
 *   publish    {uri?}                    true: certificates of an address, or of this peer, are put
 *   leave                                true, and locserd exits
 *   log        {level?}                  {level}
 *   reload                               true, as SIGHUP
 *   users                                true: passwords are read again
 *   trace                                true, then notifications: method "trace", params
 *     {name, time, key?, peer?, transport?, status?, n?, a?, b?}; time in microseconds since 1970
 *
 * peer is a Peer-ID (40 digits); in the notification, as in base/trace.h, an address. expires is in
 * milliseconds since 1970, but in the params of put in seconds. An error's code is a SIP status
 * that says why not, or one of JSON-RPC's own. A client that does not read is dropped. */
#ifndef HOST_CONTROL_H
#define HOST_CONTROL_H

#include "host/loop.h"

#define CONTROL_CLIENTS_MAX 32u
#define CONTROL_LINE_BYTES_MAX 65536u
#define CONTROL_PENDING_MAX 16u                 /* commands of one client at once */
#define CONTROL_OUT_BYTES_MAX ((size_t)8 << 20) /* waiting for one client; more: dropped */
#define CONTROL_LEAVE_TICKET 1u                 /* of the daemon's own COMMAND_LEAVE */

struct control_hooks {
  void (*leave)(void *context); /* `leave`: the daemon leaves, then control_left and exit */
  bool (*reload)(void *context, struct why *why);
  bool (*users)(void *context, struct why *why); /* reads who has a password again */
  /* Keeps COMMAND_ALLOW, COMMAND_ASK or COMMAND_BLOCK for the next start; false: it cannot. */
  bool (*decide)(void *context, const struct node_command *command, struct why *why);
  void (*set_log)(void *context, enum trace_level level);
  /* Adds the host's own rows to the object that answers `status` (a json_t *). */
  void (*status)(void *context, void *object);
  /* The node's answer to CONTROL_LEAVE_TICKET. */
  void (*left)(void *context, const struct node_reply *reply);
  void *context;
};

/* A stale socket (nobody answers) is replaced; a live one is an error. NULL: *why says what to do.
 */
struct control *control_new(struct loop *loop, const char *path, const struct control_hooks *hooks,
                            struct why *why);
/* Which trace kinds somebody subscribed to. control may be NULL, here and below. */
uint64_t control_trace_mask(const struct control *control);
void control_reply(struct control *control, uint64_t ticket, const struct node_reply *reply);
void control_trace(struct control *control, const struct trace *trace);
/* Answers every waiting `leave`. why: what was not handed over; NULL: all was. */
void control_left(struct control *control, const char *why);
void control_flush(struct control *control);
bool control_writing(const struct control *control);
/* Closes all handles and removes the socket; control_free after the loop has ended. */
void control_stop(struct control *control);
void control_free(struct control *control);

#endif
