/*
 * Parking. A call that the tree answers with TREE_NEED waits here without a thread, on the job for that need; who has
 * the same need waits on the same job, so a thousand readers of one sample are one download. When the job is done every
 * call of it runs again, now locally; when it failed they all fail alike. A call that ends early (signal, time limit)
 * leaves its job alone: a download that was paid for goes on. One that has not begun when signals have ended everybody
 * who wanted it is not bought.
 *
 * Calls that wait for a change (the `wait` file, an open of what a list brings) have no job: a thread runs them again
 * whenever something changed.
 */
#include "fs/fs_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "util/clock.h"
#include "util/log.h"

struct job {
    struct list link;   /* in fs->jobs */
    struct list queued; /* in fs->queued[lane] until a thread takes it */
    struct list calls;
    struct need need;
    bool is_running;
    bool is_promised; /* somebody left at the time limit, and was told that it goes on */
};

static const struct {
    size_t n_threads;
    size_t batch_max;
    int64_t window_ms;
} lanes[N_LANES] = {
    [LANE_META] = { .n_threads = 2, .batch_max = TREE_MEET_MAX, .window_ms = FS_BATCH_WINDOW_MS },
    [LANE_BYTES] = { .n_threads = 8, .batch_max = 1 },
    [LANE_CONTROL] = { .n_threads = 4, .batch_max = 1 },
};

/*
 * How a need is met, and what its time limit means: an errno, or 0 for running the call again as it stands then. No
 * lane: it is met by a change. What a submission finds may change while it runs, so a later one has a job of its own.
 */
static const struct {
    enum fs_lane lane;
    int64_t limit_ms;
    int limit_code;
    bool joins_running;
    bool may_correct; /* the size that the kernel has */
    bool is_dropped;  /* when nobody wants it any more before it began */
} needs[] = {
    [NEED_METADATA] = { .lane = LANE_META,
                        .limit_ms = FS_META_LIMIT_MS,
                        .limit_code = ETIMEDOUT,
                        .joins_running = true },
    [NEED_BYTES] = { .lane = LANE_BYTES,
                     .limit_ms = FS_OPEN_LIMIT_MS,
                     .limit_code = ETIMEDOUT,
                     .joins_running = true,
                     .may_correct = true,
                     .is_dropped = true },
    [NEED_LOCAL] = { .lane = LANE_BYTES,
                     .limit_ms = FS_OPEN_LIMIT_MS,
                     .limit_code = ETIMEDOUT,
                     .joins_running = true,
                     .may_correct = true,
                     .is_dropped = true },
    [NEED_QUOTAS] = { .lane = LANE_CONTROL,
                      .limit_ms = FS_META_LIMIT_MS,
                      .limit_code = ETIMEDOUT,
                      .joins_running = true },
    [NEED_SUBMIT] = { .lane = LANE_CONTROL, .limit_ms = FS_CLOSE_LIMIT_MS },
    [NEED_REQUEST] = { .lane = LANE_CONTROL,
                       .limit_ms = FS_META_LIMIT_MS,
                       .limit_code = ETIMEDOUT,
                       .joins_running = true },
    [NEED_CHANGE] = { .lane = N_LANES },
    [NEED_ARRIVAL] = { .lane = N_LANES, .limit_ms = FS_OPEN_LIMIT_MS, .limit_code = ETIMEDOUT },
};

static bool is_met_by_change(enum need_kind kind)
{
    return needs[kind].lane == N_LANES;
}

struct fs_call *fs_call_new(struct fs *fs, fuse_req_t req, const char *op, fs_call_run *run, fuse_ino_t ino,
                            const struct fuse_file_info *fi)
{
    struct fs_call *call = calloc(1, sizeof *call);

    (void)fs;
    if (!call) {
        fs_reply_code(req, op, ino, ENOMEM);
        return NULL;
    }
    list_init(&call->link);
    call->req = req;
    call->op = op;
    call->run = run;
    call->ino = ino;
    call->started_ms = clock_mono_ms();
    if (fi) {
        call->fi = *fi;
        call->has_fi = true;
    }
    return call;
}

