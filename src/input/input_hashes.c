/*
 * A list of hashes is often the output of a program, so its two forms of a line are understood beside the bare hash.
 * What stands behind a hash is passed over when it is a name or a comment, and refused when it could be something that
 * its author wanted to be read.
 */
#include "input/input_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

/* A hash and its place in the list. */
struct entry {
    struct digest digest;
    size_t place;
};

/* What else has hex digits only. */
static const struct {
    size_t n_digits;
    const char *name;
} other_sums[] = {
    { 32, "an MD5" }, { 40, "a SHA-1" }, { 56, "a SHA-224" }, { 96, "a SHA-384" }, { 128, "a SHA-512" },
};

/* ---- a line ---- */

/* Bytes of the word that the line begins with. */
static size_t word_length(const struct input_line *line)
{
    size_t n = 0;

    while (n < line->n && !input_text_is_blank(line->text[n]) && line->text[n] != '#')
        n++;
    return n;
}

/* The hash of "SHA256 (name) = hash". A name may hold anything, so the last ") = " is meant. */
static bool take_tagged(struct input_line *line)
{
    static const char before[] = "SHA256 (";
    static const char behind[] = ") = ";
    size_t n_before = sizeof before - 1;
    size_t n_behind = sizeof behind - 1;

    if (line->n < n_before || memcmp(line->text, before, n_before) != 0)
        return false;
    for (size_t at = line->n; at >= n_before + n_behind; at--) {
        if (memcmp(line->text + at - n_behind, behind, n_behind) != 0)
            continue;
        line->text += at;
        line->n -= at;
        return true;
    }
    return false;
}

/* A comment, nothing, or what sha256sum writes behind a hash without a tag: "  name", " *name". */
static bool is_tail(const struct input_line *tail, bool is_tagged)
{
    size_t n_blanks = 0;

    while (n_blanks < tail->n && input_text_is_blank(tail->text[n_blanks]))
        n_blanks++;
    if (n_blanks == tail->n || tail->text[n_blanks] == '#')
        return true;
    return !is_tagged && (n_blanks > 1 || (n_blanks == 1 && tail->text[1] == '*' && tail->n > 2));
}

/* The line begins with a word of `n` bytes that is no hash. */
CHECKED static int refuse_word(const struct input_line *line, size_t n, struct err *err)
{
    size_t n_digits = 0;

    while (n_digits < n && strchr("0123456789abcdefABCDEF", line->text[n_digits]))
        n_digits++;
    if (n_digits < n || n == 0)
        return input_text_refuse("", line->text, line->n, "this is no SHA-256", err);
    for (size_t i = 0; i < ARRAY_SIZE(other_sums); i++)
        if (other_sums[i].n_digits == n)
            return err_set(err, EINVAL, "%zu hex digits are %s; MalQuery knows samples by SHA-256", n,
                           other_sums[i].name);
    return err_set(err, EINVAL, "%zu hex digits: a SHA-256 has %d", n, DIGEST_TEXT);
}

/* The hash of a line that is neither blank nor a comment. */
CHECKED static int read_hash(struct input_line line, struct digest *ret_digest, struct err *err)
{
    char digits[DIGEST_TEXT + 1] = "";
    struct input_line tail;
    bool is_tagged;
    size_t n;

    if (*line.text == '\\' || *line.text == '*') { /* the name behind the hash has escapes; a file read as binary */
        line.text++;
        line.n--;
    }
    is_tagged = take_tagged(&line);
    n = word_length(&line);
    if (n == DIGEST_TEXT)
        memcpy(digits, line.text, n);
    if (!digest_parse(digits, ret_digest))
        return refuse_word(&line, n, err);
    tail = (struct input_line){ .text = line.text + n, .n = line.n - n };
    if (!is_tail(&tail, is_tagged))
        return err_set(err, EINVAL, "only a comment or, as sha256sum writes it, a name may follow a hash");
    return 0;
}

/* ---- the list ---- */

static int by_digest(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = digest_compare(&x->digest, &y->digest);

    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;

    return (x->place > y->place) - (x->place < y->place);
}

/* Keeps the first of equal hashes, in the order of the list; returns how many there are. */
static size_t remove_duplicates(struct entry *entries, size_t n)
{
    size_t n_kept = 0;

    qsort(entries, n, sizeof *entries, by_digest);
    for (size_t i = 0; i < n; i++)
        if (n_kept == 0 || !digest_equal(&entries[n_kept - 1].digest, &entries[i].digest))
            entries[n_kept++] = entries[i];
    qsort(entries, n_kept, sizeof *entries, by_place);
    return n_kept;
}

CHECKED static int read_lines(struct input_text text, struct entry *entries, size_t *ret_n, struct err *err)
{
    struct err why = { 0 };
    struct input_line line;
    size_t n = 0;
    int r;

    do {
        r = input_text_next(&text, &line, &why);
        if (r != 0 || line.n == 0 || *line.text == '#')
            continue;
        entries[n].place = n;
        r = read_hash(line, &entries[n++].digest, &why);
    } while (r == 0);
    if (r < 0)
        return input_text_blame(text.line, &why, err);
    *ret_n = n;
    return 0;
}

int input_hashes(const char *text, size_t n, struct input_hashes *ret_hashes, struct err *err)
{
    size_t room = n / DIGEST_TEXT + 1; /* no line with a hash is shorter; the last may turn out not to have one */
    cleanup_(freep) struct entry *entries = calloc(room, sizeof *entries);
    struct input_hashes hashes = { 0 };
    int r;

    if (!entries)
        return err_set(err, ENOMEM, "no memory for a list of hashes");
    r = read_lines(input_text_of(text, n), entries, &hashes.n, err);
    if (r < 0)
        return r;
    hashes.n = remove_duplicates(entries, hashes.n);
    if (hashes.n == 0)
        return err_set(err, EINVAL, "there are no hashes");
    if (hashes.n > INPUT_HASHES_MAX)
        return err_set(err, EFBIG, "%zu hashes: %d are allowed", hashes.n, INPUT_HASHES_MAX);
    hashes.digests = calloc(hashes.n, sizeof *hashes.digests);
    if (!hashes.digests)
        return err_set(err, ENOMEM, "no memory for a list of hashes");
    for (size_t i = 0; i < hashes.n; i++)
        hashes.digests[i] = entries[i].digest;
    *ret_hashes = hashes;
    return 0;
}
