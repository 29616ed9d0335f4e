/*
 * log -- one event, one line: level, then key=value pairs of the list below, msg last.
 *
 *   level=warn op=open ino=41 errno=EDQUOT trace=6b1c0f2e ms=412 msg="download: monthly quota used up"
 *
 * Foreign text is escaped and cut. No secrets, no URLs with queries. Only main, fs and background workers log above
 * LOG_DEBUG; everyone else returns an error to someone who will.
 *
 * Threads    any; log_open() and log_open_file() one at a time. A line that is under way meanwhile goes to either
 * place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

enum log_level {
    LOG_LEVEL_ERR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_STATE, /* what somebody asked for: always written */
};

enum log_target {
    LOG_TO_STDERR,
    LOG_TO_JOURNAL, /* stderr, each line with its priority in front, sd-daemon(3) */
    LOG_TO_SYSLOG,
};

enum log_key {
    LOG_OP,
    LOG_INO,
    LOG_NODE,
    LOG_HASH,
    LOG_REQUEST,
    LOG_STATUS,
    LOG_ERRNO, /* a number is printed by name */
    LOG_TRACE,
    LOG_PROCESS,
    LOG_UID,
    LOG_BYTES,
    LOG_COUNT,
    LOG_MS,
};

struct log_field {
    enum log_key key;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

#define LOG_TEXT(key_, text_)                                                                                          \
    {                                                                                                                  \
        .key = (key_), .text = (text_)                                                                                 \
    }
#define LOG_NUMBER(key_, number_)                                                                                      \
    {                                                                                                                  \
        .key = (key_), .number = (number_)                                                                             \
    }

/* log_event(LOG_LEVEL_INFO, "mounted", LOG_TEXT(LOG_NODE, dir)); `msg` is a fixed text or an err's. */
#define log_event(level, msg, ...)                                                                                     \
    log_write((level), (msg), (const struct log_field[]){ __VA_ARGS__ },                                               \
              sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

void log_open(const char *program, enum log_target target, enum log_level most);

/* The lines go to the end of this file, made for its owner alone when it is not there. */
CHECKED int log_open_file(const char *path, enum log_level most, struct err *err);

/* Another level from now on, from any thread. */
void log_level_set(enum log_level most);

/* True when stderr is a stream of the journal, as systemd says in JOURNAL_STREAM. */
bool log_is_journal(void);
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n_fields);
