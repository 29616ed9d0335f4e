#include "input/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yara.h>

#include "util/cleanup.h"
#include "util/text.h"

enum { MESSAGE_MAX = 160, NAME_MAX_SHOWN = 64 };

/* The first thing that the compiler complains about; the rest follows from it. */
struct complaint {
    bool is_set;
    bool is_include; /* an include was refused just now; the next message is about it */
    int line;
    char text[MESSAGE_MAX];
};

DEFINE_CLEANUP(YR_COMPILER *, yr_compiler_destroy)

static void rules_free(YR_RULES *rules)
{
    (void)yr_rules_destroy(rules); /* always succeeds */
}
DEFINE_CLEANUP(YR_RULES *, rules_free)

int input_setup(struct err *err)
{
    int r = yr_initialize();

    if (r != ERROR_SUCCESS)
        return err_set(err, ENOMEM, "libyara failed to start (%d)", r);
    return 0;
}

void input_teardown(void)
{
    (void)yr_finalize(); /* fails only without input_setup() */
}

/* Foreign text, harmless and cut. */
static void copy_escaped(char *to, size_t room, const char *text)
{
    cleanup_(buf_done) struct buf escaped = BUF_INIT(4 * room);

    text_escape(&escaped, text, room - 1);
    (void)text_copy(to, room, buf_text(&escaped)); /* a cut message is a message */
}

static void on_message(int level, const char *file, int line, const YR_RULE *rule, const char *message, void *closure)
{
    struct complaint *complaint = closure;

    (void)file; /* there is only one */
    (void)rule;
    if (level != YARA_ERROR_LEVEL_ERROR || complaint->is_set)
        return;
    complaint->is_set = true;
    complaint->line = line;
    copy_escaped(complaint->text, sizeof complaint->text, complaint->is_include ? "includes are not allowed" : message);
}

/* Refuses every include: the rule is sent as one text. */
static const char *on_include(const char *name, const char *file, const char *name_space, void *closure)
{
    struct complaint *complaint = closure;

    (void)name;
    (void)file;
    (void)name_space;
    complaint->is_include = true;
    return NULL;
}

static void on_include_free(const char *text, void *closure)
{
    (void)text; /* on_include() never gives any */
    (void)closure;
}

/* The API allows one rule that counts; helpers are private. */
CHECKED static int check_rules(const YR_RULES *rules, struct err *err)
{
    char names[2][NAME_MAX_SHOWN];
    const YR_RULE *rule;
    size_t n = 0;

    yr_rules_foreach(rules, rule)
    {
        if (RULE_IS_PRIVATE(rule))
            continue;
        if (n < ARRAY_SIZE(names))
            copy_escaped(names[n], sizeof names[n], rule->identifier);
        n++;
    }
    if (n == 0)
        return err_set(err, EINVAL, "there is no rule, or only private ones");
    if (n > 1)
        return err_set(err, EINVAL, "%zu rules (%s, %s%s): a hunt takes one, mark the helpers private", n, names[0],
                       names[1], n > 2 ? ", …" : "");
    return 0;
}

CHECKED static int compile_text(const char *text, struct err *err)
{
    cleanup_(yr_compiler_destroyp) YR_COMPILER *compiler = NULL;
    cleanup_(rules_freep) YR_RULES *rules = NULL;
    struct complaint complaint = { 0 };

    if (yr_compiler_create(&compiler) != ERROR_SUCCESS)
        return err_set(err, ENOMEM, "no memory for a rule compiler");
    yr_compiler_set_callback(compiler, on_message, &complaint);
    yr_compiler_set_include_callback(compiler, on_include, on_include_free, &complaint);
    if (yr_compiler_add_string(compiler, text, NULL) != 0 || complaint.is_set)
        return err_set(err, EINVAL, "line %d: %s", complaint.line,
                       complaint.is_set ? complaint.text : "libyara refuses the rule");
    if (yr_compiler_get_rules(compiler, &rules) != ERROR_SUCCESS)
        return err_set(err, ENOMEM, "no memory for a compiled rule");
    return check_rules(rules, err);
}

static int line_of(const char *text, const char *at)
{
    int line = 1;

    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

int input_rule_check(const char *text, size_t n, bool compile, struct err *err)
{
    cleanup_(freep) char *copy = NULL;
    const char *nul;

    if (n == 0)
        return err_set(err, EINVAL, "there is no rule");
    if (n > QUERY_RULE_MAX)
        return err_set(err, EINVAL, "a rule of %zu bytes: %d are allowed", n, QUERY_RULE_MAX);
    nul = memchr(text, '\0', n);
    if (nul)
        return err_set(err, EINVAL, "line %d: a NUL byte", line_of(text, nul));
    if (!compile)
        return 0;
    copy = strndup(text, n); /* libyara wants a NUL at the end */
    if (!copy)
        return err_set(err, ENOMEM, "no memory for a rule");
    return compile_text(copy, err);
}
