/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/provision.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/web_files.h"

#define PATH_BYTES 4096
#define NAME_BYTES 128u

struct provision {
  char *data;
  struct provision_template template[PROVISION_TEMPLATES_MAX];
  char *text[PROVISION_TEMPLATES_MAX]; /* owned; of a folder's templates */
  unsigned templates;
  struct provision_account *account; /* without passwords */
  unsigned accounts;
  char host[64], port[8], base[256];
};

/* ---- templates ---- */

static enum err add(struct provision *provision, const char *name, struct slice text,
                    struct why *why) {
  struct why reason = {""};
  if (provision->templates == PROVISION_TEMPLATES_MAX)
    return why_say(why, ERR_LIMIT, "provision-templates: more than %u", PROVISION_TEMPLATES_MAX);
  enum err err = provision_template_read(text, &provision->template[provision->templates], &reason);
  if (err != OK) return why_say(why, err, "provision-templates: %s: %s", name, reason.text);
  provision->templates++;
  return OK;
}

static bool is_template(const char *name) {
  size_t len = strlen(name);
  return name[0] != '.' && len > 3 && strcmp(name + len - 3, ".in") == 0;
}

static enum err add_file(struct provision *provision, const char *folder, const char *name,
                         struct why *why) {
  char path[PATH_BYTES];
  char *text = host_take(PROVISION_TEMPLATE_BYTES_MAX);
  size_t len = 0;
  FILE *file = snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path
                   ? fopen(path, "re")
                   : NULL;
  if (file != NULL) {
    len = fread(text, 1, PROVISION_TEMPLATE_BYTES_MAX, file);
    fclose(file);
  }
  enum err err = file == NULL || len == PROVISION_TEMPLATE_BYTES_MAX
                     ? why_say(why, ERR_IO,
                               "provision-templates: %s/%s cannot be read, or is longer "
                               "than %u bytes",
                               folder, name, PROVISION_TEMPLATE_BYTES_MAX)
                     : add(provision, name, slice_of(text, len), why);
  if (err == OK)
    provision->text[provision->templates - 1] = text;
  else
    free(text);
  return err;
}

static enum err load_templates(struct provision *provision, const char *folder, struct why *why) {
  enum err err = OK;
  if (*folder == '\0') {
    for (size_t i = 0; err == OK && i < provision_file_count; i++)
      err = add(provision, provision_files[i].name,
                slice_of(provision_files[i].bytes, provision_files[i].len), why);
    return err;
  }
  DIR *all = opendir(folder);
  if (all == NULL)
    return why_say(why, ERR_IO, "provision-templates %s: %s", folder, strerror(errno));
  for (struct dirent *entry; err == OK && (entry = readdir(all)) != NULL;)
    if (is_template(entry->d_name)) err = add_file(provision, folder, entry->d_name, why);
  closedir(all);
  if (err == OK && provision->templates == 0)
    return why_say(why, ERR_NOT_FOUND, "provision-templates %s: no file *.in is there", folder);
  return err;
}

/* ---- accounts ---- */

static void take_account(void *context, const struct provision_account *account) {
  struct provision *provision = context;
  struct provision_account *kept = &provision->account[provision->accounts++];
  *kept = *account;
  explicit_bzero(kept->password, sizeof kept->password);
}

void provision_renew(struct provision *provision) {
  provision->accounts = 0;
  (void)provision_each(provision->data, take_account, provision);
}

enum err provision_new(const char *data, const char *templates, struct provision **out,
                       struct why *why) {
  struct provision *provision = host_take(sizeof *provision);
  size_t len = strlen(data) + 1;
  provision->data = memcpy(host_take(len), data, len);
  provision->account = host_take(PROVISION_WAITING_MAX * sizeof *provision->account);
  *out = provision;
  enum err err = load_templates(provision, templates, why);
  if (err == OK) provision_renew(provision);
  return err;
}

void provision_free(struct provision *provision) {
  if (provision == NULL) return;
  for (unsigned i = 0; i < PROVISION_TEMPLATES_MAX; i++) free(provision->text[i]);
  free(provision->account);
  free(provision->data);
  free(provision);
}

unsigned provision_waiting(const struct provision *provision) {
  return provision != NULL ? provision->accounts : 0;
}

void provision_at(struct provision *provision, const struct endpoint *sip, const char *base) {
  struct buf host = buf_over(provision->host, sizeof provision->host - 1);
  endpoint_put_host(&host, sip);
  provision->host[host.len] = '\0';
  snprintf(provision->port, sizeof provision->port, "%u", sip->port);
  snprintf(provision->base, sizeof provision->base, "%s", base);
}

