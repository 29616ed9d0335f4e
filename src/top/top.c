/*
 * One thread looks at the mount and leaves what it saw; the other one draws, and listens to keys and signals. So a
 * mount that hangs never keeps the terminal: `q` works, and the screen says since when there was no answer. The thread
 * that looks is then left behind in its system call, which ends with the process.
 */
#include "top/top_internal.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/lock.h"
#include "util/text.h"

enum {
    LOOK_MS = 1000,          /* between two looks, at least */
    LOOK_SHARE = 20,         /* and so many times as long as a look takes: a large mount is looked at less often */
    SILENT_MS = 3 * LOOK_MS, /* no look for so long: the screen says so */
    ONCE_MAX_MS = 10 * 1000, /* for a single look */
    JOIN_TRIES = 20,         /* for a look that is under way at the end, a tick each */
    TICK_NS = 10 * 1000 * 1000,
    MS_IN_S = 1000,
};

static const char keys_notice[] = "q quits";

/* What the two threads share. The one that looks may outlive top_run(), so it is freed only when that has ended. */
struct looker {
    char root[PATH_MAX];
    int news_fd; /* an eventfd: there is a new look, or the end */
    pthread_t thread;
    struct top_facts mine; /* of the thread that looks */

    struct lock lock;    /* rank LOCK_TOP; guards what follows */
    struct cond stopped; /* with stopping */
    bool stopping;
    bool is_over; /* the thread has ended */
    struct top_facts facts;
    int64_t look_ms; /* when the last one ended, monotonic; 0: none yet */
    struct err err;  /* why there are no more */
};

/* ---- the thread that looks ---- */

/* Leaves a look, or the end; false when it shall end. Waits for the time of the next one. */
static bool leave(struct looker *looker, int r, const struct err *err, int64_t took_ms)
{
    const uint64_t one = 1;
    bool go_on;

    lock_acquire(&looker->lock);
    if (r == 0) {
        looker->facts = looker->mine;
        looker->look_ms = clock_mono_ms();
    } else {
        looker->err = *err;
        looker->is_over = true;
    }
    lock_release(&looker->lock);
    if (write(looker->news_fd, &one, sizeof one) < 0)
        r = -errno; /* nobody can be told any more */
    lock_acquire(&looker->lock);
    if (r == 0 && !looker->stopping)
        (void)cond_wait_ms(&looker->stopped, &looker->lock,
                           took_ms * LOOK_SHARE > LOOK_MS ? took_ms * LOOK_SHARE : LOOK_MS); /* looks again anyway */
    go_on = r == 0 && !looker->stopping;
    looker->is_over = !go_on;
    lock_release(&looker->lock);
    return go_on;
}

static void *look_main(void *closure)
{
    struct looker *looker = closure;
    struct err err = { 0 };
    int64_t began_ms;
    int r;

    do {
        began_ms = clock_mono_ms();
        r = top_read(looker->root, &looker->mine, &err);
    } while (leave(looker, r, &err, clock_mono_ms() - began_ms));
    return NULL;
}

static void looker_free(struct looker *looker)
{
    if (!looker)
        return;
    if (looker->news_fd >= 0)
        close(looker->news_fd);
    cond_done(&looker->stopped);
    lock_done(&looker->lock);
    free(looker);
}
DEFINE_CLEANUP(struct looker *, looker_free)

static int looker_new(const char *mountpoint, struct looker **ret_looker, struct err *err)
{
    cleanup_(looker_freep) struct looker *looker = calloc(1, sizeof *looker);

    if (!looker)
        return err_set(err, ENOMEM, "no memory for a look");
    looker->facts = (struct top_facts)TOP_FACTS_INIT;
    lock_init(&looker->lock, LOCK_TOP);
    cond_init(&looker->stopped);
    looker->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (looker->news_fd < 0)
        return err_sys(err, "look at '%s'", mountpoint);
    if (!realpath(mountpoint, looker->root))
        return err_sys(err, "'%s'", mountpoint);
    if (chdir("/") < 0) /* the working directory would keep the mount busy */
        return err_sys(err, "chdir /");
    errno = pthread_create(&looker->thread, NULL, look_main, looker);
    if (errno)
        return err_sys(err, "no thread");
    *ret_looker = steal_ptr(&looker);
    return 0;
}

