/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/succession.h"

#define NAMES_BYTES 512u /* what a certificate is for; longer lists lose their end */

struct request {
  uv_work_t work;
  struct loop *loop;
  enum input_kind answer;
  uint64_t ticket;
  struct slice address, record; /* in the bytes behind */
  struct buf result, second, before;
  struct key owner;
  bool issued;
  enum err status;
  const char *why;
};

static void run(uv_work_t *work) {
  struct request *r = work->data;
  const struct loop_keys *keys = &r->loop->keys;
  if (r->answer == IN_SIGNED)
    r->status = keys->sign(keys->signer, r->address, r->record, &r->result);
  else if (r->answer == IN_USER)
    r->status = keys->user(keys->signer, r->address, &r->owner, &r->result, &r->second, &r->before);
  else if (r->answer == IN_OPENED)
    r->status = keys->open(keys->opener, r->address, &r->owner, r->record);
  else
    r->status = keys->verify(keys->verifier, r->record, &r->result, &r->issued, &r->why);
}

static int shown(struct slice text) { return (int)(text.len < 100 ? text.len : 100); }

static void complain(const struct request *r) {
  struct log *log = r->loop->log;
  if (r->answer == IN_VERIFIED) {
    if (r->status == ERR_REFUSED && r->why != NULL)
      log_often(log, LOG_REFUSED, TRACE_WARNING, "keys: a record was refused: %s", r->why);
  } else if (r->answer == IN_OPENED) {
    if (r->status == OK)
      log_line(log, TRACE_INFO, "keys: took those of '%.*s', which were granted to this peer",
               shown(r->address), r->address.at);
  } else if (r->status != OK) {
    log_often(log, LOG_KEYS, TRACE_ERROR, "keys: nothing %s for '%.*s': %s",
              r->answer == IN_SIGNED ? "signed" : "certified", shown(r->address), r->address.at,
              err_text(r->status));
  }
}

static void want_second(struct loop *loop, struct slice address);

static void done(uv_work_t *work, int status) {
  struct request *r = work->data;
  struct loop *loop = r->loop;
  loop->keys_busy--;
  if (status != 0) r->status = ERR_CLOSED;
  complain(r);
  loop_later(loop, &(struct input){.kind = r->answer,
                                   .ticket = r->ticket,
                                   .status = r->status,
                                   .data = buf_slice(&r->result),
                                   .issued = r->issued,
                                   .before = buf_slice(&r->before),
                                   .record = {.owner = r->owner, .bytes = buf_slice(&r->second)}});
  if (r->answer == IN_USER && r->status == OK && r->second.len == 0) want_second(loop, r->address);
  free(r);
}

static size_t room_for(enum input_kind answer, struct slice record) {
  if (answer == IN_OPENED) return 0;
  if (answer == IN_SIGNED) return record.len + RECORD_SIGNATURE_ROOM;
  return answer == IN_USER ? RECORD_CERTIFICATE_MAX : NAMES_BYTES;
}

static void submit(struct loop *loop, enum input_kind answer, uint64_t ticket, struct slice address,
                   const struct key *owner, struct slice record) {
  if (loop->keys_busy >= KEYS_BUSY_MAX) {
    loop_later(loop, &(struct input){.kind = answer, .ticket = ticket, .status = ERR_BUSY});
    return;
  }
  size_t room = room_for(answer, record);
  size_t second = answer == IN_USER ? RECORD_CERTIFICATE_MAX : 0;
  size_t before = answer == IN_USER ? SUCCESSION_BYTES_MAX : 0;
  struct request *r = host_take(sizeof *r + address.len + record.len + room + second + before);
  char *bytes = (char *)(r + 1);
  *r = (struct request){.loop = loop, .answer = answer, .ticket = ticket};
  if (owner != NULL) r->owner = *owner;
  if (address.len > 0) memcpy(bytes, address.at, address.len);
  if (record.len > 0) memcpy(bytes + address.len, record.at, record.len);
  r->address = slice_of(bytes, address.len);
  bytes += address.len;
  r->record = slice_of(bytes, record.len);
  bytes += record.len;
  r->result = buf_over(bytes, room);
  r->second = buf_over(bytes + room, second);
  r->before = buf_over(bytes + room + second, before);
  r->work.data = r;
  loop->keys_busy++;
  if (uv_queue_work(&loop->uv, &r->work, run, done) != 0) done(&r->work, UV_ECANCELED);
}

