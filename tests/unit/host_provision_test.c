/* SPDX-License-Identifier: BSD-2-Clause */
/* templates of settings, those in the program among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/provision_template.h"
#include "host/web_files.h"

static struct provision_values values(void) {
  return (struct provision_values){.mac = SLICE("00041312abef"),
                                   .address = SLICE("sip:b&b@example.net"),
                                   .user = SLICE("b&b"),
                                   .domain = SLICE("example.net"),
                                   .password = SLICE("p<\"'>w"),
                                   .host = SLICE("192.0.2.1"),
                                   .port = SLICE("5060")};
}

static bool fill(const char *text, const struct provision_values *with, bool xml, char *out,
                 size_t cap) {
  struct buf buf = buf_over(out, cap - 1);
  bool good = provision_fill(slice_cstr(text), with, xml, &buf);
  out[buf.len] = '\0';
  return good;
}

static void words_are_replaced(void **state) {
  (void)state;
  char out[128];
  struct provision_values with = values();
  assert_true(fill("a={user}@{domain};{host}:{port} {mac}", &with, false, out, sizeof out));
  assert_string_equal(out, "a=b&b@example.net;192.0.2.1:5060 00041312abef");
  assert_true(fill("<p>{password}</p>", &with, true, out, sizeof out));
  assert_string_equal(out, "<p>p&lt;&quot;&apos;&gt;w</p>");
  assert_true(fill("{ {} {A} {user", &with, false, out, sizeof out));
  assert_string_equal(out, "{ {} {A} {user");
}

/* A value with a line of its own would be a setting of its own. */
static void values_stay_values(void **state) {
  (void)state;
  char out[32];
  struct provision_values with = values();
  with.user = SLICE("bob\nadmin_password = x");
  assert_false(fill("{user}", &with, false, out, sizeof out));
  assert_false(fill("{user}", &with, true, out, sizeof out));
  with = values();
  with.mac = SLICE_EMPTY;
  assert_false(fill("{mac}.cfg", &with, false, out, sizeof out));
  assert_false(fill("{address}{address}", &with, false, out, sizeof out));
}

static void heads(void **state) {
  (void)state;
  struct provision_template template;
  struct why why = {""};
  assert_int_equal(provision_template_read(SLICE("# of ours\nvendor Acme 7\nname {mac}.cfg\r\n"
                                                 "type text/plain\ntell folder\nescape xml\n\nx"),
                                           &template, &why),
                   OK);
  assert_true(slice_equal(template.vendor, SLICE("Acme 7")));
  assert_true(slice_equal(template.name, SLICE("{mac}.cfg")));
  assert_true(template.folder && template.xml);
  assert_true(slice_equal(template.body, SLICE("x")));
  static const char *const bad[] = {"",
                                    "vendor a\nname b\ntype c\n",
                                    "vendor a\nname b\n\nx",
                                    "vendor a\nname b/c\ntype c\n\nx",
                                    "vendor a\nname b\ntype c\ntell me\n\nx",
                                    "vendor a\nname b\ntype c\ncolour red\n\nx",
                                    "vendor a\nname {who}\ntype c\n\nx",
                                    "vendor a\nname b\ntype c\n\n{passwd}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    why.text[0] = '\0';
    assert_int_equal(provision_template_read(slice_cstr(bad[i]), &template, &why), ERR_SYNTAX);
    assert_true(why.text[0] != '\0');
  }
}

static void those_in_the_program_are_good(void **state) {
  (void)state;
  static char out[PROVISION_SETTINGS_BYTES_MAX];
  assert_true(provision_file_count >= 3);
  for (size_t i = 0; i < provision_file_count; i++) {
    struct provision_template template;
    struct provision_values with = values();
    struct why why = {""};
    struct buf buf = buf_over(out, sizeof out);
    struct slice text = slice_of(provision_files[i].bytes, provision_files[i].len);
    assert_int_equal(provision_template_read(text, &template, &why), OK);
    assert_true(provision_fill(template.body, &with, template.xml, &buf));
    assert_int_equal(slice_find_byte(buf_slice(&buf), '{'), buf.len);
    assert_true(slice_find(buf_slice(&buf), SLICE("192.0.2.1")) < buf.len);
    if (template.xml) assert_int_equal(slice_find(buf_slice(&buf), SLICE("b&b")), buf.len);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_replaced),
      cmocka_unit_test(values_stay_values),
      cmocka_unit_test(heads),
      cmocka_unit_test(those_in_the_program_are_good),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
