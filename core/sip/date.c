/* SPDX-License-Identifier: BSD-2-Clause */
/* SIP-date (RFC 3261 section 25.1): "Sat, 13 Nov 2010 23:29:00 GMT". */
#include "sip/print.h"

#define MS_PER_DAY ((msec_wall)86400000)

static void put_two(struct buf *out, uint64_t n) {
  buf_put_char(out, (char)('0' + n / 10 % 10));
  buf_put_char(out, (char)('0' + n % 10));
}

/* Days since 1970 to year, month and day, by years that begin in March (Hinnant, "chrono-compatible
 * low-level date algorithms"): the day that comes and goes is then the last of all. */
static void put_day(struct buf *out, uint64_t days) {
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  uint64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
  uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  uint64_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
  unsigned calendar = (unsigned)(month < 10 ? month + 2 : month - 10); /* 0: January */
  put_two(out, day);
  buf_put_char(out, ' ');
  buf_put_cstr(out, months[calendar]);
  buf_put_char(out, ' ');
  year += era * 400 + (calendar < 2);
  put_two(out, year / 100);
  put_two(out, year % 100);
}

void sip_put_date(struct buf *out, msec_wall wall) {
  static const char *const names[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  uint64_t days = wall / MS_PER_DAY, seconds = wall % MS_PER_DAY / 1000;
  buf_put_cstr(out, "Date: ");
  buf_put_cstr(out, names[days % 7]);
  buf_put_cstr(out, ", ");
  put_day(out, days);
  buf_put_char(out, ' ');
  put_two(out, seconds / 3600);
  buf_put_char(out, ':');
  put_two(out, seconds / 60 % 60);
  buf_put_char(out, ':');
  put_two(out, seconds % 60);
  buf_put_cstr(out, " GMT\r\n");
}
