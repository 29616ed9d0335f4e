#include "util/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const struct {
    const char *name;
    uint64_t bytes;
} size_units[] = {
    /* clang-format off */
    { "", 1 }, { "B", 1 },
    { "K", KIB }, { "KB", KIB }, { "KiB", KIB },
    { "M", MIB }, { "MB", MIB }, { "MiB", MIB },
    { "G", GIB }, { "GB", GIB }, { "GiB", GIB },
    { "T", TIB }, { "TB", TIB }, { "TiB", TIB },
    /* clang-format on */
};

static const struct {
    const char *word;
    bool value;
} bools[] = {
    /* clang-format off */
    { "1", true }, { "yes", true }, { "true", true }, { "on", true },
    { "0", false }, { "no", false }, { "false", false }, { "off", false },
    /* clang-format on */
};

bool text_parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

/* The digits of "12" or "1.3" as a double; the end goes to *end, NULL when there is no such number. */
static double parse_decimal(const char *text, const char **end)
{
    double value = 0;
    double place = 1;
    const char *at = text;

    for (; isdigit((unsigned char)*at); at++)
        value = value * 10 + (*at - '0');
    if (at > text && *at == '.' && isdigit((unsigned char)at[1])) {
        for (at++; isdigit((unsigned char)*at); at++) {
            place /= 10;
            value += place * (*at - '0');
        }
    }
    *end = at > text ? at : NULL;
    return value;
}

bool text_parse_bytes(const char *text, uint64_t max, uint64_t *ret_bytes)
{
    const char *unit;
    double number;

    if (text[strspn(text, "0123456789")] == '\0') /* exact beyond 2^53 */
        return text_parse_u64(text, max, ret_bytes);
    number = parse_decimal(text, &unit);
    if (!unit)
        return false;
    if (*unit == ' ')
        unit++;
    for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
        double bytes = number * (double)size_units[i].bytes;

        if (strcasecmp(unit, size_units[i].name) != 0)
            continue;
        if (bytes > (double)max || bytes >= 9.2e18)
            return false;
        *ret_bytes = (uint64_t)llround(bytes);
        return true;
    }
    return false;
}

