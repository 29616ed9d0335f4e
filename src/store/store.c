#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "store/store_key.h"

/* ---- the state ---- */

CHECKED static int open_state(struct store *store, const char *dir, struct err *err)
{
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof path, "%s/state.db", dir) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "the path of the state directory is too long");
    r = store_files_make_dir(store->state_fd, "locks", &store->locks_fd, err);
    if (r < 0)
        return err_wrap(err, "'%s'", dir);
    store_files_sweep(store->locks_fd, "");
    r = store_db_open(&store->db, store->state_fd, path, err);
    return r < 0 ? r : store_audit_open(store, err);
}

/* ---- the cache and its keys ---- */

/* A mount shares the lock, a change of the key has it alone. Nobody ever removes this file. */
CHECKED static int lock_cache(struct store *store, bool is_alone, struct err *err)
{
    int r;

    store->in_use_fd = openat(store->cache_fd, STORE_IN_USE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->in_use_fd < 0)
        return err_sys(err, "open '%s' in the cache", STORE_IN_USE_NAME);
    r = store_files_lock_part(store->in_use_fd, STORE_FILES_FIRST, !is_alone, STORE_FILES_TRY, err);
    if (r == STORE_BUSY)
        return err_set(err, EBUSY, "%s",
                       is_alone ? "the cache is in use: unmount first" : "the key of the cache is being changed");
    return r;
}

CHECKED static int open_cache(struct store *store, const char *dir, bool is_alone, struct err *err)
{
    struct {
        const char *name;
        int *fd;
    } parts[] = {
        { "archives", &store->archives_fd },
        { "tmp", &store->tmp_fd },
        { "damaged", &store->damaged_fd },
    };
    int r = lock_cache(store, is_alone, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
        r = store_files_make_dir(store->cache_fd, parts[i].name, parts[i].fd, err);
    if (r < 0)
        return err_wrap(err, "'%s'", dir);
    store_files_sweep(store->cache_fd, STORE_FILES_PUT);
    store_files_sweep(store->tmp_fd, "");
    return store_room_scan(store, err);
}

/* A change of the key that was interrupted after its last object: the new key only lacks its name. */
CHECKED static int finish_change(struct store *store, const struct store_key_prints *prints, struct err *err)
{
    uint8_t print[STORE_KEY_PRINT_BYTES];
    int r;

    if (prints->n != 1 || !store->keys[1])
        return 0;
    r = store_seal_fingerprint(store->keys[1], print, err);
    if (r < 0 || memcmp(print, prints->bytes[0], sizeof print) != 0)
        return r;
    secret_free(steal_ptr(&store->keys[1]));
    return store_key_adopt_next(store->state_fd, err);
}

/* The prints are read before the key: who leaves a print has made its key before. */
CHECKED static int open_keys(struct store *store, const struct store_config *config, struct err *err)
{
    struct store_key_prints prints;
    int r = store_key_prints(store->cache_fd, config->cache_dir, &prints, err);

    if (r == 0)
        r = store_key_open_next(store->state_fd, config->state_dir, &store->keys[1], err);
    if (r >= 0) /* STORE_ABSENT: it is not being changed */
        r = finish_change(store, &prints, err);
    if (r < 0)
        return r;
    if (prints.n > 0 && !store_key_exists(store->state_fd))
        return err_set(err, EINVAL,
                       "the key of the cache is gone: put 'seal.key' back into '%s', or move '%s' away to start a new "
                       "cache (its samples are remote again then)",
                       config->state_dir, config->cache_dir);
    r = store_key_open(store->state_fd, config->state_dir, &store->keys[0], err);
    return r < 0 ? r
                 : store_key_bind(store->cache_fd, config->cache_dir, store->keys,
                                  store->counts[STORE_SEALED].bytes > 0, &store->seal_key, err);
}

/* Nobody else ever has it, so nothing that was swapped out can be read afterwards. */
CHECKED static int make_memory_key(struct store *store, struct err *err)
{
    char bytes[SEAL_KEY_BYTES];
    int r;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_sys(err, "no random bytes");
    r = secret_new(bytes, sizeof bytes, &store->memory_key, err);
    secret_wipe(bytes, sizeof bytes);
    return r;
}

/* ---- all of it ---- */

CHECKED static int open_all(struct store *store, const struct store_config *config, bool is_alone, struct err *err)
{
    int r = store_files_make_path(config->state_dir, &store->state_fd, err);

    if (r == 0)
        store_files_sweep(store->state_fd, STORE_FILES_PUT); /* else a key that was never used would stay */
    if (r == 0)
        r = store_files_make_path(config->cache_dir, &store->cache_fd, err);
    if (r == 0)
        r = open_cache(store, config->cache_dir, is_alone, err);
    if (r == 0)
        r = open_keys(store, config, err);
    if (r == 0)
        r = make_memory_key(store, err);
    return r < 0 ? r : open_state(store, config->state_dir, err);
}

/* Each is a descriptor: most of those that we may have are for others. */
static size_t kept_max(void)
{
    enum { KEPT_MAX = 8192, PART_OF_ALL = 2 };
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    return files.rlim_cur / PART_OF_ALL < KEPT_MAX ? files.rlim_cur / PART_OF_ALL : KEPT_MAX;
}

int store_open(const struct store_config *config, bool is_alone, struct store **ret_store, struct err *err)
{
    cleanup_(store_freep) struct store *store = calloc(1, sizeof *store);
    int r;

    if (!store)
        return err_set(err, ENOMEM, "no memory for the store");
    store->state_fd = store->cache_fd = store->archives_fd = store->tmp_fd = store->locks_fd = store->damaged_fd =
        store->audit_fd = store->in_use_fd = -1;
    lock_init(&store->audit, LOCK_STORE_AUDIT);
    list_init(&store->kept);
    store->n_kept_max = kept_max();
    store->kind = config->kind;
    store_limit(store, config->cache_bytes, config->memory_bytes);
    lock_init(&store->db.lock, LOCK_STORE);
    lock_init(&store->files, LOCK_STORE_FILES);

    store->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!store->cipher)
        return err_set(err, ENOSYS, "this OpenSSL has no AES-256-GCM");
    r = open_all(store, config, is_alone, err);
    if (r < 0)
        return r;
    *ret_store = steal_ptr(&store);
    return 0;
}

