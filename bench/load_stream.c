/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/load_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sip/framing.h"

static struct sockaddr_in address_of(const struct endpoint *at) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at->port)};
  memcpy(&address.sin_addr, at->addr, 4);
  return address;
}

int stream_listen(const struct endpoint *at) {
  struct sockaddr_in address = address_of(at);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0) return fd;
  close(fd);
  return -1;
}

static void open_on(struct load_stream *stream, int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  stream->fd = fd;
  stream->in_len = stream->out_len = stream->scanned = 0;
  stream->in_done = 0;
}

void stream_accept(struct load_stream *stream, int listener) {
  if (stream->fd >= 0) return;
  int fd = accept(listener, NULL, NULL);
  if (fd >= 0) open_on(stream, fd);
}

bool stream_connect(struct load_stream *stream, const struct endpoint *to) {
  struct sockaddr_in address = address_of(to);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return false;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return false;
  }
  open_on(stream, fd);
  return true;
}

void stream_close(struct load_stream *stream) {
  if (stream->fd >= 0) close(stream->fd);
  stream->fd = -1;
}

static bool read_more(struct load_stream *stream) {
  memmove(stream->in, stream->in + stream->in_done, stream->in_len - stream->in_done);
  stream->in_len -= stream->in_done;
  stream->in_done = 0;
  ssize_t n = read(stream->fd, stream->in + stream->in_len, LOAD_STREAM_BYTES - stream->in_len);
  if (n == 0 || (n < 0 && errno != EAGAIN)) stream_close(stream);
  if (n <= 0) return false;
  stream->in_len += (size_t)n;
  return true;
}

bool stream_next(struct load_stream *stream, struct slice *message) {
  if (stream->fd < 0) return false;
  for (;;) {
    struct slice rest = slice_of(stream->in + stream->in_done, stream->in_len - stream->in_done);
    struct sip_frame frame = sip_frame_next(rest, &stream->scanned);
    stream->in_done += frame.used;
    *message = slice_first(slice_skip(rest, frame.skip), frame.len);
    if (frame.kind == SIP_FRAME_MESSAGE) return true;
    if (frame.kind == SIP_FRAME_BAD) stream_close(stream);
    if (frame.kind == SIP_FRAME_BAD || (frame.kind == SIP_FRAME_MORE && !read_more(stream)))
      return false;
  }
}

void stream_put(struct load_stream *stream, struct slice data) {
  if (data.len > LOAD_STREAM_BYTES - stream->out_len) return;
  memcpy(stream->out + stream->out_len, data.at, data.len);
  stream->out_len += data.len;
}

void stream_flush(struct load_stream *stream) {
  if (stream->fd < 0 || stream->out_len == 0) return;
  ssize_t n = write(stream->fd, stream->out, stream->out_len);
  if (n <= 0) return;
  memmove(stream->out, stream->out + n, stream->out_len - (size_t)n);
  stream->out_len -= (size_t)n;
}