void fs_call_free(struct fs_call *call)
{
    free(call->name);
    free(call->new_name);
    free(call);
}

static void finish(struct fs_call *call, const struct err *err)
{
    fs_reply_err(call->req, call->op, call->ino, err);
    fs_call_free(call);
}

static void finish_code(struct fs_call *call, int code, const char *why)
{
    struct err err = { 0 };

    (void)err_set(&err, code, "%s", why); /* the code is in err */
    finish(call, &err);
}

/* ---- jobs ---- */

static struct job *job_find_locked(struct fs *fs, const struct need *need) REQUIRES(&fs->lock)
{
    list_for_each (link, &fs->jobs) {
        struct job *job = container_of(link, struct job, link);

        if (need_equal(&job->need, need) && (!job->is_running || needs[need->kind].joins_running))
            return job;
    }
    return NULL;
}

static struct job *job_add_locked(struct fs *fs, const struct need *need) REQUIRES(&fs->lock)
{
    enum fs_lane lane = needs[need->kind].lane;
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->need = *need;
    list_init(&job->calls);
    list_add_tail(&fs->jobs, &job->link);
    list_add_tail(&fs->queued[lane], &job->queued);
    cond_signal(&fs->work[lane]);
    return job;
}

/* When the call must end, on the monotonic clock; 0: never. The kernel has a directory locked while something is made
 * or renamed in it, and nobody can even list it: such a call waits for a verdict only as long as nobody notices. */
static int64_t limit_of(const struct fs_call *call, enum need_kind kind)
{
    int64_t limit_ms = needs[kind].limit_ms;

    if (kind == NEED_SUBMIT && call->name)
        limit_ms = FS_LOCKED_LIMIT_MS;
    return limit_ms ? call->started_ms + limit_ms : 0;
}

/* Parks the call on its need; an errno when it cannot wait. */
static int park(struct fs *fs, struct fs_call *call, const struct need *need)
{
    struct job *job;
    int code = 0;

    lock_acquire(&fs->lock);
    call->limit_ms = limit_of(call, need->kind);
    if (fs->closed) {
        code = ECONNABORTED;
    } else if (fs->n_calls >= FS_CALLS_MAX) {
        code = EBUSY;
    } else if (is_met_by_change(need->kind)) {
        call->offset = (off_t)need->row; /* the counter that was seen; streams and opens have no offset */
        list_add_tail(&fs->watchers, &call->link);
        fs->n_calls++;
    } else {
        job = job_find_locked(fs, need);
        if (!job)
            job = job_add_locked(fs, need);
        code = job ? 0 : ENOMEM;
        if (job) {
            list_add_tail(&job->calls, &call->link);
            fs->n_calls++;
        }
    }
    lock_release(&fs->lock);
    return code;
}

/* Runs a call: it ends with a reply, or it is parked. */
static void run(struct fs *fs, struct fs_call *call)
{
    struct need need = { 0 };
    struct err err = { 0 };
    int r = call->run(fs, call, &need, &err);
    int code;

    if (r == 0) {
        fs_call_free(call);
        return;
    }
    if (r != TREE_NEED || need.kind == NEED_NONE) {
        if (r >= 0)
            (void)err_set(&err, EIO, "an outcome that nobody expects: %d", r); /* the code is in err */
        finish(call, &err);
        return;
    }
    if (!is_met_by_change(need.kind) && ++call->rounds > FS_ROUNDS_MAX) {
        finish_code(call, EIO, "a need that stays after it was met");
        return;
    }
    code = park(fs, call, &need);
    if (code)
        finish_code(call, code, "cannot wait");
}

void fs_call_begin(struct fs *fs, struct fs_call *call)
{
    run(fs, call);
}

void fs_job_background(struct fs *fs, const struct need *need)
{
    lock_acquire(&fs->lock);
    if (!fs->closed && !job_find_locked(fs, need))
        (void)job_add_locked(fs, need); /* no memory: the poller sends what is queued */
    lock_release(&fs->lock);
}