int store_new(const struct store_config *config, struct store **ret_store, struct err *err)
{
    return store_open(config, false, ret_store, err);
}

void store_hurry(struct store *store)
{
    store_db_hurry(&store->db, STORE_HURRY_MS);
    __atomic_store_n(&store->is_hurried, true, __ATOMIC_SEQ_CST);
}

bool store_is_hurried(const struct store *store)
{
    return __atomic_load_n(&store->is_hurried, __ATOMIC_RELAXED);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    store_object_drop_kept(store);
    assert(store->objects.n == 0 && store->zips.n == 0); /* every one was given back */
    store_db_close(&store->db);
    map_done(&store->zips);
    map_done(&store->objects);
    store_place_memory_done(store);
    for (size_t i = 0; i < STORE_KEYS_MAX; i++)
        secret_free(store->keys[i]);
    secret_free(store->memory_key);
    EVP_CIPHER_free(store->cipher);
    closep(&store->in_use_fd);
    closep(&store->damaged_fd);
    closep(&store->locks_fd);
    closep(&store->tmp_fd);
    closep(&store->archives_fd);
    closep(&store->cache_fd);
    closep(&store->audit_fd);
    closep(&store->state_fd);
    lock_done(&store->files);
    lock_done(&store->audit);
    lock_done(&store->db.lock);
    free(store);
}

/* Sees what other processes have done to the database. */
static void look_locked(struct store *store) REQUIRES(&store->db.lock);

static void look_locked(struct store *store)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_DATA_VERSION);

    if (store_query_step(&query, NULL) == STORE_ROW) { /* a failure shows at the next use */
        int64_t now = store_query_column_int(&query, 0);

        if (now != store->db.data_version)
            store_db_changed(&store->db);
        store->db.data_version = now;
    }
}

int64_t store_version(struct store *store)
{
    int64_t version;

    lock_acquire(&store->db.lock);
    look_locked(store);
    version = store->db.version;
    lock_release(&store->db.lock);
    return version;
}

int64_t store_rows_version(struct store *store)
{
    int64_t version;

    lock_acquire(&store->db.lock);
    look_locked(store);
    version = store->db.version + sqlite3_total_changes64(store->db.sqlite);
    lock_release(&store->db.lock);
    return version;
}
