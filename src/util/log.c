#include "util/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/err.h"
#include "util/text.h"

enum { LOG_LINE_MAX = 2048, LOG_VALUE_MAX = 160, LOG_MSG_MAX = 400 };

static const char *const key_names[] = {
    [LOG_OP] = "op",         [LOG_INO] = "ino",     [LOG_NODE] = "node",   [LOG_HASH] = "hash",   [LOG_REQUEST] = "req",
    [LOG_STATUS] = "status", [LOG_ERRNO] = "errno", [LOG_TRACE] = "trace", [LOG_PROCESS] = "pid", [LOG_UID] = "uid",
    [LOG_BYTES] = "bytes",   [LOG_COUNT] = "count", [LOG_MS] = "ms",
};

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERR] = { "err", LOG_ERR },
    [LOG_LEVEL_WARN] = { "warn", LOG_WARNING },
    [LOG_LEVEL_INFO] = { "info", LOG_INFO },
    [LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

/* Opened again when the mount is there, and threads may log already. */
static _Atomic(enum log_target) sink = LOG_TO_STDERR;
static _Atomic(enum log_level) most_level = LOG_LEVEL_WARN;

void log_open(const char *program, enum log_target target, enum log_level most)
{
    if (target == LOG_TO_SYSLOG)
        openlog(program, LOG_PID, LOG_DAEMON);
    most_level = most;
    sink = target;
}

bool log_is_on(enum log_level level)
{
    return level <= most_level;
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f || *text == '"' || *text == '=' || *text == '\\')
            return false;
    return true;
}

static void put_field(struct buf *line, const struct log_field *field)
{
    buf_printf(line, " %s=", key_names[field->key]);
    if (field->key == LOG_ERRNO && !field->text) {
        buf_puts(line, err_name((int)field->number));
    } else if (!field->text) {
        buf_printf(line, "%lld", (long long)field->number);
    } else if (is_plain(field->text)) {
        buf_printf(line, "%.*s", LOG_VALUE_MAX, field->text);
    } else {
        text_quote(line, field->text, LOG_VALUE_MAX);
    }
}

static void emit(enum log_level level, const char *line, size_t n)
{
    if (sink == LOG_TO_SYSLOG)
        syslog(levels[level].priority, "%s", line);
    else if (write(STDERR_FILENO, line, n) < 0)
        most_level = LOG_LEVEL_ERR; /* nobody reads stderr any more */
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n_fields)
{
    static const char no_memory[] = "level=err msg=\"no memory for a line of the log\"\n";
    struct buf line = BUF_INIT(LOG_LINE_MAX);

    if (!log_is_on(level))
        return;
    if (!buf_reserve(&line, LOG_LINE_MAX)) { /* all of it at once: a line is whole, or it is this one */
        emit(LOG_LEVEL_ERR, no_memory, sizeof no_memory - 1);
        return;
    }
    buf_printf(&line, "level=%s", levels[level].name);
    for (size_t i = 0; i < n_fields; i++)
        put_field(&line, &fields[i]);
    buf_puts(&line, " msg=");
    text_quote(&line, msg, LOG_MSG_MAX);
    if (line.code || line.n == line.max) { /* too long: cut, but still one line */
        line.code = 0;
        buf_resize(&line, line.n < line.max ? line.n : line.max - 1);
    }
    buf_putc(&line, '\n');
    emit(level, buf_text(&line), line.n);
    buf_done(&line);
}
