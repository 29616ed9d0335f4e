#include "engine/engine_hunt.h"

#include <errno.h>
#include <stdio.h>

#include <yara.h>

struct engine_rules {
    YR_RULES *rules;
};

struct engine_scanner {
    YR_SCANNER *scanner;
    bool is_match;
};

static void compiler_freep(YR_COMPILER **compiler)
{
    if (*compiler)
        yr_compiler_destroy(*compiler);
}

CHECKED static int fail(struct err *err, int code, const char *what)
{
    int number = code == ERROR_INSUFFICIENT_MEMORY ? ENOMEM : code == ERROR_SCAN_TIMEOUT ? ETIMEDOUT : EIO;

    return err_set(err, number, "%s: libyara error %d", what, code);
}

int engine_hunt_start(struct err *err)
{
    int r = yr_initialize();

    return r == ERROR_SUCCESS ? 0 : fail(err, r, "start");
}

void engine_hunt_end(void)
{
    (void)yr_finalize(); /* the process is about to end */
}

/* Keeps the first error: the others often follow from it. */
static void on_message(int level, const char *file, int line, const YR_RULE *rule, const char *message, void *user_data)
{
    struct err *err = user_data;

    (void)file;
    (void)rule;
    if (level == YARA_ERROR_LEVEL_ERROR && err && err->code == 0)
        (void)err_set(err, EINVAL, "line %d: %s", line, message); /* returned by engine_rules_new() */
}

int engine_rules_new(const char *text, struct engine_rules **ret_rules, struct err *err)
{
    cleanup_(compiler_freep) YR_COMPILER *compiler = NULL;
    cleanup_(engine_rules_freep) struct engine_rules *rules = calloc(1, sizeof *rules);
    struct err first = { 0 };
    int r = yr_compiler_create(&compiler);

    if (r != ERROR_SUCCESS || !rules)
        return err_set(err, ENOMEM, "no memory for a compiler");
    yr_compiler_set_callback(compiler, on_message, &first);
    yr_compiler_set_include_callback(compiler, NULL, NULL, NULL); /* includes are refused */
    if (yr_compiler_add_string(compiler, text, NULL) != 0)
        return err_set(err, EINVAL, "%s", first.code ? first.text : "the rule does not compile");
    r = yr_compiler_get_rules(compiler, &rules->rules);
    if (r != ERROR_SUCCESS)
        return fail(err, r, "compile");
    if (rules->rules->num_rules == 0)
        return err_set(err, EINVAL, "the text contains no rule");
    *ret_rules = steal_ptr(&rules);
    return 0;
}

void engine_rules_free(struct engine_rules *rules)
{
    if (!rules)
        return;
    if (rules->rules)
        (void)yr_rules_destroy(rules->rules); /* only fails on NULL */
    free(rules);
}

static int on_scan(YR_SCAN_CONTEXT *context, int message, void *data, void *user_data)
{
    struct engine_scanner *scanner = user_data;

    (void)context;
    (void)data;
    if (message != CALLBACK_MSG_RULE_MATCHING)
        return CALLBACK_CONTINUE;
    scanner->is_match = true;
    return CALLBACK_ABORT; /* one is enough */
}

int engine_scanner_new(const struct engine_rules *rules, int file_s, struct engine_scanner **ret_scanner,
                       struct err *err)
{
    cleanup_(engine_scanner_freep) struct engine_scanner *scanner = calloc(1, sizeof *scanner);
    int r;

    if (!scanner)
        return err_set(err, ENOMEM, "no memory for a scanner");
    r = yr_scanner_create(rules->rules, &scanner->scanner);
    if (r != ERROR_SUCCESS)
        return fail(err, r, "scanner");
    yr_scanner_set_callback(scanner->scanner, on_scan, scanner);
    yr_scanner_set_timeout(scanner->scanner, file_s);
    yr_scanner_set_flags(scanner->scanner, SCAN_FLAGS_REPORT_RULES_MATCHING);
    *ret_scanner = steal_ptr(&scanner);
    return 0;
}

void engine_scanner_free(struct engine_scanner *scanner)
{
    if (!scanner)
        return;
    if (scanner->scanner)
        yr_scanner_destroy(scanner->scanner);
    free(scanner);
}

int engine_scanner_scan(struct engine_scanner *scanner, int fd, bool *ret_match, struct err *err)
{
    int r;

    scanner->is_match = false;
    r = yr_scanner_scan_fd(scanner->scanner, fd);
    if (r != ERROR_SUCCESS)
        return fail(err, r, "scan");
    *ret_match = scanner->is_match;
    return 0;
}
