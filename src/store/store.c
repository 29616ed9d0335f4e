#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "store/store_key.h"

CHECKED static int open_state(struct store *store, const char *dir, struct err *err)
{
    char path[PATH_MAX];
    int r;

    r = store_files_make_path(dir, &store->state_fd, err);
    if (r < 0)
        return r;
    r = store_key_open(store->state_fd, dir, &store->key, err);
    if (r < 0)
        return r;
    if (snprintf(path, sizeof path, "%s/state.db", dir) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "the path of the state directory is too long");
    r = store_db_open(&store->db, store->state_fd, path, err);
    return r < 0 ? r : store_audit_open(store, err);
}

CHECKED static int open_cache(struct store *store, const char *dir, struct err *err)
{
    struct {
        const char *name;
        int *fd;
    } parts[] = {
        { "archives", &store->archives_fd },
        { "tmp", &store->tmp_fd },
        { "locks", &store->locks_fd },
        { "damaged", &store->damaged_fd },
    };
    int r;

    r = store_files_make_path(dir, &store->cache_fd, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        r = store_files_make_dir(store->cache_fd, parts[i].name, parts[i].fd, err);
        if (r < 0)
            return err_wrap(err, "'%s'", dir);
    }
    store_files_sweep(store->tmp_fd);
    store_files_sweep(store->locks_fd);
    r = store_object_scan(store, err);
    return r < 0 ? r : store_key_bind(store->cache_fd, dir, store->key, store->used_bytes > 0, err);
}

int store_new(const struct store_config *config, struct store **ret_store, struct err *err)
{
    cleanup_(store_freep) struct store *store = calloc(1, sizeof *store);
    int r;

    if (!store)
        return err_set(err, ENOMEM, "no memory for the store");
    store->state_fd = store->cache_fd = store->archives_fd = store->tmp_fd = store->locks_fd = store->damaged_fd =
        store->audit_fd = -1;
    lock_init(&store->audit, LOCK_STORE_AUDIT);
    lock_init(&store->db.lock, LOCK_STORE);
    lock_init(&store->files, LOCK_STORE_FILES);

    store->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!store->cipher)
        return err_set(err, ENOSYS, "this OpenSSL has no AES-256-GCM");
    r = open_state(store, config->state_dir, err);
    if (r < 0)
        return r;
    r = open_cache(store, config->cache_dir, err);
    if (r < 0)
        return r;
    *ret_store = steal_ptr(&store);
    return 0;
}

int store_disk(struct store *store, int64_t *ret_total, int64_t *ret_free, struct err *err)
{
    struct statvfs st;

    if (fstatvfs(store->cache_fd, &st) < 0)
        return err_sys(err, "size of the cache's disk");
    *ret_total = (int64_t)st.f_blocks * (int64_t)st.f_frsize;
    *ret_free = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
    return 0;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    assert(store->objects.n == 0 && store->zips.n == 0); /* every one was given back */
    store_db_close(&store->db);
    map_done(&store->zips);
    map_done(&store->objects);
    secret_free(store->key);
    EVP_CIPHER_free(store->cipher);
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

int64_t store_version(struct store *store)
{
    int64_t version;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_DATA_VERSION);

        if (store_query_step(&query, NULL) == STORE_ROW) { /* a failure shows at the next use */
            int64_t now = store_query_column_int(&query, 0);

            if (now != store->db.data_version)
                store_db_changed(&store->db);
            store->db.data_version = now;
        }
    }
    version = store->db.version;
    lock_release(&store->db.lock);
    return version;
}
