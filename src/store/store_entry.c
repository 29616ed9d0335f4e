/*
 * What the user submitted. The text of an entry is the user's and may change; what was sent for a request is kept with
 * the request, under the digest of directory, options and text. So the same hunt is found again even when its entry was
 * edited or removed since.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/store_internal.h"
#include "util/clock.h"
#include "util/text.h"

enum { SENT_HEAD_MAX = 64, ENTRY_OPTIONS_MAX = sizeof((struct store_entry *)NULL)->options };

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
    store_query_blob(&query, text, n);
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

/* Runs a change of one entry; STORE_ABSENT when there is no such row. */
CHECKED static int change_locked(struct store *store, struct store_query *query, struct err *err)
    REQUIRES(&store->db.lock);

static int change_locked(struct store *store, struct store_query *query, struct err *err)
{
    int r = store_query_run(query, err);

    if (r < 0)
        return r;
    if (sqlite3_changes(store->db.sqlite) == 0)
        return STORE_ABSENT;
    store_db_changed(&store->db);
    return 0;
}

int store_entry_set_state(struct store *store, int64_t row, enum store_entry_state state, const char *error,
                          const char *trace, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_SET_STATE);

        store_query_int(&query, row);
        store_query_int(&query, state);
        store_query_text(&query, error);
        store_query_text(&query, trace);
        store_query_int(&query, clock_now_s());
        r = change_locked(store, &query, err);
    }
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
    return change_locked(store, &query, err);
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

int store_entry_delete(struct store *store, int64_t row, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_DELETE);

        store_query_int(&query, row);
        r = change_locked(store, &query, err);
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

/* Of directory, options and text; lengths keep the fields apart. */
CHECKED static int digest_of_sent(enum store_dir dir, const char *options, const char *text, size_t n,
                                  struct digest *ret_digest, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = NULL;
    char head[SENT_HEAD_MAX];
    int head_n = snprintf(head, sizeof head, "%d %zu %zu ", (int)dir, strlen(options), n);
    int r;

    r = digest_stream_new(&stream, err);
    if (r == 0)
        r = digest_stream_add(stream, head, (size_t)head_n, err);
    if (r == 0)
        r = digest_stream_add(stream, options, strlen(options), err);
    if (r == 0)
        r = digest_stream_add(stream, text, n, err);
    return r < 0 ? r : digest_stream_end(stream, ret_digest, err);
}

CHECKED static int put_sent_locked(struct store *store, int64_t request_row, const struct store_sent *sent,
                                   struct err *err) REQUIRES(&store->db.lock);

static int put_sent_locked(struct store *store, int64_t request_row, const struct store_sent *sent, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SENT_PUT);
    struct digest digest;
    int r = digest_of_sent(sent->dir, sent->options, sent->text, sent->n, &digest, err);

    if (r < 0)
        return r;
    store_query_int(&query, request_row);
    store_query_blob(&query, digest.bytes, DIGEST_BYTES);
    store_query_text(&query, sent->options);
    store_query_blob(&query, sent->text, sent->n);
    return store_query_run(&query, err);
}

/* Runs an UPDATE … RETURNING; STORE_ABSENT when it changed nothing. */
CHECKED static int changed_one(struct store_query *query, struct err *err)
{
    int first = store_query_step(query, err);
    int r = first == STORE_ROW ? store_query_run(query, err) : first;

    if (r < 0)
        return r;
    return first == STORE_ROW ? 0 : STORE_ABSENT;
}

int store_entry_begin(struct store *store, int64_t row, const struct store_sent *sent, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_BEGIN);

        store_query_int(&query, row);
        store_query_blob(&query, sent->text, sent->n);
        store_query_text(&query, sent->options);
        r = changed_one(&query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_entry_show(struct store *store, int64_t row, const struct store_sent *sent, const struct request_id *id,
                     struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_SHOW);

        store_query_int(&query, row);
        store_query_blob(&query, sent->text, sent->n);
        store_query_text(&query, sent->options);
        store_query_text(&query, id->s);
        r = changed_one(&query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int accepted_locked(struct store *store, const struct store_new_request *request,
                                   const struct store_sent *sent, struct err *err) REQUIRES(&store->db.lock);

static int accepted_locked(struct store *store, const struct store_new_request *request, const struct store_sent *sent,
                           struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_ACCEPTED);
    struct store_new_request kept = *request;
    int64_t row = 0;
    int found;
    int r;

    store_query_int(&query, request->entry_row);
    store_query_text(&query, request->id->s);
    store_query_int(&query, request->now_s);
    store_query_blob(&query, sent->text, sent->n);
    found = changed_one(&query, err);
    if (found < 0)
        return found;
    if (found == STORE_ABSENT)
        kept.entry_row = 0; /* the id is kept in any case: a lost id is a lost hunt */
    r = store_request_put_locked(store, &kept, &row, err);
    if (r == 0)
        r = put_sent_locked(store, row, sent, err);
    return r < 0 ? r : found;
}

int store_entry_accepted(struct store *store, int64_t row, const struct store_sent *sent, const struct request_id *id,
                         enum query_kind kind, int32_t limit, int64_t now_s, struct err *err)
{
    struct store_new_request request = { .id = id, .kind = kind, .limit = limit, .now_s = now_s, .entry_row = row };
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, accepted_locked(store, &request, sent, err), err);
    lock_release(&store->db.lock);
    return r;
}

/* The request for which this was sent; *ret_entry_row is 0 when its entry was removed. */
CHECKED static int find_sent_locked(struct store *store, const struct digest *digest, struct request_id *ret_id,
                                    int64_t *ret_entry_row, struct err *err) REQUIRES(&store->db.lock);

static int find_sent_locked(struct store *store, const struct digest *digest, struct request_id *ret_id,
                            int64_t *ret_entry_row, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SENT_FIND);
    int r;

    store_query_blob(&query, digest->bytes, DIGEST_BYTES);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    if (r == 0)
        return STORE_ABSENT;
    store_query_column_text(&query, 0, ret_id->s, sizeof ret_id->s);
    *ret_entry_row = store_query_column_int(&query, 1);
    return 0;
}

int store_entry_find_same(struct store *store, enum store_dir dir, const char *text, size_t n, const char *options,
                          struct store_entry *ret_entry, struct err *err)
{
    struct store_entry entry = { .dir = dir, .state = STORE_ENTRY_SUBMITTED };
    struct request_id id;
    struct digest digest;
    int64_t row = 0;
    int r;

    r = digest_of_sent(dir, options, text, n, &digest, err);
    if (r < 0)
        return r;
    lock_acquire(&store->db.lock);
    r = find_sent_locked(store, &digest, &id, &row, err);
    lock_release(&store->db.lock);
    if (r == 0 && row)
        r = store_entry_get_row(store, row, &entry, err);
    else if (r == 0)
        (void)text_copy(entry.options, sizeof entry.options, options); /* cut as the entry's were */
    if (r != 0)
        return r;
    entry.has_request = true; /* the one that was found, whatever the entry shows now */
    entry.request = id;
    *ret_entry = entry;
    return 0;
}