/* Moves a list of calls to `to`; they are not parked any more. */
static void unpark_locked(struct fs *fs, struct list *calls, struct list *to) REQUIRES(&fs->lock)
{
    list_for_each (link, calls) {
        list_remove(link);
        list_add_tail(to, link);
        fs->n_calls--;
    }
}

/* ---- fetcher threads ---- */

struct batch {
    struct job *jobs[TREE_MEET_MAX];
    struct need needs[TREE_MEET_MAX];
    size_t n;
};

static void batch_take_locked(struct fs *fs, enum fs_lane lane, struct batch *batch) REQUIRES(&fs->lock)
{
    batch->n = 0;
    list_for_each (link, &fs->queued[lane]) {
        struct job *job = container_of(link, struct job, queued);

        if (batch->n == lanes[lane].batch_max)
            break;
        list_remove(link);
        job->is_running = true;
        batch->needs[batch->n] = job->need;
        batch->jobs[batch->n++] = job;
    }
}

static void batch_done(struct fs *fs, struct batch *batch, int r, const struct err *err)
{
    struct list calls;

    list_init(&calls);
    lock_acquire(&fs->lock);
    for (size_t i = 0; i < batch->n; i++) {
        unpark_locked(fs, &batch->jobs[i]->calls, &calls);
        list_remove(&batch->jobs[i]->link);
        free(batch->jobs[i]);
    }
    lock_release(&fs->lock);
    list_for_each (link, &calls) {
        struct fs_call *call = container_of(link, struct fs_call, link);

        list_remove(link);
        if (r < 0) {
            finish(call, err);
            continue;
        }
        /* The size in the kernel may be that of metadata which the bytes have corrected. Not from a handler, attributes
         * only: no lock of the waiting call is needed (README.notifications of libfuse). */
        if (needs[batch->needs[0].kind].may_correct)
            (void)fuse_lowlevel_notify_inval_inode(fs->session, call->ino, -1, 0); /* ENOENT: not cached */
        run(fs, call);
    }
}

/* Waits for work; false when the lane ends. A batch gives its neighbours a moment to arrive. */
static bool lane_next(struct fs *fs, enum fs_lane lane, struct batch *batch)
{
    bool go_on;

    lock_acquire(&fs->lock);
    while (list_is_empty(&fs->queued[lane]) && !fs->closed)
        cond_wait(&fs->work[lane], &fs->lock);
    if (!fs->closed && lanes[lane].window_ms) {
        int64_t until_ms = clock_mono_ms() + lanes[lane].window_ms;

        while (!fs->closed && clock_mono_ms() < until_ms)
            (void)cond_wait_ms(&fs->work[lane], &fs->lock, until_ms - clock_mono_ms()); /* looks again anyway */
    }
    go_on = !fs->closed;
    if (go_on)
        batch_take_locked(fs, lane, batch);
    lock_release(&fs->lock);
    return go_on;
}

static void lane_run(struct fs *fs, enum fs_lane lane)
{
    struct batch batch = { .n = 0 };

    while (lane_next(fs, lane, &batch)) {
        struct err err = { 0 };
        int r;

        if (batch.n == 0)
            continue; /* another thread of the lane was faster */
        r = tree_meet(fs->tree, batch.needs, batch.n, &err);
        batch_done(fs, &batch, r, &err);
    }
}

static void *meta_main(void *closure)
{
    lane_run(closure, LANE_META);
    return NULL;
}

static void *bytes_main(void *closure)
{
    lane_run(closure, LANE_BYTES);
    return NULL;
}

static void *control_main(void *closure)
{
    lane_run(closure, LANE_CONTROL);
    return NULL;
}

/* ---- time limits, signals, changes ---- */

static int limit_code(const struct job *job)
{
    return needs[job->need.kind].limit_code;
}

/* Takes out of `calls` what must end now: `dead` were interrupted by a deadly signal, `late` are beyond their limit.
 * True when some of them are late. */
