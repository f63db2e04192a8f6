/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/daemon.h"

#include <inttypes.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "host/address.h"
#include "host/clock.h"
#include "host/control.h"
#include "host/dns.h"
#include "host/journal.h"
#include "host/keys.h"
#include "host/listen.h"
#include "host/notify.h"
#include "host/pnp.h"
#include "host/provision.h"
#include "host/remember.h"
#include "host/rules.h"
#include "host/tcp.h"
#include "host/tls.h"
#include "host/udp.h"
#include "host/web.h"

#define PATH_BYTES 4096
#define DRAIN_STEP_MS 10
#define REMEMBER_MS 30000
#define CREATE_AFTER SEC(3) /* only remembered peers, and none answers */
#define OTHER_FILES 128     /* descriptors for anything but connections */

enum phase { RUNNING, LEAVING, DRAINING, STOPPED };

struct peer_process {
  const struct daemon_setup *setup;
  struct log log;
  struct loop loop;
  struct node_config config;
  struct memory memory;
  struct tls *tls;
  struct provision *provision; /* NULL: phones are not provisioned */
  struct pnp *pnp;
  struct journal_restored restored;
  uv_signal_t signal[3];
  uv_timer_t timer;    /* of leaving, then of draining */
  uv_timer_t remember; /* writes down who is known */
  enum phase phase;
  uint32_t drained_ms;
  usec started_at;
  int status;
  bool udp_up, tcp_up, control_up, signals_up;
};

static void *take(void *context, size_t bytes) {
  (void)context;
  return malloc(bytes);
}

static void give(void *context, void *at, size_t bytes) {
  (void)context;
  (void)bytes;
  free(at);
}

/* ---- the end ---- */

/* libuv gives signals back their default as it lets go of them: one more SIGTERM would kill what is
 * about to end in good order. */
static void close_signals(struct peer_process *p) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  for (size_t i = 0; i < sizeof p->signal / sizeof p->signal[0]; i++)
    uv_close((uv_handle_t *)&p->signal[i], NULL);
}

static void stop(struct peer_process *p) {
  if (p->phase == STOPPED) return;
  p->phase = STOPPED;
  keys_stop(&p->loop);
  if (p->udp_up) udp_stop(p->loop.udp);
  if (p->tcp_up) tcp_stop(p->loop.tcp);
  if (p->control_up) control_stop(p->loop.control);
  pnp_stop(p->pnp);
  web_stop(p->loop.web);
  if (p->loop.dns != NULL) dns_stop(p->loop.dns);
  if (p->signals_up) close_signals(p);
  if (p->signals_up) uv_close((uv_handle_t *)&p->timer, NULL);
  if (p->signals_up) uv_close((uv_handle_t *)&p->remember, NULL);
  loop_stop(&p->loop);
}

static void on_drain(uv_timer_t *timer) {
  struct peer_process *p = timer->data;
  p->drained_ms += DRAIN_STEP_MS;
  bool busy = tcp_writing(p->loop.tcp) || control_writing(p->loop.control) ||
              web_writing(p->loop.web) || journal_busy(p->loop.journal) ||
              journal_stats(p->loop.journal).waiting > 0;
  if (!busy || p->drained_ms >= DAEMON_DRAIN_MS) stop(p);
}

/* why: as for control_left. */
static void drain(struct peer_process *p, const char *why) {
  if (p->phase != LEAVING) return;
  p->phase = DRAINING;
  control_left(p->loop.control, why);
  uv_timer_start(&p->timer, on_drain, DRAIN_STEP_MS, DRAIN_STEP_MS);
}

static void on_left(void *context, const struct node_reply *reply) {
  struct peer_process *p = context;
  char why[256];
  snprintf(why, sizeof why, "%.*s", SLICE_FMT(reply->text));
  if (reply->code == 200)
    log_line(&p->log, TRACE_INFO, "left the ring");
  else
    log_line(&p->log, TRACE_WARNING, "%s", why);
  drain(p, reply->code == 200 ? NULL : why);
}

static void on_leave_late(uv_timer_t *timer) {
  struct peer_process *p = timer->data;
  char why[80];
  snprintf(why, sizeof why, "the ring did not take everything over within %d s",
           DAEMON_LEAVE_MS / 1000);
  log_line(&p->log, TRACE_WARNING, "%s", why);
  drain(p, why);
  loop_settle(&p->loop);
}

