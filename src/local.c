#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "model/digest.h"
#include "util/text.h"

enum {
    LOCAL_START_MS = 30 * 1000, /* until it says that it listens */
    LOCAL_STOP_MS = 500,        /* that we wait for its end, before SIGKILL */
    LOCAL_STEP_MS = 10,
    LOCAL_ID_BYTES = 16,     /* 32 hex digits, as real ids are */
    LOCAL_SECRET_BYTES = 20, /* 40 */
};

/* A quota that nobody reaches: the samples are the user's own. It is shown as none (BUDGET_MAX in budget.h). */
#define LOCAL_LIMIT "1000000000"

int local_profile(const char *dir, char *ret_name, size_t room, struct err *err)
{
    cleanup_(freep) char *real = realpath(dir, NULL);
    struct digest digest;
    int n;
    int r;

    if (!real)
        return err_sys(err, "the directory '%s' cannot be served", dir);
    r = digest_of(real, strlen(real), &digest, err);
    if (r < 0)
        return r;
    n = snprintf(ret_name, room, "local-%s", digest_short(&digest).s);
    assert(n > 0 && (size_t)n < room);
    (void)n;
    return 0;
}

/* malqueryd beside our own program, or whatever PATH has. */
static void find_engine(char *ret_path, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", ret_path, room - 1);
    char *slash;

    ret_path[n > 0 ? n : 0] = '\0';
    slash = strrchr(ret_path, '/');
    if (slash && (size_t)(slash - ret_path) + sizeof "/malqueryd" <= room) {
        memcpy(slash, "/malqueryd", sizeof "/malqueryd");
        if (access(ret_path, X_OK) == 0)
            return;
    }
    (void)text_copy(ret_path, room, "malqueryd"); /* fits */
}

struct pipes {
    int in[2];  /* engine's standard input */
    int out[2]; /* engine's standard output */
};

static void child(const struct pipes *pipes, int words_fd, char *const *argv, const struct secret *id,
                  const struct secret *secret)
{
    sigset_t none;

    /* NOLINTBEGIN(concurrency-mt-unsafe): a new process has one thread */
    (void)sigemptyset(&none);                    /* cannot fail */
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* likewise */
    if (dup2(pipes->in[0], STDIN_FILENO) < 0 || dup2(pipes->out[1], STDOUT_FILENO) < 0 ||
        (words_fd >= 0 && dup2(words_fd, STDERR_FILENO) < 0) || setenv("FALCON_CLIENT_ID", secret_text(id), 1) < 0 ||
        setenv("FALCON_CLIENT_SECRET", secret_text(secret), 1) < 0)
        _exit(127);
    /* NOLINTEND(concurrency-mt-unsafe) */
    (void)setsid(); /* Ctrl-C at the terminal is for us: we end it in order */
    execvp(argv[0], argv);
    _exit(127);
}

/* Reads the one line with the URL. */
static int read_url(int fd, char *ret_url, size_t room, struct err *err)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    size_t n = 0;

    while (n + 1 < room) {
        ssize_t got;

        if (poll(&poll_fd, 1, LOCAL_START_MS) <= 0)
            return err_set(err, ETIMEDOUT, "malqueryd did not listen within %d s: run it by hand to see why",
                           LOCAL_START_MS / 1000);
        got = read(fd, ret_url + n, 1);
        if (got < 0)
            return err_sys(err, "malqueryd");
        if (got == 0)
            return err_set(err, EIO,
                           "malqueryd ended at once: is it installed beside malqueryfs? Run it by hand to see why");
        if (ret_url[n] == '\n')
            break;
        n++;
    }
    ret_url[n] = '\0';
    return 0;
}

/* The engine's own words about its failure, one line of them. */
static int add_words(const struct local *local, struct err *err)
{
    char words[ERR_TEXT_MAX] = "";
    ssize_t n = local->words_fd >= 0 ? pread(local->words_fd, words, sizeof words - 1, 0) : 0;

    if (n <= 0)
        return -err->code;
    words[strcspn(words, "\n")] = '\0';
    return err_set(err, err->code, "%s", words);
}

static int spawn(struct local *local, char *const *argv, const struct secret *id, const struct secret *secret,
                 struct err *err)
{
    cleanup_(closep) int in_read = -1;
    cleanup_(closep) int out_read = -1;
    cleanup_(closep) int out_write = -1;
    struct pipes pipes;