bool text_parse_date(const char *text, int64_t *ret_s)
{
    struct tm tm = { 0 };
    struct tm back;
    time_t s;
    int n = 0;

    if (strlen(text) != strlen("YYYY-MM-DD") || (text[4] != '-' && text[4] != '/') || text[7] != text[4])
        return false;
    for (int i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !isdigit((unsigned char)text[i]))
            return false;
    if (sscanf(text, "%4d%*1c%2d%*1c%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &n) != 3 || n != 10)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    back = tm;
    s = timegm(&back);
    if (s < 0 || back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday)
        return false;
    *ret_s = s;
    return true;
}

bool text_parse_bool(const char *text, bool *ret_value)
{
    for (size_t i = 0; i < ARRAY_SIZE(bools); i++) {
        if (strcasecmp(text, bools[i].word) == 0) {
            *ret_value = bools[i].value;
            return true;
        }
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool text_parse_hex(const char *text, uint8_t *ret_bytes, size_t n)
{
    for (size_t i = 0; i < 2 * n; i++)
        if (hex_digit(text[i]) < 0)
            return false;
    if (text[2 * n])
        return false;
    for (size_t i = 0; i < n; i++)
        ret_bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return true;
}

void text_format_hex(const uint8_t *bytes, size_t n, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * n] = '\0';
}

/* The code point of a valid sequence. */
static uint32_t code_point(const unsigned char *s, size_t n)
{
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);

    for (size_t i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3f);
    return code;
}

/* Bytes of the valid UTF-8 sequence at `s` (RFC 3629: shortest form, no surrogates), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t code;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    code = code_point(s, n);
    if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return n;
}

bool text_is_utf8(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t at = 0, step; at < n; at += step) {
        step = utf8_sequence(s + at, n - at);
        if (step == 0)
            return false;
    }
    return true;
}

size_t text_bom(const char *text, size_t n)
{
    static const char mark[] = "\xef\xbb\xbf";

    return n >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0 ? sizeof mark - 1 : 0;
}

/* What must not reach a terminal or a file name: control characters, and what is invisible or turns the direction of
 * writing (Unicode 15, general categories Cc, Zl, Zp, and the members of Cf that lie about the order of text). */
static const struct {
    uint32_t first;
    uint32_t last;
} harmful[] = {
    { 0x00, 0x1f }, { 0x7f, 0x9f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
};

static bool is_harmful(const unsigned char *s, size_t n)
{
    uint32_t code = code_point(s, n);

    for (size_t i = 0; i < ARRAY_SIZE(harmful); i++)
        if (code >= harmful[i].first && code <= harmful[i].last)
            return true;
    return false;
}

bool text_is_line(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = strlen(text);

    for (size_t at = 0, step; at < n; at += step) {
        step = utf8_sequence(s + at, n - at);
        if (step == 0 || is_harmful(s + at, step))
            return false;
    }
    return true;
}

static void escape(struct buf *buf, const char *text, size_t max, char also)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = strnlen(text, max);

    for (size_t at = 0, step; at < n; at += step) {
        bool is_plain;

        step = utf8_sequence(s + at, n - at);
        is_plain = step > 0 && !is_harmful(s + at, step) && s[at] != '\\' && (!also || s[at] != (unsigned char)also);
        if (step == 0)
            step = 1;
        if (is_plain)
            buf_append(buf, s + at, step);
        for (size_t i = 0; !is_plain && i < step; i++)
            buf_printf(buf, "\\x%02x", s[at + i]);
    }
}

void text_escape(struct buf *buf, const char *text, size_t max)
{
    escape(buf, text, max, '\0');
}

void text_quote(struct buf *buf, const char *text, size_t max)
{
    buf_putc(buf, '"');
    escape(buf, text, max, '"');
    buf_putc(buf, '"');
}

void text_json_ascii(struct buf *buf, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t at = 0, step; at < n; at += step) {
        uint32_t code;

        step = utf8_sequence(s + at, n - at);
        code = step > 1 ? code_point(s + at, step) : s[at];
        if (step <= 1) {
            step = s[at] == '\\' && n - at > 1 ? 2 : 1;
            buf_append(buf, s + at, step);
        } else if (code > 0xffff) {
            code -= 0x10000;
            buf_printf(buf, "\\u%04x\\u%04x", 0xd800 | code >> 10, 0xdc00 | (code & 0x3ff));
        } else {
            buf_printf(buf, "\\u%04x", code);
        }
    }
}

void text_component(const char *text, char *ret_text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    size_t n = 0;

    while (left > 0) {
        size_t step = utf8_sequence(s, left);
        bool ok = step > 0 && !is_harmful(s, step) && *s != '/' && !(*s == '.' && n == 0);

        if (step == 0)
            step = 1;
        if (n + step > TEXT_COMPONENT_MAX)
            break;
        if (ok)
            memcpy(ret_text + n, s, step);
        else
            ret_text[n] = '_';
        n += ok ? step : 1;
        s += step;
        left -= step;
    }
    if (n == 0)
        ret_text[n++] = '_';
    ret_text[n] = '\0';
}

bool text_copy(char *to, size_t room, const char *from)
{
    size_t n = strnlen(from, room);
    bool fits = n < room;

    if (!fits)
        n = room - 1;
    memcpy(to, from, n);
    to[n] = '\0';
    return fits;
}

bool text_has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text);
    size_t m = strlen(suffix);

    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

char *text_trim(char *text)
{
    size_t n;

    while (*text && strchr(" \t\r\n", *text))
        text++;
    for (n = strlen(text); n > 0 && strchr(" \t\r\n", text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}
