/* SPDX-License-Identifier: BSD-2-Clause */
/* Records as literals, in the layout of R-4.29, of one owner, with a signature that means nothing
 * until test_sign_records has put in that of the model (sim/record_model.h). */
#ifndef SUPPORT_RECORDS_H
#define SUPPORT_RECORDS_H

#include "base/crypto.h"

#define TEST_OWNER "0102030405060708090A0B0C0D0E0F1011121314"
#define TEST_OWNER_BASE64 "AQIDBAUGBwgJCgsMDQ4PEBESExQ="
#define TEST_EXCLUSIVE "http://www.w3.org/2001/10/xml-exc-c14n#"
#define TEST_DIGEST "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define TEST_REFERENCE(id)                                                                 \
  "<Reference URI=\"" id "\"><Transforms><Transform Algorithm=\"" TEST_EXCLUSIVE           \
  "\"/></Transforms><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>" \
  "<DigestValue>" TEST_DIGEST "</DigestValue></Reference>"
#define TEST_SIGNATURE                                                                         \
  "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><SignedInfo>"                       \
  "<CanonicalizationMethod Algorithm=\"" TEST_EXCLUSIVE                                        \
  "\"/>"                                                                                       \
  "<SignatureMethod "                                                                          \
  "Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256\"/>" TEST_REFERENCE("#One") \
      TEST_REFERENCE("#Two") "</SignedInfo><SignatureValue>" TEST_DIGEST                       \
                             "</SignatureValue><KeyInfo><X509Data>"                            \
                             "<X509Certificate>" TEST_OWNER_BASE64                             \
                             "</X509Certificate></X509Data></KeyInfo></Signature>"
#define TEST_RECORD_HEAD(key, expires, nonce, floor, removed, version)               \
  "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\">"                                 \
  "<key xmlns=\"urn:ietf:params:xml:ns:dht\" Id=\"One\">" key                        \
  "</key>"                                                                           \
  "<value xmlns=\"urn:ietf:params:xml:ns:dht\" "                                     \
  "xmlns:o=\"urn:ietf:params:xml:ns:p2p-sip:overlay\" Id=\"Two\" expires=\"" expires \
  "\" nonce=\"" nonce "\" o:floor=\"" floor "\" o:owner=\"" TEST_OWNER "\"" removed  \
  " o:version=\"" version "\">"
#define TEST_RECORD_TAIL "</value>" TEST_SIGNATURE "</dhtRecord>"
#define TEST_RECORD(key, expires, nonce, floor, version, content) \
  TEST_RECORD_HEAD(key, expires, nonce, floor, "", version) content TEST_RECORD_TAIL

/* Signs, in place, every record of the layout that stands in the text. */
void test_sign_records(const struct crypto *crypto, char *text, size_t len);

#endif
