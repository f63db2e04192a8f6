/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is asked for a password, and whether an answer is right: digest authentication at the edge
 * (R-7.36 to R-7.43). */
#ifndef EDGE_AUTH_H
#define EDGE_AUTH_H

#include "base/user.h"
#include "edge/nonces.h"
#include "sip/digest.h"

struct edge;
struct edge_config;
struct edge_step;
struct edge_request;

#define AUTH_GUESSES_BURST 20u /* wrong answers of one source at once, then */
#define AUTH_GUESS_US SEC(6)   /* one in so long */
#define AUTH_GUESS_ROWS 1024u

struct auth_user {
  struct user_secret secret;
  usec asked_at; /* challenged, and nobody has answered since; 0: none */
};
struct auth_users {
  struct auth_user *user; /* owned, in order of address, with their texts in the same block */
  uint32_t count;
  size_t bytes; /* of that block */
};
struct auth {
  struct auth_users users;
  struct nonces nonces;
  usec *
      guesses; /* AUTH_GUESS_ROWS, owned; NULL: not needed yet. When a source has its burst again */
  uint64_t refused_guesses;
};

void auth_init(struct edge *edge, struct slice seed);
void auth_free(struct edge *edge);
/* Those of the configuration, to be taken over or given back. ERR_MEMORY. */
enum err auth_copy_users(const struct edge *edge, const struct edge_config *config,
                         struct auth_users *out) MUST_USE;
void auth_give_users(const struct edge *edge, struct auth_users *users);
/* In place of those that were. Bindings of an address whose secret is not the same any more stay,
 * but vouch for nothing. */
void auth_take_users(struct edge *edge, const struct auth_users *fresh);
/* Has this canonical address a password here, and is it asked for? */
bool auth_knows(const struct edge *edge, struct slice aor);

enum auth_role { AUTH_REGISTRAR /* 401 */, AUTH_PROXY /* 407 */ };
/* Does the request show the password of the address? False: it was answered. */
bool auth_demand(struct edge_step *step, const struct edge_request *request, struct slice aor,
                 enum auth_role role);
/* May the request be proxied in the name of its From? False: it was answered. */
bool auth_demand_caller(struct edge_step *step, const struct edge_request *request);
/* Do all its Proxy-Authorization values answer challenges of this peer? They are then not passed
 * on. */
bool auth_consumes(const struct edge *edge, const struct edge_request *request);

#endif