/* Called from input only, never while outputs are carried out. */
static void leave(void *context) {
  struct peer_process *p = context;
  if (p->phase != RUNNING) return;
  p->phase = LEAVING;
  notify("STOPPING=1");
  log_line(&p->log, TRACE_INFO, "leaving the ring");
  remember_save(settings_text(p->setup->settings, SET_DATA), p->loop.node);
  uv_timer_start(&p->timer, on_leave_late, DAEMON_LEAVE_MS, 0);
  loop_step(&p->loop, &(struct input){.kind = IN_COMMAND,
                                      .ticket = CONTROL_LEAVE_TICKET,
                                      .command = &(struct node_command){.kind = COMMAND_LEAVE}});
}

static void on_remember(uv_timer_t *timer) {
  struct peer_process *p = timer->data;
  remember_save(settings_text(p->setup->settings, SET_DATA), p->loop.node);
}

/* ---- settings at work ---- */

static void set_log(void *context, enum trace_level level) {
  struct peer_process *p = context;
  p->log.level = level;
  p->loop.log_mask = log_trace_mask(level);
}

static void set_log_by_settings(struct peer_process *p, const struct settings *settings) {
  enum trace_level level = TRACE_INFO;
  if (log_level_parse(slice_cstr(settings_text(settings, SET_LOG)), &level)) set_log(p, level);
}

/* What a reload may change. The texts stay in `settings`. */
static void configure_live(struct node_config *config, const struct settings *settings) {
  const struct setting_value *domain = &settings->value[SET_DOMAIN];
  config->overlay = slice_cstr(settings_text(settings, SET_OVERLAY)); /* the same text, kept here */
  config->domain_count = domain->count;
  for (unsigned i = 0; i < domain->count; i++) config->domain[i] = slice_cstr(domain->text[i]);
  config->digest_off = settings_flag(settings, SET_NO_DIGEST);
  const char *digest = settings_text(settings, SET_DIGEST);
  config->digest_algorithms = strcmp(digest, "md5") == 0       ? NODE_MD5
                              : strcmp(digest, "sha-256") == 0 ? NODE_SHA256
                                                               : NODE_SHA256 | NODE_MD5;
  config->record_route = !settings_flag(settings, SET_NO_RECORD_ROUTE);
  config->redirect = settings_flag(settings, SET_REDIRECT);
  const char *watchers = settings_text(settings, SET_WATCHERS);
  config->watchers = strcmp(watchers, "ask") == 0     ? NODE_WATCHERS_ASK
                     : strcmp(watchers, "block") == 0 ? NODE_WATCHERS_BLOCKED
                                                      : NODE_WATCHERS_ALLOWED;
}

/* The secrets are nowhere but in the node, afterwards. */
static enum err configure_users(const struct peer_process *p, struct node_config *config,
                                struct why *why) {
  config->user = NULL;
  config->user_count = 0;
  if (p->setup->read_users == NULL) return OK;
  bool good =
      p->setup->read_users(p->setup->renew_context, &config->user, &config->user_count, why);
  return good ? OK : ERR_REFUSED;
}

static void forget_users(const struct peer_process *p, struct node_config *config) {
  config->user = NULL;
  config->user_count = 0;
  if (p->setup->forget_users != NULL) p->setup->forget_users(p->setup->renew_context);
}

/* Into the running node, with all else that a reload may change. */
static enum err reconfigure(struct peer_process *p, struct node_config *config, struct why *why) {
  enum err err = configure_users(p, config, why);
  if (err != OK) return err;
  err = node_reconfigure(p->loop.node, config);
  forget_users(p, config);
  return err == OK ? OK : why_say(why, err, "%s", err_text(err));
}

static bool read_users(void *context, struct why *why) {
  struct peer_process *p = context;
  if (p->provision != NULL) provision_renew(p->provision);
  enum err err = reconfigure(p, &p->config, why);
  if (err == OK)
    log_line(&p->log, TRACE_INFO, "users: read again");
  else
    log_line(&p->log, TRACE_ERROR, "users: %s; all stays as it was", why->text);
  return err == OK;
}

