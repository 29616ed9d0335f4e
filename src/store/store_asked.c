/*
 * What a multi-download was asked for. Samples that do not come have a reason; the others become the results of the
 * request when it is finished.
 */
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"

enum { ASKED_PAGE = 256, COLUMN_DIGEST = 0, COLUMN_REASON = 1 };

int store_asked_add_locked(struct store *store, int64_t request_row, const struct store_asked *asked, size_t n,
                           struct err *err)
{
    int r = 0;

    if (n > STORE_ASKED_MAX)
        return err_set(err, EFBIG, "more than %d samples in one multi-download", STORE_ASKED_MAX);
    for (size_t i = 0; r == 0 && i < n; i++) {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ASKED_ADD);

        store_query_int(&query, request_row);
        store_query_int(&query, (int64_t)i);
        store_query_blob(&query, asked[i].digest.bytes, DIGEST_BYTES);
        store_query_text(&query, asked[i].reason);
        r = store_query_run(&query, err);
    }
    return r;
}

int store_asked_settle_locked(struct store *store, int64_t request_row, const struct store_asked *asked, size_t n,
                              struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ASKED_REASON);

        if (!asked[i].reason[0])
            continue; /* what was known before stays */
        store_query_int(&query, request_row);
        store_query_blob(&query, asked[i].digest.bytes, DIGEST_BYTES);
        store_query_text(&query, asked[i].reason);
        r = store_query_run(&query, err);
    }
    return r;
}

CHECKED static int read_page(struct store *store, int64_t request_row, int64_t from, struct store_asked *page,
                             size_t *ret_n, struct err *err)
{
    size_t n = 0;
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ASKED_LIST);

        store_query_int(&query, request_row);
        store_query_int(&query, from);
        store_query_int(&query, ASKED_PAGE);
        while (n < ASKED_PAGE && (r = store_query_step(&query, err)) == STORE_ROW) {
            store_query_column_digest(&query, COLUMN_DIGEST, &page[n].digest);
            store_query_column_text(&query, COLUMN_REASON, page[n].reason, sizeof page[n].reason);
            n++;
        }
    }
    lock_release(&store->db.lock);
    *ret_n = n;
    return n == ASKED_PAGE || r >= 0 ? 0 : r;
}

/* In pages, so that the callback runs without the lock. */
int store_asked_list(struct store *store, int64_t request_row, store_asked_each *each, void *closure, struct err *err)
{
    cleanup_(freep) struct store_asked *page = calloc(ASKED_PAGE, sizeof *page);
    int64_t from = 0;
    size_t n = ASKED_PAGE;
    int r = 0;

    if (!page)
        return err_set(err, ENOMEM, "no memory for a list");
    for (; r == 0 && n == ASKED_PAGE; from += ASKED_PAGE) {
        r = read_page(store, request_row, from, page, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = each(closure, &page[i]);
    }
    return r;
}

int store_asked_under_way(struct store *store, const struct digest *digest, struct request_id *ret_id, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ASKED_UNDER_WAY);

        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        r = store_query_step(&query, err);
        if (r == STORE_ROW)
            store_query_column_text(&query, 0, ret_id->s, sizeof ret_id->s);
    }
    lock_release(&store->db.lock);
    if (r < 0)
        return r;
    return r == STORE_ROW ? 0 : STORE_ABSENT;
}
