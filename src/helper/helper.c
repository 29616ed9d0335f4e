#include "helper/helper_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "util/lock.h"
#include "util/text.h"

struct helper {
    struct lock lock; /* rank LOCK_HELPER: one question at a time */
    int fd;           /* our end of the connection; -1 when it is closed */
    uint32_t serial;  /* of the last question; guarded by lock */
    bool is_late;     /* its answer did not come in time; guarded by lock */
    pid_t pid;        /* the daemon's: of the helper, 0 when it was waited for */
    const char *config_file;
    struct helper_memory memory; /* of the helper */
};

enum question_kind {
    QUESTION_KEEP,
    QUESTION_HAS_OPEN,
    QUESTION_EXECUTABLE,
    QUESTION_CONFIG,
    QUESTION_MEMORY_FILE,
    QUESTION_MEMORY_SHOW, /* with /dev/fuse beside it, like … */
    QUESTION_MEMORY_HIDE, /* … this one */
};

struct question {
    enum question_kind kind;
    uint32_t serial;
    int id; /* of what is hidden */
    pid_t pid;
    uint64_t ino;
    char text[PATH_MAX]; /* a name, or the mountpoint */
};

struct answer {
    uint32_t serial; /* of its question */
    bool is_true;
    int code; /* an errno: why it was not done, or why there is no descriptor beside the answer */
    int id;   /* of what is shown */
    char text[PATH_MAX];
};

int helper_new(const char *config_file, struct helper **ret_helper, struct err *err)
{
    cleanup_(helper_freep) struct helper *helper = calloc(1, sizeof *helper);
    const struct timeval wait = { .tv_sec = HELPER_WAIT_S };
    int fds[2];
    pid_t pid;

    if (!helper)
        return err_set(err, ENOMEM, "no memory for the helper");
    lock_init(&helper->lock, LOCK_HELPER);
    helper->fd = -1;
    helper->memory = (struct helper_memory){ .place = -1, .file = -1 };
    helper->config_file = config_file;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return err_sys(err, "a connection to the helper");
    pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return err_sys(err, "start the helper");
    }
    helper->fd = fds[pid == 0];
    close(fds[pid != 0]);
    helper->pid = pid;
    if (pid > 0) /* a helper that hangs must not hang us */
        (void)setsockopt(helper->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait); /* a socket of ours: cannot fail */
    *ret_helper = steal_ptr(&helper);
    return pid == 0 ? HELPER_IS_CHILD : 0;
}

/* ---- messages, either way ---- */

/* Room for one descriptor beside a message, unix(7). */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* `fd` goes with it, unless it is -1. */
static bool send_with(int to, int flags, void *message, size_t n, int fd)
{
    union control control = { 0 };
    struct iovec vec = { .iov_base = message, .iov_len = n };
    struct msghdr envelope = { .msg_iov = &vec, .msg_iovlen = 1 };

    if (fd >= 0) {
        control.header =
            (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        envelope.msg_control = control.bytes;
        envelope.msg_controllen = sizeof control.bytes;
    }
    return sendmsg(to, &envelope, MSG_NOSIGNAL | flags) == (ssize_t)n;
}

/* A whole message; the descriptor that came with it, or -1, takes the place of *fd. */
static bool receive(int from, int flags, void *ret_message, size_t n, int *fd)
{
    union control control = { 0 };
    struct iovec vec = { .iov_base = ret_message, .iov_len = n };
    struct msghdr envelope = {
        .msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    ssize_t got = recvmsg(from, &envelope, MSG_CMSG_CLOEXEC | flags);
    const struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&envelope) : NULL;

    closep(fd);
    *fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return got == (ssize_t)n;
}

/* ---- the helper's side ---- */

/* Nothing of the daemon stays here but the connection: no pipe that somebody waits for, no terminal, no directory that
 * could not be unmounted; and no signal that is meant for the daemon ends us before it. */
static void detach_from_all(struct helper *helper)
{
    enum { FIRST_FREE = STDERR_FILENO + 1 };
    int connection = fcntl(helper->fd, F_DUPFD_CLOEXEC, FIRST_FREE); /* away from what is replaced */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t all;

    (void)sigfillset(&all);                     /* cannot fail, like the next; fusermount3 inherits it and needs none */
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)setsid();                             /* a new child leads no group: cannot fail */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);   /* cannot fail */
    for (int fd = 0; fd < FIRST_FREE && null >= 0; fd++)
        (void)dup2(null, fd); /* two open descriptors: cannot fail */
    if (connection >= 0 && dup3(connection, FIRST_FREE, O_CLOEXEC) >= 0)
        helper->fd = FIRST_FREE;
    else if (connection == FIRST_FREE)
        helper->fd = connection;
    (void)close_range((unsigned)helper->fd + 1, ~0U, 0); /* before Linux 5.9 they stay open until we end */
    if (chdir("/") < 0)
        return; /* then the directory stays in use */
}