static bool reload(void *context, struct why *why) {
  struct peer_process *p = context;
  struct settings fresh;
  struct options options;
  enum err err = config_load(&fresh, &options, p->setup->argc, p->setup->argv, why);
  const struct settings *running = p->setup->settings;
  if (err == OK && !tls_read_fresh(p->tls, settings_text(running, SET_TLS_CERTIFICATE),
                                   settings_text(running, SET_TLS_KEY), why))
    err = ERR_IO;
  if (err == OK) {
    struct node_config config = p->config;
    configure_live(&config, &fresh);
    err = reconfigure(p, &config, why);
  }
  if (err == OK && p->setup->renew != NULL && !p->setup->renew(p->setup->renew_context, why))
    err = ERR_REFUSED;
  if (err != OK) {
    log_line(&p->log, TRACE_ERROR, "reload: %s; everything stays as it was", why->text);
    settings_free(&fresh);
    return false;
  }
  tls_show_fresh(p->tls);
  set_log_by_settings(p, &fresh);
  const char *name = settings_restart_needed(p->setup->settings, &fresh);
  if (name != NULL)
    log_line(&p->log, TRACE_WARNING, "reload: a change of '%s' needs a restart", name);
  settings_free(p->setup->settings);
  *p->setup->settings = fresh;
  configure_live(&p->config, p->setup->settings);
  tcp_close_untrusted(p->loop.tcp);
  log_line(&p->log, TRACE_INFO, "reload: done");
  return true;
}

static void on_signal(uv_signal_t *handle, int number) {
  struct peer_process *p = handle->data;
  struct why why = {""};
  if (number == SIGHUP) {
    (void)reload(p, &why);
  } else if (p->phase == RUNNING) {
    leave(p);
  } else {
    log_line(&p->log, TRACE_WARNING, "stopped at once");
    p->status = 1;
    stop(p);
  }
}

/* ---- status ---- */

static void add_number(json_t *object, const char *name, uint64_t n) {
  json_object_set_new(object, name, json_integer((json_int_t)n));
}

static void add_sockets(const struct peer_process *p, json_t *object) {
  json_t *list = json_array();
  for (unsigned i = 0; i < p->config.listen_count; i++) {
    char address[ADDRESS_TEXT_BYTES], text[ADDRESS_TEXT_BYTES + 8];
    const struct endpoint *at = &p->config.listen[i];
    snprintf(text, sizeof text, "%s:%s", transport_name((enum transport)at->transport),
             address_text(at, address));
    json_array_append_new(list, json_string(text));
  }
  json_object_set_new(object, "listen", list);
}

static void add_web(const struct peer_process *p, json_t *object) {
  struct web_stats web = web_stats(p->loop.web);
  json_t *list = json_array();
  for (unsigned i = 0; i < web_listen_count(p->loop.web); i++) {
    char text[80];
    json_array_append_new(list, json_string(web_address(p->loop.web, i, text)));
  }
  json_object_set_new(object, "web", list);
  add_number(object, "web_connections", web.clients);
  add_number(object, "web_phones", web.flows);
  add_number(object, "web_watchers", web.watchers);
  add_number(object, "web_received", web.received);
  add_number(object, "web_sent", web.sent);
  add_number(object, "web_refused", web.refused);
  add_number(object, "web_bad", web.bad);
  add_number(object, "web_lost", web.lost);
}

static void add_provision(const struct peer_process *p, json_t *object) {
  struct pnp_stats pnp = pnp_stats(p->pnp);
  if (p->provision == NULL) return;
  json_object_set_new(object, "provision", json_string(provision_base(p->provision)));
  add_number(object, "provision_waiting", provision_waiting(p->provision));
  add_number(object, "provision_asked", pnp.asked);
  add_number(object, "provision_answered", pnp.answered);
  add_number(object, "provision_limited", pnp.limited);
}

