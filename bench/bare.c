/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/bare.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int bare_socket(struct endpoint *at) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof address;
  int room = 2 << 20;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
    close(fd);
    return -1;
  }
  *at = (struct endpoint){
      .addr = {127, 0, 0, 1}, .port = ntohs(address.sin_port), .family = 4};
  return fd;
}

static struct mmsghdr batch[BARE_BATCH];
static struct iovec vec[BARE_BATCH];
static struct sockaddr_in from[BARE_BATCH];
static char bytes[BARE_BATCH][BARE_BYTES];

/* Turns what came into what goes. */
static void readdress(unsigned count, const struct sockaddr_in *second,
                      struct sockaddr_in *first) {
  for (unsigned i = 0; i < count; i++) {
    vec[i].iov_len = batch[i].msg_len;
    if (second == NULL) continue;
    if (from[i].sin_port == second->sin_port) {
      from[i] = *first;
    } else {
      *first = from[i];
      from[i] = *second;
    }
  }
}

static unsigned take_batch(int fd) {
  for (unsigned i = 0; i < BARE_BATCH; i++) {
    vec[i].iov_len = BARE_BYTES;
    batch[i].msg_hdr.msg_namelen = sizeof from[i];
  }
  int count = recvmmsg(fd, batch, BARE_BATCH, MSG_DONTWAIT, NULL);
  return count < 0 ? 0 : (unsigned)count;
}

_Noreturn void bare_run(int fd, const struct endpoint *relay) {
  struct sockaddr_in first = {0}, second = {.sin_family = AF_INET};
  struct epoll_event event = {.events = EPOLLIN};
  int epoll = epoll_create1(0);
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  if (relay != NULL) {
    second.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    second.sin_port = htons(relay->port);
  }
  for (unsigned i = 0; i < BARE_BATCH; i++) {
    vec[i].iov_base = bytes[i];
    batch[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_iov = &vec[i], .msg_iovlen = 1};
  }
  for (;;) {
    unsigned count;
    epoll_wait(epoll, &event, 1, -1);
    do {
      count = take_batch(fd);
      readdress(count, relay == NULL ? NULL : &second, &first);
      if (count > 0) sendmmsg(fd, batch, count, 0);
    } while (count == BARE_BATCH);
  }
}
