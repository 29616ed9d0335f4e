#include "engine/engine_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "util/clock.h"
#include "util/lock.h"

struct kept {
    struct request_id id;
    struct engine_archive archive;
    int64_t made_s;
};

struct engine_archives {
    struct engine_index *index;
    const struct engine_zip_config *zip;
    int64_t max_bytes;
    struct lock lock; /* rank LOCK_ENGINE */
    /* All that follows is guarded by lock. The oldest is the first one. */
    struct kept kept[ENGINE_ARCHIVES_MAX];
    size_t n;
    int64_t bytes;
};

int engine_archives_new(struct engine_index *index, const struct engine_zip_config *zip, int64_t max_bytes,
                        struct engine_archives **ret_archives, struct err *err)
{
    struct engine_archives *archives = calloc(1, sizeof *archives);

    if (!archives)
        return err_set(err, ENOMEM, "no memory for archives");
    archives->index = index;
    archives->zip = zip;
    archives->max_bytes = max_bytes;
    lock_init(&archives->lock, LOCK_ENGINE);
    *ret_archives = archives;
    return 0;
}

static void drop_oldest_locked(struct engine_archives *archives, size_t n) REQUIRES(&archives->lock);
static void drop_oldest_locked(struct engine_archives *archives, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        archives->bytes -= archives->kept[i].archive.size_bytes;
        closep(&archives->kept[i].archive.fd);
    }
    archives->n -= n;
    memmove(archives->kept, archives->kept + n, archives->n * sizeof *archives->kept);
}

void engine_archives_expire(struct engine_archives *archives, int64_t before_s)
{
    size_t n = 0;

    lock_acquire(&archives->lock);
    while (n < archives->n && archives->kept[n].made_s < before_s)
        n++;
    drop_oldest_locked(archives, n);
    lock_release(&archives->lock);
}

void engine_archives_free(struct engine_archives *archives)
{
    if (!archives)
        return;
    engine_archives_expire(archives, INT64_MAX);
    lock_done(&archives->lock);
    free(archives);
}

/* Without a descriptor to spare there is none. */
static bool find(struct engine_archives *archives, const struct request_id *id, struct engine_archive *ret_archive)
{
    int fd = -1;

    lock_acquire(&archives->lock);
    for (size_t i = 0; i < archives->n && fd < 0; i++) {
        if (strcmp(archives->kept[i].id.s, id->s) != 0)
            continue;
        ret_archive->size_bytes = archives->kept[i].archive.size_bytes;
        fd = fcntl(archives->kept[i].archive.fd, F_DUPFD_CLOEXEC, 0);
    }
    lock_release(&archives->lock);
    if (fd >= 0)
        ret_archive->fd = fd;
    return fd >= 0;
}

/* Two that fetch at once may both have made one: the older goes first. */
static void keep(struct engine_archives *archives, const struct request_id *id, const struct engine_archive *archive)
{
    struct kept kept = { .id = *id, .archive = *archive, .made_s = clock_now_s() };

    if (archive->size_bytes > archives->max_bytes)
        return;
    kept.archive.fd = fcntl(archive->fd, F_DUPFD_CLOEXEC, 0);
    if (kept.archive.fd < 0)
        return;
    lock_acquire(&archives->lock);
    while (archives->n == ENGINE_ARCHIVES_MAX || archives->bytes > archives->max_bytes - archive->size_bytes)
        drop_oldest_locked(archives, 1);
    archives->kept[archives->n++] = kept;
    archives->bytes += archive->size_bytes;
    lock_release(&archives->lock);
}

int engine_archives_open(struct engine_archives *archives, const struct request_id *id, const struct digest *samples,
                         size_t n, struct engine_archive *ret_archive, struct err *err)
{
    int r;

    if (find(archives, id, ret_archive))
        return 0;
    r = engine_zip_make(archives->index, archives->zip, samples, n, ret_archive, err);
    if (r == 0)
        keep(archives, id, ret_archive);
    else if (r < 0)
        engine_archives_expire(archives, INT64_MAX); /* on a full disk the next try has their room */
    return r;
}

int engine_archives_prepare(struct engine_archives *archives, const struct request_id *id, const struct digest *samples,
                            size_t n, struct err *err)
{
    struct engine_archive archive = { .fd = -1 };
    int64_t bytes = 0;
    int r = 0;

    for (size_t i = 0; i < n && r >= 0 && bytes <= archives->max_bytes; i++) {
        struct sample sample = { .size_bytes = 0 };

        r = engine_index_find(archives->index, &samples[i], &sample, err);
        bytes += sample.size_bytes;
    }
    if (r >= 0 && bytes <= archives->max_bytes)
        r = engine_archives_open(archives, id, samples, n, &archive, err);
    closep(&archive.fd);
    return r < 0 ? r : 0;
}
