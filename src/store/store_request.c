#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "store/store_internal.h"
#include "util/clock.h"
#include "util/text.h"

/* Places of REQUEST_COLUMNS. */
enum {
    COLUMN_ROW,
    COLUMN_ID,
    COLUMN_KIND,
    COLUMN_STATE,
    COLUMN_LIMIT,
    COLUMN_SUBMITTED,
    COLUMN_FINISHED,
    COLUMN_N_RESULTS,
    COLUMN_HAS_STATS,
    COLUMN_CLEAN,
    COLUMN_MALWARE,
    COLUMN_PUA,
    COLUMN_TOTAL,
    COLUMN_UNKNOWN,
    COLUMN_ENTRY,
    COLUMN_ERROR,
    COLUMN_NOTE,
    COLUMN_REFUSED,
};

static int32_t column_i32(const struct store_query *query, int column)
{
    return (int32_t)store_query_column_int(query, column);
}

static void request_from_row(const struct store_query *query, struct store_request *ret_request)
{
    struct store_request *request = ret_request;

    memset(request, 0, sizeof *request);
    request->row = store_query_column_int(query, COLUMN_ROW);
    store_query_column_text(query, COLUMN_ID, request->id.s, sizeof request->id.s);
    request->kind = (enum query_kind)store_query_column_int(query, COLUMN_KIND);
    request->state = (enum request_state)store_query_column_int(query, COLUMN_STATE);
    request->limit = column_i32(query, COLUMN_LIMIT);
    request->submitted_s = store_query_column_int(query, COLUMN_SUBMITTED);
    request->finished_s = store_query_column_int(query, COLUMN_FINISHED);
    request->n_results = store_query_column_int(query, COLUMN_N_RESULTS);
    request->has_stats = store_query_column_int(query, COLUMN_HAS_STATS) != 0;
    request->stats = (struct query_stats){
        .clean = column_i32(query, COLUMN_CLEAN),
        .malware = column_i32(query, COLUMN_MALWARE),
        .pua = column_i32(query, COLUMN_PUA),
        .total = column_i32(query, COLUMN_TOTAL),
        .unknown = column_i32(query, COLUMN_UNKNOWN),
    };
    request->entry_row = store_query_column_int(query, COLUMN_ENTRY); /* NULL reads as 0 */
    store_query_column_text(query, COLUMN_ERROR, request->error, sizeof request->error);
    store_query_column_text(query, COLUMN_NOTE, request->note, sizeof request->note);
    store_query_column_text(query, COLUMN_REFUSED, request->refused, sizeof request->refused);
}

/* The one row of a query that is bound already. */
CHECKED static int fetch(struct store_query *query, struct store_request *ret_request, struct err *err)
{
    int r = store_query_step(query, err);

    if (r < 0)
        return r;
    if (r == 0)
        return STORE_ABSENT;
    request_from_row(query, ret_request);
    return 0;
}

CHECKED static int get_locked(struct store *store, const struct request_id *id, struct store_request *ret_request,
                              struct err *err) REQUIRES(&store->db.lock);

static int get_locked(struct store *store, const struct request_id *id, struct store_request *ret_request,
                      struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_GET);

    store_query_text(&query, id->s);
    return fetch(&query, ret_request, err);
}

int store_request_get(struct store *store, const struct request_id *id, struct store_request *ret_request,
                      struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = get_locked(store, id, ret_request, err);
    lock_release(&store->db.lock);
    return r;
}

int store_request_put_locked(struct store *store, const struct store_new_request *request, int64_t *ret_row,
                             struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_PUT);
    int r;

    store_query_text(&query, request->id->s);
    store_query_int(&query, request->kind);
    store_query_int(&query, request->limit);
    store_query_int(&query, request->now_s);
    if (request->entry_row)
        store_query_int(&query, request->entry_row);
    else
        store_query_null(&query);
    r = store_query_step(&query, err);
    if (r < 0)
        return r;
    assert(r == STORE_ROW); /* RETURNING of an upsert that always writes */
    *ret_row = store_query_column_int(&query, 0);
    store_db_changed(&store->db);
    return 0;
}

