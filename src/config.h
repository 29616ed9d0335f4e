/*
 * config -- everything that can be set, validated once, then constant.
 *
 * Sources, later ones win: defaults, the configuration file's [default] section, its section of the profile, the
 * environment, the command line. Credentials come from that file, from the files client_id and client_secret of
 * systemd's LoadCredential, or from the environment, never from the command line; they are wiped where they came from.
 *
 * Ownership  texts belong to the config. Threads: one, before others start.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/secret.h"

enum { CONFIG_TEXT_MAX = 1024 };

/* Exit codes, documented in malqueryfs(1). */
enum exit_code {
    EXIT_USAGE = 1,
    EXIT_CONFIG = 2,
    EXIT_CREDENTIALS = 3,
    EXIT_UNREACHABLE = 4,
    EXIT_MOUNTPOINT = 5,
    EXIT_FUSE = 6,
    EXIT_STATE = 7,
};

struct config {
    /* command line */
    bool foreground;
    bool debug;
    bool check;
    bool rotate_key;
    bool help;
    bool version;
    bool dump_options;
    bool dump_tree;
    char local_dir[PATH_MAX];
    char mountpoint[PATH_MAX];
    char kernel_options[CONFIG_TEXT_MAX]; /* for libfuse, comma separated */

    /* -o and file */
    char cloud[CONFIG_TEXT_MAX];
    char base_url[CONFIG_TEXT_MAX];
    char member_cid[CONFIG_TEXT_MAX];
    char profile[CONFIG_TEXT_MAX];
    char config_file[PATH_MAX];
    char state_dir[PATH_MAX];
    char cache_dir[PATH_MAX];
    char proxy[CONFIG_TEXT_MAX];
    char ca_file[PATH_MAX];
    char budget[CONFIG_TEXT_MAX]; /* "": as it is */
    int reserve_percent;
    char deny[CONFIG_TEXT_MAX]; /* "-": nothing was said */
    int cache;                  /* enum store_kind */
    int64_t cache_size;         /* bytes */
    int64_t memory_size;
    bool offline;
    bool confine;
    bool yara_check;
    bool resubmit;
    int transport;  /* 0 raw, 1 zip */
    int zip_method; /* enum store_zip_method */
    char zip_password[128];

    struct secret *client_id;
    struct secret *client_secret;
};

/* Fills everything. Returns 0 or the exit code, err filled. */
CHECKED int config_load(int argc, char **argv, struct config *config, struct err *err);
void config_done(struct config *config);

/* Directories of the profile: state_dir and cache_dir become absolute and end in its name; made when missing. */
CHECKED int config_directories(struct config *config, struct err *err);
