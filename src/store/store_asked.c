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

CHECKED static int under_way_locked(struct store *store, const struct digest *digest, int64_t but_entry,
                                    struct request_id *ret_id, struct err *err) REQUIRES(&store->db.lock);

/* Asked for by a request, or about to be by an entry other than `but_entry`. */
static int under_way_locked(struct store *store, const struct digest *digest, int64_t but_entry,
                            struct request_id *ret_id, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ASKED_UNDER_WAY);
    int r;

    store_query_blob(&query, digest->bytes, DIGEST_BYTES);
    store_query_int(&query, but_entry);
    r = store_query_step(&query, err);
    if (r == STORE_ROW)
        store_query_column_text(&query, 0, ret_id->s, sizeof ret_id->s);
    if (r < 0)
        return r;
    return r == STORE_ROW ? 0 : STORE_ABSENT;
}

int store_asked_under_way(struct store *store, const struct digest *digest, struct request_id *ret_id, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = under_way_locked(store, digest, 0, ret_id, err);
    lock_release(&store->db.lock);
    return r;
}

int store_intended_drop_locked(struct store *store, int64_t entry_row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_INTENDED_DROP);

    store_query_int(&query, entry_row);
    return store_query_run(&query, err);
}

/* Asked and noted in the transaction of the intent: of two lists that share a sample one comes first. */
int store_intended_check_locked(struct store *store, int64_t entry_row, const struct store_sent *sent, struct err *err)
{
    struct request_id id;
    int r = STORE_ABSENT;

    for (size_t i = 0; r == STORE_ABSENT && i < sent->n_intended; i++)
        r = under_way_locked(store, &sent->intended[i], entry_row, &id, err);
    if (r < 0)
        return r;
    return r == STORE_ABSENT ? 0 : STORE_BUSY;
}

int store_intended_add_locked(struct store *store, int64_t entry_row, const struct store_sent *sent, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sent->n_intended; i++) {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_INTENDED_ADD);

        store_query_int(&query, entry_row);
        store_query_blob(&query, sent->intended[i].bytes, DIGEST_BYTES);
        r = store_query_run(&query, err);
    }
    return r;
}
