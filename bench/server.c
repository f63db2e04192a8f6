/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/server.h"

#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/allocations.h"
#include "bench/bare.h"
#include "bench/keys.h"
#include "crypto/identity.h"
#include "crypto/record_verify.h"
#include "crypto/user_keys.h"
#include "host/client.h"
#include "host/config.h"
#include "host/daemon.h"

static void pin(int core) {
  cpu_set_t set;
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  CPU_ZERO(&set);
  CPU_SET((unsigned)core, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void load_pin(void) { pin(1); }

/* ---- in the other process ---- */

static int run_daemon(int argc, char **argv) {
  struct settings settings;
  struct options options;
  struct why why = {""};
  struct key_error key_why = {""};
  struct identity identity;
  if (config_load(&settings, &options, argc, argv, &why) != OK) {
    fprintf(stderr, "locser-bench: %s\n", why.text);
    return 1;
  }
  const char *dir = settings_text(&settings, SET_DATA);
  struct user_keys *keys = user_keys_open(dir, 1000, &key_why);
  if (keys == NULL || identity_open(dir, &identity, &key_why) != OK) {
    fprintf(stderr, "locser-bench: %s\n", key_why.text);
    return 1;
  }
  struct record_verifier *verifier = record_verifier_new(16384, SLICE_EMPTY);
  if (verifier == NULL) return 1;
  const struct daemon_setup setup = {
      .settings = &settings,
      .argc = argc,
      .argv = argv,
      .version = "bench",
      .peer_id = identity.peer_id,
      .crypto = bench_crypto(),
      .tls = {.key = identity.key, .certificate = identity.certificate},
      .keys = {.sign = user_keys_sign,
               .verify = record_verify_for,
               .recall = record_recall_for,
               .user = user_keys_certificates,
               .prepare = user_keys_prepare,
               .signer = keys,
               .verifier = verifier}};
  return daemon_run(&setup);
}

/* ---- starting one ---- */

/* In the child 0, with its standard output on the pipe. */
static pid_t split(struct server *server) {
  int pipes[2];
  if (pipe(pipes) != 0) return -1;
  fflush(stdout);
  server->pid = fork();
  if (server->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(0);
    dup2(pipes[1], STDOUT_FILENO);
    close(pipes[0]);
  } else {
    server->output = fdopen(pipes[0], "r");
  }
  close(pipes[1]);
  return server->pid;
}

static bool is_up(struct server *server) {
  if (clock_getcpuclockid(server->pid, &server->clock) != 0) return false;
  return true;
}

bool server_start_bare(struct server *server, const struct endpoint *relay) {
  *server = (struct server){0};
  int fd = bare_socket(&server->at);
  if (fd < 0) return false;
  pid_t pid = split(server);
  if (pid == 0) bare_run(fd, relay);
  close(fd);
  return pid > 0 && is_up(server);
}

/* "locserd VERSION: peer ID on udp:ADDRESS, ..." */
static bool read_start_line(struct server *server) {
  char line[2048];
  if (server->output == NULL || fgets(line, sizeof line, server->output) == NULL) return false;
  struct slice text = slice_cstr(line);
  struct slice id = slice_skip(text, slice_find(text, SLICE(": peer ")) + 7);
  struct slice at = slice_skip(text, slice_find(text, SLICE(" on udp:")) + 8);
  return key_parse(slice_first(id, KEY_HEX), &server->id) &&
         endpoint_parse(slice_first(at, slice_find_byte(at, ',')), TRANSPORT_UDP, 0, &server->at);
}

static bool make_dir(struct server *server) {
  snprintf(server->dir, sizeof server->dir, "/tmp/locser-bench-XXXXXX");
  return mkdtemp(server->dir) != NULL;
}

bool server_start_peer(struct server *server, const char *transport) {
  *server = (struct server){0};
  if (!make_dir(server)) return false;
  char *argv[] = {"locserd", "--data", server->dir, "--listen", "127.0.0.1:0", "--lab",
                  "--peer-transport", NULL, "--log", "error", "--hops-max", "65536",
                  "--transactions-max", "1000000", "--transaction-bytes-max", "8589934592",
                  /* one owner writes all that is written */
                  "--owner-records-max", "100000000", "--owner-bytes-max", "1099511627776", NULL};
  argv[7] = transport[0] == 'u' ? "udp" : "tcp";
  uint64_t *counter =
      mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (counter == MAP_FAILED) return false;
  pid_t pid = split(server);
  if (pid == 0) {
    allocations_count_into(counter);
    _exit(run_daemon((int)(sizeof argv / sizeof *argv) - 1, argv));
  }
  if (allocations_can_count()) server->allocations = counter;
  return pid > 0 && read_start_line(server) && is_up(server);
}

bool server_find_program(char *path, size_t cap) {
  ssize_t len = readlink("/proc/self/exe", path, cap - sizeof "/locserd");
  if (len <= 0) return false;
  path[len] = '\0';
  char *slash = strrchr(path, '/');
  if (slash == NULL) return false;
  strcpy(slash, "/locserd");
  return access(path, X_OK) == 0;
}

bool server_start_program(struct server *server, const char *path, const struct endpoint *join) {
  char text[64] = "";
  struct buf at = buf_over(text, sizeof text - 1);
  if (join != NULL) endpoint_put(&at, join);
  *server = (struct server){0};
  if (!make_dir(server)) return false;
  pid_t pid = split(server);
  if (pid == 0) {
    execl(path, path, "--data", server->dir, "--listen", "127.0.0.1:0", "--log", "error",
          join != NULL ? "--join" : NULL, text, (char *)NULL);
    _exit(1);
  }
  return pid > 0 && read_start_line(server) && is_up(server);
}

/* The folder that make_dir made, with what the daemon put in it. */
static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(path);
}

static void remove_dir(const char *dir) { nftw(dir, remove_entry, 4, FTW_DEPTH | FTW_PHYS); }

void server_stop(struct server *server) {
  if (server->pid > 0) {
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
  }
  if (server->output != NULL) fclose(server->output);
  if (server->dir[0] != '\0') remove_dir(server->dir);
  *server = (struct server){0};
}

/* ---- looking at it ---- */

uint64_t server_cpu_ns(const struct server *server) {
  struct timespec t = {0};
  clock_gettime(server->clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* NULL: no answer. To be released. */
static json_t *ask(const struct server *server, const char *method, json_t *params) {
  char path[96];
  struct why why = {""};
  int status = 0;
  snprintf(path, sizeof path, "%s/control", server->dir);
  struct client_link *link = client_open(path, &why);
  json_t *answer = link != NULL ? client_call(link, method, params, &status, &why) : NULL;
  if (link != NULL) client_close(link);
  return answer;
}

uint64_t server_number(const struct server *server, const char *name) {
  json_t *all = ask(server, "status", NULL);
  uint64_t number = (uint64_t)json_integer_value(json_object_get(all, name));
  json_decref(all);
  return number;
}

bool server_has_second_key(const struct server *server, const char *address) {
  json_t *rows = ask(server, "fetch", json_pack("{s:s+}", "key", "certificate:", address)), *row;
  size_t i;
  bool has = false;
  json_array_foreach(rows, i, row) {
    const char *receives = json_string_value(json_object_get(row, "receives"));
    has = has || (receives != NULL && receives[0] != '\0');
  }
  json_decref(rows);
  return has;
}
