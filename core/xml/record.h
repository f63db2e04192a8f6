/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to core/xml: the rules that read a dhtRecord wherever one may stand. */
#ifndef XML_RECORD_H
#define XML_RECORD_H

#include "xml/reader.h"

/* In any place of `parents`. */
#define XML_RECORD_SPACES (NS_NONE | NS_DHT)
#define XML_KEYINFO_SPACES (NS_NONE | NS_DHT | NS_DSIG)

void record_start(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes);
void record_end(struct xml_reader *r, const struct rule *rule, struct slice text);
void record_start_key(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes);
void record_end_key(struct xml_reader *r, const struct rule *rule, struct slice text);
void record_start_value(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes);
void record_end_value(struct xml_reader *r, const struct rule *rule, struct slice text);
void record_end_value_digest(struct xml_reader *r, const struct rule *rule, struct slice text);
void record_end_key_value(struct xml_reader *r, const struct rule *rule, struct slice text);
void record_end_owner(struct xml_reader *r, const struct rule *rule, struct slice text);

/* clang-format off */
#define XML_RECORD_RULES(parents)                                                                 \
  {parents, XML_RECORD_SPACES, "dhtRecord", EL_RECORD, false, 0, record_start, record_end},       \
  {IN(EL_RECORD), XML_RECORD_SPACES, "key", EL_KEY, true, 0, record_start_key, record_end_key},   \
  {IN(EL_KEY), XML_RECORD_SPACES, "string", EL_SCALAR, true, 0, NULL, record_end_key},            \
  {IN(EL_RECORD), XML_RECORD_SPACES, "value", EL_VALUE, false, 0, record_start_value,             \
   record_end_value},                                                                             \
  {IN(EL_VALUE), XML_KEYINFO_SPACES, "DigestValue", EL_SCALAR, true, 0, NULL,                     \
   record_end_value_digest},                                                                      \
  {IN(EL_RECORD), XML_KEYINFO_SPACES, "KeyInfo", EL_KEY_INFO, false, 0, NULL, NULL},              \
  {IN(EL_KEY_INFO), XML_KEYINFO_SPACES, "KeyValue", EL_KEY_VALUE, true, 0, NULL,                  \
   record_end_key_value},                                                                         \
  {IN(EL_KEY_VALUE), XML_KEYINFO_SPACES, "DigestValue", EL_SCALAR, true, 0, NULL, record_end_owner}
/* clang-format on */

#endif