static void add_status(void *context, void *result) {
  const struct peer_process *p = context;
  json_t *object = result;
  struct udp_stats udp = udp_stats(p->loop.udp);
  struct tcp_stats tcp = tcp_stats(p->loop.tcp);
  struct journal_stats journal = journal_stats(p->loop.journal);
  json_object_set_new(object, "version", json_string(p->setup->version));
  json_object_set_new(object, "data", json_string(settings_text(p->setup->settings, SET_DATA)));
  add_sockets(p, object);
  add_number(object, "process", (uint64_t)uv_os_getpid());
  add_number(object, "uptime_s", (clock_monotonic() - p->started_at) / USEC_PER_SEC);
  json_object_set_new(object, "journal",
                      json_string(journal.failing ? "cannot be written" : "good"));
  add_number(object, "journal_stored", journal.stored);
  add_number(object, "journal_groups", journal.groups);
  add_number(object, "journal_failed", journal.failed);
  add_number(object, "journal_damaged", p->restored.damaged);
  add_number(object, "udp_received", udp.received);
  add_number(object, "udp_sent", udp.sent);
  add_number(object, "udp_reads", udp.reads);
  add_number(object, "udp_writes", udp.writes);
  add_number(object, "udp_dropped", udp.dropped + udp.no_socket);
  add_number(object, "tcp_accepted", tcp.accepted_now);
  add_number(object, "tcp_links", tcp.links_now);
  add_number(object, "tcp_received", tcp.received);
  add_number(object, "tcp_sent", tcp.sent);
  add_number(object, "tcp_reads", tcp.reads);
  add_number(object, "tcp_writes", tcp.writes);
  add_number(object, "tcp_refused", tcp.refused);
  add_number(object, "tcp_bad", tcp.bad);
  add_number(object, "tcp_stalled", tcp.stalled);
  add_number(object, "tcp_undeliverable", tcp.undeliverable);
  add_number(object, "tls_handshakes", tcp.shaken);
  add_number(object, "tls_resumed", tcp.resumed);
  add_number(object, "tls_failed", tcp.unproven);
  add_web(p, object);
  add_provision(p, object);
}

/* ---- the beginning ---- */

