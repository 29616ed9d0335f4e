/*
 * Hash lists, as people and sha256sum(1) write them. One line is one hash, whatever stands behind it; a hash of another
 * kind is named as such, since that is the mistake that is made.
 */
#include "input/input_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

enum { LINE_SHOWN = 40 };

/* Hex digits of hashes that MalQuery does not know samples by. */
static const struct {
    size_t n;
    const char *name;
} other_hashes[] = {
    { 32, "an MD5" }, { 40, "a SHA-1" }, { 56, "a SHA-224" }, { 96, "a SHA-384" }, { 128, "a SHA-512" }
};

static size_t count_hex(const char *text, size_t n)
{
    size_t i = 0;

    while (i < n && isxdigit((unsigned char)text[i]))
        i++;
    return i;
}

static int refuse(const char *line, size_t n, int number, struct err *err)
{
    cleanup_(buf_done) struct buf shown = BUF_INIT(4 * LINE_SHOWN);
    char cut[LINE_SHOWN + 1];
    size_t n_hex = count_hex(line, n);

    for (size_t i = 0; n_hex == n && i < ARRAY_SIZE(other_hashes); i++)
        if (other_hashes[i].n == n)
            return err_set(err, EINVAL, "line %d: %zu hex digits are %s; samples are known by their SHA-256", number, n,
                           other_hashes[i].name);
    if (n > LINE_SHOWN)
        n = LINE_SHOWN;
    memcpy(cut, line, n);
    cut[n] = '\0';
    text_escape(&shown, cut, n);
    return err_set(err, EINVAL, "line %d: '%s' is no SHA-256", number, buf_text(&shown));
}

/* "SHA256 (name) = <hash>", as `sha256sum --tag` writes it: the hash is the last word. */
static void skip_tag(const char **line, size_t *n)
{
    static const char tag[] = "SHA256 (";

    if (*n < sizeof tag - 1 + DIGEST_TEXT || memcmp(*line, tag, sizeof tag - 1) != 0)
        return;
    *line += *n - DIGEST_TEXT;
    *n = DIGEST_TEXT;
}

static bool parse_line(const char *line, size_t n, struct digest *ret_digest)
{
    char hex[DIGEST_TEXT + 1];

    skip_tag(&line, &n);
    if (n > 0 && (*line == '*' || *line == '\\')) { /* sha256sum escapes a name with a newline so */
        line++;
        n--;
    }
    if (n < DIGEST_TEXT || (n > DIGEST_TEXT && !input_is_blank(line[DIGEST_TEXT]) && line[DIGEST_TEXT] != '#'))
        return false;
    memcpy(hex, line, DIGEST_TEXT);
    hex[DIGEST_TEXT] = '\0';
    return digest_parse(hex, ret_digest);
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(((const struct digest *)a)->bytes, ((const struct digest *)b)->bytes, DIGEST_BYTES);
}

/* Equal neighbours become one; returns how many are left. */
static size_t unique(struct digest *sorted, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (kept == 0 || compare_digests(&sorted[kept - 1], &sorted[i]) != 0)
            sorted[kept++] = sorted[i];
    return kept;
}

/* Keeps the first of each: sorted once beside, so that a long list costs no square. */
static int drop_duplicates(struct input_hashes *hashes, struct err *err)
{
    cleanup_(freep) struct digest *sorted = reallocarray(NULL, hashes->n, sizeof *sorted);
    cleanup_(freep) bool *is_seen = calloc(hashes->n, sizeof *is_seen);
    size_t n_sorted;
    size_t kept = 0;

    if (!sorted || !is_seen)
        return err_set(err, ENOMEM, "no memory for a list");
    memcpy(sorted, hashes->digests, hashes->n * sizeof *sorted);
    qsort(sorted, hashes->n, sizeof *sorted, compare_digests);
    n_sorted = unique(sorted, hashes->n);
    for (size_t i = 0; i < hashes->n; i++) {
        const struct digest *found = bsearch(&hashes->digests[i], sorted, n_sorted, sizeof *sorted, compare_digests);

        if (!found || is_seen[found - sorted]) /* each is there: they were copied */
            continue;
        is_seen[found - sorted] = true;
        hashes->digests[kept++] = hashes->digests[i];
    }
    hashes->n = kept;
    return 0;
}

static int add(struct input_hashes *hashes, size_t *room, const struct digest *digest, struct err *err)
{
    if (hashes->n == INPUT_HASHES_MAX)
        return err_set(err, EFBIG, "more than %d hashes", INPUT_HASHES_MAX);
    if (hashes->n == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct digest *grown = reallocarray(hashes->digests, more, sizeof *grown);

        if (!grown)
            return err_set(err, ENOMEM, "no memory for a list");
        hashes->digests = grown;
        *room = more;
    }
    hashes->digests[hashes->n++] = *digest;
    return 0;
}

int input_hashes(const char *text, size_t n, struct input_hashes *ret_hashes, struct err *err)
{
    struct input_lines lines = input_lines(text, n);
    struct input_hashes hashes = { 0 };
    struct digest digest;
    size_t room = 0;
    const char *line;
    size_t line_n;
    int r = 0;

    while (r == 0 && input_next_line(&lines, &line, &line_n)) {
        if (line_n == 0 || *line == '#')
            continue;
        r = parse_line(line, line_n, &digest) ? add(&hashes, &room, &digest, err)
                                              : refuse(line, line_n, lines.number, err);
    }
    if (r == 0 && hashes.n == 0)
        r = err_set(err, EINVAL, "a list without any hash");
    if (r == 0)
        r = drop_duplicates(&hashes, err);
    if (r < 0)
        free(hashes.digests);
    else
        *ret_hashes = hashes;
    return r;
}
