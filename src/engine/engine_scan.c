#include "engine/engine_scan.h"

#include <errno.h>
#include <string.h>

#include "engine/engine_file.h"
#include "engine/engine_maps.h"
#include "engine/engine_walk.h"
#include "util/log.h"
#include "util/parallel.h"

enum { READ_TRIES = 3 };

struct paths {
    char **items;
    size_t n;
    size_t room;
};

struct engine_scan {
    struct engine_db *db;
    struct engine_scan_config config;
    struct engine_reader *readers[PARALLEL_THREADS_MAX]; /* one per worker, made when first needed */
    struct paths changed;
    atomic_size_t n_read;
    atomic_bool has_failed; /* a file of this pass could not be read, though it may be fine */
    bool is_watch_full;     /* said once */
};

int engine_scan_new(struct engine_db *db, const struct engine_scan_config *config, struct engine_scan **ret_scan,
                    struct err *err)
{
    struct engine_scan *scan = calloc(1, sizeof *scan);

    if (!scan)
        return err_set(err, ENOMEM, "no memory to scan");
    scan->db = db;
    scan->config = *config;
    *ret_scan = scan;
    return 0;
}

static void clear_paths(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->items[i]);
    paths->n = 0;
}

void engine_scan_free(struct engine_scan *scan)
{
    if (!scan)
        return;
    for (size_t i = 0; i < PARALLEL_THREADS_MAX; i++)
        engine_reader_freep(&scan->readers[i]);
    clear_paths(&scan->changed);
    free(scan->changed.items);
    free(scan);
}

CHECKED static int add_path(struct paths *paths, const char *path, struct err *err)
{
    if (paths->n == paths->room) {
        size_t room = paths->room ? paths->room * 2 : 256;
        char **grown = realloc(paths->items, room * sizeof *grown);

        if (!grown)
            return err_set(err, ENOMEM, "no memory for %zu paths", room);
        paths->items = grown;
        paths->room = room;
    }
    paths->items[paths->n] = strdup(path);
    if (!paths->items[paths->n])
        return err_set(err, ENOMEM, "no memory for a path");
    paths->n++;
    return 0;
}

/* Is the file in the database as it is on disk? Notes that it exists. */
CHECKED static int is_known_locked(struct engine_db *db, const struct engine_walk_entry *entry, bool *ret_known,
                                   struct err *err) REQUIRES(&db->lock);
static int is_known_locked(struct engine_db *db, const struct engine_walk_entry *entry, bool *ret_known,
                           struct err *err)
{
    struct engine_stamp stamp;
    sqlite3_stmt *stmt;
    int r = engine_db_run(db, engine_db_bind(db, SQL_SEEN_ADD, "t", entry->path), err);

    if (r < 0)
        return r;
    *ret_known = false;
    stmt = engine_db_bind(db, SQL_FILE_STAMP, "t", entry->path);
    r = engine_db_step(db, stmt, err);
    if (r <= 0)
        return r;
    stamp.size_bytes = sqlite3_column_int64(stmt, 0);
    stamp.mtime_ns = sqlite3_column_int64(stmt, 1);
    stamp.ctime_ns = sqlite3_column_int64(stmt, 2);
    stamp.inode = sqlite3_column_int64(stmt, 3);
    *ret_known = engine_stamp_equal(&entry->stamp, &stamp);
    (void)sqlite3_reset(stmt); /* the step succeeded */
    return 0;
}

CHECKED static int visit_file(struct engine_scan *scan, const struct engine_walk_entry *entry, struct err *err)
{
    bool is_known = false;
    int r;

    lock_acquire(&scan->db->lock);
    r = is_known_locked(scan->db, entry, &is_known, err);
    lock_release(&scan->db->lock);
    if (r < 0 || is_known)
        return r;
    return add_path(&scan->changed, entry->path, err);
}

/* Running out of watches is no reason to serve nothing. */
static void visit_directory(struct engine_scan *scan, const char *path)
{
    struct err err = { 0 };

    if (engine_watch_add(scan->config.watch, path, &err) < 0 && !scan->is_watch_full) {
        log_event(LOG_LEVEL_WARN, err.text, LOG_TEXT(LOG_OP, "watch"), LOG_NUMBER(LOG_ERRNO, err.code));
        scan->is_watch_full = true;
    }
}

CHECKED static int collect(struct engine_scan *scan, const char *path, struct err *err)
{
    cleanup_(engine_walk_freep) struct engine_walk *walk = NULL;
    struct engine_walk_entry entry;
    const struct engine_own own = engine_own_find(scan->config.excludes);
    bool has_any = false;
    int r = engine_walk_new(scan->config.dir_fd, path, &walk, err);

    if (r < 0)
        return r;
    while (!atomic_load(scan->config.stop) && engine_walk_next(walk, &entry)) {
        has_any = true;
        if (engine_own_has(&own, entry.id))
            engine_walk_skip(walk);
        else if (entry.is_dir)
            visit_directory(scan, entry.path);
        else
            r = visit_file(scan, &entry, err);
        if (r < 0)
            return r;
    }
    if (engine_walk_code(walk))
        return err_set(err, engine_walk_code(walk), "a directory below '%s' cannot be read", path);
    if (!has_any && *path)
        engine_watch_drop(scan->config.watch, path);
    return 0;
}

