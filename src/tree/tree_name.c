/*
 * The names of the user's files. A final name can be submitted, and then its text goes to disk before anything else;
 * `.defaults` has the options of what is new; every other name is scratch of some editor, kept in memory and never
 * sent.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "util/text.h"

const struct user_dir user_dirs[] = {
    [STORE_HUNTS] = { .dir = STORE_HUNTS,
                      .suffixes = { ".yar", ".yara" },
                      .has_defaults = true,
                      .wants = "a rule's name ends in .yar or .yara" },
    [STORE_EXACT] = { .dir = STORE_EXACT,
                      .suffixes = { ".json", ".txt" },
                      .has_defaults = true,
                      .has_patterns = true,
                      .wants = "a search is a file *.txt or *.json, or made by mkdir 'ascii:…'" },
    [STORE_FUZZY] = { .dir = STORE_FUZZY,
                      .suffixes = { ".json", ".txt" },
                      .has_defaults = true,
                      .has_patterns = true,
                      .is_free = true,
                      .wants = "a search is a file *.txt or *.json, or made by mkdir 'ascii:…'" },
    [STORE_DOWNLOADS] = { .dir = STORE_DOWNLOADS,
                          .suffixes = { ".txt" },
                          .wants = "the name of a hash list ends in .txt" },
};

/* Temporary names of editors and tools. Any other name would swallow a text that its user believes to be submitted. */
static const struct {
    enum { MATCH_BEGIN, MATCH_END, MATCH_WHOLE } how;
    const char *text;
} scratch_names[] = {
    /* clang-format off */
    { MATCH_BEGIN, "." },    /* vim's swap files, rsync, emacs locks */
    { MATCH_BEGIN, "#" },    /* emacs auto-saves */
    { MATCH_BEGIN, "sed" },  /* sed -i */
    { MATCH_BEGIN, "XX" },   /* perl -i: mkstemp() of XXXXXXXX */
    { MATCH_BEGIN, "tmp" },  /* mkstemp of Python, mktemp(1) */
    { MATCH_WHOLE, "4913" }, /* vim's test of a directory */
    { MATCH_END, "~" },      /* backups */
    { MATCH_END, ".tmp" }, { MATCH_END, ".bak" }, { MATCH_END, ".new" }, { MATCH_END, ".swp" },
    /* clang-format on */
};

/* The suffix that makes a name final, in any case; NULL: it has none. */
static const char *final_suffix(enum store_dir dir, const char *name, size_t n)
{
    const char *const *suffixes = user_dirs[dir].suffixes;

    for (size_t i = 0; i < USER_SUFFIXES_MAX && suffixes[i]; i++) {
        size_t m = strlen(suffixes[i]);

        if (n > m && strncasecmp(name + n - m, suffixes[i], m) == 0)
            return name + n - m;
    }
    return NULL;
}

/* One of the above, or a name with something behind its suffix: "wiper.yar.X8fj2s". */
static bool is_scratch(enum store_dir dir, const char *name)
{
    const char *const *suffixes = user_dirs[dir].suffixes;

    for (size_t i = 0; i < ARRAY_SIZE(scratch_names); i++) {
        const char *text = scratch_names[i].text;
        bool matches[] = {
            [MATCH_BEGIN] = strncmp(name, text, strlen(text)) == 0,
            [MATCH_END] = text_has_suffix(name, text),
            [MATCH_WHOLE] = strcmp(name, text) == 0,
        };

        if (matches[scratch_names[i].how])
            return true;
    }
    for (size_t i = 0; i < USER_SUFFIXES_MAX && suffixes[i]; i++)
        if (strstr(name, suffixes[i]))
            return true;
    return false;
}

enum user_name_kind user_name(enum store_dir dir, const char *name, struct user_name *ret_name)
{
    size_t n = strlen(name);
    const char *suffix = final_suffix(dir, name, n);

    *ret_name = (struct user_name){ .kind = NAME_NONE, .suffix = "" };
    if (n == 0 || n > TREE_NAME_MAX)
        return NAME_NONE;
    if (user_dirs[dir].has_defaults && strcmp(name, USER_DEFAULTS) == 0) {
        ret_name->kind = NAME_DEFAULTS;
    } else if (name[0] == '.') { /* NOLINT(bugprone-branch-clone): the order decides */
        ret_name->kind = NAME_SCRATCH;
    } else if (suffix) {
        size_t base_n = (size_t)(suffix - name);

        /* One suffix: the directory of "a.yar.yar" would have the name of the file "a.yar". */
        if (n > STORE_NAME_MAX || !text_is_line(name) || final_suffix(dir, name, base_n))
            return NAME_NONE;
        memcpy(ret_name->base, name, base_n);
        ret_name->suffix = suffix;
        ret_name->kind = NAME_FINAL;
    } else if (is_scratch(dir, name)) {
        ret_name->kind = NAME_SCRATCH;
    }
    return ret_name->kind;
}

int user_name_refuse(enum store_dir dir, const char *name, struct err *err)
{
    size_t n = strlen(name);
    const char *suffix = final_suffix(dir, name, n);

    if (!suffix)
        return err_set(err, EINVAL, "%s", user_dirs[dir].wants);
    if (n > STORE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a name here has at most %d bytes", STORE_NAME_MAX);
    if (!text_is_line(name))
        return err_set(err, EINVAL, "a name here is printable UTF-8");
    return err_set(err, EINVAL, "a name here has one suffix");
}
