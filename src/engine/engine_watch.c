#include "engine/engine_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "util/clock.h"
#include "util/map.h"

enum {
    EVENTS = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB,
    FLAGS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK,
    EVENT_BUFFER = 16 * KIB,
};

struct directory {
    struct map_entry entry; /* by watch descriptor */
    int wd;
    char path[];
};

struct engine_watch {
    char *dir;
    int inotify_fd; /* -1 without inotify */
    int wake_fd;
    struct map directories;
    char *paths[ENGINE_WATCH_BATCH_MAX];
    size_t n_paths;
    bool is_overflow;
};

int engine_watch_new(const char *dir, bool has_inotify, struct engine_watch **ret_watch, struct err *err)
{
    cleanup_(engine_watch_freep) struct engine_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return err_set(err, ENOMEM, "no memory to watch a directory");
    watch->inotify_fd = -1;
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->wake_fd < 0)
        return err_sys(err, "eventfd");
    watch->dir = strdup(dir);
    if (!watch->dir)
        return err_set(err, ENOMEM, "no memory to watch a directory");
    if (has_inotify)
        watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (has_inotify && watch->inotify_fd < 0)
        return err_sys(err, "inotify");
    *ret_watch = steal_ptr(&watch);
    return 0;
}

static void clear_batch(struct engine_watch *watch)
{
    for (size_t i = 0; i < watch->n_paths; i++)
        free(watch->paths[i]);
    watch->n_paths = 0;
    watch->is_overflow = false;
}

void engine_watch_free(struct engine_watch *watch)
{
    struct map_entry *entry;

    if (!watch)
        return;
    clear_batch(watch);
    while ((entry = map_pop(&watch->directories)))
        free(container_of(entry, struct directory, entry));
    map_done(&watch->directories);
    closep(&watch->inotify_fd);
    closep(&watch->wake_fd);
    free(watch->dir);
    free(watch);
}

static struct directory *find(const struct engine_watch *watch, int wd)
{
    struct map_entry *e = map_first(&watch->directories, map_hash_u64((uint64_t)wd));

    while (e && container_of(e, struct directory, entry)->wd != wd)
        e = map_next(e);
    return e ? container_of(e, struct directory, entry) : NULL;
}

static void forget(struct engine_watch *watch, struct directory *directory)
{
    map_remove(&watch->directories, &directory->entry);
    free(directory);
}

int engine_watch_add(struct engine_watch *watch, const char *path, struct err *err)
{
    char full[2 * PATH_MAX];
    struct directory *directory;
    size_t n = strlen(path) + 1;
    int wd;

    if (watch->inotify_fd < 0)
        return 0;
    if (snprintf(full, sizeof full, "%s/%s", watch->dir, path) >= (int)sizeof full)
        return err_set(err, ENAMETOOLONG, "watch a path of more than %zu bytes", sizeof full);
    wd = inotify_add_watch(watch->inotify_fd, full, EVENTS | FLAGS);
    if (wd < 0 && (errno == ENOSPC || errno == ENOMEM))
        return err_sys(err, "watch '%s'", path);
    if (wd < 0)
        return 0; /* gone, or not ours to read: then there is nothing to see either */
    directory = find(watch, wd);
    if (directory) /* the same directory under a new name */
        forget(watch, directory);
    directory = calloc(1, sizeof *directory + n);
    if (!directory)
        return err_set(err, ENOMEM, "no memory to watch '%s'", path);
    directory->wd = wd;
    memcpy(directory->path, path, n);
    if (map_add(&watch->directories, &directory->entry, map_hash_u64((uint64_t)wd)))
        return 0;
    free(directory);
    return err_set(err, ENOMEM, "no memory to watch '%s'", path);
}

static bool is_within(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 0);
}

/* The next watched directory within `path`, NULL when none is left. Directories are few beside files. */
static struct directory *find_within(const struct engine_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->directories.n_buckets; i++)
        for (struct map_entry *e = watch->directories.buckets[i]; e; e = e->next)
            if (is_within(container_of(e, struct directory, entry)->path, path))
                return container_of(e, struct directory, entry);
    return NULL;
}

void engine_watch_drop(struct engine_watch *watch, const char *path)
{
    struct directory *directory;

    while ((directory = find_within(watch, path))) {
        (void)inotify_rm_watch(watch->inotify_fd, directory->wd); /* EINVAL: the kernel dropped it already */
        forget(watch, directory);
    }
}

static void note(struct engine_watch *watch, const char *dir, const char *name)
{
    char path[2 * PATH_MAX];

    if (snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", name) >= (int)sizeof path)
        return; /* longer than the walk would take */
    for (size_t i = 0; i < watch->n_paths; i++)
        if (strcmp(watch->paths[i], path) == 0)
            return;
    if (watch->n_paths < ENGINE_WATCH_BATCH_MAX)
        watch->paths[watch->n_paths] = strdup(path);
    if (watch->n_paths == ENGINE_WATCH_BATCH_MAX || !watch->paths[watch->n_paths])
        watch->is_overflow = true;
    else
        watch->n_paths++;
}

static void take_event(struct engine_watch *watch, const struct inotify_event *event)
{
    struct directory *directory = find(watch, event->wd);

    if (event->mask & IN_Q_OVERFLOW)
        watch->is_overflow = true;
    else if (directory && event->mask & IN_IGNORED)
        forget(watch, directory);
    else if (directory && event->len > 0)
        note(watch, directory->path, event->name);
}

/* Reads all events that are there; true when there was one. */
static bool drain(struct engine_watch *watch)
{
    _Alignas(struct inotify_event) char buffer[EVENT_BUFFER];
    bool has_any = false;
    ssize_t n;

    while ((n = read(watch->inotify_fd, buffer, sizeof buffer)) > 0) {
        has_any = true;
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer + at);

            take_event(watch, event);
            at += (ssize_t)sizeof *event + event->len;
        }
    }
    return has_any;
}

int engine_watch_wait(struct engine_watch *watch, int wait_ms, struct engine_watch_batch *ret_batch, struct err *err)
{
    struct pollfd fds[2] = { { .fd = watch->wake_fd, .events = POLLIN },
                             { .fd = watch->inotify_fd, .events = POLLIN } };
    int64_t start_ms = 0;
    bool is_woken = false;

    clear_batch(watch);
    while (!is_woken) {
        int n = poll(fds, ARRAY_SIZE(fds), start_ms ? ENGINE_WATCH_SETTLE_MS : wait_ms); /* fd -1 is skipped */

        if (n < 0 && errno != EINTR)
            return err_sys(err, "poll");
        is_woken = n > 0 && fds[0].revents;
        if (n > 0 && fds[1].revents && drain(watch) && !start_ms)
            start_ms = clock_mono_ms();
        if (n == 0 && !start_ms)
            break;
        if (start_ms && (n == 0 || clock_mono_ms() - start_ms > ENGINE_WATCH_BATCH_MS))
            break;
    }
    *ret_batch = (struct engine_watch_batch){
        .is_woken = is_woken,
        .is_overflow = watch->is_overflow,
        .n_paths = watch->n_paths,
        .paths = (const char *const *)watch->paths,
    };
    return 0;
}

void engine_watch_wake(struct engine_watch *watch)
{
    (void)eventfd_write(watch->wake_fd, 1); /* EAGAIN: it is awake already */
}
