#include "store/store_internal.h"
#include "util/clock.h"

enum { COLUMN_TEXT = 0, COLUMN_CHANGED = 1 };

int store_defaults_get(struct store *store, enum store_dir dir, struct buf *ret_text, int64_t *ret_changed_s,
                       struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_DEFAULTS_GET);

        store_query_int(&query, dir);
        r = store_query_step(&query, err);
        if (r == STORE_ROW) {
            buf_append(ret_text, sqlite3_column_text(query.statement, COLUMN_TEXT),
                       (size_t)sqlite3_column_bytes(query.statement, COLUMN_TEXT));
            *ret_changed_s = store_query_column_int(&query, COLUMN_CHANGED);
        }
    }
    lock_release(&store->db.lock);
    if (r < 0)
        return r;
    return r == STORE_ROW && ret_text->n > 0 ? buf_check(ret_text, err, "the defaults") : STORE_ABSENT;
}

int store_defaults_put(struct store *store, enum store_dir dir, const char *text, size_t n, struct err *err)
{
    cleanup_(buf_done) struct buf copy = BUF_INIT(n);
    int r;

    buf_append(&copy, text, n);
    r = buf_check(&copy, err, "the defaults");
    if (r < 0)
        return r;
    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_DEFAULTS_PUT);

        store_query_int(&query, dir);
        store_query_text(&query, buf_text(&copy));
        store_query_int(&query, clock_now_s());
        r = store_query_run(&query, err);
        if (r == 0)
            store_db_changed(&store->db);
    }
    lock_release(&store->db.lock);
    return r;
}