static void raise_file_limit(const struct settings *settings) {
  struct rlimit limit;
  rlim_t wanted = settings_number(settings, SET_CONNECTIONS_MAX) +
                  settings_number(settings, SET_LINKS_MAX) +
                  settings_number(settings, SET_WEB_CONNECTIONS_MAX) + OTHER_FILES;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void configure_numbers(struct node_config *config, const struct settings *settings) {
  struct node_limits *limits = &config->limits;
  config->successors = (unsigned)settings_number(settings, SET_SUCCESSORS);
  config->replicas = (unsigned)settings_number(settings, SET_REPLICAS);
  config->stabilize_us = MSEC(settings_number(settings, SET_STABILIZE));
  config->lookup_timeout_us = MSEC(settings_number(settings, SET_LOOKUP_TIMEOUT));
  limits->hops_max = (uint32_t)settings_number(settings, SET_HOPS_MAX);
  limits->operations_max = (uint32_t)settings_number(settings, SET_OPERATIONS_MAX);
  limits->retry_copies_max = (uint32_t)settings_number(settings, SET_RETRY_COPIES_MAX);
  limits->records_max = (uint32_t)settings_number(settings, SET_RECORDS_MAX);
  limits->record_bytes_max = settings_number(settings, SET_RECORD_BYTES_MAX);
  limits->subscriptions_max = (uint32_t)settings_number(settings, SET_SUBSCRIPTIONS_MAX);
  limits->bindings_max = (uint32_t)settings_number(settings, SET_BINDINGS_MAX);
  limits->transactions_max = (uint32_t)settings_number(settings, SET_TRANSACTIONS_MAX);
  limits->transaction_bytes_max = settings_number(settings, SET_TRANSACTION_BYTES_MAX);
  limits->learnt_peers_max = (uint32_t)settings_number(settings, SET_LEARNT_PEERS_MAX);
  limits->owner_records_max = (uint32_t)settings_number(settings, SET_OWNER_RECORDS_MAX);
  limits->owner_bytes_max = settings_number(settings, SET_OWNER_BYTES_MAX);
  limits->source_requests = (uint32_t)settings_number(settings, SET_SOURCE_REQUESTS);
  limits->source_puts = (uint32_t)settings_number(settings, SET_SOURCE_PUTS);
  limits->source_bytes = (uint32_t)settings_number(settings, SET_SOURCE_BYTES);
  limits->source_datagrams = (uint32_t)settings_number(settings, SET_SOURCE_DATAGRAMS);
}

/* Given ones take the place of the default, which is this machine. */
static void configure_trusted(struct node_config *config, const struct settings *settings) {
  const struct setting_value *given = &settings->value[SET_TRUSTED];
  if (given->count > 0) config->trusted_count = 0;
  for (unsigned i = 0; i < given->count; i++) {
    if (strcmp(given->text[i], "none") == 0) continue;
    bool good = prefix_parse(slice_cstr(given->text[i]), &config->trusted[config->trusted_count++]);
    ASSERT(good);
  }
}

static void configure(struct peer_process *p) {
  const struct settings *settings = p->setup->settings;
  struct node_config *config = &p->config;
  node_config_defaults(config);
  config->id = p->setup->peer_id;
  config->policy = settings_flag(settings, SET_LAB) ? NODE_LABORATORY
                   : p->setup->closed               ? NODE_CLOSED
                                                    : NODE_OPEN;
  (void)transport_parse(slice_cstr(settings_text(settings, SET_PEER_TRANSPORT)),
                        &config->peer_transport);
  configure_live(config, settings);
  configure_numbers(config, settings);
  configure_trusted(config, settings);
  /* Without a CA, and where peers prove themselves at all, anybody may join. */
  config->strangers = p->setup->tls.trusted == NULL && config->peer_transport == TRANSPORT_TLS;
  config->memory = &p->memory;
  config->crypto = p->setup->crypto;
  uv_random(NULL, NULL, config->seed, sizeof config->seed, 0, NULL);
}

static void on_stored(void *context, uint64_t ticket, enum err status) {
  loop_later(context, &(struct input){.kind = IN_STORED, .ticket = ticket, .status = status});
}

static enum err open_journal(struct peer_process *p, struct why *why) {
  char path[PATH_BYTES];
  const struct settings *settings = p->setup->settings;
  snprintf(path, sizeof path, "%s/journal.db", settings_text(settings, SET_DATA));
  struct journal_setup setup = {.path = path,
                                .bytes_max = settings_number(settings, SET_JOURNAL_BYTES_MAX),
                                .crypto = p->setup->crypto,
                                .log = &p->log,
                                .uv = &p->loop.uv,
                                .stored = on_stored,
                                .context = &p->loop};
  p->loop.journal = journal_open(&setup, why);
  if (p->loop.journal == NULL) return ERR_IO;
  uint32_t now_s = (uint32_t)(clock_wall() / 1000);
  return journal_incarnation(p->loop.journal, now_s, &p->config.incarnation, why);
}

static enum err open_sockets(struct peer_process *p, struct why *why) {
  const struct settings *settings = p->setup->settings;
  struct tcp_limits limits = {
      .accepted_max = (uint32_t)settings_number(settings, SET_CONNECTIONS_MAX),
      .per_source_max = (uint32_t)settings_number(settings, SET_CONNECTIONS_PER_SOURCE_MAX),
      .per_s_max = (uint32_t)settings_number(settings, SET_SOURCE_CONNECTIONS),
      .trusted = p->config.trusted,
      .trusted_count = p->config.trusted_count,
      .links_max = (uint32_t)settings_number(settings, SET_LINKS_MAX),
      .link_idle_us = SEC(settings_number(settings, SET_LINK_IDLE)),
      .accepted_idle_us = SEC(settings_number(settings, SET_ACCEPTED_IDLE)),
      .message_us = SEC(settings_number(settings, SET_MESSAGE_TIME))};
  struct tls_setup tls = p->setup->tls;
  if (settings->value[SET_TLS_CERTIFICATE].count > 0) {
    tls.phone_chain_file = settings_text(settings, SET_TLS_CERTIFICATE);
    tls.phone_key_file = settings_text(settings, SET_TLS_KEY);
  }
  p->tls = tls_new(&tls, why);
  if (p->tls == NULL) return ERR_IO;
  p->loop.tcp = tcp_new(&p->loop, &limits, p->tls);
  p->loop.udp = udp_new(&p->loop);
  p->udp_up = p->tcp_up = true;
  return listen_all(settings, p->loop.udp, p->loop.tcp, &p->config, why);
}

static bool keep_rule(void *context, const struct node_command *command, struct why *why) {
  const struct peer_process *p = context;
  return rules_keep(settings_text(p->setup->settings, SET_DATA), command, why);
}

static enum err open_control(struct peer_process *p, struct why *why) {
  struct control_hooks hooks = {.leave = leave,
                                .reload = reload,
                                .users = read_users,
                                .decide = keep_rule,
                                .set_log = set_log,
                                .status = add_status,
                                .left = on_left,
                                .context = p};
  p->loop.control =
      control_new(&p->loop, settings_text(p->setup->settings, SET_CONTROL), &hooks, why);
  p->control_up = p->loop.control != NULL;
  return p->control_up ? OK : ERR_IO;
}

static enum err open_provision(struct peer_process *p, struct why *why) {
  const struct settings *settings = p->setup->settings;
  if (!settings_flag(settings, SET_PROVISION)) return OK;
  return provision_new(settings_text(settings, SET_DATA),
                       settings_text(settings, SET_PROVISION_TEMPLATES), &p->provision, why);
}

/* at the first IPv4 address that is listened on by UDP, which is there (check_provision).
 */
static enum err open_pnp(struct peer_process *p, struct why *why) {
  struct endpoint group, at = {0};
  char base[PROVISION_URL_BYTES];
  if (p->provision == NULL) return OK;
  for (unsigned i = p->config.listen_count; i-- > 0;)
    if (p->config.listen[i].family == 4 && p->config.listen[i].transport == TRANSPORT_UDP)
      at = p->config.listen[i];
  bool good = endpoint_parse(slice_cstr(settings_text(p->setup->settings, SET_PROVISION_GROUP)),
                             TRANSPORT_UDP, 5060, &group);
  ASSERT(good);
  if (at.family == 0 || !web_provision_base(p->loop.web, &at, base, sizeof base))
    return why_say(why, ERR_IO,
                   "provision: phones fetch their settings from the page's server, which is not "
                   "there: --web HOST:PORT");
  provision_at(p->provision, &at, base);
  return pnp_new(&p->loop, p->provision, &group, &at, &p->pnp, why);
}

static enum err open_web(struct peer_process *p, struct why *why) {
  struct web_setup setup = {.loop = &p->loop,
                            .tls = p->tls,
                            .provision = p->provision,
                            .settings = p->setup->settings,
                            .config = &p->config,
                            .version = p->setup->version,
                            .status = add_status,
                            .decide = keep_rule,
                            .context = p};
  return web_new(&setup, &p->loop.web, why);
}

static enum err open_dns(struct peer_process *p, struct why *why) {
  p->loop.dns = dns_new(&p->loop, &p->setup->settings->value[SET_DNS], why);
  return p->loop.dns != NULL ? OK : ERR_IO;
}

static void restore_one(void *context, const struct record *record) {
  struct peer_process *p = context;
  loop_step(&p->loop, &(struct input){.kind = IN_RESTORE, .record = *record});
}

static enum err open_node(struct peer_process *p, struct why *why) {
  uint64_t salt = 0;
  uv_random(NULL, NULL, &salt, sizeof salt, 0, NULL);
  enum err err = configure_users(p, &p->config, why);
  if (err != OK) return err;
  p->config.xml = node_reader_new(&p->memory, salt);
  if (p->config.xml != NULL) p->loop.node = node_new(&p->config, clock_monotonic());
  forget_users(p, &p->config);
  if (p->loop.node == NULL) return why_say(why, ERR_MEMORY, "no memory for the peer");
  loop_clock(&p->loop, true);
  err = journal_restore(p->loop.journal, clock_wall(), restore_one, p, &p->restored, why);
  /* Before any phone may ask: who is blocked must not see anything in between. */
  if (err == OK && !rules_say(settings_text(p->setup->settings, SET_DATA), &p->loop, why))
    err = ERR_IO;
  if (err == OK) loop_step(&p->loop, &(struct input){.kind = IN_START});
  return err;
}

static void open_signals(struct peer_process *p) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  signal(SIGPIPE, SIG_IGN);
  for (size_t i = 0; i < sizeof p->signal / sizeof p->signal[0]; i++) {
    uv_signal_init(&p->loop.uv, &p->signal[i]);
    p->signal[i].data = p;
    uv_signal_start(&p->signal[i], on_signal, numbers[i]);
  }
  uv_timer_init(&p->loop.uv, &p->timer);
  p->timer.data = p;
  uv_timer_init(&p->loop.uv, &p->remember);
  p->remember.data = p;
  p->signals_up = true;
}