int store_request_adopt(struct store *store, const struct request_id *id, enum query_kind kind, int64_t now_s,
                        struct err *err)
{
    struct store_new_request request = { .id = id, .kind = kind, .now_s = now_s };
    int64_t row = 0;
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, store_request_put_locked(store, &request, &row, err), err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int adopt_asked_locked(struct store *store, int64_t row, const struct store_asked *asked, size_t n,
                                      struct err *err) REQUIRES(&store->db.lock);

static int adopt_asked_locked(struct store *store, int64_t row, const struct store_asked *asked, size_t n,
                              struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_IS_MULTI);
    int r;

    store_query_int(&query, row);
    store_query_int(&query, QUERY_MULTI);
    r = store_db_change(&store->db, &query, err);
    return r == 0 ? store_asked_add_locked(store, row, asked, n, err) : r;
}

int store_request_adopt_asked(struct store *store, int64_t row, const struct store_asked *asked, size_t n,
                              struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, adopt_asked_locked(store, row, asked, n, err), err);
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int put_raw_locked(struct store *store, int64_t row, const struct store_answer *answer, struct err *err)
    REQUIRES(&store->db.lock);

static int put_raw_locked(struct store *store, int64_t row, const struct store_answer *answer, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_RAW_PUT);

    store_query_int(&query, row);
    store_query_blob(&query, answer->raw, answer->raw_n);
    return store_query_run(&query, err);
}

CHECKED static int set_finished_locked(struct store *store, int64_t row, int64_t n_results,
                                       const struct store_request *request, struct err *err) REQUIRES(&store->db.lock);

static int set_finished_locked(struct store *store, int64_t row, int64_t n_results, const struct store_request *request,
                               struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_FINISH);

    store_query_int(&query, row);
    store_query_int(&query, request->state);
    store_query_int(&query, request->finished_s ? request->finished_s : clock_now_s());
    store_query_int(&query, n_results);
    store_query_int(&query, request->has_stats);
    store_query_int(&query, request->stats.clean);
    store_query_int(&query, request->stats.malware);
    store_query_int(&query, request->stats.pua);
    store_query_int(&query, request->stats.total);
    store_query_int(&query, request->stats.unknown);
    store_query_text(&query, request->error);
    return store_query_run(&query, err);
}

/* The request that is meant: by row, or by id when the row is 0. */
CHECKED static int find_locked(struct store *store, const struct store_request *meant, struct store_request *ret_found,
                               struct err *err) REQUIRES(&store->db.lock);

static int find_locked(struct store *store, const struct store_request *meant, struct store_request *ret_found,
                       struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_GET_ROW);

    if (!meant->row)
        return get_locked(store, &meant->id, ret_found, err);
    store_query_int(&query, meant->row);
    return fetch(&query, ret_found, err);
}

int store_request_finish_locked(struct store *store, const struct store_answer *answer, struct err *err)
{
    struct store_request found;
    int64_t n_results = 0;
    int r;

    r = find_locked(store, answer->request, &found, err);
    if (r != 0 || found.state != REQUEST_INPROGRESS)
        return r;
    r = store_result_add_locked(store, found.row, answer->samples, answer->n_samples, &n_results, err);
    if (r == 0)
        r = store_asked_settle_locked(store, found.row, answer->asked, answer->n_asked, err);
    if (r == 0)
        r = store_result_add_digests_locked(store, found.row, answer->asked, answer->n_asked, &n_results, err);
    if (r == 0 && answer->raw)
        r = put_raw_locked(store, found.row, answer, err);
    if (r == 0)
        r = set_finished_locked(store, found.row, n_results, answer->request, err);
    if (r == 0)
        store_db_changed(&store->db);
    return r;
}

