/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings for phones: the secret in the path is all that is asked for. */
#include "host/provision.h"

#include <stdlib.h>

#include "host/address.h"
#include "host/web_internal.h"

int web_provision(struct web_client *client, struct slice path, bool get) {
  struct web *web = client->web;
  struct provision_settings settings;
  char from[ADDRESS_TEXT_BYTES];
  web_http_free(client);
  if (!get) return web_http_refuse(client, 405, "GET, please.");
  enum err err = provision_take(web->setup.provision, path, &settings);
  if (err == ERR_NOT_FOUND) return web_http_refuse(client, 404, "Not found, or not any more.");
  if (err != OK) return web_http_refuse(client, 500, err_text(err));
  log_often(web->loop->log, LOG_PROVISION, TRACE_INFO,
            "provision: the settings of %s%s%s went to %s, once", settings.account.address,
            settings.account.mac[0] != '\0' ? " for phone " : "", settings.account.mac,
            address_text(&client->from, from));
  client->answer =
      (struct web_answer){.body = settings.text, .owned = settings.text, .len = settings.len};
  return web_http_serve(client, settings.type);
}

bool web_provision_base(const struct web *web, const struct endpoint *at, char *out, size_t cap) {
  const struct web_listener *best = NULL;
  for (unsigned i = 0; i < web_listen_count(web); i++)
    if (best == NULL || web->listener[i].secure) best = &web->listener[i];
  if (best == NULL) return false;
  struct endpoint place = best->at;
  char text[ADDRESS_TEXT_BYTES];
  if (endpoint_is_wildcard(&place)) {
    place = *at;
    place.port = best->at.port;
  }
  const struct setting_value *names = &web->setup.settings->value[SET_WEB_NAME];
  int len = best->secure && names->count > 0
                ? snprintf(out, cap, "https://%s:%u/provision/", names->text[0], place.port)
                : snprintf(out, cap, "%s://%s/provision/", best->secure ? "https" : "http",
                           address_text(&place, text));
  return len > 0 && (size_t)len < cap;
}
