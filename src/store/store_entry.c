/*
 * What the user submitted, by directory and name. The text of an entry is the user's and may change; what was sent is
 * in store_sent.c.
 */
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"
#include "util/clock.h"
#include "util/text.h"

/* Places of ENTRY_COLUMNS. */
enum {
    COLUMN_ROW,
    COLUMN_DIR,
    COLUMN_STATE,
    COLUMN_CREATED,
    COLUMN_CHANGED,
    COLUMN_NAME,
    COLUMN_SUFFIX,
    COLUMN_OPTIONS,
    COLUMN_ERROR,
    COLUMN_TRACE,
    COLUMN_REQUEST,
    COLUMN_FORCED,
    COLUMN_NOTE,
    COLUMN_REFUSED,
    COLUMN_CODE,
    COLUMN_UID,
    COLUMN_PID,
    COLUMN_PROGRAM,
};

static void entry_from_row(const struct store_query *query, struct store_entry *ret_entry)
{
    struct store_entry *entry = ret_entry;

    memset(entry, 0, sizeof *entry);
    entry->row = store_query_column_int(query, COLUMN_ROW);
    entry->dir = (enum store_dir)store_query_column_int(query, COLUMN_DIR);
    entry->state = (enum store_entry_state)store_query_column_int(query, COLUMN_STATE);
    entry->created_s = store_query_column_int(query, COLUMN_CREATED);
    entry->changed_s = store_query_column_int(query, COLUMN_CHANGED);
    store_query_column_text(query, COLUMN_NAME, entry->name, sizeof entry->name);
    store_query_column_text(query, COLUMN_SUFFIX, entry->suffix, sizeof entry->suffix);
    store_query_column_text(query, COLUMN_OPTIONS, entry->options, sizeof entry->options);
    store_query_column_text(query, COLUMN_ERROR, entry->error, sizeof entry->error);
    store_query_column_text(query, COLUMN_TRACE, entry->trace, sizeof entry->trace);
    entry->has_request = !store_query_column_is_null(query, COLUMN_REQUEST);
    store_query_column_text(query, COLUMN_REQUEST, entry->request.s, sizeof entry->request.s);
    entry->is_forced = store_query_column_int(query, COLUMN_FORCED) != 0;
    store_query_column_text(query, COLUMN_NOTE, entry->note, sizeof entry->note);
    store_query_column_text(query, COLUMN_REFUSED, entry->refused, sizeof entry->refused);
    entry->code = (int)store_query_column_int(query, COLUMN_CODE);
    entry->who.uid = (uid_t)store_query_column_int(query, COLUMN_UID);
    entry->who.pid = (pid_t)store_query_column_int(query, COLUMN_PID);
    store_query_column_text(query, COLUMN_PROGRAM, entry->who.program, sizeof entry->who.program);
}

/* The one row of a query that is bound already. */
CHECKED static int fetch(struct store_query *query, struct store_entry *ret_entry, struct err *err)
{
    int r = store_query_step(query, err);

    if (r < 0)
        return r;
    if (r == 0)
        return STORE_ABSENT;
    entry_from_row(query, ret_entry);
    return 0;
}

CHECKED static int put_locked(struct store *store, struct store_entry *entry, const char *text, size_t n,
                              struct err *err) REQUIRES(&store->db.lock);

static int put_locked(struct store *store, struct store_entry *entry, const char *text, size_t n, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_PUT);
    struct store_entry stored;
    int64_t now_s = clock_now_s();
    int r;

    store_query_int(&query, entry->dir);
    store_query_text(&query, entry->name);
    store_query_text(&query, entry->suffix);
    store_query_int(&query, entry->state);
    store_query_int(&query, entry->created_s ? entry->created_s : now_s);
    store_query_int(&query, entry->changed_s ? entry->changed_s : now_s);
    store_query_text(&query, entry->options);
    store_query_text(&query, entry->error);
    store_query_text(&query, entry->trace);
    store_query_known(&query, entry->has_request ? entry->request.s : NULL);
    store_query_int(&query, entry->is_forced);
    store_query_blob(&query, text, n);
    store_query_caller(&query, &entry->who);
    r = fetch(&query, &stored, err);
    if (r < 0)
        return r;
    assert(r == 0); /* RETURNING of an upsert that always writes */
    *entry = stored;
    store_db_changed(&store->db);
    return 0;
}

int store_entry_put(struct store *store, struct store_entry *entry, const char *text, size_t n, struct err *err)
{
    struct store_entry stored = *entry;
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, put_locked(store, &stored, text, n, err), err);
    lock_release(&store->db.lock);
    if (r == 0)
        *entry = stored;
    return r;
}

CHECKED static int get_locked(struct store *store, enum store_dir dir, const char *name, struct store_entry *ret_entry,
                              struct err *err) REQUIRES(&store->db.lock);

static int get_locked(struct store *store, enum store_dir dir, const char *name, struct store_entry *ret_entry,
                      struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_GET);

    store_query_int(&query, dir);
    store_query_text(&query, name);
    return fetch(&query, ret_entry, err);
}

