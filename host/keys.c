/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/record_layout.h"

struct request {
  uv_work_t work;
  struct loop *loop;
  enum input_kind answer;
  uint64_t ticket;
  struct slice address, record; /* in the bytes behind */
  struct buf result;
  enum err status;
  const char *why;
};

static void run(uv_work_t *work) {
  struct request *request = work->data;
  const struct loop_keys *keys = &request->loop->keys;
  request->status =
      request->answer == IN_SIGNED
          ? keys->sign(keys->signer, request->address, request->record, &request->result)
          : keys->verify(keys->verifier, request->record, &request->why);
}

static void done(uv_work_t *work, int status) {
  struct request *request = work->data;
  struct loop *loop = request->loop;
  loop->keys_busy--;
  if (status != 0) request->status = ERR_CLOSED;
  if (request->status != OK && request->answer == IN_SIGNED)
    log_often(loop->log, LOG_KEYS, TRACE_ERROR, "keys: nothing signed for '%.*s': %s",
              (int)(request->address.len < 100 ? request->address.len : 100), request->address.at,
              err_text(request->status));
  if (request->status == ERR_REFUSED && request->answer == IN_VERIFIED && request->why != NULL)
    log_often(loop->log, LOG_REFUSED, TRACE_WARNING, "keys: a record was refused: %s",
              request->why);
  loop_later(loop, &(struct input){.kind = request->answer,
                                   .ticket = request->ticket,
                                   .status = request->status,
                                   .data = buf_slice(&request->result)});
  free(request);
}

static void submit(struct loop *loop, enum input_kind answer, uint64_t ticket, struct slice address,
                   struct slice record) {
  if (loop->keys_busy >= KEYS_BUSY_MAX) {
    loop_later(loop, &(struct input){.kind = answer, .ticket = ticket, .status = ERR_BUSY});
    return;
  }
  size_t room = answer == IN_SIGNED ? record.len + RECORD_SIGNATURE_ROOM : 0;
  struct request *request = host_take(sizeof *request + address.len + record.len + room);
  char *bytes = (char *)(request + 1);
  request->loop = loop;
  request->answer = answer;
  request->ticket = ticket;
  request->why = NULL;
  if (address.len > 0) memcpy(bytes, address.at, address.len);
  if (record.len > 0) memcpy(bytes + address.len, record.at, record.len);
  request->address = slice_of(bytes, address.len);
  request->record = slice_of(bytes + address.len, record.len);
  request->result = buf_over(bytes + address.len + record.len, room);
  request->work.data = request;
  loop->keys_busy++;
  if (uv_queue_work(&loop->uv, &request->work, run, done) != 0) done(&request->work, UV_ECANCELED);
}

void keys_sign(struct loop *loop, uint64_t ticket, struct slice address, struct slice record) {
  submit(loop, IN_SIGNED, ticket, address, record);
}

void keys_verify(struct loop *loop, uint64_t ticket, struct slice record) {
  submit(loop, IN_VERIFIED, ticket, SLICE_EMPTY, record);
}