static bool sort_out_locked(struct fs *fs, struct list *calls, struct list *dead, struct list *late) REQUIRES(&fs->lock)
{
    int64_t now_ms = clock_mono_ms();
    bool has_late = false;

    list_for_each (link, calls) {
        struct fs_call *call = container_of(link, struct fs_call, link);
        struct list *to = NULL;

        if (fuse_req_interrupted(call->req) && fs_is_dying(fuse_req_ctx(call->req)->pid))
            to = dead;
        else if (call->limit_ms && now_ms >= call->limit_ms)
            to = late;
        if (!to)
            continue;
        list_remove(link);
        list_add_tail(to, link);
        fs->n_calls--;
        has_late = has_late || to == late;
    }
    return has_late;
}

/* The calls of one job. A job that was wanted until now, and is by nobody any more, may go. */
static void sort_out_job_locked(struct fs *fs, struct job *job, struct list *dead, struct list *late)
    REQUIRES(&fs->lock)
{
    bool was_wanted = !list_is_empty(&job->calls);

    if (sort_out_locked(fs, &job->calls, dead, late))
        job->is_promised = true;
    if (!was_wanted || !list_is_empty(&job->calls) || job->is_running || job->is_promised ||
        !needs[job->need.kind].is_dropped)
        return;
    list_remove(&job->queued);
    list_remove(&job->link);
    free(job);
}

static void end_all(struct list *calls, int code, const char *why)
{
    list_for_each (link, calls) {
        list_remove(link);
        finish_code(container_of(link, struct fs_call, link), code, why);
    }
}

/* Beyond its limit a submission is answered by the state it has now: queued, which close() counts as success. */
static void run_all(struct fs *fs, struct list *calls)
{
    list_for_each (link, calls) {
        list_remove(link);
        run(fs, container_of(link, struct fs_call, link));
    }
}

static void tick(struct fs *fs)
{
    struct list dead;
    struct list late;
    struct list as_it_is;

    list_init(&dead);
    list_init(&late);
    list_init(&as_it_is);
    lock_acquire(&fs->lock);
    list_for_each (link, &fs->jobs) {
        struct job *job = container_of(link, struct job, link);

        sort_out_job_locked(fs, job, &dead, limit_code(job) ? &late : &as_it_is);
    }
    (void)sort_out_locked(fs, &fs->watchers, &dead, &late); /* they have no job that could go */
    lock_release(&fs->lock);
    end_all(&dead, EINTR, "interrupted");
    end_all(&late, ETIMEDOUT, "no answer in time; it goes on in the background");
    run_all(fs, &as_it_is);
}

static void *tick_main(void *closure)
{
    struct fs *fs = closure;
    bool closed = false;

    while (!closed) {
        struct timespec pause = { .tv_nsec = FS_TICK_MS * 1000000L };

        (void)nanosleep(&pause, NULL); /* shorter is fine */
        tick(fs);
        lock_acquire(&fs->lock);
        closed = fs->closed;
        lock_release(&fs->lock);
    }
    return NULL;
}

static void *watch_main(void *closure)
{
    struct fs *fs = closure;
    uint64_t seen = 0;
    bool closed = false;

    while (!closed) {
        struct list due;

        list_init(&due);
        seen = tree_wait_changes(fs->tree, seen, FS_TICK_MS);
        lock_acquire(&fs->lock);
        list_for_each (link, &fs->watchers) {
            struct fs_call *call = container_of(link, struct fs_call, link);

            if ((uint64_t)call->offset == seen)
                continue;
            list_remove(link);
            list_add_tail(&due, link);
            fs->n_calls--;
        }
        closed = fs->closed;
        lock_release(&fs->lock);
        run_all(fs, &due);
        fs_poll_changed(fs);
    }
    return NULL;
}

/* ---- start and stop ---- */

static int start_thread(struct fs *fs, void *(*thread_main)(void *), struct err *err)
{
    assert(fs->n_threads < ARRAY_SIZE(fs->threads));
    errno = pthread_create(&fs->threads[fs->n_threads], NULL, thread_main, fs);
    if (errno)
        return err_sys(err, "no thread");
    fs->n_threads++;
    return 0;
}

