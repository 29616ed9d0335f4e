/*
 * Passthrough: a sample that is opened again is copied into memory, each chunk authenticated on the way, and the kernel
 * reads the copy without asking us (fs_backing_table.h has the rules). One thread makes copies and takes them away, so
 * that no open() ever waits for one: while it is made the sample is read as before.
 *
 * Only the helper may show the kernel a file, and only root's. Whatever is missing, passthrough is off, and `status`
 * says why.
 */
#include "fs/fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "helper/helper.h"
#include "util/clock.h"
#include "util/log.h"

/* ---- libfuse ---- */

#ifdef FUSE_CAP_PASSTHROUGH
static const bool is_compiled_in = true;

static bool agree(struct fuse_conn_info *conn)
{
    if (!(conn->capable & FUSE_CAP_PASSTHROUGH))
        return false;
    conn->want |= FUSE_CAP_PASSTHROUGH;
    conn->max_backing_stack_depth = 0; /* our copies lie on no other filesystem */
    return true;
}

static void pass(struct fuse_file_info *fi, int id)
{
    fi->backing_id = id;
    fi->keep_cache = false; /* the kernel refuses the two together */
}
#else
static const bool is_compiled_in = false;

static bool agree(struct fuse_conn_info *conn)
{
    (void)conn;
    return false;
}

static void pass(struct fuse_file_info *fi, int id)
{
    (void)fi;
    (void)id; /* there is none */
}
#endif

/* ---- what `status` says ---- */

static void say_off(struct fs *fs, const char *why)
{
    char note[TREE_NOTE_MAX + 1];

    (void)snprintf(note, sizeof note, "off: %s", why); /* cut */
    tree_note_passthrough(fs->tree, note);
    log_event(LOG_LEVEL_INFO, "passthrough", LOG_TEXT(LOG_STATUS, note));
}

static void say_on_locked(struct fs *fs) REQUIRES(&fs->backing.lock)
{
    const struct backing_table *table = &fs->backing.table;
    char note[TREE_NOTE_MAX + 1];

    if (!table->is_on)
        return; /* it was said why */
    (void)snprintf(note, sizeof note, "on copies %zu bytes %lld", table->n_copies, (long long)table->bytes); /* fits */
    tree_note_passthrough(fs->tree, note);
}

/* What the helper or the kernel refuses once it always refuses. */
static void give_up(struct fs *fs, const struct err *why)
{
    lock_acquire(&fs->backing.lock);
    fs->backing.table.is_on = false;
    lock_release(&fs->backing.lock);
    say_off(fs, why->text);
}

/* ---- opens ---- */

int fs_backing_open(struct fs *fs, fuse_ino_t ino, const struct tree_open *opened, struct fuse_file_info *fi,
                    struct err *err)
{
    struct fs_backing *backing = &fs->backing;
    const struct backing_sample sample = {
        .ino = ino, .digest = opened->digest, .bytes = opened->bytes, .is_fixed = opened->is_immutable
    };
    int id = 0;
    int r;

    if (!opened->is_sample || !backing->is_possible)
        return 0;
    lock_acquire(&backing->lock);
    r = backing_open(&backing->table, &sample, &id, err);
    if (!list_is_empty(&backing->table.queued))
        cond_signal(&backing->work);
    lock_release(&backing->lock);
    if (id > 0)
        pass(fi, id);
    return r;
}

void fs_backing_close(struct fs *fs, fuse_ino_t ino)
{
    if (!fs->backing.is_possible)
        return;
    lock_acquire(&fs->backing.lock);
    backing_close(&fs->backing.table, ino);
    lock_release(&fs->backing.lock);
}

/* ---- copies ---- */

/* What one copy is made of, noted while the lock is held. */
struct copy {
    uint64_t ino;
    struct digest digest;
    int64_t bytes;
};

