#include "engine/engine_index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/engine_file.h"
#include "engine/engine_maps.h"
#include "engine/engine_scan.h"
#include "engine/engine_watch.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

/* More changed paths than this cost more one by one than a walk over everything. */
enum { REFRESH_PATHS_MAX = 32 };

/* How much longer than the first wait after a failure the last ones are. */
enum { RETRY_GROWTH_MAX = 64 };

/* Files with one content that are tried before the index counts as too stale to answer. */
enum { PLACES_MAX = 4096 };

enum { DAY_S = 24 * 60 * 60, BILLION = 1000 * 1000 * 1000 };

struct engine_index {
    struct engine_db *db;
    struct engine_index_config config;
    int dir_fd;
    const char *labels_path;      /* relative, when the labels lie below the directory */
    struct engine_labels *labels; /* guarded by db->lock */
    struct engine_watch *watch;
    struct engine_scan *scan;
    atomic_bool stop;
    bool has_thread;
    pthread_t thread;
    struct lock lock; /* rank LOCK_ENGINE */
    struct cond changed;
    bool is_ready; /* guarded by lock */
    bool is_stale; /* a pass failed; of the thread, like wait_ms */
    int wait_ms;   /* until the next try */
};

/* The part of an absolute path below the directory, NULL when it lies elsewhere. */
static const char *below(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    if (strcmp(dir, "/") == 0)
        return path[0] == '/' ? path + 1 : NULL;
    return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* A table that cannot be read later keeps the old one in use: somebody is editing it. */
static void reload_labels(struct engine_index *index)
{
    struct engine_labels *labels = NULL;
    struct engine_labels *old;
    struct err err = { 0 };

    if (engine_labels_load(index->config.labels, &labels, &err) < 0) {
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "labels"), LOG_NUMBER(LOG_ERRNO, err.code));
        return;
    }
    lock_acquire(&index->db->lock);
    old = index->labels;
    index->labels = labels;
    lock_release(&index->db->lock);
    engine_labels_free(old);
}

static void refresh(struct engine_index *index, const char *path)
{
    struct err err = { 0 };

    if (engine_scan_refresh(index->scan, path, &err) == 0)
        return;
    index->is_stale = true;
    log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "index"), LOG_TEXT(LOG_NODE, path),
              LOG_NUMBER(LOG_ERRNO, err.code));
}

static void first_pass(struct engine_index *index)
{
    int64_t start_ms = clock_mono_ms();

    refresh(index, "");
    lock_acquire(&index->lock);
    index->is_ready = true;
    cond_broadcast(&index->changed);
    lock_release(&index->lock);
    log_event(LOG_LEVEL_INFO, "index is complete, count is what had to be read", LOG_TEXT(LOG_OP, "index"),
              LOG_NUMBER(LOG_COUNT, (int64_t)engine_scan_n_read(index->scan)),
              LOG_NUMBER(LOG_MS, clock_mono_ms() - start_ms));
}

/* A bad disk stays bad: the waits grow. */
static void try_again(struct engine_index *index)
{
    index->is_stale = false;
    refresh(index, "");
    if (!index->is_stale)
        index->wait_ms = index->config.retry_ms;
    else if (index->wait_ms < index->config.retry_ms * RETRY_GROWTH_MAX)
        index->wait_ms *= 2;
}

static void take_batch(struct engine_index *index, const struct engine_watch_batch *batch)
{
    bool is_large = batch->is_overflow || batch->n_paths > REFRESH_PATHS_MAX;

    if (is_large)
        refresh(index, "");
    for (size_t i = 0; i < batch->n_paths && !is_large && !atomic_load(&index->stop); i++)
        refresh(index, batch->paths[i]);
    for (size_t i = 0; i < batch->n_paths && index->labels_path; i++)
        if (strcmp(batch->paths[i], index->labels_path) == 0)
            reload_labels(index);
}

static void *run(void *argument)
{
    struct engine_index *index = argument;
    struct engine_watch_batch batch = { 0 };
    struct err err = { 0 };

    first_pass(index);
    while (!atomic_load(&index->stop)) {
        if (engine_watch_wait(index->watch, index->is_stale ? index->wait_ms : -1, &batch, &err) < 0) {
            log_event(LOG_LEVEL_ERR, err.text, LOG_TEXT(LOG_OP, "watch"), LOG_NUMBER(LOG_ERRNO, err.code));
            break;
        }
        if (!batch.is_woken && batch.n_paths == 0 && !batch.is_overflow)
            try_again(index);
        else if (!batch.is_woken)
            take_batch(index, &batch);
    }
    return NULL;
}