int store_entry_get(struct store *store, enum store_dir dir, const char *name, struct store_entry *ret_entry,
                    struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = get_locked(store, dir, name, ret_entry, err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int get_row_locked(struct store *store, int64_t row, struct store_entry *ret_entry, struct err *err)
    REQUIRES(&store->db.lock);

static int get_row_locked(struct store *store, int64_t row, struct store_entry *ret_entry, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_GET_ROW);

    store_query_int(&query, row);
    return fetch(&query, ret_entry, err);
}

int store_entry_get_row(struct store *store, int64_t row, struct store_entry *ret_entry, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = get_row_locked(store, row, ret_entry, err);
    lock_release(&store->db.lock);
    return r;
}

int store_entry_text(struct store *store, int64_t row, struct buf *ret_text, struct err *err)
{
    return store_db_blob(&store->db, SQL_ENTRY_TEXT, row, ret_text, err);
}

int store_entry_text_size(struct store *store, int64_t row, int64_t *ret_bytes, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_TEXT_SIZE);

        store_query_int(&query, row);
        r = store_query_step(&query, err);
        if (r == STORE_ROW)
            *ret_bytes = store_query_column_int(&query, 0);
    }
    lock_release(&store->db.lock);
    if (r < 0)
        return r;
    return r == STORE_ROW ? 0 : STORE_ABSENT;
}

/* `if_held` may be NULL: whatever it holds. */
CHECKED static int set_state_locked(struct store *store, int64_t row, enum store_entry_state state,
                                    const struct err *why, const struct store_held *if_held, struct err *err)
    REQUIRES(&store->db.lock);

static int set_state_locked(struct store *store, int64_t row, enum store_entry_state state, const struct err *why,
                            const struct store_held *if_held, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_SET_STATE);
    int r;

    store_query_int(&query, row);
    store_query_int(&query, state);
    store_query_int(&query, why ? why->code : 0);
    store_query_text(&query, why ? why->text : "");
    store_query_text(&query, why ? why->trace : "");
    store_query_int(&query, clock_now_s());
    if (if_held) {
        store_query_blob(&query, if_held->text, if_held->n);
        store_query_int(&query, if_held->state);
    }
    r = store_db_change(&store->db, &query, err);
    return r == 0 ? store_intended_drop_locked(store, row, err) : r;
}

int store_entry_settle(struct store *store, int64_t row, const struct store_held *if_held, enum store_entry_state state,
                       const struct err *why, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, set_state_locked(store, row, state, why, if_held, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_entry_set_state(struct store *store, int64_t row, enum store_entry_state state, const struct err *why,
                          struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, set_state_locked(store, row, state, why, NULL, err), err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int rename_locked(struct store *store, int64_t row, const char *name, const char *suffix,
                                 struct err *err) REQUIRES(&store->db.lock);

static int rename_locked(struct store *store, int64_t row, const char *name, const char *suffix, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_RENAME);
    struct store_entry entry;
    struct store_entry taken;
    int r;

    r = get_row_locked(store, row, &entry, err);
    if (r != 0)
        return r;
    r = get_locked(store, entry.dir, name, &taken, err);
    if (r < 0)
        return r;
    if (r == 0 && taken.row != row)
        return STORE_EXISTS;
    store_query_int(&query, row);
    store_query_text(&query, name);
    store_query_text(&query, suffix);
    return store_db_change(&store->db, &query, err);
}

int store_entry_rename(struct store *store, int64_t row, const char *name, const char *suffix, struct err *err)
{
    int r;

    if (strlen(name) > STORE_NAME_MAX || strlen(suffix) >= sizeof((struct store_entry *)NULL)->suffix)
        return err_set(err, ENAMETOOLONG, "a name of more than %d bytes", STORE_NAME_MAX);
    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, rename_locked(store, row, name, suffix, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_entry_queue(struct store *store, int64_t row, bool is_forced, const struct caller *who, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_QUEUE);

        store_query_int(&query, row);
        store_query_int(&query, is_forced);
        store_query_int(&query, clock_now_s());
        store_query_caller(&query, who);
        r = store_db_change(&store->db, &query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_entry_put_note(struct store *store, int64_t row, const char *note, struct err *err)
{
    return store_db_put_text(&store->db, SQL_ENTRY_NOTE, row, note, err);
}

int store_entry_put_refused(struct store *store, int64_t row, const char *why, struct err *err)
{
    return store_db_put_text(&store->db, SQL_ENTRY_REFUSED, row, why, err);
}

int store_entry_delete(struct store *store, int64_t row, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_DELETE);

        store_query_int(&query, row);
        r = store_db_change(&store->db, &query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_entry_list(struct store *store, enum store_dir dir, store_entry_each *each, void *closure, struct err *err)
{
    struct store_entry entry;
    int stop = 0;
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_LIST);

        store_query_int(&query, dir);
        while (stop == 0 && (r = store_query_step(&query, err)) == STORE_ROW) {
            entry_from_row(&query, &entry);
            stop = each(closure, &entry);
        }
    }
    lock_release(&store->db.lock);
    return stop ? stop : r;
}