/* The bytes of an open sample into the file, all of them. */
static int pour(struct fs *fs, struct handle *handle, int64_t bytes, int fd, struct err *err)
{
    void *buffer = fs_buffer_take(fs);
    struct need need;
    int64_t at = 0;
    size_t n = 1;
    int r = buffer ? 0 : err_set(err, ENOMEM, "no memory for a copy");

    if (r == 0 && ftruncate(fd, bytes) < 0) /* first: large pages are for what is large already */
        r = err_sys(err, "memory for a copy");
    while (r == 0 && n > 0 && at < bytes) {
        if (atomic_load(&fs->backing.is_ending))
            r = err_set(err, ECANCELED, "the mount is ending");
        else
            r = tree_read(fs->tree, handle, at, buffer, FS_READ_MAX, &n, &need, err);
        if (r == 0 && pwrite(fd, buffer, n, at) != (ssize_t)n)
            r = err_sys(err, "memory for a copy");
        at += (int64_t)n;
    }
    fs_buffer_give(fs, buffer);
    return r == 0 && at != bytes ? err_set(err, EIO, "a sample that has another size") : r;
}

/* The sample as it is now: it may have gone, and its inode may be that of another one. */
static int fill(struct fs *fs, const struct copy *copy, int fd, struct err *err)
{
    const struct caller nobody = { .pid = 0 };
    struct handle *handle = NULL;
    struct tree_open opened;
    struct need need;
    struct err ignored = { 0 };
    int r = tree_open(fs->tree, copy->ino, O_RDONLY, &nobody, &handle, &opened, &need, err);

    if (r == TREE_NEED)
        return err_set(err, EAGAIN, "the sample is not here any more");
    if (r < 0)
        return r;
    if (opened.is_sample && opened.bytes == copy->bytes && digest_equal(&opened.digest, &copy->digest))
        r = pour(fs, handle, copy->bytes, fd, err);
    else
        r = err_set(err, ESTALE, "another sample by now");
    (void)tree_release(fs->tree, handle, &need, &ignored); /* nothing is dirty */
    return r;
}

/* The id of a copy; 0: none can be had of this sample now, or never again of any. */
static int make_copy(struct fs *fs, const struct copy *copy)
{
    struct helper *helper = fs->config.helper;
    cleanup_(closep) int fd = -1;
    struct err err = { 0 };
    int id = 0;
    int r = helper_open_memory(helper, &fd, &err);

    if (r == 0)
        r = fill(fs, copy, fd, &err);
    if (r < 0) {
        log_event(LOG_LEVEL_DEBUG, err.text, LOG_TEXT(LOG_OP, "passthrough"), LOG_NUMBER(LOG_ERRNO, err.code));
        return 0;
    }
    if (helper_show_memory(helper, fuse_session_fd(fs->session), &id, &err) < 0)
        give_up(fs, &err); /* without an answer it may be shown, and nobody knows as what */
    return id;
}

static bool close_copy(struct fs *fs, int id)
{
    struct err err = { 0 };
    int r = helper_hide_memory(fs->config.helper, fuse_session_fd(fs->session), id, &err);

    if (r < 0)
        log_event(LOG_LEVEL_DEBUG, err.text, LOG_TEXT(LOG_OP, "passthrough"), LOG_NUMBER(LOG_ERRNO, err.code));
    return r == 0 || r == -ENOENT; /* an earlier question was heard, and its answer was late */
}

static bool is_local(void *closure, const struct digest *digest)
{
    struct fs *fs = closure;

    return tree_is_local(fs->tree, digest);
}

/* Waits for work; BACKING_IDLE: it is the end. */
static enum backing_work next_work(struct fs *fs, int64_t *swept_ms, struct backing **ret_row, struct copy *ret_copy)
{
    struct fs_backing *backing = &fs->backing;
    enum backing_work work = BACKING_IDLE;

    lock_acquire(&backing->lock);
    while (!atomic_load(&backing->is_ending)) {
        if (clock_mono_ms() >= *swept_ms + FS_SWEEP_MS) {
            *swept_ms = clock_mono_ms();
            backing_retry(&backing->table);
            backing_sweep(&backing->table, is_local, fs);
        }
        work = backing_next(&backing->table, ret_row);
        if (work != BACKING_IDLE)
            break;
        (void)cond_wait_ms(&backing->work, &backing->lock, FS_SWEEP_MS); /* looks again anyway */
    }
    if (work != BACKING_IDLE)
        *ret_copy = (struct copy){ (*ret_row)->ino, (*ret_row)->digest, (*ret_row)->bytes };
    lock_release(&backing->lock);
    return work;
}

