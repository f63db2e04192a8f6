/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/succession.h"

#define SEALED_ROOM 40960u /* crypto/seal.h */
#define PLAIN_ROOM 16384u
#define USERS_BATCH 64u

struct keys_request {
  struct keys_request *next;
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

static void run_one(struct keys_request *r) {
  const struct loop_keys *keys = &r->loop->keys;
  if (r->answer == IN_SIGNED)
    r->status = keys->sign(keys->signer, r->address, r->record, &r->result);
  else if (r->answer == IN_USER)
    r->status = keys->user(keys->signer, r->address, &r->owner, &r->result, &r->second, &r->before);
  else if (r->answer == IN_OPENED)
    r->status = keys->open(keys->opener, r->address, &r->owner, r->record);
  else if (r->answer == IN_SEALED)
    r->status = keys->seal(keys->signer, r->address, r->record, &r->result);
  else if (r->answer == IN_UNSEALED)
    r->status = keys->unseal(keys->signer, r->address, r->record, &r->result);
  else
    r->status = keys->verify(keys->verifier, r->record, &r->result, &r->issued, &r->why);
}

static void run(uv_work_t *work) { run_one(work->data); }

static int shown(struct slice text) { return (int)(text.len < 100 ? text.len : 100); }

static void complain(const struct keys_request *r) {
  struct log *log = r->loop->log;
  if (r->answer == IN_VERIFIED) {
    if (r->status == ERR_REFUSED && r->why != NULL)
      log_often(log, LOG_REFUSED, TRACE_WARNING, "keys: a record was refused: %s", r->why);
  } else if (r->answer == IN_OPENED) {
    if (r->status == OK)
      log_line(log, TRACE_INFO, "keys: took those of '%.*s', which were granted to this peer",
               shown(r->address), r->address.at);
  } else if (r->answer == IN_SEALED || r->answer == IN_UNSEALED) {
    if (r->status != OK)
      log_often(log, LOG_KEYS, TRACE_ERROR, "keys: nothing %s: %s",
                r->answer == IN_SEALED ? "sealed" : "opened", err_text(r->status));
  } else if (r->status != OK) {
    log_often(log, LOG_KEYS, TRACE_ERROR, "keys: nothing %s for '%.*s': %s",
              r->answer == IN_SIGNED ? "signed" : "certified", shown(r->address), r->address.at,
              err_text(r->status));
  }
}

static void want_second(struct loop *loop, struct slice address);

static void done_one(struct keys_request *r, int status) {
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

static void done(uv_work_t *work, int status) { done_one(work->data, status); }

/* ---- users: those that come while one batch is at the disk are the next ---- */

struct users_batch {
  uv_work_t work;
  struct loop *loop;
  unsigned count;
  struct keys_request *request[USERS_BATCH];
};

static void run_batch(uv_work_t *work) {
  const struct users_batch *batch = work->data;
  const struct loop_keys *keys = &batch->loop->keys;
  struct slice address[USERS_BATCH];
  for (unsigned i = 0; i < batch->count; i++) address[i] = batch->request[i]->address;
  if (keys->prepare != NULL) keys->prepare(keys->signer, address, batch->count);
  for (unsigned i = 0; i < batch->count; i++) run_one(batch->request[i]);
}

static void begin_batch(struct loop *loop);

static void done_batch(uv_work_t *work, int status) {
  struct users_batch *batch = work->data;
  struct loop *loop = batch->loop;
  loop->users_busy = false;
  for (unsigned i = 0; i < batch->count; i++) done_one(batch->request[i], status);
  free(batch);
  begin_batch(loop);
}

static void begin_batch(struct loop *loop) {
  if (loop->users_busy || loop->users_first == NULL) return;
  struct users_batch *batch = host_take(sizeof *batch);
  *batch = (struct users_batch){.loop = loop};
  while (loop->users_first != NULL && batch->count < USERS_BATCH) {
    batch->request[batch->count++] = loop->users_first;
    loop->users_first = loop->users_first->next;
  }
  batch->work.data = batch;
  loop->users_busy = true;
  if (uv_queue_work(&loop->uv, &batch->work, run_batch, done_batch) != 0)
    done_batch(&batch->work, UV_ECANCELED);
}

static void add_user(struct loop *loop, struct keys_request *r) {
  if (loop->users_first == NULL)
    loop->users_first = r;
  else
    loop->users_last->next = r;
  loop->users_last = r;
  begin_batch(loop);
}

/* ---- one request ---- */

static size_t room_for(enum input_kind answer, struct slice record) {
  if (answer == IN_OPENED) return 0;
  if (answer == IN_SEALED) return SEALED_ROOM;
  if (answer == IN_UNSEALED) return PLAIN_ROOM;
  if (answer == IN_SIGNED) return record.len + RECORD_SIGNATURE_ROOM;
  return answer == IN_USER ? RECORD_CERTIFICATE_MAX : KEYS_NAMES_BYTES;
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
  struct keys_request *r = host_take(sizeof *r + address.len + record.len + room + second + before);
  char *bytes = (char *)(r + 1);
  *r = (struct keys_request){.loop = loop, .answer = answer, .ticket = ticket};
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
  if (answer == IN_USER)
    add_user(loop, r);
  else if (uv_queue_work(&loop->uv, &r->work, run, done) != 0)
    done(&r->work, UV_ECANCELED);
}

void keys_sign(struct loop *loop, uint64_t ticket, struct slice address, struct slice record) {
  submit(loop, IN_SIGNED, ticket, address, NULL, record);
}

bool keys_recall(struct loop *loop, uint64_t ticket, struct slice record, struct buf *names,
                 struct input *out) {
  const struct loop_keys *keys = &loop->keys;
  bool issued = false;
  if (keys->recall == NULL || !keys->recall(keys->verifier, record, names, &issued)) return false;
  *out = (struct input){.kind = IN_VERIFIED,
                        .ticket = ticket,
                        .status = OK,
                        .data = buf_slice(names),
                        .issued = issued};
  return true;
}

void keys_verify(struct loop *loop, uint64_t ticket, struct slice record) {
  char bytes[KEYS_NAMES_BYTES];
  struct buf names = buf_over(bytes, sizeof bytes);
  struct input known;
  if (keys_recall(loop, ticket, record, &names, &known))
    loop_later(loop, &known);
  else
    submit(loop, IN_VERIFIED, ticket, SLICE_EMPTY, NULL, record);
}

static void submit_seal(struct loop *loop, enum input_kind answer, bool can, uint64_t ticket,
                        struct slice text, struct slice data) {
  if (can)
    submit(loop, answer, ticket, text, NULL, data);
  else
    loop_later(loop, &(struct input){.kind = answer, .ticket = ticket, .status = ERR_UNSUPPORTED});
}

void keys_seal(struct loop *loop, uint64_t ticket, struct slice recipients, struct slice plain) {
  submit_seal(loop, IN_SEALED, loop->keys.seal != NULL, ticket, recipients, plain);
}

void keys_unseal(struct loop *loop, uint64_t ticket, struct slice address, struct slice sealed) {
  submit_seal(loop, IN_UNSEALED, loop->keys.unseal != NULL, ticket, address, sealed);
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

/* ---- second keys: one at a time, on a thread of low priority ---- */

#define SECOND_NICE 10

struct keys_wanted {
  struct keys_wanted *next;
  uv_thread_t thread;
  uv_async_t made;
  struct loop *loop;
  enum err (*complete)(void *signer, struct slice address);
  enum err status;
  size_t len;
  char address[];
};

static struct slice address_of(const struct keys_wanted *w) { return slice_of(w->address, w->len); }

/* Phones are answered first: each key takes most of a second of a processor. */
static void make_second(void *context) {
  struct keys_wanted *w = context;
  (void)setpriority(PRIO_PROCESS, 0, SECOND_NICE); /* of this thread alone, in Linux */
  w->status = w->complete(w->loop->keys.signer, address_of(w));
  uv_async_send(&w->made);
}

static void on_made(uv_async_t *made);

static void free_wanted(uv_handle_t *made) { free(made->data); }

static void begin_second(struct loop *loop) {
  struct keys_wanted *w = loop->wanted_first;
  if (w == NULL) return;
  uv_async_init(&loop->uv, &w->made, on_made);
  w->made.data = w;
  if (uv_thread_create(&w->thread, make_second, w) == 0) return;
  w->status = ERR_MEMORY;
  w->thread = 0;
  uv_async_send(&w->made);
}

static void on_made(uv_async_t *made) {
  struct keys_wanted *w = made->data;
  struct loop *loop = w->loop;
  if (w->thread != 0) uv_thread_join(&w->thread);
  loop->wanted_first = w->next;
  loop->wanted--;
  if (w->status == OK)
    loop_later(loop, &(struct input){.kind = IN_USER, .data = address_of(w)});
  else if (loop->keys.complete != NULL)
    log_often(loop->log, LOG_KEYS, TRACE_ERROR, "keys: no second key for '%.*s': %s",
              shown(address_of(w)), w->address, err_text(w->status));
  uv_close((uv_handle_t *)made, free_wanted);
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
  *last = w;
  loop->wanted++;
  if (loop->wanted_first == w) begin_second(loop);
}

void keys_stop(struct loop *loop) {
  struct keys_wanted *w = loop->wanted_first; /* its thread ends soon */
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
