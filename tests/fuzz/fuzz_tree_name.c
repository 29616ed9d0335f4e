/* Any bytes as the name of a file that a user makes, and as foreign text of which a name is made. */
#include <string.h>

#include "fuzz_check.h"

#include "tree/tree_internal.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A part of a final name is the name of a directory. */
static void check_final(enum store_dir dir, const struct user_name *name, const char *text)
{
    cleanup_(buf_done) struct buf whole = BUF_INIT(KIB);
    struct user_name again;

    check(name->base[0] && name->base[0] != '.' && text_is_line(name->base));
    check(user_name(dir, name->base, &again) != NAME_FINAL);
    buf_printf(&whole, "%s%s", name->base, name->suffix);
    check(strcmp(buf_text(&whole), text) == 0);
}

static void check_name(enum store_dir dir, const char *text)
{
    struct user_name name;
    struct err err = { 0 };

    switch (user_name(dir, text, &name)) {
    case NAME_FINAL:
        check_final(dir, &name, text);
        return;
    case NAME_DEFAULTS:
        check(strcmp(text, USER_DEFAULTS) == 0);
        return;
    case NAME_SCRATCH:
        check(!name.base[0]);
        return;
    case NAME_NONE:
        check(!name.base[0]);
        check(user_name_refuse(dir, text, &err) < 0 && err.code != 0 && text_is_line(err.text));
        return;
    }
}

static void check_component(const char *text)
{
    char name[TEXT_COMPONENT_MAX + 1];
    char again[TEXT_COMPONENT_MAX + 1];

    text_component(text, name);
    check(name[0] && name[0] != '.' && !strchr(name, '/') && text_is_line(name));
    text_component(name, again);
    check(strcmp(again, name) == 0);
}

/* What is shown of a name in an error, a list, a log. */
static void check_shown(const char *text)
{
    cleanup_(buf_done) struct buf shown = BUF_INIT(4 * TEXT_COMPONENT_MAX + 2);

    text_quote(&shown, text, TEXT_COMPONENT_MAX);
    check(shown.code == 0 && text_is_utf8(shown.data, shown.n) && !strpbrk(buf_text(&shown), "\n\r\t\x7f"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = strndup((const char *)data, n);

    check(text);
    for (enum store_dir dir = 0; dir <= STORE_DOWNLOADS; dir++)
        check_name(dir, text);
    check_component(text);
    check_shown(text);
    free(text);
    return 0;
}