static void join_remembered(struct peer_process *p) {
  struct node_config *config = &p->config;
  unsigned given = config->join_count;
  config->join_count = remember_load(settings_text(p->setup->settings, SET_DATA), config->join,
                                     given, NODE_JOIN_MAX);
  if (given == 0 && config->join_count > 0) config->create_after_us = CREATE_AFTER;
}

static enum err start(struct peer_process *p, struct why *why) {
  configure(p);
  open_signals(p);
  enum err err = open_journal(p, why);
  if (err == OK) err = open_sockets(p, why);
  if (err == OK) err = open_control(p, why);
  if (err == OK) err = open_dns(p, why);
  if (err == OK) join_remembered(p);
  if (err == OK) err = open_provision(p, why);
  if (err == OK) err = open_web(p, why);
  if (err == OK) err = open_pnp(p, why);
  if (err == OK) err = open_node(p, why);
  if (err == OK) udp_start(p->loop.udp);
  if (err == OK) loop_start(&p->loop);
  /* Early once, so that a peer killed soon after its start finds back too. */
  if (err == OK) uv_timer_start(&p->remember, on_remember, 2000, REMEMBER_MS);
  return err;
}

/* The one line that says what this peer is and where. */
static void say_started(const struct peer_process *p) {
  char text[1024], id[KEY_HEX + 1], address[ADDRESS_TEXT_BYTES], page[80];
  struct buf b = buf_over(text, sizeof text), hex = buf_over(id, sizeof id);
  key_put(&hex, &p->config.id);
  buf_put_char(&hex, '\0');
  for (unsigned i = 0; i < p->config.listen_count; i++) {
    buf_put_cstr(&b, i > 0 ? ", " : "");
    buf_put_cstr(&b, transport_name((enum transport)p->config.listen[i].transport));
    buf_put_char(&b, ':');
    endpoint_put(&b, &p->config.listen[i]);
  }
  buf_put_char(&b, '\0');
  printf("locserd %s: peer %s on %s, known as %s, data in %s, overlay %s, ", p->setup->version, id,
         text, address_text(&p->config.advertise, address),
         settings_text(p->setup->settings, SET_DATA),
         settings_text(p->setup->settings, SET_OVERLAY));
  if (p->config.join_count > 0)
    printf("joining %s", address_text(&p->config.join[0], address));
  else
    printf("first of a new ring");
  printf("%s", p->restored.records > 0 ? ", records restored" : "");
  for (unsigned i = 0; i < web_listen_count(p->loop.web); i++)
    printf(", page at %s/", web_address(p->loop.web, i, page));
  printf("\n");
  fflush(stdout);
}

