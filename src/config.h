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

enum { CONFIG_TEXT_MAX = 1024, CONFIG_OPTIONS_MAX = 64 };

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

/* Where a value is from. */
enum config_from {
    FROM_DEFAULT,
    FROM_FILE,
    FROM_CREDENTIALS, /* systemd's LoadCredential */
    FROM_ENVIRONMENT,
    FROM_COMMAND_LINE,
};

struct config_origin {
    enum config_from from;
    int line;             /* of the file */
    const char *variable; /* of the environment; a constant */
};

struct config {
    /* command line */
    bool foreground;
    bool debug;
    bool check;
    bool rotate_key;
    bool dump_config;
    bool top;
    bool version;
    bool dump_options;
    bool dump_tree;
    bool is_mount_helper; /* called by mount(8): its exit codes, and the system's places when root mounts for all */
    bool is_sloppy;       /* unknown words of -o are passed over */
    bool is_fake;         /* everything but the mount */
    bool has_source;      /* what is mounted was named before the mountpoint */
    char help[32];        /* the topic, "topics" for what there are; "": no help is wanted */
    char local_dir[PATH_MAX];
    char mountpoint[PATH_MAX];
    char kernel_options[CONFIG_TEXT_MAX]; /* for libfuse, comma separated */

    /* -o and file */
    char cloud[CONFIG_TEXT_MAX];
    char base_url[CONFIG_TEXT_MAX];
    char member_cid[CONFIG_TEXT_MAX];
    char profile[CONFIG_TEXT_MAX];
    char config_file[PATH_MAX];
    char state_dir[PATH_MAX]; /* as it was said; "": the usual place */
    char cache_dir[PATH_MAX];
    char setuid[CONFIG_TEXT_MAX]; /* a user's name or number; "": stay who we are */
    char log[PATH_MAX];
    int log_level; /* enum log_level, as far as it can be chosen */
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
    bool passthrough;
    bool yara_check;
    bool resubmit;
    int transport;  /* 0 raw, 1 zip */
    int zip_method; /* enum store_zip_method */
    char zip_password[128];

    struct secret *client_id;
    struct secret *client_secret;

    /* what comes of it */
    char config_path[PATH_MAX]; /* absolute, whether it exists or not */
    char state_path[PATH_MAX];  /* of the profile; see config_places() */
    char cache_path[PATH_MAX];
    struct config_origin id_origin;
    struct config_origin secret_origin;
    struct config_origin origins[CONFIG_OPTIONS_MAX]; /* by row of the table of options */
};

/* Fills everything; argv[0] says whether mount(8) calls. Becomes another user when -o setuid= says so. Returns 0 or the
 * exit code, err filled. */
CHECKED int config_load(int argc, char **argv, struct config *config, struct err *err);

/* Once more, from `fd`, which it closes: the file that was at `path`; -1: there is none. Of credentials only those of
 * the file are read. 0, or a negative errno, -ENOENT when -o config= names a file that is gone; config_done() in any
 * case.
 */
CHECKED int config_reload(int argc, char **argv, const char *path, int fd, struct config *ret_config, struct err *err);
void config_done(struct config *config);

/* Fills state_path and cache_path, the directories of the profile. */
CHECKED int config_places(struct config *config, struct err *err);

/* The same, and makes them when they are missing. */
CHECKED int config_directories(struct config *config, struct err *err);