static bool looker_is_over(struct looker *looker)
{
    bool is_over;

    lock_acquire(&looker->lock);
    looker->stopping = true;
    cond_broadcast(&looker->stopped);
    is_over = looker->is_over;
    lock_release(&looker->lock);
    return is_over;
}

/* A thread that hangs in the mount keeps what it may still write to. */
static void looker_stop(struct looker *looker)
{
    const struct timespec tick = { .tv_nsec = TICK_NS };

    for (int i = 0; i < JOIN_TRIES; i++) {
        if (looker_is_over(looker)) {
            (void)pthread_join(looker->thread, NULL); /* our own thread, joined once */
            looker_free(looker);
            return;
        }
        (void)nanosleep(&tick, NULL); /* shorter is fine */
    }
    (void)pthread_detach(looker->thread); /* likewise */
}

/* ---- the thread that draws ---- */

struct viewer {
    struct looker *looker;
    struct screen *screen; /* NULL: once, to whatever standard output is */
    int signal_fd;
    struct top_facts facts;
    int64_t look_ms;
};

/* The newest look; what its end means to the user. */
static int take_look(struct viewer *viewer, struct err *err)
{
    struct looker *looker = viewer->looker;
    bool had_one = viewer->look_ms > 0;
    bool is_over;
    eventfd_t n;

    (void)eventfd_read(looker->news_fd, &n); /* nothing there: we look anyway */
    lock_acquire(&looker->lock);
    is_over = looker->is_over;
    viewer->facts = looker->facts;
    viewer->look_ms = looker->look_ms;
    *err = looker->err;
    lock_release(&looker->lock);
    if (!is_over)
        return 0;
    if (had_one)
        return err_set(err, ENOTCONN, "the mount at '%s' went away", looker->root);
    if (err->code == ENOENT || err->code == ENODEV || err->code == ENOTDIR)
        return err_set(err, ENODEV, "nothing of malqueryfs is mounted at '%s'", looker->root);
    return -err->code;
}

static void draw(const struct viewer *viewer, struct buf *ret_picture)
{
    char notice[TOP_TEXT_MAX];
    struct top_frame frame = { .root = viewer->looker->root,
                               .has_attributes = viewer->screen,
                               .notice = viewer->screen ? notice : NULL,
                               .now_s = clock_now_s() };
    int64_t silent_ms = clock_mono_ms() - viewer->look_ms;

    screen_size(&frame.columns, &frame.rows);
    if (!viewer->screen)
        frame.columns = frame.rows = 0;
    (void)text_copy(notice, sizeof notice, keys_notice); /* fits */
    if (viewer->look_ms == 0)
        (void)snprintf(notice, sizeof notice, "%s; no answer from the mount yet", keys_notice);
    else if (silent_ms >= SILENT_MS)
        (void)snprintf(notice, sizeof notice, "%s; no answer from the mount for %lld s", keys_notice,
                       (long long)(silent_ms / MS_IN_S));
    top_render(&viewer->facts, &frame, ret_picture);
}

static int show(struct viewer *viewer, struct err *err)
{
    cleanup_(buf_done) struct buf picture = BUF_INIT(TOP_FRAME_MAX);

    draw(viewer, &picture);
    if (buf_check(&picture, err, "a picture") < 0)
        return -err->code;
    if (viewer->screen)
        return screen_show(viewer->screen, picture.data, picture.n, err);
    return fwrite(picture.data, 1, picture.n, stdout) == picture.n && fflush(stdout) == 0
               ? 0
               : err_sys(err, "write to standard output");
}

