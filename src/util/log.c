#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "util/buf.h"
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
    [LOG_LEVEL_ERR] = { "err", LOG_ERR },        [LOG_LEVEL_WARN] = { "warn", LOG_WARNING },
    [LOG_LEVEL_INFO] = { "info", LOG_INFO },     [LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
    [LOG_LEVEL_STATE] = { "state", LOG_NOTICE },
};

/* Opened again when the mount is there, and threads may log already. */
static _Atomic(enum log_target) sink = LOG_TO_STDERR;
static _Atomic int sink_fd = STDERR_FILENO;
static _Atomic(enum log_level) most_level = LOG_LEVEL_WARN;

void log_open(const char *program, enum log_target target, enum log_level most)
{
    if (target == LOG_TO_SYSLOG)
        openlog(program, LOG_PID, LOG_DAEMON);
    log_level_set(most);
    sink_fd = STDERR_FILENO;
    sink = target;
}

int log_open_file(const char *path, enum log_level most, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    if (fd < 0)
        return err_sys(err, "log file '%s'", path);
    sink_fd = fd;
    sink = LOG_TO_STDERR;
    log_level_set(most);
    return 0;
}

void log_level_set(enum log_level most)
{
    atomic_store(&most_level, most);
}

bool log_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device = 0;
    unsigned long long inode = 0;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

bool log_is_on(enum log_level level)
{
    return level == LOG_LEVEL_STATE || level <= atomic_load(&most_level);
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
    else if (write(sink_fd, line, n) < 0)
        log_level_set(LOG_LEVEL_ERR); /* nobody reads it any more */
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
    if (sink == LOG_TO_JOURNAL)
        buf_printf(&line, "<%d>", levels[level].priority);
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