void keys_sign(struct loop *loop, uint64_t ticket, struct slice address, struct slice record) {
  submit(loop, IN_SIGNED, ticket, address, NULL, record);
}

void keys_verify(struct loop *loop, uint64_t ticket, struct slice record) {
  submit(loop, IN_VERIFIED, ticket, SLICE_EMPTY, NULL, record);
}

void keys_user(struct loop *loop, uint64_t ticket, struct slice address) {
  submit(loop, IN_USER, ticket, address, NULL, SLICE_EMPTY);
}

void keys_open(struct loop *loop, uint64_t ticket, struct slice address, const struct key *owner,
               struct slice sealed) {
  if (loop->keys.open != NULL)
    submit(loop, IN_OPENED, ticket, address, owner, sealed);
  else
    loop_later(loop,
               &(struct input){.kind = IN_OPENED, .ticket = ticket, .status = ERR_UNSUPPORTED});
}

/* ---- second keys: one at a time, on one thread of the pool ---- */

struct keys_wanted {
  struct keys_wanted *next;
  uv_work_t work;
  struct loop *loop;
  enum err (*complete)(void *signer, struct slice address);
  enum err status;
  size_t len;
  char address[];
};

static struct slice address_of(const struct keys_wanted *w) { return slice_of(w->address, w->len); }

static void make_second(uv_work_t *work) {
  struct keys_wanted *w = work->data;
  w->status = w->complete(w->loop->keys.signer, address_of(w));
}

static void made_second(uv_work_t *work, int status);

static void begin_second(struct loop *loop) {
  struct keys_wanted *w = loop->wanted_first;
  if (w != NULL && uv_queue_work(&loop->uv, &w->work, make_second, made_second) != 0)
    made_second(&w->work, UV_ECANCELED);
}

static void made_second(uv_work_t *work, int status) {
  struct keys_wanted *w = work->data;
  struct loop *loop = w->loop;
  loop->wanted_first = w->next;
  loop->wanted--;
  if (status == 0 && w->status == OK)
    loop_later(loop, &(struct input){.kind = IN_USER, .data = address_of(w)});
  else if (status == 0 && loop->keys.complete != NULL)
    log_often(loop->log, LOG_KEYS, TRACE_ERROR, "keys: no second key for '%.*s': %s",
              shown(address_of(w)), w->address, err_text(w->status));
  free(w);
  begin_second(loop);
}

/* What has no room is asked for again by the next put of a contact. */
static void want_second(struct loop *loop, struct slice address) {
  struct keys_wanted **last = &loop->wanted_first;
  if (loop->keys.complete == NULL || loop->wanted >= KEYS_WANTED_MAX) return;
  for (; *last != NULL; last = &(*last)->next)
    if (slice_equal(address_of(*last), address)) return;
  struct keys_wanted *w = host_take(sizeof *w + address.len);
  *w = (struct keys_wanted){.loop = loop, .complete = loop->keys.complete, .len = address.len};
  if (address.len > 0) memcpy(w->address, address.at, address.len);
  w->work.data = w;
  *last = w;
  loop->wanted++;
  if (loop->wanted_first == w) begin_second(loop);
}

void keys_stop(struct loop *loop) {
  struct keys_wanted *w = loop->wanted_first; /* the thread pool has it */
  loop->keys.complete = NULL;
  if (loop->keys.stop != NULL) loop->keys.stop(loop->keys.signer);
  if (w == NULL) return;
  for (struct keys_wanted *next, *rest = w->next; rest != NULL; rest = next) {
    next = rest->next;
    free(rest);
    loop->wanted--;
  }
  w->next = NULL;
}