const char *provision_base(const struct provision *provision) {
  return provision != NULL ? provision->base : "";
}

/* ---- what phones ask ---- */

static void forget(struct provision *provision, struct provision_account *account) {
  *account = provision->account[--provision->accounts];
}

static bool is_over(const struct provision_account *account) {
  return account->until_s <= (int64_t)(clock_wall() / 1000);
}

static struct provision_values values_of(const struct provision *provision,
                                         const struct provision_account *account) {
  struct slice address = slice_cstr(account->address), user = address;
  (void)slice_take(&user, SLICE("sip:"));
  struct slice domain = user;
  user = slice_take_until(&domain, '@');
  return (struct provision_values){.mac = slice_cstr(account->mac),
                                   .address = address,
                                   .user = user,
                                   .domain = slice_skip(domain, 1),
                                   .password = slice_cstr(account->password),
                                   .host = slice_cstr(provision->host),
                                   .port = slice_cstr(provision->port)};
}

bool provision_url(struct provision *provision, struct slice vendor, const char *mac,
                   char out[PROVISION_URL_BYTES]) {
  const struct provision_template *template = NULL;
  const struct provision_account *account = NULL;
  for (unsigned i = 0; i < provision->templates; i++)
    if (slice_equal_nocase(provision->template[i].vendor, vendor))
      template = &provision->template[i];
  for (unsigned i = 0; i < provision->accounts; i++)
    if (strcmp(provision->account[i].mac, mac) == 0 && !is_over(&provision->account[i]))
      account = &provision->account[i];
  if (template == NULL || account == NULL || provision->base[0] == '\0') return false;
  struct provision_values values = values_of(provision, account);
  struct buf url = buf_over(out, PROVISION_URL_BYTES);
  buf_put_cstr(&url, provision->base);
  buf_put_cstr(&url, account->key);
  buf_put_char(&url, '/');
  bool good = template->folder || provision_fill(template->name, &values, false, &url);
  buf_put_char(&url, '\0');
  return good && !url.overflow;
}

/* Which template makes a file of this name for this account? NULL: none. */
static const struct provision_template *template_for(const struct provision *provision,
                                                     const struct provision_values *values,
                                                     struct slice name) {
  for (unsigned i = 0; i < provision->templates; i++) {
    char text[NAME_BYTES];
    struct buf made = buf_over(text, sizeof text);
    if (provision_fill(provision->template[i].name, values, false, &made) &&
        slice_equal_nocase(buf_slice(&made), name))
      return &provision->template[i];
  }
  return NULL;
}

/* The time that it takes does not tell how much of a key was right. */
static struct provision_account *find(struct provision *provision, struct slice key) {
  struct provision_account *found = NULL;
  for (unsigned i = 0; key.len == PROVISION_KEY_DIGITS && i < provision->accounts; i++) {
    unsigned differs = 0;
    for (size_t j = 0; j < PROVISION_KEY_DIGITS; j++)
      differs |= (unsigned)(key.at[j] ^ provision->account[i].key[j]);
    if (differs == 0) found = &provision->account[i];
  }
  return found;
}

enum err provision_take(struct provision *provision, struct slice path,
                        struct provision_settings *out) {
  memset(out, 0, sizeof *out);
  struct slice name = path, key = slice_take_until(&name, '/');
  struct provision_account *account = find(provision, key);
  if (account == NULL || name.len == 0) return ERR_NOT_FOUND;
  struct provision_values values = values_of(provision, account);
  const struct provision_template *template = template_for(provision, &values, slice_skip(name, 1));
  if (template == NULL) return ERR_NOT_FOUND;
  if (!provision_account_read(provision->data, account->key, &out->account) ||
      is_over(&out->account)) {
    (void)provision_remove(provision->data, account->key);
    forget(provision, account);
    return ERR_NOT_FOUND;
  }
  struct buf text = buf_over(host_take(PROVISION_SETTINGS_BYTES_MAX), PROVISION_SETTINGS_BYTES_MAX);
  values = values_of(provision, &out->account);
  enum err err = !provision_fill(template->body, &values, template->xml, &text) ? ERR_UNSUPPORTED
                 : !provision_remove(provision->data, out->account.key)         ? ERR_IO
                                                                                : OK;
  explicit_bzero(out->account.password, sizeof out->account.password);
  if (err != OK) {
    explicit_bzero(text.at, text.len);
    free(text.at);
    return err;
  }
  forget(provision, account);
  out->text = text.at;
  out->len = text.len;
  snprintf(out->type, sizeof out->type, "%.*s", SLICE_FMT(template->type));
  return OK;
}