static void free_all(struct peer_process *p) {
  if (p->loop.journal != NULL) journal_close(p->loop.journal);
  if (p->loop.node != NULL) node_free(p->loop.node);
  if (p->config.xml != NULL) node_reader_free(p->config.xml);
  if (p->udp_up) udp_free(p->loop.udp);
  if (p->tcp_up) tcp_free(p->loop.tcp);
  tls_free(p->tls);
  if (p->control_up) control_free(p->loop.control);
  web_free(p->loop.web);
  pnp_free(p->pnp);
  provision_free(p->provision);
  if (p->loop.dns != NULL) dns_free(p->loop.dns);
  loop_free(&p->loop);
}

int daemon_run(const struct daemon_setup *setup) {
  struct peer_process *p = host_take(sizeof *p);
  struct why why = {""};
  mallopt(M_ARENA_MAX, 2); /* pool threads need no heap of their own */
  umask(077);
  raise_file_limit(setup->settings);
  p->setup = setup;
  p->memory = (struct memory){take, give, NULL};
  p->started_at = clock_monotonic();
  log_init(&p->log, stderr, TRACE_INFO);
  loop_init(&p->loop, &p->log, &setup->keys);
  set_log_by_settings(p, setup->settings);
  if (start(p, &why) == OK) {
    say_started(p);
    notify("READY=1");
  } else {
    fprintf(stderr, "locserd: %s\n", why.text);
    p->status = 1;
    stop(p);
  }
  uv_run(&p->loop.uv, UV_RUN_DEFAULT);
  free_all(p);
  int status = p->status;
  free(p);
  return status;
}
