/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/immutable.h"
#include "host/cli_immutable.h"
#include "host/cli_print.h"
#include "host/client.h"

struct command {
  const char *name;
  const char *words; /* positional words, as the usage shows them */
  unsigned count;    /* of them */
  const char *param[4];
  bool optional; /* the last may be missing */
  cli_printer *print;
  const char *text;
};

static const struct command commands[] = {
    {"status", "", 0, {0}, false, cli_print_fields, "what this peer is, and its counters"},
    {"ring", "", 0, {0}, false, cli_print_ring, "predecessor, itself, successors"},
    {"peers", "", 0, {0}, false, cli_print_peers, "every peer it knows, and the round-trip time"},
    {"records", "", 0, {0}, false, cli_print_records, "the records it holds"},
    {"bindings", "", 0, {0}, false, cli_print_bindings, "the phones registered at it"},
    {"lookup", "URI", 1, {"uri"}, false, cli_print_responsible, "which peer is responsible"},
    {"get", "URI", 1, {"uri"}, false, cli_print_contacts, "the contacts registered for URI"},
    {"put", "URI CONTACT", 2, {"uri", "contact"}, false, cli_print_fields, "store CONTACT for URI"},
    {"remove", "URI CONTACT", 2, {"uri", "contact"}, false, cli_print_fields, "remove it again"},
    {"presence", "URI", 1, {"uri"}, false, cli_print_presence, "what its watchers are told of URI"},
    {"watchers", "URI", 1, {"uri"}, false, cli_print_watchers, "who watches URI"},
    {"allow",
     "URI WATCHER",
     2,
     {"uri", "contact"},
     false,
     cli_print_nothing,
     "let WATCHER see the presence of URI"},
    {"ask",
     "URI WATCHER",
     2,
     {"uri", "contact"},
     false,
     cli_print_nothing,
     "let WATCHER wait, and see nothing"},
    {"block",
     "URI WATCHER",
     2,
     {"uri", "contact"},
     false,
     cli_print_nothing,
     "end what WATCHER sees of URI"},
    {"publish",
     "[ADDRESS]",
     1,
     {"uri"},
     true,
     cli_print_nothing,
     "say how to encrypt to this peer (user grant), or whose ADDRESS is, and put its contacts "
     "anew"},
    {"message",
     "send FROM TO TEXT | list ADDRESS",
     4,
     {"what", "address", "to", "text"},
     true,
     cli_print_messages,
     "leave TO a text, from a user of this peer; or show what waits for ADDRESS"},
    {"log", "[LEVEL]", 1, {"level"}, true, cli_print_fields, "show or set the log level"},
    {"reload", "", 0, {0}, false, cli_print_nothing, "read the configuration file again"},
    {"leave", "", 0, {0}, false, cli_print_nothing, "leave the ring and let locserd exit"},
    {"watch", "", 0, {0}, false, cli_print_event, "print what happens, until interrupted"},
};

struct request {
  const char *control, *expires, *immutable;
  uint64_t seconds; /* of expires */
  bool json, trace, help, version;
  const struct command *command;
  const char *word[4];
  unsigned words;
};

static void usage(FILE *to) {
  fputs("usage: locser [--control PATH] [--json] COMMAND\n\n", to);
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    char left[64];
    const char *more = strcmp(commands[i].name, "lookup") == 0 ? " [--trace]"
                       : strcmp(commands[i].name, "put") == 0  ? " [--expires S]"
                                                               : "";
    snprintf(left, sizeof left, "%s %s%s", commands[i].name, commands[i].words, more);
    fprintf(to, "  %-34s %s\n", left, commands[i].text);
  }
  fputs(
      "  put --immutable FILE [--expires S]  store FILE under its hash\n"
      "  get immut:HASH                      write it to standard output\n",
      to);
  fputs("  identity, ca, user                 keys and certificates: see locser identity --help\n",
        to);
  fputs("  invite, join                       into a closed overlay: see locser invite --help\n",
        to);
  fputs(
      "\n  --control PATH  control socket (else $LOCSER_CONTROL, else in the default data folder)\n"
      "  --json          print the answer as JSON\n"
      "  --trace         print each hop: number, Peer-ID, address, milliseconds\n"
      "  --expires S     seconds the contact (3600) or file (86400) lives\n\n"
      "exit status: 0 done, 1 nothing found or refused, 2 usage, 3 no locserd answers\n",
      to);
}

static int complain(const char *text, const char *word) {
  fprintf(stderr, "locser: %s%s%s; see locser --help\n", text, word != NULL ? ": " : "",
          word != NULL ? word : "");
  return CLI_USAGE;
}

static bool take_word(struct request *request, const char *word) {
  if (request->command == NULL) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
      if (strcmp(commands[i].name, word) == 0) request->command = &commands[i];
    return request->command != NULL;
  }
  if (request->words >= request->command->count) return false;
  request->word[request->words++] = word;
  return true;
}

