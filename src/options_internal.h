/*
 * options_internal -- the rows of the table, for what reads them (options.c) and what prints them (options_print.c).
 */
#pragma once

#include "options.h"

enum option_kind {
    KIND_FLAG,    /* a bool, set by its presence */
    KIND_BOOL,    /* on|off */
    KIND_TEXT,    /* at most `max` bytes */
    KIND_TOPIC,   /* the same, but without a value it is "topics" */
    KIND_CHOICE,  /* one of the words of `value`; an int, its place among them */
    KIND_PERCENT, /* an int from 0 to 100, with or without the sign */
    KIND_BYTES,   /* "8G", "500M"; an int64_t from `min` to BYTES_MAX */
};

enum option_place {
    PLACE_ARGUMENT = 1, /* -x, --name */
    PLACE_MOUNT = 2,    /* -o name=value and the configuration file */
};

/* What --help is asked about. */
enum option_topic {
    TOPIC_MOUNT,
    TOPIC_SERVICE,
    TOPIC_SPENDING,
    TOPIC_CACHE,
    TOPIC_ZIPS,
    TOPIC_CONFIG,
    TOPIC_LOG,
    TOPICS
};

struct option_row {
    const char *name;
    enum option_topic topic;
    bool is_live;  /* SIGHUP takes it from the configuration again */
    bool is_early; /* says where the configuration is, so that is no place for it */
    bool is_url;   /* may have a password in it, which is not printed */
    char letter;
    enum option_kind kind;
    enum option_place place;
    size_t at;
    size_t max;
    int64_t min; /* of a size */
    const char *fallback;
    const char *value; /* how the value is called in --help; of a choice: "one|other" */
    const char *help;
};

extern const struct option_row option_rows[];
extern const size_t option_rows_n;

extern const char *const option_kernel_names[]; /* of mount(8) and libfuse, passed on; ends with NULL */

/* How --help calls it. */
const char *options_topic(enum option_topic topic);

/* The value as it would be written; a password in a URL is left out. */
void options_print_value(struct buf *text, const struct option_row *row, const struct config *config);
