/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/address.h"

#define SIP_PORT 5060
#define DNS_PORT 53

static const struct setting_info infos[SETTING_COUNT] = {
#define SETTING_INFO(id, name, kind, value, low, high, text) {name, kind, value, low, high, text},
    SETTINGS(SETTING_INFO)
#undef SETTING_INFO
};

const struct setting_info *setting_info(enum setting setting) { return &infos[setting]; }

static char *copy(const char *text) {
  size_t len = strlen(text) + 1;
  return memcpy(host_take(len), text, len);
}

static void clear(struct setting_value *value) {
  for (unsigned i = 0; i < value->count; i++) free(value->text[i]);
  *value = (struct setting_value){.source = value->source};
}

static void put_default(struct settings *settings, enum setting setting, const char *text) {
  if (text == NULL) return;
  struct setting_value *value = &settings->value[setting];
  value->text[value->count++] = copy(text);
}

static void number_defaults(struct settings *settings) {
  struct node_config node;
  node_config_defaults(&node);
  const struct node_limits *limits = &node.limits;
  const struct {
    enum setting setting;
    uint64_t number;
  } defaults[] = {
      {SET_SUCCESSORS, node.successors},
      {SET_REPLICAS, node.replicas},
      {SET_STABILIZE, node.stabilize_us / USEC_PER_MSEC},
      {SET_LOOKUP_TIMEOUT, node.lookup_timeout_us / USEC_PER_MSEC},
      {SET_HOPS_MAX, limits->hops_max},
      {SET_OPERATIONS_MAX, limits->operations_max},
      {SET_RETRY_COPIES_MAX, limits->retry_copies_max},
      {SET_RECORDS_MAX, limits->records_max},
      {SET_RECORD_BYTES_MAX, limits->record_bytes_max},
      {SET_BINDINGS_MAX, limits->bindings_max},
      {SET_SUBSCRIPTIONS_MAX, 20000},
      {SET_TRANSACTIONS_MAX, limits->transactions_max},
      {SET_TRANSACTION_BYTES_MAX, limits->transaction_bytes_max},
      {SET_LEARNT_PEERS_MAX, limits->learnt_peers_max},
      {SET_OWNER_RECORDS_MAX, limits->owner_records_max},
      {SET_OWNER_BYTES_MAX, limits->owner_bytes_max},
      {SET_SOURCE_REQUESTS, limits->source_requests},
      {SET_SOURCE_PUTS, limits->source_puts},
      {SET_SOURCE_BYTES, limits->source_bytes},
      {SET_SOURCE_DATAGRAMS, limits->source_datagrams},
      {SET_CONNECTIONS_MAX, 4096},
      {SET_CONNECTIONS_PER_SOURCE_MAX, 64},
      {SET_SOURCE_CONNECTIONS, 20},
      {SET_LINKS_MAX, 1024},
      {SET_LINK_IDLE, 120},
      {SET_ACCEPTED_IDLE, 7200},
      {SET_MESSAGE_TIME, 10},
      {SET_WEB_CONNECTIONS_MAX, 256},
      {SET_USER_KEYS_MAX, 100000},
      {SET_JOURNAL_BYTES_MAX, UINT64_C(4) << 30},
  };
  for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
    settings->value[defaults[i].setting].number = defaults[i].number;
}

void settings_init(struct settings *settings) {
  *settings = (struct settings){0};
  char *data = settings_default_data();
  put_default(settings, SET_DATA, data);
  free(data);
  put_default(settings, SET_OVERLAY, "locser");
  put_default(settings, SET_LISTEN, "127.0.0.1:5060"); /* */
  put_default(settings, SET_LOG, "info");
  put_default(settings, SET_WATCHERS, "allow");
  put_default(settings, SET_DIGEST, "both");
  put_default(settings, SET_WEB, "127.0.0.1:8088");
  put_default(settings, SET_PROVISION_GROUP, "224.0.1.75:5060");
  put_default(settings, SET_PEER_TRANSPORT, "tls");
  number_defaults(settings);
}

void settings_free(struct settings *settings) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) clear(&settings->value[i]);
}

