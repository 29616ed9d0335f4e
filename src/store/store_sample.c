#include "store/store_internal.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"

enum {
    SAMPLE_UNASKED = 3, /* in the database only: there is an error, but the service was never asked */
    SAMPLE_PAGE = 512,  /* digests listed at once */
};

/* Places of SAMPLE_COLUMNS. */
enum {
    COLUMN_DIGEST,
    COLUMN_SIZE,
    COLUMN_FIRST_SEEN,
    COLUMN_SHA1,
    COLUMN_MD5,
    COLUMN_FILETYPE,
    COLUMN_LABEL,
    COLUMN_FAMILY,
    COLUMN_STATE,
    COLUMN_CHECKED,
    COLUMN_ERROR,
};

void store_query_column_digest(const struct store_query *query, int column, struct digest *ret_digest)
{
    const void *bytes = sqlite3_column_blob(query->statement, column);

    assert(bytes && sqlite3_column_bytes(query->statement, column) == DIGEST_BYTES); /* CHECK of the schema */
    memcpy(ret_digest->bytes, bytes, DIGEST_BYTES);
}

void store_sample_from_row(const struct store_query *query, struct store_sample *ret_sample)
{
    struct sample *sample = &ret_sample->sample;
    bool has_size = !store_query_column_is_null(query, COLUMN_SIZE);
    bool has_date = !store_query_column_is_null(query, COLUMN_FIRST_SEEN);

    memset(ret_sample, 0, sizeof *ret_sample);
    store_query_column_digest(query, COLUMN_DIGEST, &sample->digest);
    sample->size_bytes = has_size ? store_query_column_int(query, COLUMN_SIZE) : SAMPLE_NO_SIZE;
    sample->first_seen_s = has_date ? store_query_column_int(query, COLUMN_FIRST_SEEN) : SAMPLE_NO_DATE;
    store_query_column_text(query, COLUMN_SHA1, sample->sha1, sizeof sample->sha1);
    store_query_column_text(query, COLUMN_MD5, sample->md5, sizeof sample->md5);
    store_query_column_text(query, COLUMN_FILETYPE, sample->filetype, sizeof sample->filetype);
    store_query_column_text(query, COLUMN_LABEL, sample->label, sizeof sample->label);
    store_query_column_text(query, COLUMN_FAMILY, sample->family, sizeof sample->family);
    ret_sample->state = (enum store_sample_state)store_query_column_int(query, COLUMN_STATE);
    ret_sample->checked_s = store_query_column_int(query, COLUMN_CHECKED);
    store_query_column_text(query, COLUMN_ERROR, ret_sample->error, sizeof ret_sample->error);
}

CHECKED static int get_locked(struct store *store, const struct digest *digest, struct store_sample *ret_sample,
                              struct err *err) REQUIRES(&store->db.lock);

static int get_locked(struct store *store, const struct digest *digest, struct store_sample *ret_sample,
                      struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_GET);
    int r;

    store_query_blob(&query, digest->bytes, DIGEST_BYTES);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    if (r == 0 || store_query_column_int(&query, COLUMN_STATE) == SAMPLE_UNASKED)
        return STORE_ABSENT;
    store_sample_from_row(&query, ret_sample);
    return 0;
}

int store_sample_get(struct store *store, const struct digest *digest, struct store_sample *ret_sample, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = get_locked(store, digest, ret_sample, err);
    lock_release(&store->db.lock);
    return r;
}

int store_sample_put_locked(struct store *store, const struct sample *sample, int64_t now_s, int64_t *ret_row,
                            struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_PUT);
    int r;

    store_query_blob(&query, sample->digest.bytes, DIGEST_BYTES);
    store_query_int(&query, now_s);
    if (sample->size_bytes >= 0)
        store_query_int(&query, sample->size_bytes);
    else
        store_query_null(&query);
    if (sample->first_seen_s != SAMPLE_NO_DATE)
        store_query_int(&query, sample->first_seen_s);
    else
        store_query_null(&query);
    store_query_known(&query, sample->sha1);
    store_query_known(&query, sample->md5);
    store_query_known(&query, sample->filetype);
    store_query_known(&query, sample->label);
    store_query_known(&query, sample->family);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    assert(r == STORE_ROW); /* RETURNING of an upsert that always writes */
    *ret_row = store_query_column_int(&query, 0);
    return 0;
}