/* A table that nobody asked for may be no table of ours at all. It is read again when it changes. */
CHECKED static int load_labels(struct engine_index *index, struct err *err)
{
    struct err own = { 0 };

    if (!index->config.labels)
        return 0;
    index->labels_path = below(index->config.dir, index->config.labels);
    if (engine_labels_load(index->config.labels, &index->labels, &own) == 0)
        return 0;
    if (!index->config.may_lack_labels)
        return err_set(err, own.code, "%s", own.text);
    if (own.code != ENOENT)
        log_event(LOG_LEVEL_WARN, own.text, LOG_TEXT(LOG_OP, "labels"), LOG_NUMBER(LOG_ERRNO, own.code));
    return 0;
}

CHECKED static int start(struct engine_index *index, struct err *err)
{
    struct engine_scan_config config = { .n_threads = index->config.n_threads, .stop = &index->stop };
    int r = 0;

    index->dir_fd = open(index->config.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (index->dir_fd < 0)
        return err_sys(err, "open '%s'", index->config.dir);
    r = load_labels(index, err);
    if (r < 0)
        return r;
    r = engine_watch_new(index->config.dir, index->config.has_watch, &index->watch, err);
    if (r < 0)
        return r;
    config.dir_fd = index->dir_fd;
    config.watch = index->watch;
    config.excludes = index->config.excludes;
    r = engine_scan_new(index->db, &config, &index->scan, err);
    if (r < 0)
        return r;
    r = pthread_create(&index->thread, NULL, run, index);
    if (r != 0)
        return err_set(err, r, "no thread for the index");
    index->has_thread = true;
    return 0;
}

int engine_index_new(struct engine_db *db, const struct engine_index_config *config, struct engine_index **ret_index,
                     struct err *err)
{
    cleanup_(engine_index_freep) struct engine_index *index = calloc(1, sizeof *index);
    int r;

    if (!index)
        return err_set(err, ENOMEM, "no memory for the index");
    index->db = db;
    index->config = *config;
    index->dir_fd = -1;
    index->wait_ms = config->retry_ms;
    lock_init(&index->lock, LOCK_ENGINE);
    cond_init(&index->changed);
    r = start(index, err);
    if (r < 0)
        return r;
    *ret_index = steal_ptr(&index);
    return 0;
}

void engine_index_free(struct engine_index *index)
{
    if (!index)
        return;
    atomic_store(&index->stop, true);
    if (index->has_thread) {
        engine_watch_wake(index->watch);
        (void)pthread_join(index->thread, NULL); /* a thread of ours, joined once: cannot fail */
    }
    engine_scan_free(index->scan);
    engine_watch_free(index->watch);
    engine_labels_free(index->labels);
    closep(&index->dir_fd);
    cond_done(&index->changed);
    lock_done(&index->lock);
    free(index);
}

bool engine_index_wait(struct engine_index *index, int64_t wait_ms)
{
    int64_t end_ms = clock_mono_ms() + wait_ms;
    bool is_ready;

    lock_acquire(&index->lock);
    while (!index->is_ready) {
        int64_t left_ms = end_ms - clock_mono_ms();

        if (left_ms <= 0)
            break;
        (void)cond_wait_ms(&index->changed, &index->lock, left_ms); /* the loop looks at the clock */
    }
    is_ready = index->is_ready;
    lock_release(&index->lock);
    return is_ready;
}

size_t engine_index_n_read(const struct engine_index *index)
{
    return engine_scan_n_read(index->scan);
}

static const char *column_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return text ? (const char *)text : "";
}