static int read_options(struct request *request, int argc, char *const argv[]) {
  static const struct option known[] = {
      {"control", required_argument, NULL, 'c'},   {"json", no_argument, NULL, 'j'},
      {"trace", no_argument, NULL, 't'},           {"expires", required_argument, NULL, 'e'},
      {"immutable", required_argument, NULL, 'i'}, {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'v'},         {NULL, 0, NULL, 0},
  };
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, "-:h", known, NULL)) != -1;) {
    if (c == 'c') request->control = optarg;
    if (c == 'e') request->expires = optarg;
    if (c == 'i') request->immutable = optarg;
    if (c == 'j') request->json = true;
    if (c == 't') request->trace = true;
    if (c == 'h') request->help = true;
    if (c == 'v') request->version = true;
    if (c == ':') return complain("needs a value", argv[optind - 1]);
    if (c == '?') return complain("no such option", argv[optind - 1]);
    if (c == 1 && !take_word(request, optarg))
      return complain(request->command == NULL ? "no such command" : "one word too many", optarg);
  }
  for (; optind < argc; optind++) /* behind -- */
    if (!take_word(request, argv[optind])) return complain("not understood", argv[optind]);
  return CLI_DONE;
}

/* Does the command have all it needs, and nothing that is another's? */
static int check(struct request *request) {
  const struct command *command = request->command;
  if (command == NULL) return complain("say a command", NULL);
  if (request->immutable != NULL && (strcmp(command->name, "put") != 0 || request->words > 0))
    return complain("--immutable belongs to", "put, without URI and CONTACT");
  if (request->words < command->count && !command->optional && request->immutable == NULL)
    return complain("needs", command->words);
  if (request->trace && strcmp(command->name, "lookup") != 0)
    return complain("--trace belongs to", "lookup");
  if (request->expires != NULL && strcmp(command->name, "put") != 0)
    return complain("--expires belongs to", "put");
  if (request->expires != NULL &&
      (!slice_to_u64(slice_cstr(request->expires), INT32_MAX, &request->seconds) ||
       request->seconds == 0))
    return complain("--expires is a number of seconds, not", request->expires);
  return CLI_DONE;
}

static json_t *params_of(const struct request *request) {
  json_t *params = json_object();
  for (unsigned i = 0; i < request->words; i++)
    json_object_set_new(params, request->command->param[i], json_string(request->word[i]));
  if (request->trace) json_object_set_new(params, "trace", json_true());
  if (request->expires != NULL)
    json_object_set_new(params, "expires", json_integer((json_int_t)request->seconds));
  return params;
}

static void print(const struct request *request, const json_t *result) {
  if (request->json) {
    json_dumpf(result, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
  } else {
    cli_printer *printer = request->trace ? cli_print_hops : request->command->print;
    printer(stdout, result);
  }
}

static int watch(struct client_link *link, const struct request *request) {
  struct why why = {""};
  int status;
  json_t *result = client_call(link, "trace", NULL, &status, &why);
  if (result == NULL) {
    fprintf(stderr, "locser: %s\n", why.text);
    return CLI_NO_DAEMON;
  }
  json_decref(result);
  for (json_t *event; (event = client_next(link)) != NULL; json_decref(event)) {
    print(request, event);
    if (ferror(stdout)) break;
  }
  return CLI_DONE;
}

static int ask(struct client_link *link, const struct request *request) {
  if (request->immutable != NULL)
    return cli_put_immutable(link, request->immutable, request->seconds, request->json);
  if (strcmp(request->command->name, "get") == 0 && immutable_is_key(slice_cstr(request->word[0])))
    return cli_get_immutable(link, request->word[0], request->json);
  struct why why = {""};
  int status;
  json_t *result = client_call(link, request->command->name, params_of(request), &status, &why);
  if (result == NULL) {
    if (status > 0)
      fprintf(stderr, "locser: %s (%d)\n", why.text, status);
    else
      fprintf(stderr, "locser: %s\n", why.text);
    return status != 0 ? CLI_REFUSED : CLI_NO_DAEMON;
  }
  print(request, result);
  json_decref(result);
  return CLI_DONE;
}

int cli_run(int argc, char *const argv[], const char *version) {
  struct request request = {0};
  struct why why = {""};
  int status = read_options(&request, argc, argv);
  if (status != CLI_DONE) return status;
  if (request.help) {
    usage(stdout);
    return CLI_DONE;
  }
  if (request.version) {
    printf("locser %s\n", version);
    return CLI_DONE;
  }
  status = check(&request);
  if (status != CLI_DONE) return status;
  struct client_link *link = client_open(request.control, &why);
  if (link == NULL) {
    fprintf(stderr, "locser: %s\n", why.text);
    return CLI_NO_DAEMON;
  }
  bool watches = strcmp(request.command->name, "watch") == 0;
  status = watches ? watch(link, &request) : ask(link, &request);
  client_close(link);
  return status;
}