int store_sample_row_locked(struct store *store, const struct digest *digest, int64_t *ret_row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_ROW);
    int r;

    store_query_blob(&query, digest->bytes, DIGEST_BYTES);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    assert(r == STORE_ROW); /* RETURNING of an upsert that always writes */
    *ret_row = store_query_column_int(&query, 0);
    return 0;
}

CHECKED static int put_all_locked(struct store *store, const struct sample *samples, size_t n, struct err *err)
    REQUIRES(&store->db.lock);

static int put_all_locked(struct store *store, const struct sample *samples, size_t n, struct err *err)
{
    int64_t now_s = clock_now_s();
    int64_t row = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = store_sample_put_locked(store, &samples[i], now_s, &row, err);
    return r;
}

int store_sample_put(struct store *store, const struct sample *samples, size_t n, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, put_all_locked(store, samples, n, err), err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int put_absent_locked(struct store *store, const struct digest *digests, size_t n, int64_t now_s,
                                     struct err *err) REQUIRES(&store->db.lock);

static int put_absent_locked(struct store *store, const struct digest *digests, size_t n, int64_t now_s,
                             struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_PUT_ABSENT);

        store_query_blob(&query, digests[i].bytes, DIGEST_BYTES);
        store_query_int(&query, now_s);
        r = store_query_run(&query, err);
    }
    return r;
}

int store_sample_put_absent(struct store *store, const struct digest *digests, size_t n, int64_t now_s, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, put_absent_locked(store, digests, n, now_s, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_sample_put_gone(struct store *store, const struct digest *digest, const char *why, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_PUT_GONE);

        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        store_query_int(&query, clock_now_s());
        store_query_text(&query, why);
        r = store_query_run(&query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_sample_put_error(struct store *store, const struct digest *digest, const char *why, struct err *err)
{
    bool clears = !why || !*why;
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query =
            store_query(&store->db, clears ? SQL_SAMPLE_CLEAR_ERROR : SQL_SAMPLE_PUT_ERROR);

        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        if (!clears)
            store_query_text(&query, why);
        r = store_query_run(&query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

/* The next digests after `after`. NULL: from the start. */
CHECKED static int list_page(struct store *store, const struct digest *after, struct digest *to, size_t *ret_n,
                             struct err *err)
{
    size_t n = 0;
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SAMPLE_LIST);

        store_query_blob(&query, after ? after->bytes : NULL, after ? DIGEST_BYTES : 0);
        store_query_int(&query, SAMPLE_PAGE);
        while ((r = store_query_step(&query, err)) == STORE_ROW && n < SAMPLE_PAGE)
            store_query_column_digest(&query, 0, &to[n++]);
    }
    lock_release(&store->db.lock);
    *ret_n = n;
    return r;
}

/* In pages, so that the callback runs without the lock. */
int store_sample_list(struct store *store, store_digest_each *each, void *closure, struct err *err)
{
    cleanup_(freep) struct digest *page = calloc(SAMPLE_PAGE, sizeof *page);
    struct digest last;
    size_t n = 0;
    int r;

    if (!page)
        return err_set(err, ENOMEM, "no memory for a list of samples");
    r = list_page(store, NULL, page, &n, err);
    while (r == 0 && n > 0) {
        for (size_t i = 0; r == 0 && i < n; i++)
            r = each(closure, &page[i]);
        last = page[n - 1];
        if (r == 0)
            r = list_page(store, &last, page, &n, err);
    }
    return r;
}
