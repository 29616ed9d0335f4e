/*
 * program -- what main.c, check.c and live.c share: everything that is running.
 *
 * Errors     functions return 0 or an exit code with err filled. Threads: the first one; live.c's have their own words.
 */
#pragma once

#include "api/api.h"
#include "cache/cache.h"
#include "config.h"
#include "confine/confine.h"
#include "fs/fs.h"
#include "helper/helper.h"
#include "local.h"
#include "store/store.h"
#include "tree/tree.h"

/* In the order of its start. */
struct program {
    int argc; /* read once more by live.c; borrowed for good */
    char **argv;
    struct config config;
    struct helper *helper;
    struct local local;
    struct api *api;
    struct store *store;
    struct cache *cache;
    struct tree *tree;
    struct fs *fs;
    struct confine_report confined;
    int ready_fd; /* to the parent, -1 in the foreground */
};

/* ---- main.c ---- */

/* What the table of options takes for any text: log and budget. -EINVAL. */
CHECKED int program_judge(const struct config *config, struct err *err);

/* The profile and its directories. */
CHECKED int program_prepare(struct program *program, struct err *err);

/* The private engine if there is one, and the api. */
CHECKED int program_start_service(struct program *program, struct err *err);

/* What -o budget= says, in the store. */
CHECKED int program_set_budget(struct program *program, struct err *err);

struct store_config program_store_config(const struct config *config);

/* NULL when nothing was said. */
const char *program_deny(const struct config *config);

/* ---- check.c ---- */

/* --check: a line `ok` or `failed` for everything that a mount needs; the exit code is that of the first failure. */
CHECKED int program_check(struct program *program, struct err *err);

/* ---- live.c ---- */

/* Tells whoever started us, if they listen. */
void program_notify_ready(const struct program *program);

/* ---- on the thread for signals, while the mount is served; program->config belongs to it then ---- */

/* SIGHUP: reads the configuration again and takes over what may change. A wrong one changes nothing. */
void program_reload(void *program);

/* SIGUSR1: what the mount is doing, line by line to the log. */
void program_describe(void *program);
