#include "model/search.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

static const char *const kind_names[] = {
    [PATTERN_HEX] = "hex",
    [PATTERN_ASCII] = "ascii",
    [PATTERN_WIDE] = "wide",
};

const char *pattern_kind_name(enum pattern_kind kind)
{
    return kind_names[kind];
}

bool pattern_kind_parse(const char *name, size_t n, enum pattern_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
        if (strlen(kind_names[i]) != n || memcmp(kind_names[i], name, n) != 0)
            continue;
        *ret_kind = (enum pattern_kind)i;
        return true;
    }
    return false;
}

CHECKED static int clean_hex(const char *value, size_t n, struct buf *digits, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];

        if (isxdigit(c))
            buf_putc(digits, (char)tolower(c));
        else if (!isspace(c))
            return err_set(err, EINVAL, "a hex pattern has only hex digits, no wildcards");
    }
    if (digits->n % 2)
        return err_set(err, EINVAL, "a hex pattern has an even number of digits");
    return 0;
}

CHECKED static int clean_text(const char *value, size_t n, struct buf *text, struct err *err)
{
    if (memchr(value, '\0', n))
        return err_set(err, EINVAL, "a NUL byte in a text: give such a pattern as hex");
    if (!text_is_utf8(value, n))
        return err_set(err, EINVAL, "a text is UTF-8: give other bytes as hex");
    buf_append(text, value, n);
    return 0;
}

/* Bytes of `text`, which is UTF-8, in UTF-16: a character that takes four bytes here is a surrogate pair there. */
static size_t count_wide(const char *text, size_t n)
{
    size_t units = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        units += (c & 0xc0) != 0x80;
        units += c >= 0xf0;
    }
    return 2 * units;
}

/* Bytes that a clean value looks for. */
static size_t count_bytes(enum pattern_kind kind, const struct buf *value)
{
    if (kind == PATTERN_HEX)
        return value->n / 2;
    return kind == PATTERN_WIDE ? count_wide(buf_text(value), value->n) : value->n;
}

int pattern_clean(enum pattern_kind kind, const char *value, size_t n, struct buf *ret_value, struct err *err)
{
    size_t n_bytes;
    int r;

    if (n == 0)
        return err_set(err, EINVAL, "an empty pattern");
    if (n > SEARCH_VALUE_MAX)
        return err_set(err, EFBIG, "a pattern of more than %d bytes", SEARCH_VALUE_MAX);
    r = kind == PATTERN_HEX ? clean_hex(value, n, ret_value, err) : clean_text(value, n, ret_value, err);
    if (r == 0)
        r = buf_check(ret_value, err, "a pattern");
    if (r < 0)
        return r;
    n_bytes = count_bytes(kind, ret_value);
    if (n_bytes < SEARCH_PATTERN_MIN)
        return err_set(err, EINVAL, "a pattern of %zu bytes: at least %d are needed", n_bytes, SEARCH_PATTERN_MIN);
    return 0;
}

int search_add(struct search *search, enum pattern_kind kind, const char *value, size_t n, struct err *err)
{
    cleanup_(buf_done) struct buf clean = BUF_INIT(SEARCH_VALUE_MAX);
    struct pattern *grown;
    int r = pattern_clean(kind, value, n, &clean, err);

    if (r < 0)
        return r;
    if (search->n_patterns >= SEARCH_PATTERNS_MAX)
        return err_set(err, EINVAL, "more than %d patterns", SEARCH_PATTERNS_MAX);
    grown = reallocarray(search->patterns, search->n_patterns + 1, sizeof *grown);
    if (!grown)
        return err_set(err, ENOMEM, "no memory for a pattern");
    search->patterns = grown;
    grown[search->n_patterns++] = (struct pattern){ .kind = kind, .value = buf_take(&clean, NULL) };
    return 0;
}

void search_done(struct search *search)
{
    for (size_t i = 0; i < search->n_patterns; i++)
        free((char *)(uintptr_t)search->patterns[i].value); /* our own copy */
    free(search->patterns);
    *search = (struct search){ 0 };
}
