/*
 * The one member is stored, not deflated, so that a zip is larger than its sample by a number that only depends on the
 * method and on the length of the name. That number is taken from a zip of one byte, so that libzip alone knows the
 * format; a zip that came out with another size than promised is not served.
 *
 * A zip is made once and then shared, because its random salt makes every copy another one, and the kernel keeps one
 * page cache for all who have it open. Only encrypted bytes are kept, in memory.
 */
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"
#include "store/store_zip_source.h"
#include "util/text.h"

/* The times that a zip can name, in every time zone. */
#define ZIP_TIME_MIN_S 315619200  /* 1980-01-02 */
#define ZIP_TIME_MAX_S 4354646400 /* 2107-12-30 */

static const zip_uint16_t encryptions[] = {
    [STORE_ZIP_CRYPTO] = ZIP_EM_TRAD_PKWARE,
    [STORE_ZIP_AES] = ZIP_EM_AES_256,
};

struct store_zip {
    struct map_entry entry; /* in store->zips; guarded by store->files */
    struct store *store;
    struct digest digest;
    enum store_zip_method method;
    char password[STORE_ZIP_PASSWORD_MAX + 1];
    int64_t size_bytes;
    unsigned int n_refs;   /* guarded by store->files */
    struct lock lock;      /* rank LOCK_STORE_ZIP: libzip's buffer has one position */
    zip_source_t *archive; /* NULL until it is made; guarded by lock */
};

CHECKED static int check_config(const struct store_zip_config *config, struct err *err)
{
    size_t n = strlen(config->password);

    if (n == 0 || n > STORE_ZIP_PASSWORD_MAX)
        return err_set(err, EINVAL, "a zip's password has 1 to %d characters", STORE_ZIP_PASSWORD_MAX);
    for (const char *at = config->password; *at; at++)
        if (*at < ' ' || *at > '~')
            return err_set(err, EINVAL, "a zip's password has printable ASCII characters only");
    return 0;
}

/* ---- making one ---- */

static void zip_discardp(zip_t **zip)
{
    if (*zip)
        zip_discard(*zip);
}

static void zip_source_freep(zip_source_t **source)
{
    if (*source)
        zip_source_free(*source);
}

CHECKED static int fail(zip_error_t *error, struct err *err)
{
    return err_set(err, zip_error_code_zip(error) == ZIP_ER_MEMORY ? ENOMEM : EIO, "zip: %s",
                   zip_error_strerror(error));
}

/* Adds `*member` and takes it over. */
CHECKED static int add(zip_t *zip, const struct store_zip_config *config, const struct digest *digest,
                       zip_source_t **member, struct err *err)
{
    zip_int64_t at = zip_file_add(zip, digest_format(digest).s, *member, 0);

    if (at < 0)
        return fail(zip_get_error(zip), err);
    (void)steal_ptr(member);
    if (zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) < 0 ||
        zip_file_set_encryption(zip, (zip_uint64_t)at, encryptions[config->method], config->password) < 0)
        return fail(zip_get_error(zip), err);
    return 0;
}

/* The zip of one member, in memory; `member` is consumed in any case, NULL stands for one without memory. */
CHECKED static int pack(const struct store_zip_config *config, const struct digest *digest, zip_source_t *member,
                        zip_source_t **ret_archive, struct err *err)
{
    cleanup_(zip_source_freep) zip_source_t *owned = member;
    cleanup_(zip_source_freep) zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, NULL);
    cleanup_(zip_discardp) zip_t *zip = NULL;
    zip_error_t error;
    int r;

    if (!owned || !archive)
        return err_set(err, ENOMEM, "no memory for a zip");
    zip_error_init(&error);
    zip = zip_open_from_source(archive, ZIP_TRUNCATE, &error);
    r = zip ? 0 : fail(&error, err);
    zip_error_fini(&error);
    if (r < 0)
        return r;
    zip_source_keep(archive); /* one reference is the zip's */
    r = add(zip, config, digest, &owned, err);
    if (r < 0)
        return r;
    if (zip_close(zip) < 0)
        return fail(zip_get_error(zip), err);
    (void)steal_ptr(&zip); /* zip_close() freed it */
    *ret_archive = steal_ptr(&archive);
    return 0;
}

