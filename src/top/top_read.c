#include "top/top_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/text.h"

enum {
    FILE_MAX = 64 * 1024,   /* bytes that are read of one file */
    EVENTS_TAIL = 8 * 1024, /* bytes at the end of `events` */
    SETTLED_S = 5,          /* what is over for so long and did not change has the same status */
    NUMBER_MAX = 32,        /* bytes of a number, with its NUL */
    PATH_BYTES = TOP_NAME_MAX + 64
};

static const char *const user_dirs[] = { "hunts", "searches/exact", "searches/fuzzy", "downloads" };

/* ---- reading ---- */

/* The file's text, at most FILE_MAX of it from `from` on (negative: so much before the end). */
static int read_file(int root_fd, const char *path, int64_t from, struct buf *ret_text, struct err *err)
{
    cleanup_(closep) int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat st = { 0 };
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "%s", path);
    if (!S_ISREG(st.st_mode)) /* no mount of ours: a pipe or a device would wait */
        return err_set(err, ENODEV, "%s is no file", path);
    if (from < 0)
        from = st.st_size > -from ? st.st_size + from : 0;
    while (n > 0 && ret_text->n < FILE_MAX) {
        char *to = buf_reserve(ret_text, FILE_MAX - ret_text->n);

        if (!to)
            return buf_check(ret_text, err, path);
        n = pread(fd, to, FILE_MAX - ret_text->n, from + (off_t)ret_text->n);
        if (n < 0)
            return err_sys(err, "read %s", path);
        buf_commit(ret_text, (size_t)n);
    }
    return 0;
}

/* Up to the first byte that is not a digit; false: none is one. */
static bool number_at(const char *text, int64_t *ret_number)
{
    char digits[NUMBER_MAX];
    size_t n = strspn(text, "0123456789");
    uint64_t number = 0;

    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (!text_parse_u64(digits, INT64_MAX, &number))
        return false;
    *ret_number = (int64_t)number;
    return true;
}

/* ---- status ---- */

static const char *const cost_words[TOP_COSTS] = { [TOP_DOWNLOADS] = "downloads ", [TOP_HUNTS] = "hunts " };

/* "downloads 4 hunts unlimited" */
static void take_budget(struct top_facts *facts, const char *text)
{
    for (int cost = 0; cost < TOP_COSTS; cost++) {
        const char *at = strstr(text, cost_words[cost]);

        if (at && !number_at(at + strlen(cost_words[cost]), &facts->budget[cost]))
            facts->budget[cost] = TOP_UNLIMITED;
    }
}

/* "28/50", "1/unlimited" */
static bool take_quota(const char *text, int64_t *ret_used, int64_t *ret_limit)
{
    const char *slash = strchr(text, '/');

    if (!slash || !number_at(text, ret_used))
        return false;
    if (strncmp(slash + 1, "unlimited", strlen("unlimited")) != 0)
        return number_at(slash + 1, ret_limit);
    *ret_limit = TOP_UNLIMITED;
    return true;
}

/* "downloads 28/50 hunts 83/100 until 2026-12-01" */
static void take_month(struct top_facts *facts, const char *text)
{
    const char *until = strstr(text, "until ");

    for (int cost = 0; cost < TOP_COSTS; cost++) {
        const char *at = strstr(text, cost_words[cost]);

        if (!at || !take_quota(at + strlen(cost_words[cost]), &facts->used[cost], &facts->limit[cost]))
            facts->limit[cost] = TOP_UNKNOWN;
    }
    if (until)
        (void)text_copy(facts->until, sizeof facts->until, until + strlen("until ")); /* cut is fine */
}

/* A line of `status` is a text, a number, or has a function of its own. */
static const struct {
    const char *name;
    size_t at;
    bool is_text;
    void (*take)(struct top_facts *facts, const char *text);
} status_lines[] = {
/* clang-format off */
#define AT(member) .at = offsetof(struct top_facts, member)
    { "service", AT(service), .is_text = true },
    { "exhausted", AT(exhausted), .is_text = true },
    { "last_error", AT(last_error), .is_text = true },
    { "budget", .take = take_budget },
    { "month", .take = take_month },
    { "submissions", AT(n_submissions) },
    { "downloads", AT(n_downloads) },
    { "downloaded_bytes", AT(n_download_bytes) },
    { "denied", AT(n_denied) },
    { "local_samples", AT(n_samples) },
    { "local_bytes", AT(cache_bytes) },
    { "cache_limit", AT(cache_limit) },
    { "evictions", AT(n_evictions) },
#undef AT
    /* clang-format on */
};

static void take_status_line(struct top_facts *facts, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(status_lines); i++) {
        char *to = (char *)facts + status_lines[i].at;
        int64_t number = 0;

        if (strcmp(status_lines[i].name, name) != 0)
            continue;
        if (status_lines[i].take)
            status_lines[i].take(facts, value);
        else if (status_lines[i].is_text)
            (void)text_copy(to, TOP_TEXT_MAX, value); /* cut is fine */
        else if (number_at(value, &number))
            memcpy(to, &number, sizeof number);
    }
}

