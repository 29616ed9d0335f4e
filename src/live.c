/*
 * What a running mount does when a signal asks: read its configuration again, or say what it is doing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "program.h"
#include "util/log.h"
#include "util/notify.h"

enum { STATE_MAX = 64 * KIB };

struct changes {
    size_t n_taken;
    bool has_budget;
};

static void on_changed(void *closure, const char *name, bool is_taken)
{
    struct changes *changes = closure;

    changes->n_taken += is_taken;
    changes->has_budget |= strcmp(name, "budget") == 0;
    log_event(is_taken ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              is_taken ? "option changed" : "option changed, but only the next mount takes it over",
              LOG_TEXT(LOG_NODE, name));
}

/* A budget that is as it was is not said again: another mount of the profile may have been told another one since, and
 * what is left would be filled up at each SIGHUP. */
static int apply(struct program *program, const struct changes *changes, struct err *err)
{
    const struct config *config = &program->config;

    store_limit(program->store, config->cache_size, config->memory_size);
    fs_limit(program->fs, config->memory_size);
    cache_tune(program->cache, config->local_dir[0] ? 0 : config->reserve_percent, config->yara_check);
    tree_tune(program->tree, program_deny(config), config->resubmit);
    return changes->has_budget ? program_set_budget(program, err) : 0;
}

static int reload(struct program *program, struct config *fresh, struct err *err)
{
    struct changes changes = { 0 };
    int fd = -1;
    int r = helper_open_config(program->helper, &fd, err);

    if (r == 0)
        r = config_reload(program->argc, program->argv, program->config.config_path, fd, fresh, err);
    if (r == 0)
        r = program_judge(fresh, err);
    if (r < 0)
        return r;
    if (!program->config.debug)
        log_level_set((enum log_level)fresh->log_level);
    options_take_live(&program->config, fresh, on_changed, &changes);
    log_event(LOG_LEVEL_INFO, "configuration read again", LOG_NUMBER(LOG_COUNT, (int64_t)changes.n_taken));
    return apply(program, &changes, err) ? -err->code : 0;
}

void program_notify_ready(const struct program *program)
{
    char status[PATH_MAX + 16];

    (void)snprintf(status, sizeof status, "mounted on %s", program->config.mountpoint); /* fits */
    notify_ready(status);
}

void program_reload(void *closure)
{
    struct program *program = closure;
    struct config *fresh = calloc(1, sizeof *fresh);
    struct err err = { 0 };
    int r;

    notify_reloading();
    r = fresh ? reload(program, fresh, &err) : err_set(&err, ENOMEM, "no memory for the configuration");
    if (r < 0)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "reload"), LOG_NUMBER(LOG_ERRNO, err.code),
                  LOG_TEXT(LOG_STATUS, "the configuration stays as it is"));
    if (fresh)
        config_done(fresh);
    free(fresh);
    program_notify_ready(program);
}

static void log_lines(char *text)
{
    for (char *line; text && (line = strsep(&text, "\n"));) {
        for (char *tab = line; (tab = strchr(tab, '\t'));)
            *tab = ' ';
        if (*line)
            log_event(LOG_LEVEL_STATE, line, LOG_TEXT(LOG_OP, "state"));
    }
}

void program_describe(void *closure)
{
    struct program *program = closure;
    struct buf text = BUF_INIT(STATE_MAX);
    struct err err = { 0 };

    buf_printf(&text, "mountpoint %s\nprofile %s\n", program->config.mountpoint, program->config.profile);
    if (tree_status(program->tree, &text, &err) < 0)
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "state"), LOG_NUMBER(LOG_ERRNO, err.code));
    tree_describe_transfers(program->tree, &text);
    fs_describe(program->fs, &text);
    log_lines(text.data);
    buf_done(&text);
}