int fs_park_start(struct fs *fs, struct err *err)
{
    static void *(*const mains[N_LANES])(
        void *) = { [LANE_META] = meta_main, [LANE_BYTES] = bytes_main, [LANE_CONTROL] = control_main };
    int r = start_thread(fs, tick_main, err);

    if (r == 0)
        r = start_thread(fs, watch_main, err);
    for (int lane = 0; lane < N_LANES; lane++)
        for (size_t i = 0; r == 0 && i < lanes[lane].n_threads; i++)
            r = start_thread(fs, mains[lane], err);
    return r;
}

void fs_park_stop(struct fs *fs)
{
    struct list calls;

    list_init(&calls);
    tree_cancel(fs->tree);
    lock_acquire(&fs->lock);
    fs->closed = true;
    list_for_each (link, &fs->jobs) {
        unpark_locked(fs, &container_of(link, struct job, link)->calls, &calls);
    }
    unpark_locked(fs, &fs->watchers, &calls);
    for (int lane = 0; lane < N_LANES; lane++)
        cond_broadcast(&fs->work[lane]);
    lock_release(&fs->lock);
    end_all(&calls, ECONNABORTED, "the mount is ending");
    for (size_t i = 0; i < fs->n_threads; i++)
        (void)pthread_join(fs->threads[i], NULL); /* our own threads, joined once */
    fs->n_threads = 0;
    lock_acquire(&fs->lock);
    list_for_each (link, &fs->jobs) {
        list_remove(link);
        free(container_of(link, struct job, link));
    }
    lock_release(&fs->lock);
}

/* ---- for the log ---- */

static const char *const need_names[] = {
    [NEED_METADATA] = "metadata", [NEED_BYTES] = "bytes",     [NEED_LOCAL] = "local",   [NEED_QUOTAS] = "quotas",
    [NEED_SUBMIT] = "submission", [NEED_REQUEST] = "request", [NEED_CHANGE] = "change", [NEED_ARRIVAL] = "arrival",
};

static void describe_calls(const struct list *calls, struct buf *text)
{
    int64_t oldest_ms = INT64_MAX;
    size_t n = 0;

    list_for_each (link, calls) {
        const struct fs_call *call = container_of(link, struct fs_call, link);

        oldest_ms = call->started_ms < oldest_ms ? call->started_ms : oldest_ms;
        n++;
    }
    buf_printf(text, " calls=%zu", n);
    if (n > 0)
        buf_printf(text, " oldest_ms=%lld", (long long)(clock_mono_ms() - oldest_ms));
    buf_putc(text, '\n');
}

static void describe_job(const struct job *job, struct buf *text)
{
    const struct need *need = &job->need;

    buf_printf(text, "job %s", need_names[need->kind]);
    if (need->kind == NEED_METADATA || need->kind == NEED_BYTES || need->kind == NEED_LOCAL)
        buf_printf(text, " sha256=%s", digest_short(&need->digest).s);
    else if (need->kind == NEED_REQUEST)
        buf_printf(text, " id=%s", need->request.s);
    else if (need->kind == NEED_SUBMIT)
        buf_printf(text, " row=%lld", (long long)need->row);
    buf_puts(text, job->is_running ? " running" : " queued");
    describe_calls(&job->calls, text);
}

void fs_describe(struct fs *fs, struct buf *text)
{
    size_t n = 0;

    lock_acquire(&fs->lock);
    buf_printf(text, "parked calls=%zu pollers=%zu\n", fs->n_calls, fs->n_pollers);
    buf_puts(text, "waiting for a change");
    describe_calls(&fs->watchers, text);
    list_for_each (link, &fs->jobs)
        if (++n <= FS_DESCRIBED_MAX)
            describe_job(container_of(link, struct job, link), text);
    if (n > FS_DESCRIBED_MAX)
        buf_printf(text, "and %zu more jobs\n", n - FS_DESCRIBED_MAX);
    lock_release(&fs->lock);
}
