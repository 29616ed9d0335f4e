/*
 * Signals, in both directions: those that are for us, taken by one thread; and those that are pending for a program
 * that waits, read from /proc, since any signal with a handler interrupts a request and only a deadly one should end
 * its wait.
 */
#include "fs/fs_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"

enum { SIGNAL_WAKE = SIGUSR2, MS_PER_S = 1000, NS_PER_MS = 1000 * 1000 };

static const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 };

/* INT, TERM, HUP, QUIT, KILL: bit n-1 of the masks in /proc/PID/status (proc(5)) */
static const int deadly[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL };

bool fs_is_dying(pid_t pid)
{
    char path[64];
    char line[128];
    uint64_t pending = 0;
    uint64_t deadly_mask = 0;
    unsigned long long mask;
    cleanup_(fclosep) FILE *file = NULL;

    if (pid <= 0)
        return false; /* a caller in another PID namespace: it waits to the end */
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid); /* fits */
    file = fopen(path, "re");
    if (!file)
        return errno == ENOENT; /* gone */
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "SigPnd: %llx", &mask) == 1 || sscanf(line, "ShdPnd: %llx", &mask) == 1)
            pending |= mask;
    for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
        deadly_mask |= 1ULL << (deadly[i] - 1);
    return pending & deadly_mask;
}

static void taken_set(sigset_t *set)
{
    (void)sigemptyset(set); /* valid arguments: cannot fail, as below */
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        (void)sigaddset(set, taken[i]);
}

static void wake(int number)
{
    (void)number; /* its only purpose is to interrupt sem_wait() in the session's loop */
}

int fs_signal_block(struct err *err)
{
    struct sigaction action = { .sa_handler = wake };
    sigset_t set;

    taken_set(&set);
    (void)sigaction(SIGNAL_WAKE, &action, NULL); /* a valid signal: cannot fail; no SA_RESTART on purpose */
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    return errno ? err_sys(err, "signals") : 0;
}

/* Whoever holds one of these for good makes the mount hang; so would we then, and a watchdog would end us. */
static void see_that_locks_move(struct fs *fs)
{
    lock_acquire(&fs->lock);
    lock_release(&fs->lock);
    (void)tree_changes(fs->tree); /* only for the lock that it takes */
}

static void show_life(struct fs *fs)
{
    if (fs->config.alive_ms <= 0)
        return;
    see_that_locks_move(fs);
    fs->config.alive(fs->config.closure);
}

/* The next signal that is for us; 0 when it is time for a sign of life. */
static int wait_for_signal(const struct fs *fs, const sigset_t *set)
{
    const struct timespec wait = { .tv_sec = fs->config.alive_ms / MS_PER_S,
                                   .tv_nsec = fs->config.alive_ms % MS_PER_S * NS_PER_MS };
    siginfo_t info;
    int number;

    do
        number = fs->config.alive_ms > 0 ? sigtimedwait(set, &info, &wait) : sigwaitinfo(set, &info);
    while (number < 0 && errno == EINTR);
    return number < 0 ? 0 : number;
}

/* True when it is a signal to end. After the others there is a sign of life, too: they may come one after the other, so
 * that it is never time for one. */
static bool handle(struct fs *fs, int number)
{
    const struct fs_config *config = &fs->config;
    void (*calls)(void *closure) = number == SIGUSR1                             ? config->describe
                                   : number == SIGHUP && !config->ends_on_hangup ? config->reload
                                                                                 : NULL;

    if (number != 0 && !calls)
        return true;
    if (calls)
        calls(config->closure);
    show_life(fs);
    return false;
}

static void *signal_main(void *closure)
{
    struct fs *fs = closure;
    sigset_t set;
    int number;

    taken_set(&set);
    do
        number = wait_for_signal(fs, &set);
    while (!atomic_load(&fs->stopping) && !handle(fs, number));
    if (atomic_load(&fs->stopping))
        return NULL;
    log_event(LOG_LEVEL_INFO, "ending on a signal", LOG_NUMBER(LOG_COUNT, number));
    (void)alarm(FS_STOP_S); /* SIGALRM ends a process that hangs; fs_free() takes it back */
    tree_cancel(fs->tree);
    fuse_session_exit(fs->session);
    /* libfuse before 3.18 sleeps on: only a signal to its thread makes it look at the exit flag. */
    while (!atomic_load(&fs->stopping)) {
        struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };

        (void)pthread_kill(fs->main_thread, SIGNAL_WAKE); /* a living thread: cannot fail */
        (void)nanosleep(&pause, NULL);                    /* shorter is fine */
    }
    return NULL;
}

int fs_signal_start(struct fs *fs, struct err *err)
{
    fs->main_thread = pthread_self();
    errno = pthread_create(&fs->signals, NULL, signal_main, fs);
    if (errno)
        return err_sys(err, "no thread for signals");
    fs->has_signals = true;
    return 0;
}

void fs_signal_stop(struct fs *fs)
{
    if (!fs->has_signals)
        return;
    atomic_store(&fs->stopping, true);
    /* NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c): it is waited for, not delivered */
    (void)pthread_kill(fs->signals, SIGTERM); /* ends its sigwait(); blocked everywhere else */
    (void)pthread_join(fs->signals, NULL);    /* our own thread, joined once */
    fs->has_signals = false;
}
