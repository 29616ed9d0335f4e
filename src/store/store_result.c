/*
 * Results are numbered from 0 without gaps, in the order of the answer; what the service names twice counts once. A
 * page is a range of the primary key, so a listing of 100,000 costs the same per entry as one of ten.
 */
#include <errno.h>

#include "store/store_internal.h"
#include "util/clock.h"

enum { RESULT_PAGE = 256 }; /* results read at once */

CHECKED static int add_locked(struct store *store, int64_t request_row, int64_t position, int64_t sample_row,
                              struct err *err) REQUIRES(&store->db.lock);

/* STORE_ROW when it is new. */
static int add_locked(struct store *store, int64_t request_row, int64_t position, int64_t sample_row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_RESULT_ADD);

    store_query_int(&query, request_row);
    store_query_int(&query, position);
    store_query_int(&query, sample_row);
    return store_query_step(&query, err);
}

int store_result_add_locked(struct store *store, int64_t request_row, const struct sample *samples, size_t n,
                            int64_t *ret_n, struct err *err)
{
    int64_t now_s = clock_now_s();
    int64_t position = 0;
    int64_t sample_row = 0;
    int r;

    for (size_t i = 0; i < n; i++) {
        r = store_sample_put_locked(store, &samples[i], now_s, &sample_row, err);
        if (r < 0)
            return r;
        r = add_locked(store, request_row, position, sample_row, err);
        if (r < 0)
            return r;
        position += r == STORE_ROW;
    }
    *ret_n = position;
    return 0;
}

int store_result_add_digests_locked(struct store *store, int64_t request_row, const struct store_asked *asked, size_t n,
                                    int64_t *position, struct err *err)
{
    int64_t sample_row = 0;
    int r;

    for (size_t i = 0; i < n; i++) {
        if (asked[i].reason[0])
            continue;
        r = store_sample_row_locked(store, &asked[i].digest, &sample_row, err);
        if (r == 0)
            r = add_locked(store, request_row, *position, sample_row, err);
        if (r < 0)
            return r;
        *position += r == STORE_ROW;
    }
    return 0;
}

/* What a page is written to; either may be NULL. */
struct page {
    struct sample *samples;
    struct store_sample *full;
    size_t max;
    size_t n;
};

CHECKED static int read_page_locked(struct store *store, int64_t request_row, int64_t from, struct page *page,
                                    struct err *err) REQUIRES(&store->db.lock);

static int read_page_locked(struct store *store, int64_t request_row, int64_t from, struct page *page, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_RESULT_PAGE);
    struct store_sample sample;
    int r = 0;

    store_query_int(&query, request_row);
    store_query_int(&query, from);
    store_query_int(&query, page->max > INT64_MAX ? INT64_MAX : (int64_t)page->max);
    while (page->n < page->max && (r = store_query_step(&query, err)) == STORE_ROW) {
        store_sample_from_row(&query, &sample);
        if (page->samples)
            page->samples[page->n] = sample.sample;
        if (page->full)
            page->full[page->n] = sample;
        page->n++;
    }
    return r < 0 ? r : 0;
}

CHECKED static int read_page(struct store *store, int64_t request_row, int64_t from, struct page *page, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = read_page_locked(store, request_row, from, page, err);
    lock_release(&store->db.lock);
    return r;
}

int store_result_page(struct store *store, int64_t request_row, int64_t from, struct sample *samples, size_t max,
                      size_t *ret_n, struct err *err)
{
    struct page page = { .samples = samples, .max = max };
    int r = read_page(store, request_row, from, &page, err);

    if (r == 0)
        *ret_n = page.n;
    return r;
}

/* In pages, so that the callback runs without the lock; a finished request does not change. */
int store_result_list(struct store *store, int64_t request_row, store_result_each *each, void *closure, struct err *err)
{
    cleanup_(freep) struct store_sample *samples = calloc(RESULT_PAGE, sizeof *samples);
    int64_t from = 0;
    int r = 0;

    if (!samples)
        return err_set(err, ENOMEM, "no memory for a list of results");
    while (r == 0) {
        struct page page = { .full = samples, .max = RESULT_PAGE };

        r = read_page(store, request_row, from, &page, err);
        for (size_t i = 0; r == 0 && i < page.n; i++)
            r = each(closure, &samples[i]);
        if (page.n < RESULT_PAGE)
            break;
        from += RESULT_PAGE;
    }
    return r;
}

int store_result_has(struct store *store, int64_t request_row, const struct digest *digest, bool *ret_has,
                     struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_RESULT_HAS);

        store_query_int(&query, request_row);
        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        r = store_query_step(&query, err);
    }
    lock_release(&store->db.lock);
    if (r < 0)
        return r;
    *ret_has = r == STORE_ROW;
    return 0;
}

int store_result_groups(struct store *store, int64_t request_row, enum store_group group, store_group_each *each,
                        void *closure, struct err *err)
{
    static const enum store_sql queries[] = {
        [STORE_GROUP_FAMILY] = SQL_RESULT_FAMILIES,
        [STORE_GROUP_LABEL] = SQL_RESULT_LABELS,
        [STORE_GROUP_TYPE] = SQL_RESULT_TYPES,
        [STORE_GROUP_YEAR] = SQL_RESULT_YEARS,
    };
    char value[SAMPLE_FAMILY_MAX + 1]; /* the longest of them */
    int stop = 0;
    int r = 0;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, queries[group]);

        store_query_int(&query, request_row);
        while (stop == 0 && (r = store_query_step(&query, err)) == STORE_ROW) {
            store_query_column_text(&query, 0, value, sizeof value);
            stop = each(closure, value);
        }
    }
    lock_release(&store->db.lock);
    return stop ? stop : r;
}