CHECKED static int put_rows_locked(struct engine_db *db, const char *path, const struct engine_facts *facts,
                                   struct err *err) REQUIRES(&db->lock);
static int put_rows_locked(struct engine_db *db, const char *path, const struct engine_facts *facts, struct err *err)
{
    const struct sample *s = &facts->sample;
    const struct engine_stamp *stamp = &facts->stamp;
    const void *key = s->digest.bytes;
    size_t n_key = DIGEST_BYTES;
    int r;

    r = engine_db_run(db,
                      engine_db_bind(db, SQL_FILE_PUT, "tiiiib", path, stamp->size_bytes, stamp->mtime_ns,
                                     stamp->ctime_ns, stamp->inode, key, n_key),
                      err);
    if (r < 0)
        return r;
    r = engine_db_run(
        db, engine_db_bind(db, SQL_SAMPLE_PUT, "bttit", key, n_key, s->sha1, s->md5, s->size_bytes, s->filetype), err);
    if (r < 0)
        return r;
    return engine_maps_put_locked(db, &s->digest, &facts->gram, err);
}

CHECKED static int put(struct engine_db *db, const char *path, const struct engine_facts *facts, struct err *err)
{
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_BEGIN, ""), err);
    if (r == 0) {
        r = put_rows_locked(db, path, facts, err);
        if (r == 0)
            r = engine_db_run(db, engine_db_bind(db, SQL_COMMIT, ""), err);
        if (r < 0)
            (void)engine_db_run(db, engine_db_bind(db, SQL_ROLLBACK, ""), NULL); /* the first error counts */
    }
    lock_release(&db->lock);
    return r;
}

static void forget(struct engine_scan *scan, const char *path)
{
    lock_acquire(&scan->db->lock);
    /* A row that stays is harmless: whoever opens the file sees that its stamp is wrong. */
    (void)engine_db_run(scan->db, engine_db_bind(scan->db, SQL_FILE_FORGET, "t", path), NULL);
    lock_release(&scan->db->lock);
}

/* Reads one file until nobody writes to it meanwhile, READ_TRIES times at most. */
CHECKED static int read_file(struct engine_scan *scan, struct engine_reader *reader, const char *path, struct err *err)
{
    int r = ENGINE_FILE_CHANGED;

    for (int i = 0; i < READ_TRIES && r == ENGINE_FILE_CHANGED; i++) {
        cleanup_(closep) int fd = -1;
        struct engine_facts facts = { 0 };
        struct engine_stamp stamp;

        r = engine_file_open(scan->config.dir_fd, path, &fd, &stamp, err);
        if (r == 0)
            r = engine_file_read(reader, fd, scan->config.stop, &facts, err);
        if (r == 0)
            r = put(scan->db, path, &facts, err);
        engine_gram_done(&facts.gram);
    }
    return r;
}

static bool read_task(void *context, size_t worker, size_t item)
{
    struct engine_scan *scan = context;
    const char *path = scan->changed.items[item];
    struct err err = { 0 };
    bool is_lost = false;
    int r = 0;

    if (!scan->readers[worker])
        r = engine_reader_new(&scan->readers[worker], &err);
    if (r == 0) {
        r = read_file(scan, scan->readers[worker], path, &err);
        is_lost = r > 0 || engine_file_is_lost(-r);
    }
    if (r == ENGINE_FILE_STOPPED)
        return false;
    if (r == 0) {
        atomic_fetch_add(&scan->n_read, 1);
        return true;
    }
    if (is_lost)
        forget(scan, path);
    else
        atomic_store(&scan->has_failed, true);
    log_event(LOG_LEVEL_DEBUG, r > 0 ? "the file changes while it is read" : err.text, LOG_TEXT(LOG_OP, "index"),
              LOG_TEXT(LOG_NODE, path));
    return true;
}

CHECKED static int sweep(struct engine_scan *scan, const char *path, struct err *err)
{
    static const enum engine_sql orphans[] = { SQL_SAMPLE_SWEEP, SQL_GRAM_SWEEP };
    struct engine_db *db = scan->db;
    int r;

    lock_acquire(&db->lock);
    r = engine_db_run(db, engine_db_bind(db, SQL_SEEN_SWEEP, "t", path), err);
    for (size_t i = 0; i < ARRAY_SIZE(orphans) && r == 0; i++)
        r = engine_db_run(db, engine_db_bind(db, orphans[i], ""), err);
    lock_release(&db->lock);
    return r;
}

int engine_scan_refresh(struct engine_scan *scan, const char *path, struct err *err)
{
    int r;

    clear_paths(&scan->changed);
    atomic_store(&scan->has_failed, false);
    lock_acquire(&scan->db->lock);
    r = engine_db_run(scan->db, engine_db_bind(scan->db, SQL_SEEN_CLEAR, ""), err);
    lock_release(&scan->db->lock);
    if (r < 0)
        return r;
    r = collect(scan, path, err); /* what was found before a failure is read all the same */
    parallel_run(scan->config.n_threads, scan->changed.n, scan->config.stop, read_task, scan);
    if (r < 0 || atomic_load(scan->config.stop))
        return r;
    r = sweep(scan, path, err);
    if (r == 0 && atomic_load(&scan->has_failed))
        return err_set(err, EAGAIN, "files below '%s' could not be read", path);
    return r;
}

size_t engine_scan_n_read(const struct engine_scan *scan)
{
    return atomic_load(&scan->n_read);
}
