/* SPDX-License-Identifier: BSD-2-Clause */
/* The LOCSER request that benchmarks use: 832 bytes, 260 of them body, after two hops. */
#ifndef BENCH_SIP_SAMPLE_H
#define BENCH_SIP_SAMPLE_H

#include "base/slice.h"

#define SIP_SAMPLE_BODY                                     \
  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"          \
  "<methodCall>\r\n"                                        \
  " <methodName>get-auth</methodName>\r\n"                  \
  " <params>\r\n"                                           \
  "  <param>\r\n"                                           \
  "   <dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\">\r\n" \
  "    <key>sip:bob@biloxi.example.com</key>\r\n"           \
  "   </dhtRecord>\r\n"                                     \
  "  </param>\r\n"                                          \
  " </params>\r\n"                                          \
  "</methodCall>"

#define SIP_SAMPLE                                                                              \
  "LOCSER sip:bob@biloxi.example.com SIP/2.0\r\n"                                               \
  "Via: SIP/2.0/TCP 192.0.2.21:5060;branch=z9hG4bK7c1e4d0a9b3f5e2210;rport\r\n"                 \
  "Via: SIP/2.0/TCP 192.0.2.17:5060;branch=z9hG4bK0f9e8d7c6b5a4;received=192.0.2.17\r\n"        \
  "Overlay-Key: 125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9;overlay=example.com;deadline=3900\r\n" \
  "From: Alice <sip:alice@atlanta.example.com>;tag=2948351372\r\n"                              \
  "To: Bob <sip:bob@biloxi.example.com>\r\n"                                                    \
  "Call-ID: 12345601-6f1c2d8@atlanta.example.com\r\n"                                           \
  "CSeq: 1 LOCSER\r\n"                                                                          \
  "Max-Forwards: 69\r\n"                                                                        \
  "Accept: text/xml, application/xml\r\n"                                                       \
  "User-Agent: locser/0.1\r\n"                                                                  \
  "Content-Type: text/xml\r\n"                                                                  \
  "Content-Length: 260\r\n"                                                                     \
  "\r\n" SIP_SAMPLE_BODY

#endif
