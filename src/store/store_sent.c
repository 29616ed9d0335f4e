/*
 * What was sent for a request is kept with the request, under the digest of directory, options and key. So the same
 * hunt is found again even when its entry was edited or removed since.
 */
#include <stdio.h>
#include <string.h>

#include "store/store_internal.h"
#include "util/text.h"

enum { SENT_HEAD_MAX = 64 };

/* Of directory, options and key; lengths keep the fields apart. */
CHECKED static int digest_of_sent(const struct store_sent *sent, struct digest *ret_digest, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = NULL;
    const char *key = sent->key ? sent->key : sent->text;
    size_t key_n = sent->key ? sent->key_n : sent->n;
    char head[SENT_HEAD_MAX];
    int head_n = snprintf(head, sizeof head, "%d %zu %zu ", (int)sent->dir, strlen(sent->options), key_n);
    int r;

    r = digest_stream_new(&stream, err);
    if (r == 0)
        r = digest_stream_add(stream, head, (size_t)head_n, err);
    if (r == 0)
        r = digest_stream_add(stream, sent->options, strlen(sent->options), err);
    if (r == 0)
        r = digest_stream_add(stream, key, key_n, err);
    return r < 0 ? r : digest_stream_end(stream, ret_digest, err);
}

CHECKED static int put_sent_locked(struct store *store, int64_t request_row, const struct store_sent *sent,
                                   struct err *err) REQUIRES(&store->db.lock);

static int put_sent_locked(struct store *store, int64_t request_row, const struct store_sent *sent, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SENT_PUT);
    struct digest digest;
    int r = digest_of_sent(sent, &digest, err);

    if (r < 0)
        return r;
    store_query_int(&query, request_row);
    store_query_blob(&query, digest.bytes, DIGEST_BYTES);
    store_query_text(&query, sent->options);
    store_query_blob(&query, sent->text, sent->n);
    return store_query_run(&query, err);
}

CHECKED static int begin_locked(struct store *store, int64_t row, const struct store_sent *sent, struct err *err)
    REQUIRES(&store->db.lock);

static int begin_locked(struct store *store, int64_t row, const struct store_sent *sent, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_BEGIN);
    int r = store_intended_check_locked(store, row, sent, err);

    if (r != 0)
        return r;
    store_query_int(&query, row);
    store_query_blob(&query, sent->text, sent->n);
    store_query_text(&query, sent->options);
    r = store_db_change(&store->db, &query, err);
    if (r == 0)
        r = store_intended_drop_locked(store, row, err); /* of an earlier try that was edited on the way */
    return r == 0 ? store_intended_add_locked(store, row, sent, err) : r;
}

int store_entry_begin(struct store *store, int64_t row, const struct store_sent *sent, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, begin_locked(store, row, sent, err), err);
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
        r = store_db_change(&store->db, &query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

CHECKED static int answer_locked(struct store *store, int64_t row, const struct store_answer *answer, struct err *err)
    REQUIRES(&store->db.lock);

static int answer_locked(struct store *store, int64_t row, const struct store_answer *answer, struct err *err)
{
    struct store_request request = *answer->request;
    struct store_answer placed = *answer;

    request.row = row;
    placed.request = &request;
    return store_request_finish_locked(store, &placed, err);
}

CHECKED static int note_spend_locked(struct store *store, const struct store_accepted *accepted, struct err *err)
    REQUIRES(&store->db.lock);

static int note_spend_locked(struct store *store, const struct store_accepted *accepted, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_SPEND_ACCEPTED);

    store_query_int(&query, accepted->spend_row);
    store_query_text(&query, accepted->id->s);
    return store_query_run(&query, err);
}

CHECKED static int accepted_locked(struct store *store, int64_t entry_row, const struct store_sent *sent,
                                   const struct store_accepted *accepted, struct err *err) REQUIRES(&store->db.lock);

static int accepted_locked(struct store *store, int64_t entry_row, const struct store_sent *sent,
                           const struct store_accepted *accepted, struct err *err)
{
    cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_ENTRY_ACCEPTED);
    struct store_new_request kept = { .id = accepted->id,
                                      .kind = accepted->kind,
                                      .limit = accepted->limit,
                                      .now_s = accepted->now_s,
                                      .entry_row = entry_row };
    int64_t row = 0;
    int found;
    int r;

    store_query_int(&query, entry_row);
    store_query_text(&query, accepted->id->s);
    store_query_int(&query, accepted->now_s);
    store_query_blob(&query, sent->text, sent->n);
    found = store_db_change(&store->db, &query, err);
    if (found < 0)
        return found;
    if (found == STORE_ABSENT)
        kept.entry_row = 0; /* the id is kept in any case: a lost id is a lost hunt */
    r = store_request_put_locked(store, &kept, &row, err);
    if (r == 0)
        r = put_sent_locked(store, row, sent, err);
    if (r == 0 && accepted->spend_row)
        r = note_spend_locked(store, accepted, err);
    if (r == 0)
        r = store_intended_drop_locked(store, entry_row, err);
    if (r == 0)
        r = store_asked_add_locked(store, row, accepted->asked, accepted->n_asked, err);
    if (r == 0 && accepted->answer)
        r = answer_locked(store, row, accepted->answer, err);
    return r < 0 ? r : found;
}

int store_entry_accepted(struct store *store, int64_t row, const struct store_sent *sent,
                         const struct store_accepted *accepted, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    r = store_db_begin(&store->db, err);
    if (r == 0)
        r = store_db_end(&store->db, accepted_locked(store, row, sent, accepted, err), err);
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

int store_entry_find_same(struct store *store, const struct store_sent *sent, struct store_entry *ret_entry,
                          struct err *err)
{
    struct store_entry entry = { .dir = sent->dir, .state = STORE_ENTRY_SUBMITTED };
    struct request_id id;
    struct digest digest;
    int64_t row = 0;
    int r;

    r = digest_of_sent(sent, &digest, err);
    if (r < 0)
        return r;
    lock_acquire(&store->db.lock);
    r = find_sent_locked(store, &digest, &id, &row, err);
    lock_release(&store->db.lock);
    if (r == 0 && row)
        r = store_entry_get_row(store, row, &entry, err);
    else if (r == 0)
        (void)text_copy(entry.options, sizeof entry.options, sent->options); /* cut as the entry's were */
    if (r != 0)
        return r;
    entry.has_request = true; /* the one that was found, whatever the entry shows now */
    entry.request = id;
    *ret_entry = entry;
    return 0;
}
