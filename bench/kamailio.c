/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/kamailio.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bare.h"

#define PROGRAM "/usr/sbin/kamailio"
#define START_TRIES 100
#define START_TRY_MS 100
#define STOP_TRIES 50

static const char config[] =
    "children=1\n"
    "fork=yes\n"
    "debug=-1\n"
    "log_stderror=yes\n"
    "listen=udp:127.0.0.1:%u\n"
    "disable_tcp=yes\n"
    "auto_aliases=no\n"
    "alias=\"example.net\"\n"
    "loadmodule \"tm.so\"\n"
    "loadmodule \"sl.so\"\n"
    "loadmodule \"rr.so\"\n"
    "loadmodule \"maxfwd.so\"\n"
    "loadmodule \"siputils.so\"\n"
    "loadmodule \"pv.so\"\n"
    "loadmodule \"textops.so\"\n"
    "loadmodule \"usrloc.so\"\n"
    "loadmodule \"registrar.so\"\n"
    "modparam(\"usrloc\", \"db_mode\", 0)\n"
    "modparam(\"usrloc\", \"hash_size\", 14)\n"
    "modparam(\"rr\", \"append_fromtag\", 0)\n"
    "request_route {\n"
    "  if (!mf_process_maxfwd_header(\"70\")) { sl_send_reply(\"483\", \"Too Many Hops\"); exit; "
    "}\n"
    "  if (is_method(\"OPTIONS\")) { sl_send_reply(\"200\", \"OK\"); exit; }\n"
    "  if (is_method(\"REGISTER\")) { save(\"location\"); exit; }\n"
    "  if (is_method(\"CANCEL\")) { if (t_check_trans()) t_relay(); exit; }\n"
    "  if (has_totag()) {\n"
    "    if (loose_route()) { t_relay(); exit; }\n"
    "    if (is_method(\"ACK\")) { if (t_check_trans()) t_relay(); exit; }\n"
    "    sl_send_reply(\"404\", \"Not Here\");\n"
    "    exit;\n"
    "  }\n"
    "  t_check_trans();\n"
    "  record_route();\n"
    "  if (!lookup(\"location\")) { sl_send_reply(\"480\", \"Not Registered\"); exit; }\n"
    "  t_relay();\n"
    "}\n";

bool kamailio_is_there(void) { return access(PROGRAM, X_OK) == 0; }

static bool write_config(struct kamailio *k, char *path, size_t cap) {
  strcpy(k->server.dir, "/tmp/locser-bench-XXXXXX");
  if (mkdtemp(k->server.dir) == NULL) return false;
  snprintf(path, cap, "%s/kamailio.cfg", k->server.dir);
  FILE *file = fopen(path, "w");
  if (file == NULL) return false;
  fprintf(file, config, k->server.at.port);
  return fclose(file) == 0;
}

_Noreturn static void run(const char *path, const char *dir) {
  char *argv[] = {PROGRAM, "-DD",
                  "-x",    "fm",
                  "-m",    "2048",
                  "-f",    (char *)(uintptr_t)path,
                  "-Y",    (char *)(uintptr_t)dir,
                  NULL};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  sched_setaffinity(0, sizeof set, &set);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
    _exit(1);
  execv(PROGRAM, argv);
  _exit(1);
}

/* Does it answer OPTIONS? */
static bool is_up(const struct kamailio *k) {
  static const char form[] =
      "OPTIONS sip:127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKup%d\r\n"
      "Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag=a\r\nTo: <sip:b@example.net>\r\n"
      "Call-ID: up%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
  char text[512];
  struct endpoint own;
  int fd = bare_socket(&own);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(k->server.at.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool up = false;
  for (int i = 0; i < START_TRIES && fd >= 0 && !up; i++) {
    int len = snprintf(text, sizeof text, form, k->server.at.port, own.port, i, i);
    sendto(fd, text, (size_t)len, 0, (struct sockaddr *)&to, sizeof to);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    up = poll(&ready, 1, START_TRY_MS) == 1 && recv(fd, text, sizeof text, 0) > 0;
  }
  if (fd >= 0) close(fd);
  return up;
}

static void add_process(struct kamailio *k, pid_t pid) {
  if (k->processes == KAMAILIO_PROCESSES) return;
  if (clock_getcpuclockid(pid, &k->clock[k->processes]) == 0) k->process[k->processes++] = pid;
}

static void find_processes(struct kamailio *k) {
  char path[64];
  int child;
  add_process(k, k->server.pid);
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)k->server.pid, (int)k->server.pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  while (fscanf(file, "%d", &child) == 1) add_process(k, child);
  fclose(file);
}

bool kamailio_start(struct kamailio *k) {
  char path[96];
  *k = (struct kamailio){0};
  int fd = bare_socket(&k->server.at);
  if (fd < 0) return false;
  close(fd); /* its port is free again */
  if (!write_config(k, path, sizeof path)) return false;
  fflush(stdout);
  k->server.pid = fork();
  if (k->server.pid == 0) run(path, k->server.dir);
  if (k->server.pid < 0 || !is_up(k)) return false;
  find_processes(k);
  return true;
}

/* It ends its children itself; those that stay are ended here, before their folder is removed. */
void kamailio_stop(struct kamailio *k) {
  bool ended = false;
  if (k->server.pid > 0) {
    kill(k->server.pid, SIGTERM);
    for (int i = 0; i < STOP_TRIES && !ended; i++) {
      ended = waitpid(k->server.pid, NULL, WNOHANG) == k->server.pid;
      if (!ended) usleep(START_TRY_MS * 1000);
    }
    for (unsigned i = 1; i < k->processes && !ended; i++) kill(k->process[i], SIGKILL);
  }
  if (ended) k->server.pid = 0;
  server_stop(&k->server);
}

uint64_t kamailio_cpu_ns(const struct kamailio *k) {
  uint64_t all = 0;
  for (unsigned i = 0; i < k->processes; i++) {
    struct timespec t = {0};
    clock_gettime(k->clock[i], &t);
    all += (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  }
  return all;
}
