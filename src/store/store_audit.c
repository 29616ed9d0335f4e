/*
 * audit.jsonl: what was paid for, and by whom. The database is the truth and this file follows it, so that a process
 * may die between the two: the file is written up to some place in the order of settling, which the database notes
 * afterwards; lines behind the noted place are found again by their number, and a line that a power cut tore is cut
 * off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "util/clock.h"

static const char audit_name[] = "audit.jsonl";
static const char seq_mark[] = "{\"seq\":"; /* how SQL_AUDIT_LINES begins a line */

enum { AUDIT_TAIL_MAX = 64 * MIB, AUDIT_PAGE = 100, AUDIT_PAGE_BYTES = 1 * MIB };

/* How far the file goes. */
struct audit_place {
    int64_t seq;
    int64_t bytes;
};

int store_audit_open(struct store *store, struct err *err)
{
    store->audit_fd =
        openat(store->state_fd, audit_name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return store->audit_fd < 0 ? err_sys(err, "open %s", audit_name) : 0;
}

CHECKED static int get_place(struct store *store, struct audit_place *ret_place, struct err *err)
{
    enum { COLUMN_SEQ, COLUMN_BYTES };
    int r;

    *ret_place = (struct audit_place){ 0 };
    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_AUDIT_GET);

        r = store_query_step(&query, err);
        if (r == STORE_ROW) {
            ret_place->seq = store_query_column_int(&query, COLUMN_SEQ);
            ret_place->bytes = store_query_column_int(&query, COLUMN_BYTES);
        }
    }
    lock_release(&store->db.lock);
    return r < 0 ? r : 0;
}

CHECKED static int put_place(struct store *store, const struct audit_place *place, struct err *err)
{
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_AUDIT_PUT);

        store_query_int(&query, place->seq);
        store_query_int(&query, place->bytes);
        r = store_query_run(&query, err);
    }
    lock_release(&store->db.lock);
    return r;
}

/* The numbers of whole lines; *ret_whole is where the last of them ends. */
static void read_numbers(const char *text, size_t n, int64_t *seq, size_t *ret_whole)
{
    size_t at = 0;

    for (const char *end; at < n && (end = memchr(text + at, '\n', n - at)); at = (size_t)(end - text) + 1) {
        long long number;

        if (strncmp(text + at, seq_mark, sizeof seq_mark - 1) == 0 &&
            sscanf(text + at + sizeof seq_mark - 1, "%lld", &number) == 1 && number > *seq)
            *seq = number;
    }
    *ret_whole = at;
}

/* What is in the file behind the noted place: lines of refusals, and those of a process that died before it noted them.
 */
CHECKED static int catch_up(struct store *store, struct audit_place *place, struct err *err)
{
    cleanup_(buf_done) struct buf tail = BUF_INIT(AUDIT_TAIL_MAX);
    struct stat st;
    size_t whole = 0;
    size_t n = 0;
    int r;

    if (fstat(store->audit_fd, &st) < 0)
        return err_sys(err, "stat %s", audit_name);
    if (st.st_size < place->bytes) /* somebody has moved it away: it begins anew */
        place->bytes = 0;
    buf_resize(&tail, (size_t)(st.st_size - place->bytes));
    r = buf_check(&tail, err, audit_name);
    if (r == 0)
        r = store_files_pread(store->audit_fd, tail.data, tail.n, place->bytes, &n, err);
    if (r < 0)
        return r;
    read_numbers(tail.data, n, &place->seq, &whole);
    place->bytes += (int64_t)whole;
    if (whole < n && ftruncate(store->audit_fd, place->bytes) < 0)
        return err_sys(err, "cut the torn line off %s", audit_name);
    return 0;
}

/* One page of lines behind place->seq, which grows. *ret_n: how many. */
CHECKED static int read_lines(struct store *store, struct audit_place *place, struct buf *lines, int *ret_n,
                              struct err *err)
{
    enum { COLUMN_SEQ, COLUMN_LINE };
    int r;

    *ret_n = 0;
    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_AUDIT_LINES);

        store_query_int(&query, place->seq);
        store_query_int(&query, AUDIT_PAGE);
        while ((r = store_query_step(&query, err)) == STORE_ROW) {
            place->seq = store_query_column_int(&query, COLUMN_SEQ);
            store_query_append_text(&query, COLUMN_LINE, lines);
            buf_putc(lines, '\n');
            ++*ret_n;
        }
    }
    lock_release(&store->db.lock);
    return r < 0 ? r : buf_check(lines, err, audit_name);
}

/* What is torn here, when the disk is full, the next flush cuts off. */
CHECKED static int append(struct store *store, const struct buf *lines, struct err *err)
{
    ssize_t n = write(store->audit_fd, buf_text(lines), lines->n);

    if (n >= 0 && n != (ssize_t)lines->n)
        errno = ENOSPC;
    return n == (ssize_t)lines->n ? 0 : err_sys(err, "write %s", audit_name);
}

CHECKED static int flush_locked(struct store *store, struct err *err) REQUIRES(&store->audit);

static int flush_locked(struct store *store, struct err *err)
{
    struct audit_place place;
    struct audit_place noted;
    int n = AUDIT_PAGE;
    int r = get_place(store, &place, err);

    noted = place;
    if (r == 0)
        r = catch_up(store, &place, err);
    while (r == 0 && n == AUDIT_PAGE) {
        cleanup_(buf_done) struct buf lines = BUF_INIT(AUDIT_PAGE_BYTES);

        r = read_lines(store, &place, &lines, &n, err);
        if (r == 0 && n > 0)
            r = append(store, &lines, err);
        if (r == 0)
            place.bytes += (int64_t)lines.n; /* a refusal in between only makes us read a little again */
    }
    if (r < 0 || place.seq == noted.seq)
        return r;
    if (fdatasync(store->audit_fd) < 0)
        return err_sys(err, "sync %s", audit_name);
    return put_place(store, &place, err);
}

int store_audit_flush(struct store *store, struct err *err)
{
    struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    int r;

    lock_assert_none_held();
    lock_acquire(&store->audit);
    r = store_files_lock(store->audit_fd, STORE_FILES_WAIT, err); /* other processes of this profile */
    if (r == 0) {
        r = flush_locked(store, err);
        (void)fcntl(store->audit_fd, F_OFD_SETLK, &all); /* our own lock: cannot fail */
    }
    lock_release(&store->audit);
    return r < 0 ? err_wrap(err, "audit") : 0;
}

int store_audit_denied(struct store *store, const struct digest *digest, const struct caller *who, const char *why,
                       struct err *err)
{
    enum { COLUMN_LINE = 1 };
    cleanup_(buf_done) struct buf line = BUF_INIT(AUDIT_PAGE_BYTES);
    int r;

    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_AUDIT_DENIED);

        store_query_int(&query, clock_now_s());
        store_query_blob(&query, digest->bytes, DIGEST_BYTES);
        store_query_caller(&query, who);
        store_query_text(&query, why);
        r = store_query_step(&query, err);
        if (r == STORE_ROW)
            store_query_append_text(&query, COLUMN_LINE, &line);
    }
    lock_release(&store->db.lock);
    buf_putc(&line, '\n');
    if (r >= 0)
        r = buf_check(&line, err, audit_name);
    if (r == 0 && write(store->audit_fd, buf_text(&line), line.n) != (ssize_t)line.n)
        r = err_sys(err, "write %s", audit_name);
    return r < 0 ? r : 0;
}
