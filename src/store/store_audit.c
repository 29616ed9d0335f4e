/*
 * audit.jsonl: what was paid for, and by whom. The database is the truth and this file follows it, so that a process
 * may die between the two: the file is written up to some place in the order of settling, which the database notes
 * afterwards; lines behind the noted place are found again by their number, and a line that a power cut tore is cut
 * off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "util/clock.h"
#include "util/fault.h"

static const char audit_name[] = "audit.jsonl";
static const char seq_mark[] = "{\"seq\":"; /* how SQL_AUDIT_LINES begins a line */

static const char denied_mark[] = "{\"time\":"; /* and SQL_AUDIT_DENIED; within a line only where a torn one precedes */

enum { AUDIT_LOCK_TRIES = 50, AUDIT_LOCK_STEP_NS = 20 * 1000 * 1000 }; /* a second */
enum { AUDIT_STUCK_MS = 10 * 1000 };                                   /* who was waited for in vain is not, so long */
enum { AUDIT_PAGE = 100, AUDIT_PAGE_BYTES = 1 * MIB };

/* How far the file goes. */
struct audit_place {
    int64_t seq;
    int64_t bytes;
    int64_t newest; /* the highest number that there is: a higher one in the file is of another database's time */
};

CHECKED static int open_file(const struct store *store, int *ret_fd, struct err *err)
{
    *ret_fd =
        openat(store->state_fd, audit_name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return *ret_fd < 0 ? err_sys(err, "open %s", audit_name) : 0;
}

int store_audit_open(struct store *store, struct err *err)
{
    int r = open_file(store, &store->audit_fd, err);

    if (r < 0)
        return r;
    /* The database notes how far the file goes, so it must not be gone after a power cut. */
    return fsync(store->state_fd) < 0 ? err_sys(err, "sync the directory of %s", audit_name) : 0;
}

/* Another file has the name by now, or none. */
CHECKED static int follow_name(struct store *store, struct err *err) REQUIRES(&store->audit);

static int follow_name(struct store *store, struct err *err)
{
    cleanup_(closep) int fd = -1;
    int r;

    if (store_files_is_at(store->audit_fd, store->state_fd, audit_name))
        return 0;
    r = open_file(store, &fd, err);
    if (r == 0 && dup3(fd, store->audit_fd, O_CLOEXEC) < 0)
        r = err_sys(err, "open %s", audit_name);
    return r;
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

/* After a power cut there may be zeros where a line was, or half of one, to which a refusal was appended. */
static bool is_whole(const char *line, size_t n)
{
    return n >= 2 && line[0] == '{' && line[n - 1] == '}' && !memchr(line, '\0', n) &&
           !memmem(line + 1, n - 1, denied_mark, sizeof denied_mark - 1);
}

/* The number of a whole line, 0 of one without. Not with sscanf(), which measures the page from here to its end. */
static int64_t number_of(const char *line)
{
    return strncmp(line, seq_mark, sizeof seq_mark - 1) == 0 ? strtoll(line + sizeof seq_mark - 1, NULL, 10) : 0;
}

/* The numbers of whole lines; *ret_whole is where the last of them ends, or the first one that is not whole begins. */
static void read_numbers(const char *text, size_t n, struct audit_place *place, size_t *ret_whole)
{
    size_t at = 0;

    for (const char *end; at < n && (end = memchr(text + at, '\n', n - at)); at = (size_t)(end - text) + 1) {
        const char *line = text + at;
        size_t line_n = (size_t)(end - line);
        int64_t number;

        if (!is_whole(line, line_n))
            break;
        number = number_of(line);
        if (number > place->seq && number <= place->newest)
            place->seq = number;
    }
    *ret_whole = at;
}

/* Reads on from the place; 1 as long as there are whole lines. *ret_rest: bytes that were read behind them. */
CHECKED static int read_page(struct store *store, struct audit_place *place, struct buf *page, size_t *ret_rest,
                             struct err *err)
{
    size_t whole = 0;
    size_t n = 0;
    int r;

    buf_resize(page, AUDIT_PAGE_BYTES);
    r = buf_check(page, err, audit_name);
    if (r == 0)
        r = store_files_pread(store->audit_fd, page->data, page->n, place->bytes, &n, err);
    if (r < 0)
        return r;
    read_numbers(page->data, n, place, &whole);
    place->bytes += (int64_t)whole;
    *ret_rest = n - whole;
    return whole > 0;
}

/* What is in the file behind the noted place: lines of refusals, and those of a process that died before it noted them.
 */
CHECKED static int catch_up(struct store *store, struct audit_place *place, struct err *err)
{
    cleanup_(buf_done) struct buf page = BUF_INIT(AUDIT_PAGE_BYTES);
    struct stat st;
    size_t rest = 0;
    int r;

    if (fstat(store->audit_fd, &st) < 0)
        return err_sys(err, "stat %s", audit_name);
    if (st.st_size < place->bytes) /* somebody has moved it away: it begins anew */
        place->bytes = 0;
    if (st.st_size == place->bytes)
        return 0;
    do
        r = read_page(store, place, &page, &rest, err);
    while (r > 0);
    if (r == 0 && rest > 0 && ftruncate(store->audit_fd, place->bytes) < 0)
        return err_sys(err, "cut the torn line off %s", audit_name);
    return r;
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

/* What is torn here, when the disk is full, the next flush cuts off. Afterwards the place is where these lines end,
 * wherever a refusal has made them begin. */
CHECKED static int append(struct store *store, struct audit_place *place, const struct buf *lines, struct err *err)
{
    ssize_t n = write(store->audit_fd, buf_text(lines), lines->n);

    if (n >= 0 && n != (ssize_t)lines->n)
        errno = ENOSPC;
    if (n != (ssize_t)lines->n)
        return err_sys(err, "write %s", audit_name);
    place->bytes = lseek(store->audit_fd, 0, SEEK_CUR); /* a regular file: cannot fail */
    return 0;
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
        r = store_spend_seen(store, &place.newest, err);
    if (r == 0)
        r = catch_up(store, &place, err);
    while (r == 0 && n == AUDIT_PAGE) {
        cleanup_(buf_done) struct buf lines = BUF_INIT(AUDIT_PAGE_BYTES);

        r = read_lines(store, &place, &lines, &n, err);
        if (r == 0 && n > 0)
            r = append(store, &place, &lines, err);
    }
    if (r < 0 || (place.seq == noted.seq && place.bytes == noted.bytes))
        return r;
    CRASH_POINT(AUDIT_WRITTEN);
    if (place.seq != noted.seq && fdatasync(store->audit_fd) < 0)
        return err_sys(err, "sync %s", audit_name);
    CRASH_POINT(AUDIT_SYNCED);
    return put_place(store, &place, err);
}

/* STORE_BUSY: another process has it, and may be stopped. Then a thousand refusals wait for it once and not each, since
 * threads that serve the kernel stand here one behind the other. */
CHECKED static int lock_file(struct store *store, struct err *err) REQUIRES(&store->audit);

static int lock_file(struct store *store, struct err *err)
{
    const struct timespec step = { .tv_nsec = AUDIT_LOCK_STEP_NS };
    bool is_stuck = store->audit_stuck_ms && clock_mono_ms() - store->audit_stuck_ms < AUDIT_STUCK_MS;
    int r = store_files_lock(store->audit_fd, STORE_FILES_TRY, err);

    for (int i = 1; !is_stuck && r == STORE_BUSY && !store_is_hurried(store) && i < AUDIT_LOCK_TRIES; i++) {
        (void)nanosleep(&step, NULL); /* a signal only shortens the step */
        r = store_files_lock(store->audit_fd, STORE_FILES_TRY, err);
    }
    if (r != STORE_BUSY)
        store->audit_stuck_ms = 0;
    else if (!is_stuck)
        store->audit_stuck_ms = clock_mono_ms();
    return r;
}

static void unlock_file(const struct store *store)
{
    struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    (void)fcntl(store->audit_fd, F_OFD_SETLK, &all); /* our own lock: cannot fail */
}

int store_audit_flush(struct store *store, struct err *err)
{
    int r;

    lock_assert_none_held();
    lock_acquire(&store->audit);
    r = follow_name(store, err);
    if (r == 0)
        r = lock_file(store, err);
    if (r == 0) {
        r = flush_locked(store, err);
        unlock_file(store);
    }
    lock_release(&store->audit);
    return r < 0 ? err_wrap(err, "audit") : 0;
}

/* Under the lock, else whoever cuts a torn line off the end could take this one with it. */
CHECKED static int write_refusal(struct store *store, const struct buf *line, struct err *err)
{
    ssize_t n;
    int r;

    lock_acquire(&store->audit);
    r = lock_file(store, err);
    n = r < 0 ? -1
              : write(store->audit_fd, buf_text(line), line->n); /* STORE_BUSY: rather without it than not at all */
    if (n >= 0 && n != (ssize_t)line->n)
        errno = ENOSPC;
    if (r >= 0 && n != (ssize_t)line->n)
        r = err_sys(err, "write %s", audit_name);
    unlock_file(store);
    lock_release(&store->audit);
    return r < 0 ? r : 0;
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
    return r < 0 ? r : write_refusal(store, &line, err);
}
