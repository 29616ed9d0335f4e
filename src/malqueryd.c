/*
 * malqueryd -- start-up and end of the engine. The only file of this program that ends the process.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "util/log.h"
#include "util/notify.h"

enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_START = 2 };

enum { END_WITHIN_MS = 1500 }; /* after a signal, whatever is still running */

static void on_alarm(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_OK); /* a rule or an archive that takes too long; the database is safe at any moment */
}

static void end_soon(void)
{
    const struct itimerval once = { .it_value = { END_WITHIN_MS / 1000, END_WITHIN_MS % 1000 * 1000L } };

    (void)setitimer(ITIMER_REAL, &once, NULL); /* cannot fail with valid arguments */
}

/* Nothing of this process is for other eyes: no core, no ptrace, no readable files. And it needs descriptors. */
static void harden(void)
{
    const struct rlimit none = { 0, 0 };
    struct rlimit files;

    (void)umask(077);                         /* cannot fail */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* best effort, like the next two */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a descriptor per connection, download and search thread */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* without it, some requests fail with a 500 */
    }
}

CHECKED static int block_signals(int *ret_fd, struct err *err)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    const struct sigaction alarmed = { .sa_handler = on_alarm };
    sigset_t set;
    int fd;

    (void)sigemptyset(&set); /* cannot fail with valid arguments, like the rest of this block */
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGALRM, &alarmed, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "signalfd");
    *ret_fd = fd;
    return 0;
}

/* Reads and drops what comes; true at the end. */
static bool is_stdin_over(void)
{
    char bytes[512];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

/* Until a signal comes, or standard input ends if that counts. */
static void wait_for_end(int signal_fd, bool has_stdin)
{
    struct pollfd fds[2] = { { .fd = signal_fd, .events = POLLIN },
                             { .fd = has_stdin ? STDIN_FILENO : -1, .events = POLLIN } };

    for (;;) {
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents || (fds[1].revents && is_stdin_over()))
            return;
    }
}

CHECKED static int check_listen(const struct engine_options *options, const struct engine_credentials *credentials,
                                struct err *err)
{
    if (options->socket || engine_socket_is_loopback(options->config.listen))
        return 0;
    if (credentials->is_made_up)
        return err_set(err, EACCES, "--listen %s: others than loopback need FALCON_CLIENT_ID and FALCON_CLIENT_SECRET",
                       options->config.listen);
    return 0;
}

CHECKED static int prepare_files(const struct engine_options *options, const struct engine_credentials *credentials,
                                 struct err *err)
{
    int r = engine_credentials_make_dirs(options->index, err);

    if (r == 0)
        r = engine_own_check_index(options->dir, options->index, err);
    if (r == 0 && credentials->is_made_up)
        r = engine_credentials_make_dirs(options->credentials, err);
    if (r == 0 && credentials->is_made_up)
        r = engine_credentials_write(credentials, options->credentials, err);
    return r;
}

CHECKED static int serve(struct engine_options *options, struct err *err)
{
    cleanup_(engine_credentials_done) struct engine_credentials credentials = { 0 };
    cleanup_(engine_freep) struct engine *engine = NULL;
    cleanup_(closep) int signal_fd = -1;
    int r = block_signals(&signal_fd, err);

    if (r == 0)
        r = engine_credentials_get(&credentials, err);
    if (r == 0)
        r = check_listen(options, &credentials, err);
    if (r == 0)
        r = prepare_files(options, &credentials, err);
    if (r == 0)
        r = engine_new(&options->config, credentials.client_id, credentials.client_secret, &engine, err);
    if (r < 0)
        return r;
    engine_credentials_done(&credentials);
    if (printf("%s\n", engine_url(engine)) < 0 || fflush(stdout) != 0)
        return err_sys(err, "write the URL");
    notify_ready(engine_url(engine));
    wait_for_end(signal_fd, options->exit_with_stdin);
    notify_stopping();
    end_soon();
    return 0;
}

static bool show(const struct engine_options *options)
{
    if (options->help)
        engine_options_help(stdout);
    else if (options->version)
        (void)printf("malqueryd %s\n", MQFS_VERSION);
    else if (options->dump_options)
        engine_options_dump(stdout);
    return options->help || options->version || options->dump_options;
}

static enum log_level level_of(int64_t verbosity)
{
    return verbosity > 1 ? LOG_LEVEL_DEBUG : verbosity > 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
}

int main(int argc, char **argv)
{
    cleanup_(engine_options_done) struct engine_options options = { 0 };
    struct err err = { 0 };

    harden();
    if (engine_options_parse(argc, argv, &options, &err) < 0) {
        (void)fprintf(stderr, "malqueryd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (show(&options))
        return EXIT_OK;
    log_open("malqueryd", log_is_journal() ? LOG_TO_JOURNAL : LOG_TO_STDERR, level_of(options.verbosity));
    notify_open();
    if (serve(&options, &err) < 0) {
        (void)fprintf(stderr, "malqueryd: %s\n", err.text);
        return EXIT_START;
    }
    return EXIT_OK;
}