static void *backing_main(void *closure)
{
    struct fs *fs = closure;
    int64_t swept_ms = clock_mono_ms();
    struct backing *row;
    struct copy copy;
    enum backing_work work;

    while ((work = next_work(fs, &swept_ms, &row, &copy)) != BACKING_IDLE) {
        bool is_gone = work == BACKING_CLOSE && close_copy(fs, row->id); /* constant while it is worked on */
        int id = work == BACKING_BUILD ? make_copy(fs, &copy) : 0;

        lock_acquire(&fs->backing.lock);
        if (work == BACKING_BUILD)
            backing_built(&fs->backing.table, row, &copy.digest, id);
        else
            backing_closed(&fs->backing.table, row, is_gone);
        say_on_locked(fs);
        lock_release(&fs->backing.lock);
    }
    return NULL;
}

void fs_limit(struct fs *fs, int64_t passthrough_bytes)
{
    lock_acquire(&fs->backing.lock);
    fs->backing.table.limit = passthrough_bytes;
    cond_signal(&fs->backing.work);
    lock_release(&fs->backing.lock);
}

/* ---- start and stop ---- */

void fs_backing_init(struct fs *fs)
{
    lock_init(&fs->backing.lock, LOCK_FS_BACKING);
    cond_init(&fs->backing.work);
    backing_table_init(&fs->backing.table);
    fs->backing.table.limit = fs->config.passthrough_bytes;
}

void fs_backing_done(struct fs *fs)
{
    backing_table_done(&fs->backing.table);
    cond_done(&fs->backing.work);
    lock_done(&fs->backing.lock);
}

/* What can be known before the kernel is asked. */
static int look(struct fs *fs, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct err found = { 0 };
    int r;

    if (!fs->config.passthrough)
        return err_set(err, ENOTSUP, "passthrough=off");
    if (!is_compiled_in)
        return err_set(err, ENOTSUP, "built with a libfuse before 3.17");
    r = helper_open_memory(fs->config.helper, &fd, &found);
    if (r == -EPERM)
        return err_set(err, EPERM, "only root may");
    if (r == -EINVAL)
        return err_set(err, EINVAL, "this kernel has no tmpfs without swap, Linux 6.4 has");
    *err = found;
    return r;
}

int fs_backing_start(struct fs *fs, struct err *err)
{
    struct err why = { 0 };

    if (look(fs, &why) < 0) {
        say_off(fs, why.text);
        return 0;
    }
    errno = pthread_create(&fs->backing.thread, NULL, backing_main, fs);
    if (errno)
        return err_sys(err, "no thread");
    fs->backing.has_thread = true;
    fs->backing.is_possible = true;
    return 0;
}

void fs_backing_agree(struct fs *fs, struct fuse_conn_info *conn)
{
    if (!fs->backing.is_possible)
        return;
    if (!agree(conn)) {
        say_off(fs, "this kernel has no FUSE passthrough");
        return;
    }
    lock_acquire(&fs->backing.lock);
    fs->backing.table.is_on = true;
    say_on_locked(fs);
    lock_release(&fs->backing.lock);
    log_event(LOG_LEVEL_INFO, "passthrough", LOG_TEXT(LOG_STATUS, "on"));
}

void fs_backing_stop(struct fs *fs)
{
    if (!fs->backing.has_thread)
        return;
    lock_acquire(&fs->backing.lock);
    atomic_store(&fs->backing.is_ending, true);
    cond_signal(&fs->backing.work);
    lock_release(&fs->backing.lock);
    (void)pthread_join(fs->backing.thread, NULL); /* our own thread, joined once */
    fs->backing.has_thread = false;
}