/* ---- one value ---- */

static bool name_characters(const char *text, const char *others) {
  if (*text == '\0' || strlen(text) > 255) return false;
  for (; *text != '\0'; text++) {
    bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
    if (!letter && !(*text >= '0' && *text <= '9') && strchr(others, *text) == NULL) return false;
  }
  return true;
}

static const char *without_transport(const char *listen) {
  if (strncmp(listen, "udp:", 4) == 0 || strncmp(listen, "tcp:", 4) == 0) return listen + 4;
  return listen;
}

static bool is_choice(const char *words, const char *text) {
  size_t len = strlen(text);
  for (const char *at = words; len > 0;) {
    size_t word = strcspn(at, "|");
    if (word == len && memcmp(at, text, len) == 0) return true;
    if (at[word] == '\0') break;
    at += word + 1;
  }
  return false;
}

static bool is_group(const char *text) {
  struct endpoint group;
  return endpoint_parse(slice_cstr(text), TRANSPORT_UDP, SIP_PORT, &group) && group.family == 4 &&
         group.addr[0] >= 224 && group.addr[0] < 240;
}

static enum err check_text(enum setting setting, const char *text, struct why *why) {
  if (*text == '\0') return why_say(why, ERR_SYNTAX, "must not be empty");
  if (setting == SET_OVERLAY && !name_characters(text, "-.!%*_+`'~"))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no name: letters, digits and -.!%%*_+`'~", text);
  if (setting == SET_DOMAIN && !name_characters(text, "-._:[]"))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no domain name", text);
  struct prefix prefix;
  if (setting == SET_TRUSTED && strcmp(text, "none") != 0 &&
      !prefix_parse(slice_cstr(text), &prefix))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no address such as 192.0.2.1 or 192.0.2.0/24",
                   text);
  struct endpoint server;
  if (setting == SET_DNS &&
      (!endpoint_parse(slice_cstr(text), TRANSPORT_UDP, DNS_PORT, &server) || strlen(text) > 80))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no address such as 192.0.2.53 or [::1]:5353",
                   text);
  if (setting == SET_PROVISION_GROUP && !is_group(text))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no multicast group such as 224.0.1.75:5060", text);
  const char *address = setting == SET_LISTEN ? without_transport(text) : text;
  if (setting == SET_WEB && strcmp(text, "off") == 0) return OK;
  bool is_web = setting == SET_WEB || setting == SET_WEB_TLS;
  if (is_web && !address_plausible(text, 0))
    return why_say(why, ERR_SYNTAX, "'%.100s' is not HOST:PORT, for example 127.0.0.1:8088", text);
  if (setting == SET_WEB_NAME && !name_characters(text, "-."))
    return why_say(why, ERR_SYNTAX, "'%.100s' is no name such as phone.example.net", text);
  if (setting == SET_WEB_ORIGIN && strncmp(text, "http://", 7) != 0 &&
      strncmp(text, "https://", 8) != 0)
    return why_say(why, ERR_SYNTAX, "'%.100s' is no origin such as https://phone.example", text);
  bool is_address = setting == SET_LISTEN || setting == SET_ADVERTISE || setting == SET_JOIN;
  if (is_address && !address_plausible(address, SIP_PORT))
    return why_say(why, ERR_SYNTAX, "'%.100s' is not %s, for example 127.0.0.1:5060 or [::1]:5060",
                   text, infos[setting].value);
  return OK;
}

static enum err parse_number(enum setting setting, const char *text, uint64_t *out,
                             struct why *why) {
  const struct setting_info *info = &infos[setting];
  if (slice_to_u64(slice_cstr(text), info->high, out) && *out >= info->low) return OK;
  return why_say(why, ERR_SYNTAX, "'%.40s' is no number from %llu to %llu", text,
                 (unsigned long long)info->low, (unsigned long long)info->high);
}

static enum err parse_flag(const char *text, uint64_t *out, struct why *why) {
  *out = strcmp(text, "true") == 0;
  if (*out || strcmp(text, "false") == 0) return OK;
  return why_say(why, ERR_SYNTAX, "'%.40s' is neither true nor false", text);
}

static enum err check(enum setting setting, const char *text, uint64_t *number, struct why *why) {
  const struct setting_info *info = &infos[setting];
  switch (info->kind) {
    case SETTING_TEXT:
    case SETTING_LIST:
      return check_text(setting, text, why);
    case SETTING_FLAG:
      return parse_flag(text, number, why);
    case SETTING_NUMBER:
      return parse_number(setting, text, number, why);
    case SETTING_CHOICE:
      if (is_choice(info->value, text)) return OK;
      return why_say(why, ERR_SYNTAX, "'%.40s' is none of %s", text, info->value);
  }
  return ERR_SYNTAX;
}

enum err setting_check(enum setting setting, const char *text, struct why *why) {
  uint64_t number;
  return check(setting, text, &number, why);
}

enum err settings_put(struct settings *settings, enum setting setting, const char *text,
                      enum setting_source source, struct why *why) {
  const struct setting_info *info = &infos[setting];
  struct setting_value *value = &settings->value[setting];
  uint64_t number = 0;
  enum err err = check(setting, text, &number, why);
  if (err != OK || source < value->source) return err;
  bool adds = info->kind == SETTING_LIST && source == value->source;
  if (!adds) clear(value);
  if (adds && value->count >= info->high)
    return why_say(why, ERR_LIMIT, "given more than %llu times", (unsigned long long)info->high);
  value->source = source;
  value->number = number;
  value->text[value->count++] = copy(text);
  return OK;
}

/* ---- all together ---- */

static bool listens_on_tcp(const struct settings *settings) {
  const struct setting_value *listen = &settings->value[SET_LISTEN];
  for (unsigned i = 0; i < listen->count; i++)
    if (strncmp(listen->text[i], "udp:", 4) != 0) return true;
  return false;
}

static enum err check_wildcard(const struct settings *settings, struct why *why) {
  const struct setting_value *listen = &settings->value[SET_LISTEN];
  for (unsigned i = 0; i < listen->count; i++) {
    struct endpoint e;
    const char *text = without_transport(listen->text[i]);
    bool wild =
        endpoint_parse(slice_cstr(text), TRANSPORT_UDP, SIP_PORT, &e) && endpoint_is_wildcard(&e);
    if (wild && settings->value[SET_ADVERTISE].count == 0)
      return why_say(why, ERR_SYNTAX,
                     "listen: '%s' means every address of this machine; say by which one others "
                     "reach it: --advertise HOST:PORT",
                     listen->text[i]);
  }
  return OK;
}

static enum err check_advertise(const struct settings *settings, struct why *why) {
  struct endpoint e;
  const char *text = settings_text(settings, SET_ADVERTISE);
  if (*text != '\0' && endpoint_parse(slice_cstr(text), TRANSPORT_TCP, SIP_PORT, &e) &&
      endpoint_is_wildcard(&e))
    return why_say(why, ERR_SYNTAX, "advertise: '%s' is no address anybody can reach", text);
  return OK;
}

/* the address for phones is the one in whose network they are. */
static enum err check_provision(const struct settings *settings, struct why *why) {
  const struct setting_value *listen = &settings->value[SET_LISTEN];
  bool good = false;
  for (unsigned i = 0; i < listen->count; i++) {
    struct endpoint e;
    const char *text = listen->text[i];
    if (strncmp(text, "tcp:", 4) == 0 ||
        !endpoint_parse(slice_cstr(without_transport(text)), TRANSPORT_UDP, SIP_PORT, &e))
      continue;
    if (endpoint_is_wildcard(&e))
      return why_say(why, ERR_SYNTAX,
                     "provision: '%s' does not say in which network the phones are; listen on the "
                     "address there",
                     text);
    good = good || e.family == 4;
  }
  if (!good)
    return why_say(why, ERR_SYNTAX, "provision: phones need an IPv4 address to listen on by UDP");
  if (strcmp(settings_text(settings, SET_WEB), "off") == 0 &&
      settings->value[SET_WEB_TLS].count == 0)
    return why_say(
        why, ERR_SYNTAX,
        "provision: phones fetch their settings from the page's server: --web HOST:PORT");
  return OK;
}

enum err settings_finish(struct settings *settings, struct why *why) {
  if (settings->value[SET_DATA].count == 0)
    return why_say(why, ERR_SYNTAX, "data: there is no home directory; say --data DIR");
  bool udp_peers = strcmp(settings_text(settings, SET_PEER_TRANSPORT), "udp") == 0;
  if (!udp_peers && !listens_on_tcp(settings))
    return why_say(why, ERR_SYNTAX,
                   "listen: other peers reach this one over TCP; add --listen tcp:HOST:PORT");
  bool plain = strcmp(settings_text(settings, SET_PEER_TRANSPORT), "tls") != 0;
  if (plain && settings_number(settings, SET_LAB) == 0)
    return why_say(why, ERR_SYNTAX,
                   "peer-transport: plain links prove nobody's Peer-ID; only with --lab, where no "
                   "stranger can reach this peer");
  if ((settings->value[SET_TLS_CERTIFICATE].count == 0) !=
      (settings->value[SET_TLS_KEY].count == 0))
    return why_say(why, ERR_SYNTAX, "tls-certificate and tls-key go together");
  if (settings->value[SET_WEB_TLS].count > 0 && settings->value[SET_TLS_CERTIFICATE].count == 0)
    return why_say(why, ERR_SYNTAX,
                   "web-tls: browsers want a certificate that they trust: --tls-certificate FILE "
                   "and --tls-key FILE");
  enum err err = check_wildcard(settings, why);
  if (err == OK) err = check_advertise(settings, why);
  if (err == OK && settings_flag(settings, SET_PROVISION)) err = check_provision(settings, why);
  if (err == OK &&
      settings_number(settings, SET_REPLICAS) > settings_number(settings, SET_SUCCESSORS) + 1)
    err = why_say(why, ERR_SYNTAX, "replicas: at most one more than successors");
  if (err == OK && settings->value[SET_CONTROL].count == 0)
    settings->value[SET_CONTROL].text[settings->value[SET_CONTROL].count++] =
        settings_control_path(settings_text(settings, SET_DATA));
  return err;
}

const char *settings_text(const struct settings *settings, enum setting setting) {
  const struct setting_value *value = &settings->value[setting];
  return value->count > 0 ? value->text[0] : "";
}

uint64_t settings_number(const struct settings *settings, enum setting setting) {
  return settings->value[setting].number;
}

bool settings_flag(const struct settings *settings, enum setting setting) {
  return settings->value[setting].number != 0;
}

static bool same_value(const struct setting_value *a, const struct setting_value *b) {
  if (a->count != b->count || a->number != b->number) return false;
  for (unsigned i = 0; i < a->count; i++)
    if (strcmp(a->text[i], b->text[i]) != 0) return false;
  return true;
}

const char *settings_restart_needed(const struct settings *running, const struct settings *fresh) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    bool at_once = i == SET_DOMAIN || i == SET_NO_DIGEST || i == SET_DIGEST ||
                   i == SET_NO_RECORD_ROUTE || i == SET_REDIRECT || i == SET_WATCHERS ||
                   i == SET_LOG;
    if (!at_once && !same_value(&running->value[i], &fresh->value[i])) return infos[i].name;
  }
  return NULL;
}

/* ---- places ---- */

static char *join_path(const char *a, const char *b) {
  size_t len = strlen(a) + strlen(b) + 2;
  char *path = host_take(len);
  snprintf(path, len, "%s/%s", a, b);
  return path;
}

char *settings_default_data(void) {
  if (geteuid() == 0) return copy("/var/lib/locser");
  const char *state = getenv("XDG_STATE_HOME");
  if (state != NULL && *state == '/') return join_path(state, "locser");
  const char *home = getenv("HOME");
  return home != NULL && *home == '/' ? join_path(home, ".local/state/locser") : NULL;
}

char *settings_control_path(const char *data_dir) { return join_path(data_dir, "control"); }