    if (pipe2(pipes.in, O_CLOEXEC) < 0)
        return err_sys(err, "no pipe to malqueryd");
    in_read = pipes.in[0];
    local->alive_fd = pipes.in[1];
    if (pipe2(pipes.out, O_CLOEXEC) < 0)
        return err_sys(err, "no pipe from malqueryd");
    out_read = pipes.out[0];
    out_write = pipes.out[1];
    local->pid = fork();
    if (local->pid < 0)
        return err_sys(err, "malqueryd cannot be started");
    if (local->pid == 0)
        child(&pipes, local->words_fd, argv, id, secret);
    close(steal_fd(&out_write));
    if (read_url(out_read, local->url, sizeof local->url, err) < 0)
        return add_words(local, err);
    return 0;
}

int local_start(const char *dir, const char *index_dir, bool keep_stderr, struct local *local, struct secret **ret_id,
                struct secret **ret_secret, struct err *err)
{
    cleanup_(secret_freep) struct secret *id = NULL;
    cleanup_(secret_freep) struct secret *secret = NULL;
    char engine[PATH_MAX];
    char socket[PATH_MAX];
    char index[PATH_MAX];
    char *argv[] = { engine,
                     (char[]){ "--socket" },
                     socket,
                     (char[]){ "--index" },
                     index,
                     (char[]){ "--hunt-limit" },
                     (char[]){ LOCAL_LIMIT },
                     (char[]){ "--download-limit" },
                     (char[]){ LOCAL_LIMIT },
                     (char[]){ "--exit-with-stdin" },
                     strdupa(dir),
                     NULL };
    int r;

    *local = (struct local){ .alive_fd = -1, .words_fd = -1, .dir = "/tmp/malqueryfs-XXXXXX" };
    if (!mkdtemp(local->dir)) {
        local->dir[0] = '\0';
        return err_sys(err, "no directory in /tmp for the socket of malqueryd");
    }
    if (!keep_stderr && (local->words_fd = memfd_create("malqueryd", MFD_CLOEXEC)) < 0)
        return err_sys(err, "no memory for what malqueryd says");
    find_engine(engine, sizeof engine);
    (void)snprintf(socket, sizeof socket, "%s/engine", local->dir); /* fits */
    if (snprintf(index, sizeof index, "%s/engine.db", index_dir) >= (int)sizeof index)
        return err_set(err, ENAMETOOLONG, "the cache directory's name is too long");
    r = secret_random(LOCAL_ID_BYTES, &id, err);
    if (r == 0)
        r = secret_random(LOCAL_SECRET_BYTES, &secret, err);
    if (r == 0)
        r = spawn(local, argv, id, secret, err);
    if (r < 0)
        return r;
    *ret_id = steal_ptr(&id);
    *ret_secret = steal_ptr(&secret);
    return 0;
}

/* What does not end when it is asked is killed. */
static void reap(pid_t pid)
{
    const struct timespec step = { .tv_nsec = LOCAL_STEP_MS * 1000000L };

    for (int waited_ms = 0; waited_ms < LOCAL_STOP_MS; waited_ms += LOCAL_STEP_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        (void)nanosleep(&step, NULL); /* shorter is fine */
    }
    (void)kill(pid, SIGKILL);    /* our own child, not reaped yet */
    (void)waitpid(pid, NULL, 0); /* likewise */
}

void local_end(struct local *local)
{
    if (local->alive_fd >= 0)
        close(steal_fd(&local->alive_fd));
    if (local->pid > 0)
        (void)kill(local->pid, SIGTERM); /* our own child, not reaped yet */
}

void local_stop(struct local *local)
{
    char socket[128];

    local_end(local);
    if (local->words_fd >= 0)
        close(steal_fd(&local->words_fd));
    if (local->pid > 0) {
        reap(local->pid);
        local->pid = 0;
    }
    if (!local->dir[0])
        return;
    (void)snprintf(socket, sizeof socket, "%s/engine", local->dir); /* fits */
    (void)unlink(socket);                                           /* the engine removes it itself */
    (void)rmdir(local->dir);                                        /* left behind when somebody put a file there */
    local->dir[0] = '\0';
}
