/* SPDX-License-Identifier: BSD-2-Clause */
/* xs:dateTime in UTC, as has it: YYYY-MM-DDThh:mm:ss, at most three decimals, Z. */
#include "xml/body.h"

#define MS_PER_DAY ((msec_wall)86400000)
/* The last millisecond of the year 9999. */
#define TIME_MAX ((msec_wall)253402300799999)

/* Days from 1970-01-01 to a day of the Gregorian calendar, counted in years that begin in March,
 * so that the leap day is the last of its year. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day) {
  uint64_t y = month <= 2 ? year - 1 : year;
  uint64_t m = month <= 2 ? month + 9 : month - 3;
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_leap(uint64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static uint64_t days_in_month(uint64_t year, uint64_t month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static void put_digits(struct buf *out, uint64_t n, uint64_t unit) {
  for (; unit > 0; unit /= 10) buf_put_char(out, (char)('0' + n / unit % 10));
}

void xml_put_time(struct buf *out, msec_wall time) {
  if (time > TIME_MAX) time = TIME_MAX;
  uint64_t days = time / MS_PER_DAY, ms = time % MS_PER_DAY;
  uint64_t year = 1970 + days / 366; /* at or before the year sought */
  while (days_of(year + 1, 1, 1) <= days) year++;
  uint64_t month = 1;
  while (month < 12 && days_of(year, month + 1, 1) <= days) month++;
  put_digits(out, year, 1000);
  buf_put_char(out, '-');
  put_digits(out, month, 10);
  buf_put_char(out, '-');
  put_digits(out, days - days_of(year, month, 1) + 1, 10);
  buf_put_char(out, 'T');
  put_digits(out, ms / 3600000, 10);
  buf_put_char(out, ':');
  put_digits(out, ms / 60000 % 60, 10);
  buf_put_char(out, ':');
  put_digits(out, ms / 1000 % 60, 10);
  buf_put_char(out, '.');
  put_digits(out, ms % 1000, 100);
  buf_put_char(out, 'Z');
}

/* `digits` decimal digits at offset `at`, from low to high. */
static bool field(struct slice text, size_t at, size_t digits, uint64_t low, uint64_t high,
                  uint64_t *out) {
  struct slice s = slice_first(slice_skip(text, at), digits);
  return s.len == digits && slice_to_u64(s, high, out) && *out >= low;
}

/* ".5Z" -> 500, "Z" -> 0. */
static bool parse_fraction(struct slice text, uint64_t *ms) {
  *ms = 0;
  if (text.len == 1) return text.at[0] == 'Z';
  if (text.len < 3 || text.len > 5 || text.at[0] != '.' || text.at[text.len - 1] != 'Z')
    return false;
  uint64_t unit = 100;
  for (size_t i = 1; i + 1 < text.len; i++, unit /= 10) {
    if (text.at[i] < '0' || text.at[i] > '9') return false;
    *ms += unit * (uint64_t)(text.at[i] - '0');
  }
  return true;
}

bool xml_time_parse(struct slice text, msec_wall *out) {
  static const struct {
    size_t at;
    char c;
  } marks[] = {{4, '-'}, {7, '-'}, {10, 'T'}, {13, ':'}, {16, ':'}};
  uint64_t year, month, day, hour, minute, second, ms;
  if (text.len < 20) return false;
  for (unsigned i = 0; i < sizeof marks / sizeof *marks; i++)
    if (text.at[marks[i].at] != marks[i].c) return false;
  if (!field(text, 0, 4, 1970, 9999, &year) || !field(text, 5, 2, 1, 12, &month) ||
      !field(text, 8, 2, 1, days_in_month(year, month), &day) ||
      !field(text, 11, 2, 0, 23, &hour) || !field(text, 14, 2, 0, 59, &minute) ||
      !field(text, 17, 2, 0, 59, &second) || !parse_fraction(slice_skip(text, 19), &ms))
    return false;
  *out =
      days_of(year, month, day) * MS_PER_DAY + hour * 3600000 + minute * 60000 + second * 1000 + ms;
  return true;
}