/* `given` came with the question, *ret_fd is sent beside the answer; -1: none. */
static void answer_to(struct helper *helper, const struct question *question, int given, char *mountpoint,
                      struct answer *answer, int *ret_fd)
{
    *ret_fd = -1;
    *answer = (struct answer){ .serial = question->serial };
    switch (question->kind) {
    case QUESTION_KEEP:
        answer->is_true = text_copy(mountpoint, PATH_MAX, question->text);
        break;
    case QUESTION_HAS_OPEN:
        answer->is_true = helper_process_has_open(question->pid, question->text, question->ino);
        break;
    case QUESTION_EXECUTABLE:
        answer->is_true = helper_process_executable(question->pid, answer->text, sizeof answer->text);
        break;
    case QUESTION_CONFIG:
        *ret_fd = open(helper->config_file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        answer->is_true = *ret_fd >= 0;
        answer->code = *ret_fd < 0 ? errno : 0;
        break;
    case QUESTION_MEMORY_FILE:
        answer->code = helper_memory_open(&helper->memory, ret_fd);
        break;
    case QUESTION_MEMORY_SHOW:
        answer->code = helper_memory_show(&helper->memory, given, &answer->id);
        break;
    case QUESTION_MEMORY_HIDE:
        answer->code = helper_memory_hide(given, question->id);
        break;
    }
}

void helper_serve(struct helper *helper)
{
    static char mountpoint[PATH_MAX];
    static struct question question;
    static struct answer answer;

    detach_from_all(helper);
    for (;;) {
        cleanup_(closep) int given = -1;
        cleanup_(closep) int fd = -1;

        if (!receive(helper->fd, 0, &question, sizeof question, &given))
            break;
        question.text[sizeof question.text - 1] = '\0'; /* what asks may be taken over */
        answer_to(helper, &question, given, mountpoint, &answer, &fd);
        if (!send_with(helper->fd, 0, &answer, sizeof answer, fd))
            break;
    }
    /* Only a dead mount: by now there may be another one in its place, and that one lives. */
    if (mountpoint[0] && helper_mount_is_ours(mountpoint) && helper_mount_is_dead(mountpoint) &&
        helper_mount_detach(mountpoint, NULL) < 0)
        _exit(1);
    _exit(0);
}

/* ---- the daemon's side ---- */

void helper_end(struct helper *helper)
{
    if (!helper)
        return;
    lock_acquire(&helper->lock);
    if (helper->fd >= 0)
        close(steal_fd(&helper->fd));
    lock_release(&helper->lock);
    if (helper->pid > 0)
        (void)waitpid(helper->pid, NULL, 0); /* our own child */
    helper->pid = 0;
}

void helper_free(struct helper *helper)
{
    if (!helper)
        return;
    helper_end(helper);
    lock_done(&helper->lock);
    free(helper);
}

/* The answer to the last question, passing over late ones; with MSG_DONTWAIT only if it is there. */
static bool receive_locked(struct helper *helper, int flags, struct answer *ret_answer, int *fd)
    REQUIRES(&helper->lock);

static bool receive_locked(struct helper *helper, int flags, struct answer *ret_answer, int *fd)
{
    bool is_whole;

    do
        is_whole = receive(helper->fd, flags, ret_answer, sizeof *ret_answer, fd);
    while (is_whole && ret_answer->serial != helper->serial);
    helper->is_late = !is_whole;
    return !helper->is_late;
}

/*
 * False when there is no answer in time. One question waits for it; as long as the helper owes that answer, it is asked
 * nothing more, so that one that hangs does not hold up every open(). `given` goes with the question unless it is -1;
 * *ret_fd is what came with the answer, or -1.
 */
static bool ask_with(struct helper *helper, struct question *question, int given, struct answer *ret_answer,
                     int *ret_fd)
{
    cleanup_(closep) int fd = -1;
    bool is_answered = false;

    lock_acquire(&helper->lock);
    if (helper->is_late)
        (void)receive_locked(helper, MSG_DONTWAIT, ret_answer, &fd); /* it may go on by now */
    question->serial = helper->serial + 1;
    if (helper->fd >= 0 && !helper->is_late && send_with(helper->fd, MSG_DONTWAIT, question, sizeof *question, given)) {
        helper->serial = question->serial;
        is_answered = receive_locked(helper, 0, ret_answer, &fd);
    }
    lock_release(&helper->lock);
    *ret_fd = is_answered ? steal_fd(&fd) : -1;
    return is_answered;
}

static bool ask(struct helper *helper, struct question *question, struct answer *ret_answer)
{
    int fd = -1;
    bool is_answered = ask_with(helper, question, -1, ret_answer, &fd);

    closep(&fd); /* none was asked for */
    return is_answered;
}

int helper_keep(struct helper *helper, const char *mountpoint, struct err *err)
{
    struct question question = { .kind = QUESTION_KEEP };
    struct answer answer;

    if (!text_copy(question.text, sizeof question.text, mountpoint))
        return err_set(err, ENAMETOOLONG, "mountpoint '%s': the path is too long", mountpoint);
    if (!ask(helper, &question, &answer) || !answer.is_true)
        return err_set(err, EPIPE, "the helper does not answer");
    return 0;
}

bool helper_has_open(struct helper *helper, pid_t pid, const char *name, uint64_t ino)
{
    struct question question = { .kind = QUESTION_HAS_OPEN, .pid = pid, .ino = ino };
    struct answer answer;

    if (!helper)
        return helper_process_has_open(pid, name, ino);
    if (!text_copy(question.text, sizeof question.text, name) || !ask(helper, &question, &answer))
        return true;
    return answer.is_true;
}

bool helper_executable(struct helper *helper, pid_t pid, char *ret_path, size_t room)
{
    struct question question = { .kind = QUESTION_EXECUTABLE, .pid = pid };
    struct answer answer;

    if (!helper)
        return helper_process_executable(pid, ret_path, room);
    if (!ask(helper, &question, &answer) || !answer.is_true)
        return false;
    answer.text[sizeof answer.text - 1] = '\0';
    return text_copy(ret_path, room, answer.text);
}

int helper_open_config(struct helper *helper, int *ret_fd, struct err *err)
{
    struct question question = { .kind = QUESTION_CONFIG };
    struct answer answer;

    if (!ask_with(helper, &question, -1, &answer, ret_fd))
        return err_set(err, EPIPE, "the configuration file cannot be read again: the helper does not answer");
    if (!answer.is_true && answer.code != ENOENT)
        return err_set(err, answer.code, "the configuration file cannot be opened: %s", strerrordesc_np(answer.code));
    if (answer.is_true && *ret_fd < 0) /* the kernel drops what it has no number for */
        return err_set(err, EMFILE, "the configuration file cannot be read again: too many files are open");
    return 0;
}

static int judge_memory(bool is_answered, int code, const char *what, struct err *err)
{
    if (!is_answered)
        return err_set(err, EPIPE, "%s: the helper does not answer", what);
    return code ? err_set(err, code, "%s: %s", what, strerrordesc_np(code)) : 0;
}

int helper_open_memory(struct helper *helper, int *ret_fd, struct err *err)
{
    struct question question = { .kind = QUESTION_MEMORY_FILE };
    struct answer answer = { 0 };
    bool is_answered = ask_with(helper, &question, -1, &answer, ret_fd);

    if (is_answered && answer.code == 0 && *ret_fd < 0) /* the kernel drops what it has no number for */
        answer.code = EMFILE;
    return judge_memory(is_answered, answer.code, "memory that is not swapped", err);
}

int helper_show_memory(struct helper *helper, int fuse, int *ret_id, struct err *err)
{
    struct question question = { .kind = QUESTION_MEMORY_SHOW };
    struct answer answer = { 0 };
    cleanup_(closep) int none = -1;
    bool is_answered = ask_with(helper, &question, fuse, &answer, &none);

    *ret_id = answer.id;
    return judge_memory(is_answered, answer.code, "give the kernel a file", err);
}

int helper_hide_memory(struct helper *helper, int fuse, int id, struct err *err)
{
    struct question question = { .kind = QUESTION_MEMORY_HIDE, .id = id };
    struct answer answer = { 0 };
    cleanup_(closep) int none = -1;
    bool is_answered = ask_with(helper, &question, fuse, &answer, &none);

    return judge_memory(is_answered, answer.code, "take a file from the kernel", err);
}