static int read_status(int root_fd, struct top_facts *facts, struct err *err)
{
    static const char *const reaches[] = { "online", "offline", "unauthorized" };
    cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    int r = read_file(root_fd, "status", 0, &text, err);
    char *rest = text.data;
    const char *first = r == 0 && rest ? strsep(&rest, "\n") : "";
    char *line;

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(reaches); i++)
        if (strcmp(first, reaches[i]) == 0)
            (void)text_copy(facts->reach, sizeof facts->reach, first); /* fits */
    if (!facts->reach[0])
        return err_set(err, ENODEV, "status is not that of a mount");
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, '\t');

        if (value) {
            *value++ = '\0';
            take_status_line(facts, line, value);
        }
    }
    return 0;
}

/* ---- metrics: the number of requests ---- */

static int read_metrics(int root_fd, struct top_facts *facts, struct err *err)
{
    static const struct {
        const char *line;
        size_t at;
    } counts[] = {
        { "\nmalqueryfs_requests{state=\"inprogress\"} ", offsetof(struct top_facts, n_inprogress) },
        { "\nmalqueryfs_requests{state=\"done\"} ", offsetof(struct top_facts, n_done) },
        { "\nmalqueryfs_requests{state=\"failed\"} ", offsetof(struct top_facts, n_failed) },
    };
    cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    int r = read_file(root_fd, "metrics", 0, &text, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(counts); i++) {
        const char *at = strstr(buf_text(&text), counts[i].line);
        int64_t number = 0;

        if (at && number_at(at + strlen(counts[i].line), &number))
            memcpy((char *)facts + counts[i].at, &number, sizeof number);
    }
    return r;
}

/* ---- transfers ---- */

static int read_transfers(int root_fd, struct top_facts *facts, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    int r = read_file(root_fd, "transfers", 0, &text, err);
    char *rest = text.data;
    char *line;

    (void)strsep(&rest, "\n"); /* the header */
    while (r == 0 && facts->n_transfers < TOP_TRANSFERS_MAX && (line = strsep(&rest, "\n"))) {
        struct top_transfer *transfer = &facts->transfers[facts->n_transfers];
        int64_t *const numbers[] = { &transfer->have, &transfer->size, &transfer->rate };
        const char *what = strsep(&line, "\t");
        bool is_whole = *what;

        for (size_t i = 0; is_whole && i < ARRAY_SIZE(numbers); i++) {
            const char *field = strsep(&line, "\t");

            is_whole = field && number_at(field, numbers[i]);
        }
        (void)text_copy(transfer->what, sizeof transfer->what, what); /* cut is fine */
        facts->n_transfers += is_whole;
    }
    return r;
}

/* ---- requests ---- */

static int by_urgency(const void *left, const void *right)
{
    const struct top_request *a = left;
    const struct top_request *b = right;

    if (a->is_over != b->is_over)
        return a->is_over ? 1 : -1;
    if (a->changed_s != b->changed_s)
        return a->changed_s < b->changed_s ? 1 : -1;
    return strcmp(a->name, b->name);
}

/* Keeps the rows that changed last. */
static void keep(struct top_facts *facts, const char *name, int64_t changed_s)
{
    size_t at = facts->n_requests;

    if (at == TOP_REQUESTS_MAX) {
        for (size_t i = 0, oldest = 0; i < TOP_REQUESTS_MAX; i++)
            if (facts->requests[i].changed_s <= facts->requests[oldest].changed_s)
                at = oldest = i;
        if (facts->requests[at].changed_s >= changed_s)
            return;
    } else {
        facts->n_requests++;
    }
    facts->requests[at] = (struct top_request){ .changed_s = changed_s };
    (void)text_copy(facts->requests[at].name, sizeof facts->requests[at].name, name); /* the caller's has fitted */
}

