#include "model/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [PATTERN_HEX] = "hex",
    [PATTERN_ASCII] = "ascii",
    [PATTERN_WIDE] = "wide",
};

int search_add(struct search *search, enum pattern_kind kind, const char *value, size_t n, struct err *err)
{
    struct pattern *grown;
    char *copy;

    if (n == 0)
        return err_set(err, EINVAL, "an empty pattern");
    if (n > SEARCH_VALUE_MAX)
        return err_set(err, EFBIG, "a pattern of more than %d bytes", SEARCH_VALUE_MAX);
    if (memchr(value, '\0', n))
        return err_set(err, EINVAL, "a NUL byte in a pattern: write it as hex");
    if (search->n_patterns >= SEARCH_PATTERNS_MAX)
        return err_set(err, EINVAL, "more than %d patterns", SEARCH_PATTERNS_MAX);
    grown = reallocarray(search->patterns, search->n_patterns + 1, sizeof *grown);
    copy = strndup(value, n);
    if (grown)
        search->patterns = grown;
    if (!grown || !copy) {
        free(copy);
        return err_set(err, ENOMEM, "no memory for a pattern");
    }
    search->patterns[search->n_patterns++] = (struct pattern){ .kind = kind, .value = copy };
    return 0;
}

void search_done(struct search *search)
{
    for (size_t i = 0; i < search->n_patterns; i++)
        free((char *)(uintptr_t)search->patterns[i].value); /* our own copy */
    free(search->patterns);
    *search = (struct search){ 0 };
}

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