/* Columns sha256, sha1, md5, size, filetype, oldest mtime. */
static void sample_of_row(sqlite3_stmt *stmt, const struct engine_labels *labels, struct sample *sample)
{
    int64_t seen_s = sqlite3_column_int64(stmt, 5) / BILLION;

    *sample = (struct sample){ .size_bytes = sqlite3_column_int64(stmt, 3) };
    if (sqlite3_column_bytes(stmt, 0) == DIGEST_BYTES)
        memcpy(sample->digest.bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
    sample->first_seen_s = seen_s > 0 ? seen_s - seen_s % DAY_S : 0;
    (void)text_copy(sample->sha1, sizeof sample->sha1, column_text(stmt, 1));         /* ours: fits */
    (void)text_copy(sample->md5, sizeof sample->md5, column_text(stmt, 2));           /* likewise */
    (void)text_copy(sample->filetype, sizeof sample->filetype, column_text(stmt, 4)); /* likewise */
    (void)text_copy(sample->label, sizeof sample->label, "unknown");                  /* likewise */
    engine_labels_apply(labels, sample);
}

int engine_index_find(struct engine_index *index, const struct digest *digest, struct sample *ret_sample,
                      struct err *err)
{
    struct engine_db *db = index->db;
    sqlite3_stmt *stmt;
    int r;

    lock_acquire(&db->lock);
    stmt = engine_db_bind(db, SQL_SAMPLE_GET, "b", (const void *)digest->bytes, (size_t)DIGEST_BYTES);
    r = engine_db_step(db, stmt, err);
    if (r == 1) {
        sample_of_row(stmt, index->labels, ret_sample);
        (void)sqlite3_reset(stmt); /* the step succeeded */
    }
    lock_release(&db->lock);
    return r < 0 ? r : r == 1 ? 0 : ENGINE_INDEX_ABSENT;
}

/* A file that should have a content; before the first one: PLACE_NONE. */
struct place {
    char *path;
    struct engine_stamp stamp;
};

#define PLACE_NONE                                                                                                     \
    {                                                                                                                  \
        .path = NULL, .stamp = {.mtime_ns = INT64_MIN }                                                                \
    }

static void place_done(struct place *place)
{
    free(place->path);
}

/* Moves `place` to the next file with this content: 1, or 0 when there is none. */
CHECKED static int next_place(struct engine_index *index, const struct digest *digest, struct place *place,
                              struct err *err)
{
    struct engine_db *db = index->db;
    char *path = NULL;
    sqlite3_stmt *stmt;
    int r;

    lock_acquire(&db->lock);
    stmt = engine_db_bind(db, SQL_FILE_NEXT, "bit", (const void *)digest->bytes, (size_t)DIGEST_BYTES,
                          place->stamp.mtime_ns, place->path ? place->path : "");
    r = engine_db_step(db, stmt, err);
    if (r == 1) {
        path = strdup(column_text(stmt, 0));
        place->stamp = (struct engine_stamp){ .size_bytes = sqlite3_column_int64(stmt, 1),
                                              .mtime_ns = sqlite3_column_int64(stmt, 2),
                                              .ctime_ns = sqlite3_column_int64(stmt, 3),
                                              .inode = sqlite3_column_int64(stmt, 4) };
        (void)sqlite3_reset(stmt); /* the step succeeded */
    }
    lock_release(&db->lock);
    if (r != 1)
        return r;
    free(place->path);
    place->path = path;
    return path ? 1 : err_set(err, ENOMEM, "no memory for a path");
}

/* Is the file gone, or something else in its place? Everything else is no word about the sample. */
static bool means_absent(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ELOOP || code == EINVAL || code == ENXIO;
}

/* ENGINE_INDEX_ABSENT when the file is not what it was and its bytes are different, too. */
CHECKED static int open_place(struct engine_index *index, const struct place *place, const struct digest *digest,
                              const struct engine_own *own, int *ret_fd, int64_t *ret_size_bytes, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct engine_stamp stamp;
    struct digest now;
    struct stat st;
    int r = engine_file_open(index->dir_fd, place->path, &fd, &stamp, err);

    if (r < 0)
        return means_absent(-r) ? ENGINE_INDEX_ABSENT : r;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat '%s'", place->path);
    if (engine_own_has(own, engine_own_id_of(&st)))
        return ENGINE_INDEX_ABSENT;
    if (!engine_stamp_equal(&stamp, &place->stamp)) {
        r = engine_file_digest(fd, &now, err);
        if (r < 0 || !digest_equal(&now, digest))
            return r < 0 ? r : ENGINE_INDEX_ABSENT;
    }
    *ret_size_bytes = stamp.size_bytes;
    *ret_fd = steal_fd(&fd);
    return 0;
}

struct engine_own engine_index_own(const struct engine_index *index)
{
    return engine_own_find(index->config.excludes);
}

/* One good place is enough; without one, a place that could not be examined makes the answer unknown. */
int engine_index_open(struct engine_index *index, const struct digest *digest, const struct engine_own *own,
                      int *ret_fd, int64_t *ret_size_bytes, struct err *err)
{
    cleanup_(place_done) struct place place = PLACE_NONE;
    const struct engine_own now = own ? *own : engine_index_own(index); /* some may be new */
    struct err first = { 0 };
    int r = 0;

    for (int i = 0; i < PLACES_MAX; i++) {
        struct err other = { 0 };

        r = next_place(index, digest, &place, err);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        r = open_place(index, &place, digest, &now, ret_fd, ret_size_bytes, &other);
        if (r == 0)
            return 0;
        if (r < 0 && !first.code)
            first = other;
    }
    if (r != 0 && !first.code)
        return err_set(err, EBUSY, "all of the first %d files with one content are gone", PLACES_MAX);
    if (first.code && err)
        *err = first;
    return first.code ? -first.code : ENGINE_INDEX_ABSENT;
}

CHECKED static int add_row(struct engine_index *index, sqlite3_stmt *stmt, struct engine_samples *samples,
                           struct err *err)
{
    if (samples->n == samples->room) {
        size_t room = samples->room ? samples->room * 2 : 256;
        struct sample *grown = realloc(samples->items, room * sizeof *grown);

        if (!grown)
            return err_set(err, ENOMEM, "no memory for %zu samples", room);
        samples->items = grown;
        samples->room = room;
    }
    lock_acquire(&index->db->lock); /* the labels may be loaded again at any time */
    sample_of_row(stmt, index->labels, &samples->items[samples->n++]);
    lock_release(&index->db->lock);
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct sample *x = a;
    const struct sample *y = b;

    if (x->first_seen_s != y->first_seen_s)
        return x->first_seen_s > y->first_seen_s ? -1 : 1;
    return digest_compare(&x->digest, &y->digest);
}

int engine_index_list(struct engine_index *index, const struct engine_bytes *patterns, size_t n_patterns,
                      struct engine_samples *ret_samples, struct err *err)
{
    static const char text[] =
        "SELECT s.sha256, s.sha1, s.md5, s.size, s.filetype,"
        " (SELECT MIN(f.mtime_ns) FROM file f WHERE f.sha256 = s.sha256) AS seen FROM %s seen IS NOT NULL";
    static const char all[] = "sample s WHERE";
    /* In this order: each sample has a map, and most of them end there. */
    static const char may[] = "gram g CROSS JOIN sample s ON s.sha256 = g.sha256 WHERE may_contain(g.id, g.n) AND";
    cleanup_(sqlite3_closep) sqlite3 *sql = NULL;
    cleanup_(engine_maps_freep) struct engine_maps *maps = NULL;
    cleanup_(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;
    cleanup_(engine_samples_done) struct engine_samples samples = { 0 };
    char query[sizeof text + sizeof may];
    int row;
    int r = engine_db_reader(index->db, &sql, err);

    if (r == 0)
        r = engine_maps_new(sql, patterns, n_patterns, &maps, err);
    if (r < 0)
        return r;
    (void)sqlite3_snprintf(sizeof query, query, text, n_patterns ? may : all); /* fits */
    if (sqlite3_prepare_v2(sql, query, -1, &stmt, NULL) != SQLITE_OK)
        return err_set(err, EIO, "list samples: %s", sqlite3_errmsg(sql));
    while ((row = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (atomic_load(&index->stop))
            return err_set(err, ECANCELED, "the index is stopping");
        r = add_row(index, stmt, &samples, err);
        if (r < 0)
            return r;
    }
    if (row != SQLITE_DONE)
        return err_set(err, EIO, "list samples: %s", sqlite3_errmsg(sql));
    if (samples.n)
        qsort(samples.items, samples.n, sizeof *samples.items, newest_first);
    *ret_samples = samples;
    samples = (struct engine_samples){ 0 };
    return 0;
}

void engine_samples_done(struct engine_samples *samples)
{
    free(samples->items);
    *samples = (struct engine_samples){ 0 };
}