CHECKED static int size_of(zip_source_t *archive, int64_t *ret_size, struct err *err)
{
    zip_stat_t st;

    if (zip_source_stat(archive, &st) < 0)
        return fail(zip_source_error(archive), err);
    *ret_size = (int64_t)st.size;
    return 0;
}

/* By how much a zip is larger than its sample. */
CHECKED static int measure(const struct store_zip_config *config, int64_t *ret_overhead, struct err *err)
{
    static const char tiny[1];
    static const struct digest any;
    cleanup_(zip_source_freep) zip_source_t *archive = NULL;
    int r = pack(config, &any, zip_source_buffer_create(tiny, sizeof tiny, 0, NULL), &archive, err);

    if (r == 0)
        r = size_of(archive, ret_overhead, err);
    if (r == 0)
        *ret_overhead -= (int64_t)sizeof tiny;
    return r;
}

int store_zip_size(struct store *store, const struct digest *digest, const struct store_zip_config *config,
                   int64_t *ret_size, struct err *err)
{
    int64_t *kept = &store->zip_overheads[config->method];
    int64_t overhead = __atomic_load_n(kept, __ATOMIC_RELAXED);
    int64_t bytes = 0;
    int r = check_config(config, err);

    if (r == 0)
        r = store_object_look(store, digest, &bytes, err);
    if (r != 0)
        return r;
    if (overhead == 0) { /* two threads may measure at once, and find the same */
        r = measure(config, &overhead, err);
        if (r < 0)
            return r;
        __atomic_store_n(kept, overhead, __ATOMIC_RELAXED);
    }
    *ret_size = bytes + overhead;
    return 0;
}

CHECKED static int pack_sample(struct store_zip *zip, const struct store_zip_config *config, int64_t mtime_s,
                               zip_source_t **ret_archive, struct err *err)
{
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    cleanup_(store_zip_source_freep) struct store_zip_source *sample = NULL;
    int r = store_object_open(zip->store, &zip->digest, &object, err);

    if (r == 0)
        r = store_zip_source_new(object, &sample, err);
    if (r != 0)
        return r;
    sample->cancel = &zip->store->is_hurried;
    sample->mtime_s = (time_t)(mtime_s < ZIP_TIME_MIN_S   ? ZIP_TIME_MIN_S
                               : mtime_s > ZIP_TIME_MAX_S ? ZIP_TIME_MAX_S
                                                          : mtime_s);
    r = pack(config, &zip->digest, store_zip_source_open(sample), ret_archive, err);
    if (sample->failed.code) /* the true reason, and not always noticed by libzip */
        r = err_set(err, sample->failed.code, "%s", sample->failed.text);
    return r;
}

CHECKED static int make_locked(struct store_zip *zip, const struct store_zip_config *config, int64_t mtime_s,
                               struct err *err) REQUIRES(&zip->lock);

static int make_locked(struct store_zip *zip, const struct store_zip_config *config, int64_t mtime_s, struct err *err)
{
    cleanup_(zip_source_freep) zip_source_t *archive = NULL;
    int64_t size = 0;
    int r = pack_sample(zip, config, mtime_s, &archive, err);

    if (r == 0)
        r = size_of(archive, &size, err);
    if (r != 0)
        return r;
    if (size != zip->size_bytes)
        return err_set(err, EIO, "a zip of %lld bytes, not of the %lld that were promised", (long long)size,
                       (long long)zip->size_bytes);
    if (zip_source_open(archive) < 0)
        return fail(zip_source_error(archive), err);
    zip->archive = steal_ptr(&archive);
    return 0;
}

/* ---- sharing it ---- */

/* The open zip of this sample, made in the same way, with one more reference; or NULL. */
static struct store_zip *find_locked(struct store *store, const struct digest *digest,
                                     const struct store_zip_config *config) REQUIRES(&store->files);

static struct store_zip *find_locked(struct store *store, const struct digest *digest,
                                     const struct store_zip_config *config)
{
    struct map_entry *entry = map_first(&store->zips, store_object_hash(digest));

    for (; entry; entry = map_next(entry)) {
        struct store_zip *zip = container_of(entry, struct store_zip, entry);

        if (digest_equal(&zip->digest, digest) && zip->method == config->method &&
            strcmp(zip->password, config->password) == 0) {
            zip->n_refs++;
            return zip;
        }
    }
    return NULL;
}

static void zip_free(struct store_zip *zip)
{
    if (zip->archive)
        zip_source_free(zip->archive);
    lock_done(&zip->lock);
    free(zip);
}
DEFINE_CLEANUP(struct store_zip *, zip_free)

