#include "engine/engine_pattern.h"

#include <errno.h>
#include <string.h>

#include "util/text.h"

enum { SCAN_CHUNK = 64 * 1024 }; /* bytes; stays in the cache of a core, and malloc() maps no memory for it */

typedef int decode_function(const char *value, struct engine_bytes *bytes, struct err *err);

CHECKED static int decode_hex(const char *value, struct engine_bytes *bytes, struct err *err)
{
    size_t n = strlen(value);

    if (n % 2 != 0)
        return err_set(err, EINVAL, "hex pattern has an odd number of digits");
    if (!text_parse_hex(value, bytes->data, n / 2))
        return err_set(err, EINVAL, "hex pattern has a character that is no hex digit");
    bytes->n = n / 2;
    return 0;
}

CHECKED static int decode_ascii(const char *value, struct engine_bytes *bytes, struct err *err)
{
    (void)err; /* every text is fine */
    bytes->n = strlen(value);
    memcpy(bytes->data, value, bytes->n);
    return 0;
}

/* The next code point of valid UTF-8 (the JSON parser saw to that); moves *at behind it. */
static uint32_t next_code(const char **at)
{
    const unsigned char *s = (const unsigned char *)*at;
    int n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);

    for (int i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3f);
    *at += n;
    return code;
}

static void put_unit(struct engine_bytes *bytes, uint32_t unit)
{
    bytes->data[bytes->n++] = (uint8_t)unit;
    bytes->data[bytes->n++] = (uint8_t)(unit >> 8);
}

CHECKED static int decode_wide(const char *value, struct engine_bytes *bytes, struct err *err)
{
    if (!text_is_utf8(value, strlen(value)))
        return err_set(err, EINVAL, "wide pattern is not UTF-8");
    while (*value) {
        uint32_t code = next_code(&value);

        if (code >= 0x10000) {
            put_unit(bytes, 0xd800 + ((code - 0x10000) >> 10));
            put_unit(bytes, 0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            put_unit(bytes, code);
        }
    }
    return 0;
}

static const struct {
    const char *type;
    decode_function *decode;
} kinds[] = {
    { "hex", decode_hex },
    { "ascii", decode_ascii },
    { "wide", decode_wide },
};

int engine_pattern_decode(const char *type, const char *value, struct engine_bytes *ret_bytes, struct err *err)
{
    cleanup_(engine_bytes_done) struct engine_bytes bytes = { 0 };
    decode_function *decode = NULL;
    size_t n = strlen(value);
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strcmp(type, kinds[i].type) == 0)
            decode = kinds[i].decode;
    if (!decode)
        return err_set(err, EINVAL, "pattern type is not hex, ascii or wide");
    if (n / 2 > ENGINE_PATTERN_MAX)
        return err_set(err, EINVAL, "pattern is longer than %d bytes", ENGINE_PATTERN_MAX);
    bytes.data = malloc(2 * n + 1); /* wide needs twice the text */
    if (!bytes.data)
        return err_set(err, ENOMEM, "no memory for a pattern");
    r = decode(value, &bytes, err);
    if (r < 0)
        return r;
    if (bytes.n < ENGINE_PATTERN_MIN)
        return err_set(err, EINVAL, "pattern is shorter than %d bytes", ENGINE_PATTERN_MIN);
    if (bytes.n > ENGINE_PATTERN_MAX)
        return err_set(err, EINVAL, "pattern is longer than %d bytes", ENGINE_PATTERN_MAX);
    *ret_bytes = bytes;
    bytes = (struct engine_bytes){ 0 };
    return 0;
}

void engine_bytes_done(struct engine_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct engine_bytes){ 0 };
}

/* A window of SCAN_CHUNK new bytes behind the last `n_keep` old ones, so that no match is cut. */
struct window {
    uint8_t *data;
    size_t n;
    size_t n_keep;
    int64_t offset; /* in the file, of the next read */
};

/* 1 new bytes are there, 0 the end. */
CHECKED static int slide(struct window *window, int fd, struct err *err)
{
    size_t kept = window->n < window->n_keep ? window->n : window->n_keep;
    ssize_t n;

    memmove(window->data, window->data + window->n - kept, kept);
    do
        n = pread(fd, window->data + kept, SCAN_CHUNK, window->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "read");
    window->n = kept + (size_t)n;
    window->offset += n;
    return n > 0;
}

static size_t count_found(const struct window *window, const struct engine_bytes *patterns, size_t n, bool *found)
{
    size_t n_found = 0;

    for (size_t i = 0; i < n; i++) {
        found[i] = found[i] || memmem(window->data, window->n, patterns[i].data, patterns[i].n);
        n_found += found[i];
    }
    return n_found;
}

int engine_pattern_scan(int fd, const struct engine_bytes *patterns, size_t n, atomic_bool *stop, bool *ret_match,
                        struct err *err)
{
    cleanup_(freep) uint8_t *data = NULL;
    bool found[ENGINE_PATTERNS_MAX] = { false };
    struct window window = { 0 };
    int r;

    assert(n <= ENGINE_PATTERNS_MAX);
    for (size_t i = 0; i < n; i++)
        if (patterns[i].n - 1 > window.n_keep)
            window.n_keep = patterns[i].n - 1;
    data = malloc(SCAN_CHUNK + window.n_keep);
    if (!data)
        return err_set(err, ENOMEM, "no memory to scan a file");
    window.data = data;
    *ret_match = n == 0;
    while (!*ret_match && (r = slide(&window, fd, err)) != 0) {
        if (r < 0)
            return r;
        if (atomic_load(stop))
            return err_set(err, ECANCELED, "stopping");
        *ret_match = count_found(&window, patterns, n, found) == n;
    }
    return 0;
}

void engine_pattern_rule(const struct engine_bytes *patterns, size_t n, struct buf *rule)
{
    buf_puts(rule, "rule binarly_exact_search\n{\n    meta:\n        description = \"Exact search\"\n    strings:\n");
    for (size_t i = 0; i < n; i++) {
        buf_puts(rule, "        $ = {");
        for (size_t k = 0; k < patterns[i].n; k++)
            buf_printf(rule, " %02x", patterns[i].data[k]);
        buf_puts(rule, " }\n");
    }
    buf_puts(rule, "    condition:\n        all of them\n}\n");
}