static void list_dir(int root_fd, const char *dir, struct top_facts *facts)
{
    int fd = openat(root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    for (int n = 0; stream && n < TOP_NAMES_MAX && (entry = readdir(stream)); n++) {
        char name[TOP_NAME_MAX];
        struct stat st;
        int length = snprintf(name, sizeof name, "%s/%s", dir, entry->d_name);

        if (entry->d_name[0] == '.' || length < 0 || (size_t)length >= sizeof name)
            continue;
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            keep(facts, name, st.st_mtim.tv_sec);
    }
    if (stream)
        closedir(stream);
    else if (fd >= 0)
        close(fd);
}

/* The status of the look before, when it cannot have changed. */
static const struct top_request *settled(const struct top_facts *before, const struct top_request *request)
{
    if (clock_is_fresh(request->changed_s, SETTLED_S))
        return NULL;
    for (size_t i = 0; i < before->n_requests; i++) {
        const struct top_request *old = &before->requests[i];

        if (old->is_over && old->changed_s == request->changed_s && strcmp(old->name, request->name) == 0)
            return old;
    }
    return NULL;
}

static bool is_over(const char *status)
{
    return strncmp(status, "queued", strlen("queued")) != 0 && strncmp(status, "inprogress", strlen("inprogress")) != 0;
}

static void read_requests(int root_fd, const struct top_facts *before, struct top_facts *facts)
{
    for (size_t i = 0; i < ARRAY_SIZE(user_dirs); i++)
        list_dir(root_fd, user_dirs[i], facts);
    for (size_t i = 0; i < facts->n_requests; i++) {
        struct top_request *request = &facts->requests[i];
        const struct top_request *old = settled(before, request);
        cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
        struct err ignored = { 0 };
        char path[PATH_BYTES];

        if (old) {
            *request = *old;
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/status", request->name); /* fits */
        if (read_file(root_fd, path, 0, &text, &ignored) == 0 && text.n > 0)
            text.data[strcspn(text.data, "\n")] = '\0';
        (void)text_copy(request->status, sizeof request->status, buf_text(&text)); /* cut is fine; "": just deleted */
        request->is_over = is_over(request->status);
    }
    qsort(facts->requests, facts->n_requests, sizeof facts->requests[0], by_urgency);
}

/* ---- events ---- */

/* {"time":"2026-11-24T08:00:00Z","event":"downloaded","bytes":1} as `08:00:00 downloaded bytes 1`: names and values
 * without the marks of JSON, escapes as they are. False: it is no such line. */
static bool event_words(const char *line, char *ret_text, size_t room)
{
    enum { TIME_AT = sizeof "{\"time\":\"2026-11-24T" - 1, TIME_BYTES = sizeof "08:00:00" - 1 };
    static const char event_key[] = ",\"event\":";
    const char *at = strstr(line, event_key);
    bool is_quoted = false;
    size_t n = 0;

    if (!at || strlen(line) < TIME_AT + TIME_BYTES || at < line + TIME_AT + TIME_BYTES)
        return false;
    for (const char *c = line + TIME_AT; c < line + TIME_AT + TIME_BYTES && n + 1 < room; c++)
        ret_text[n++] = *c;
    if (n + 1 < room)
        ret_text[n++] = ' ';
    for (const char *c = at + sizeof event_key - 1; *c && n + 1 < room; c++) {
        if (*c == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && *c == '\\' && c[1])
            ret_text[n++] = *++c;
        else if (is_quoted || !strchr(",:{}", *c))
            ret_text[n++] = *c;
        else if (*c != '}')
            ret_text[n++] = ' ';
    }
    ret_text[n] = '\0';
    return true;
}

/* The first digits of a SHA-256 are enough to know it by; a line of a screen has other things to say. */
static void shorten_hashes(char *text)
{
    enum { HASH_DIGITS = 64, SHOWN_DIGITS = 12 };

    for (char *c = text; *c; c++) {
        size_t n = strspn(c, "0123456789abcdef");

        if (n == HASH_DIGITS)
            memmove(c + SHOWN_DIGITS, c + HASH_DIGITS, strlen(c + HASH_DIGITS) + 1);
        c += n == HASH_DIGITS ? SHOWN_DIGITS - 1 : n > 0 ? n - 1 : 0;
    }
}

static int read_events(int root_fd, struct top_facts *facts, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    int r = read_file(root_fd, "events", -EVENTS_TAIL, &text, err);
    char *rest = text.data;
    char *line;

    while (r == 0 && (line = strsep(&rest, "\n"))) {
        char words[TOP_TEXT_MAX];

        if (!event_words(line, words, sizeof words))
            continue; /* the rest of a line whose beginning was cut off */
        shorten_hashes(words);
        if (facts->n_events == TOP_EVENTS_MAX)
            memmove(facts->events[0], facts->events[1], sizeof facts->events - sizeof facts->events[0]);
        else
            facts->n_events++;
        memcpy(facts->events[facts->n_events - 1], words, sizeof words);
    }
    return r;
}

/* ---- all of it ---- */

int top_read(const char *root, struct top_facts *facts, struct err *err)
{
    /* Not kept open between two looks: the mount shall not be busy because somebody looks at it. */
    cleanup_(closep) int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_(freep) struct top_facts *before = malloc(sizeof *before);
    int r;

    if (!before)
        return err_set(err, ENOMEM, "no memory for a look");
    if (root_fd < 0)
        return err_sys(err, "'%s'", root);
    *before = *facts;
    *facts = (struct top_facts)TOP_FACTS_INIT;
    r = read_status(root_fd, facts, err);
    if (r == 0)
        r = read_metrics(root_fd, facts, err);
    if (r == 0)
        r = read_transfers(root_fd, facts, err);
    if (r == 0)
        r = read_events(root_fd, facts, err);
    if (r == 0)
        read_requests(root_fd, before, facts);
    return r;
}