int store_request_finish(struct store *store, const struct store_answer *answer, struct err *err)
{
    int r;

    if (answer->request->state == REQUEST_INPROGRESS)
        return err_set(err, EINVAL, "request %s is not finished", answer->request->id.s);
    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, store_request_finish_locked(store, answer, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_request_raw(struct store *store, int64_t row, struct buf *ret_raw, struct err *err)
{
    return store_db_blob(&store->db, SQL_RAW_GET, row, ret_raw, err);
}

int store_request_text(struct store *store, int64_t row, struct buf *ret_text, struct err *err)
{
    return store_db_blob(&store->db, SQL_SENT_TEXT, row, ret_text, err);
}

int store_request_options(struct store *store, int64_t row, struct buf *ret_options, struct err *err)
{
    return store_db_blob(&store->db, SQL_SENT_OPTIONS, row, ret_options, err);
}

/* Calls back for each row of a query that is bound already; stops and returns what is not 0. */
CHECKED static int each_row(struct store_query *query, store_request_each *each, void *closure, struct err *err)
{
    struct store_request request;
    int stop = 0;
    int r = 0;

    while (stop == 0 && (r = store_query_step(query, err)) == STORE_ROW) {
        request_from_row(query, &request);
        stop = each(closure, &request);
    }
    return stop ? stop : r;
}

int store_request_list(struct store *store, bool unfinished_only, store_request_each *each, void *closure,
                       struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query =
            store_query(&store->db, unfinished_only ? SQL_REQUEST_LIST_UNFINISHED : SQL_REQUEST_LIST);

        r = each_row(&query, each, closure, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_request_list_entry(struct store *store, int64_t entry_row, store_request_each *each, void *closure,
                             struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_LIST_ENTRY);

        store_query_int(&query, entry_row);
        r = each_row(&query, each, closure, err);
    }
    lock_release(&store->db.lock);
    return r;
}

int store_request_list_sample(struct store *store, const struct digest *digest, store_request_each *each, void *closure,
                              struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_LIST_SAMPLE);

        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        r = each_row(&query, each, closure, err);
    }
    lock_release(&store->db.lock);
    return r;
}

/* ---- the user's words ---- */

CHECKED static int delete_locked(struct store *store, int64_t row, struct err *err) REQUIRES(&store->db.lock);

static int delete_locked(struct store *store, int64_t row, struct err *err)
{
    cleanup_(store_query_done) struct store_query unshow = store_query(&store->db, SQL_REQUEST_UNSHOW);
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_REQUEST_DELETE);
    int r;

    store_query_int(&unshow, row);
    store_query_int(&query, row);
    r = store_query_run(&unshow, err);
    return r < 0 ? r : store_db_change(&store->db, &query, err);
}

int store_request_delete(struct store *store, int64_t row, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, delete_locked(store, row, err), err);
    lock_release(&store->db.lock);
    return r;
}

int store_request_put_note(struct store *store, int64_t row, const char *note, struct err *err)
{
    return store_db_put_text(&store->db, SQL_REQUEST_NOTE, row, note, err);
}

int store_request_put_refused(struct store *store, int64_t row, const char *why, struct err *err)
{
    return store_db_put_text(&store->db, SQL_REQUEST_REFUSED, row, why, err);
}

int store_request_new_id(struct request_id *ret_id, struct err *err)
{
    uint8_t bytes[12];
    char hex[2 * sizeof bytes + 1];
    char text[REQUEST_ID_TEXT + 1];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_sys(err, "no random bytes");
    text_format_hex(bytes, sizeof bytes, hex);
    (void)snprintf(text, sizeof text, REQUEST_ID_LOCAL "%.4s-%.4s-%.4s-%.12s", hex, hex + 4, hex + 8,
                   hex + 12); /* fits exactly */
    return request_id_parse(text, ret_id) ? 0 : err_set(err, EIO, "a random id of another shape");
}