/* False: a signal that ends us. */
static bool take_signal(struct viewer *viewer)
{
    struct signalfd_siginfo info = { 0 };

    if (read(viewer->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return true;
    if (info.ssi_signo == SIGTSTP) {
        screen_leave(viewer->screen);
        (void)raise(SIGSTOP); /* returns when we are continued */
        screen_enter(viewer->screen);
        return true;
    }
    return info.ssi_signo == SIGWINCH || info.ssi_signo == SIGCONT;
}

/* False: a key that ends us. */
static bool take_keys(int fd)
{
    char keys[64];
    ssize_t n = read(fd, keys, sizeof keys);

    return n > 0 && !memchr(keys, 'q', (size_t)n) && !memchr(keys, 'Q', (size_t)n);
}

static int watch(struct viewer *viewer, struct err *err)
{
    enum { NEWS, SIGNALS, KEYS, SOURCES };
    struct pollfd sources[SOURCES] = { [NEWS] = { .fd = viewer->looker->news_fd, .events = POLLIN },
                                       [SIGNALS] = { .fd = viewer->signal_fd, .events = POLLIN },
                                       [KEYS] = { .fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1, .events = POLLIN } };
    bool go_on = true;
    int r = show(viewer, err);

    while (r == 0 && go_on) {
        if (poll(sources, SOURCES, LOOK_MS) < 0 && errno != EINTR)
            return err_sys(err, "wait for keys");
        if (sources[SIGNALS].revents)
            go_on = take_signal(viewer);
        if (go_on && sources[KEYS].revents)
            go_on = take_keys(STDIN_FILENO);
        if (go_on)
            r = take_look(viewer, err);
        if (go_on && r == 0)
            r = show(viewer, err);
    }
    return r;
}

static int once(struct viewer *viewer, struct err *err)
{
    struct pollfd news = { .fd = viewer->looker->news_fd, .events = POLLIN };
    int r;

    if (poll(&news, 1, ONCE_MAX_MS) <= 0)
        return err_set(err, ETIMEDOUT, "no answer from the mount at '%s'", viewer->looker->root);
    r = take_look(viewer, err);
    return r < 0 ? r : show(viewer, err);
}

static int view(struct looker *looker, int signal_fd, struct err *err)
{
    cleanup_(freep) struct viewer *viewer = calloc(1, sizeof *viewer);
    cleanup_(screen_closep) struct screen *screen = NULL;
    int r;

    if (!viewer)
        return err_set(err, ENOMEM, "no memory for a look");
    viewer->looker = looker;
    viewer->signal_fd = signal_fd;
    viewer->facts = (struct top_facts)TOP_FACTS_INIT;
    if (signal_fd < 0)
        return once(viewer, err);
    r = screen_open(&screen, err);
    if (r < 0)
        return r;
    viewer->screen = screen;
    return watch(viewer, err);
}

/* Those that end, stop or resize a program on a terminal come as something to read. */
static int block_signals(int *ret_fd, struct err *err)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };
    sigset_t set;

    (void)sigemptyset(&set); /* cannot fail */
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaddset(&set, numbers[i]); /* valid numbers: cannot fail */
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    *ret_fd = errno ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd < 0 ? err_sys(err, "signals") : 0;
}

int top_run(const char *mountpoint, struct err *err)
{
    cleanup_(closep) int signal_fd = -1;
    struct looker *looker = NULL;
    int r = 0;

    /* One that there is not: plain ASCII. NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
    (void)setlocale(LC_CTYPE, "");
    if (isatty(STDOUT_FILENO))
        r = block_signals(&signal_fd, err);
    if (r < 0)
        return r;
    r = looker_new(mountpoint, &looker, err);
    if (r < 0)
        return r;
    r = view(looker, signal_fd, err);
    looker_stop(looker);
    return r;
}