CHECKED static int add_locked(struct store *store, struct store_zip *zip, struct err *err) REQUIRES(&store->files);

static int add_locked(struct store *store, struct store_zip *zip, struct err *err)
{
    if (zip->size_bytes > STORE_ZIP_MEMORY_MAX - store->zip_bytes)
        return err_set(err, ENOMEM, "zips of more than %d MiB would be open at once", STORE_ZIP_MEMORY_MAX / MIB);
    if (!map_add(&store->zips, &zip->entry, store_object_hash(&zip->digest)))
        return err_set(err, ENOMEM, "no memory for the table of zips");
    store->zip_bytes += zip->size_bytes;
    return 0;
}

/* The zip of a sample, which may have to be made yet. */
CHECKED static int join(struct store *store, const struct digest *digest, const struct store_zip_config *config,
                        int64_t size_bytes, struct store_zip **ret_zip, struct err *err)
{
    cleanup_(zip_freep) struct store_zip *fresh = calloc(1, sizeof *fresh);
    struct store_zip *zip;
    int r = 0;

    if (!fresh)
        return err_set(err, ENOMEM, "no memory for a zip");
    lock_init(&fresh->lock, LOCK_STORE_ZIP);
    fresh->store = store;
    fresh->digest = *digest;
    fresh->method = config->method;
    (void)text_copy(fresh->password, sizeof fresh->password, config->password); /* fits: it was checked */
    fresh->size_bytes = size_bytes;
    fresh->n_refs = 1;
    lock_acquire(&store->files);
    zip = find_locked(store, digest, config);
    if (!zip) {
        r = add_locked(store, fresh, err);
        if (r == 0)
            zip = steal_ptr(&fresh);
    }
    lock_release(&store->files);
    if (r == 0)
        *ret_zip = zip;
    return r;
}

int store_zip_open(struct store *store, const struct digest *digest, const struct store_zip_config *config,
                   int64_t mtime_s, struct store_zip **ret_zip, struct err *err)
{
    cleanup_(store_zip_unrefp) struct store_zip *zip = NULL;
    int64_t size = 0;
    int r;

    lock_assert_none_held();
    r = store_zip_size(store, digest, config, &size, err);
    if (r != 0)
        return r;
    if (size > STORE_ZIP_MEMORY_MAX)
        return err_set(err, EFBIG, "a zip of more than %d MiB", STORE_ZIP_MEMORY_MAX / MIB);
    r = join(store, digest, config, size, &zip, err);
    if (r < 0)
        return r;
    lock_acquire(&zip->lock); /* who comes second waits until the first has made it */
    r = zip->archive ? 0 : make_locked(zip, config, mtime_s, err);
    lock_release(&zip->lock);
    if (r == 0)
        *ret_zip = steal_ptr(&zip);
    return r;
}

int store_zip_read(struct store_zip *zip, int64_t offset, void *to, size_t n, size_t *ret_n, struct err *err)
{
    zip_int64_t got = 0;

    if (offset < 0)
        return err_set(err, EINVAL, "a negative offset");
    if (offset >= zip->size_bytes)
        n = 0;
    else if ((uint64_t)(zip->size_bytes - offset) < n)
        n = (size_t)(zip->size_bytes - offset);
    lock_acquire(&zip->lock);
    if (n > 0)
        got = zip_source_seek(zip->archive, offset, SEEK_SET) < 0 ? -1 : zip_source_read(zip->archive, to, n);
    lock_release(&zip->lock);
    if (got < 0 || (size_t)got != n)
        return err_set(err, EIO, "a zip in memory cannot be read");
    *ret_n = n;
    return 0;
}

struct store_zip *store_zip_ref(struct store_zip *zip)
{
    lock_acquire(&zip->store->files);
    zip->n_refs++;
    lock_release(&zip->store->files);
    return zip;
}

void store_zip_unref(struct store_zip *zip)
{
    struct store *store;
    bool is_last;

    if (!zip)
        return;
    store = zip->store;
    lock_acquire(&store->files);
    is_last = --zip->n_refs == 0;
    if (is_last) {
        map_remove(&store->zips, &zip->entry);
        store->zip_bytes -= zip->size_bytes;
    }
    lock_release(&store->files);
    if (is_last)
        zip_free(zip);
}
