/*
 * Order of start-up and shutdown; the only file that sees every layer.
 *
 *   config → log → (fork) → helper → local engine → api → store → cache → tree → fs (mounts) → confinement → poller →
 *   serve
 *
 * What is started last ends first, but for the helper, which unmounts, and the engine, which is asked to end early. In
 * the background the parent waits until the mount answers, or the child says why not.
 */
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "input/input.h"
#include "mount_helper.h"
#include "options.h"
#include "program.h"
#include "top/top.h"
#include "util/log.h"
#include "util/notify.h"
#include "util/text.h"

enum { POLL_FIRST_MS = 2000, POLL_MAX_MS = 30000, POLL_LOCAL_MS = 250, POLL_ABSENT_MS = 10 * 60 * 1000 };
enum { DUMP_MAX = 64 * 1024 };
enum { INVENTED_BYTES = 16 };
enum { FIRST_DOWNLOADS = 10, FIRST_HUNTS = 20 }; /* the first budget of a profile; the published quota is 50 and 100 */

static int complain(const struct err *err, int exit_code)
{
    (void)fprintf(stderr, "malqueryfs: %s\n", err->text); /* nowhere else to say it */
    return exit_code;
}

/* No core dumps: memory has credentials and live malware. */
static void harden(void)
{
    const struct rlimit none = { 0, 0 };
    struct rlimit files;

    umask(077);
    (void)signal(SIGPIPE, SIG_IGN);              /* a valid signal: cannot fail; libcurl and pipes report EPIPE */
    (void)setrlimit(RLIMIT_CORE, &none);         /* lowering a limit cannot fail */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* samples that were closed lately are kept open */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* without it, fewer are */
    }
}

/* ---- the log ---- */

static const struct {
    const char *name;
    enum log_target target;
} log_targets[] = {
    { "stderr", LOG_TO_STDERR },
    { "journal", LOG_TO_JOURNAL },
    { "syslog", LOG_TO_SYSLOG },
};

static bool is_log_file(const struct config *config)
{
    return config->log[0] == '/';
}

/* Of a mount that is served. */
static enum log_target log_target_of(const struct config *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(log_targets); i++)
        if (strcmp(config->log, log_targets[i].name) == 0)
            return log_targets[i].target;
    return !config->foreground ? LOG_TO_SYSLOG : log_is_journal() ? LOG_TO_JOURNAL : LOG_TO_STDERR;
}

static bool keeps_stderr(const struct config *config)
{
    return !is_log_file(config) && log_target_of(config) != LOG_TO_SYSLOG;
}

static enum log_level log_level_of(const struct config *config)
{
    return config->debug ? LOG_LEVEL_DEBUG : (enum log_level)config->log_level;
}

int program_judge(const struct config *config, struct err *err)
{
    bool is_known = is_log_file(config) || strcmp(config->log, "auto") == 0;

    for (size_t i = 0; i < ARRAY_SIZE(log_targets); i++)
        is_known |= strcmp(config->log, log_targets[i].name) == 0;
    if (!is_known)
        return err_set(err, EINVAL,
                       "option 'log' is auto, stderr, journal, syslog or the absolute path of a file, not '%s'",
                       config->log);
    return config->budget[0] ? budget_parse(config->budget, &(struct budget){ 0 }, err) : 0;
}

/* Until a mount in the background is usable, somebody looks at its stderr. */
static int begin_log(const struct config *config, struct err *err)
{
    if (is_log_file(config))
        return log_open_file(config->log, log_level_of(config), err);
    if (config->foreground)
        log_open("malqueryfs", log_target_of(config), log_level_of(config));
    else
        log_open("malqueryfs", LOG_TO_STDERR, LOG_LEVEL_WARN);
    return 0;
}

static void say_mounted(const struct program *program)
{
    log_event(LOG_LEVEL_INFO, "mounted", LOG_TEXT(LOG_NODE, program->config.mountpoint));
    log_event(program->confined.is_whole ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "confined",
              LOG_TEXT(LOG_STATUS, program->confined.text));
    program_notify_ready(program);
}

static void on_ready(void *closure)
{
    struct program *program = closure;
    const char zero = 0;

    if (program->ready_fd < 0) {
        say_mounted(program);
        return;
    }
    if (!is_log_file(&program->config))
        log_open("malqueryfs", log_target_of(&program->config), log_level_of(&program->config));
    say_mounted(program);
    if (write(program->ready_fd, &zero, 1) != 1)
        log_event(LOG_LEVEL_WARN, "nobody waits for the mount", LOG_NUMBER(LOG_ERRNO, errno));
    close(steal_fd(&program->ready_fd));
    if (chdir("/") < 0) /* else the directory that we were started in could not be unmounted */
        log_event(LOG_LEVEL_WARN, "the working directory stays", LOG_NUMBER(LOG_ERRNO, errno));
    if (freopen("/dev/null", "r", stdin) && freopen("/dev/null", "w", stdout) &&
        (keeps_stderr(&program->config) || freopen("/dev/null", "w", stderr)))
        return;
    log_event(LOG_LEVEL_WARN, "the terminal stays open", LOG_NUMBER(LOG_ERRNO, errno));
}

static void on_alive(void *closure)
{
    (void)closure;
    notify_alive();
}

/* For a mount that sends nothing, and so has no use for them. */
static int invent_credentials(struct config *config, struct err *err)
{
    int r = config->client_id ? 0 : secret_random(INVENTED_BYTES, &config->client_id, err);

    return r < 0 || config->client_secret ? r : secret_random(INVENTED_BYTES, &config->client_secret, err);
}

int program_start_service(struct program *program, struct err *err)
{
    struct config *config = &program->config;
    const char *base_url = config->base_url[0] ? config->base_url : NULL;
    int r;

    if (config->local_dir[0]) {
        if (local_start(config->local_dir, config->cache_path, config->foreground || config->check, &program->local,
                        &config->client_id, &config->client_secret, err) < 0)
            return EXIT_CONFIG;
        base_url = program->local.url;
    }
    if (config->offline && invent_credentials(config, err) < 0)
        return EXIT_CREDENTIALS;
    if (!config->client_id || !config->client_secret) {
        (void)err_set(err, EACCES,
                      "no credentials: set FALCON_CLIENT_ID and FALCON_CLIENT_SECRET, or write client_id and "
                      "client_secret to '%s', or try malqueryfs --local DIR",
                      config->config_path);
        return EXIT_CREDENTIALS;
    }
    r = api_new(
        &(struct api_config){
            .cloud = config->cloud,
            .base_url = base_url,
            .member_cid = config->member_cid[0] ? config->member_cid : NULL,
            .user_agent = "malqueryfs/" MQFS_VERSION,
            .proxy = config->proxy[0] ? config->proxy : NULL,
            .ca_file = config->ca_file[0] ? config->ca_file : NULL,
            .ends_with_us = config->local_dir[0],
            .is_offline = config->offline,
        },
        steal_ptr(&config->client_id), steal_ptr(&config->client_secret), &program->api, err);
    return r < 0 ? EXIT_CONFIG : 0;
}

/* What -o budget= says is the user's word, as if it were written to the file; once, not at every mount. */
int program_set_budget(struct program *program, struct err *err)
{
    enum { NOT_SAID = -1 };
    struct budget said = { .left = { NOT_SAID, NOT_SAID } };

    if (program->config.budget[0] && budget_parse(program->config.budget, &said, err) < 0)
        return EXIT_CONFIG;
    return store_budget_say(program->store, program->config.budget, &said, err) < 0 ? EXIT_STATE : 0;
}

const char *program_deny(const struct config *config)
{
    return strcmp(config->deny, "-") == 0 ? NULL : config->deny;
}

struct store_config program_store_config(const struct config *config)
{
    return (struct store_config){ .state_dir = config->state_path,
                                  .cache_dir = config->cache_path,
                                  .kind = (enum store_kind)config->cache,
                                  .cache_bytes = config->cache_size,
                                  .memory_bytes = config->memory_size };
}

static int start_files(struct program *program, struct err *err)
{
    struct config *config = &program->config;
    struct store_config store_config = program_store_config(config);
    bool is_local = config->local_dir[0];
    struct budget first = { .left = { FIRST_DOWNLOADS, FIRST_HUNTS } };
    int code;

    if (is_local) /* the samples are the user's own */
        first = (struct budget){ .left = { BUDGET_UNLIMITED, BUDGET_UNLIMITED } };

    if (store_new(&store_config, &program->store, err) < 0)
        return EXIT_STATE;
    if (cache_new(
            &(struct cache_config){
                .api = program->api,
                .store = program->store,
                .poll_first_ms = is_local ? POLL_LOCAL_MS : POLL_FIRST_MS,
                .poll_max_ms = POLL_MAX_MS,
                .poll_absent_ms = POLL_ABSENT_MS,
                .yara_check = config->yara_check,
                .is_zip_transport = config->transport == 1,
                .is_offline = config->offline,
                .reserve_percent = is_local ? 0 : config->reserve_percent,
                .first_budget = first,
            },
            &program->cache, err) < 0)
        return EXIT_STATE;
    code = program_set_budget(program, err);
    if (code)
        return code;
    if (tree_new(
            &(struct tree_config){
                .cache = program->cache,
                .store = program->store,
                .helper = program->helper,
                .confined = program->confined.text,
                .resubmit = config->resubmit,
                .deny = program_deny(config),
                .zip = { .password = config->zip_password, .method = (enum store_zip_method)config->zip_method },
            },
            &program->tree, err) < 0)
        return EXIT_STATE;
    return 0;
}

/* What fs_new() says when the mountpoint is wrong; anything else is about FUSE. */
static const int mountpoint_codes[] = { ENOTDIR, ENOENT, EACCES, ENOTCONN, EPERM, EBUSY, ENAMETOOLONG };

static bool is_about_mountpoint(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(mountpoint_codes); i++)
        if (mountpoint_codes[i] == code)
            return true;
    return false;
}

/* After mounting, which needs a setuid program, and before there are threads. */
static int confine_program(struct program *program, struct err *err)
{
    const struct config *config = &program->config;
    bool has_engine = program->local.pid > 0;

    if (!config->confine) {
        (void)text_copy(program->confined.text, sizeof program->confined.text, "off"); /* fits */
        return 0;
    }
    return confine(
        &(struct confine_config){
            .state_dir = config->state_path,
            .cache_dir = config->cache_path,
            .ca_file = config->ca_file[0] ? config->ca_file : NULL,
            .socket_dir = has_engine ? program->local.dir : NULL,
            .child = program->local.pid,
        },
        &program->confined, err);
}

/* A terminal that is closed ends what was started on it, unless nohup(1) said otherwise. */
static bool has_terminal(void)
{
    cleanup_(closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct sigaction action;

    return fd >= 0 && sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

/* A daemon leaves the session of its terminal when it is mounted and not before: an automount lets only the process
 * group of its manager pass to the mountpoint, and everybody else waits for the mount, which would be us. */
static int mount_and_serve(struct program *program, struct err *err)
{
    struct fs_config config = {
        .tree = program->tree,
        .helper = program->helper,
        .mountpoint = program->config.mountpoint,
        .mount_options = program->config.kernel_options,
        .passthrough = program->config.passthrough,
        .passthrough_bytes = program->config.memory_size,
        .debug = program->config.debug,
        .ends_on_hangup = program->config.foreground && has_terminal(),
        .alive_ms = notify_alive_ms(),
        .ready = on_ready,
        .reload = program_reload,
        .describe = program_describe,
        .alive = on_alive,
        .closure = program,
    };
    int r = fs_new(&config, &program->fs, err);

    if (r < 0)
        return is_about_mountpoint(-r) ? EXIT_MOUNTPOINT : EXIT_FUSE;
    if (!program->config.foreground)
        (void)setsid(); /* a new child leads no group: cannot fail */
    r = confine_program(program, err);
    if (r < 0)
        return r == -EACCES ? EXIT_STATE : EXIT_FUSE;
    if (cache_start(program->cache, err) < 0)
        return EXIT_STATE;
    return fs_run(program->fs, err) < 0 ? EXIT_FUSE : 0;
}

static void stop(struct program *program)
{
    notify_stopping();
    if (program->cache)
        cache_cancel(program->cache);
    local_end(&program->local);
    fs_free(program->fs);
    if (program->cache)
        cache_stop(program->cache);
    tree_free(program->tree);
    cache_free(program->cache);
    store_free(program->store);
    api_free(program->api);
    local_stop(&program->local);
    helper_free(program->helper);
    input_teardown();
}

/* That of --local is of its directory. */
static int find_profile(struct program *program, struct err *err)
{
    if (program->config.local_dir[0] &&
        local_profile(program->config.local_dir, program->config.profile, sizeof program->config.profile, err) < 0)
        return EXIT_CONFIG;
    return 0;
}

int program_prepare(struct program *program, struct err *err)
{
    int code = find_profile(program, err);

    return code ? code : config_directories(&program->config, err) < 0 ? EXIT_STATE : 0;
}

/* The helper knows no credentials, and has nothing to do with how this process ends. */
static int start_helper(struct program *program, struct err *err)
{
    int r = helper_new(program->config.config_path, &program->helper, err);

    if (r == HELPER_IS_CHILD) {
        config_done(&program->config);
        helper_serve(program->helper);
    }
    return r < 0 ? EXIT_FUSE : 0;
}

static int run(struct program *program, struct err *err)
{
    int code = program_prepare(program, err);

    if (code == 0)
        code = start_helper(program, err);
    if (code)
        return code;
    if (input_setup(err) < 0)
        return EXIT_STATE;
    code = program_start_service(program, err);
    if (code == 0)
        code = start_files(program, err);
    if (code == 0)
        code = mount_and_serve(program, err);
    return code;
}

/* --rotate-key: what it came to, in a line. */
static int rotate_key(struct program *program, struct err *err)
{
    struct store_rotated rotated;
    struct store_config store_config;
    int code = program_prepare(program, err);

    if (code)
        return code;
    store_config = program_store_config(&program->config);
    if (store_rotate(&store_config, &rotated, err) < 0)
        return EXIT_STATE;
    (void)printf("sealed %lld with a new key, %lld had it already, %lld were damaged and set aside\n"
                 "the old key is gone: copies of this cache elsewhere cannot be opened any more\n",
                 (long long)rotated.n_sealed, (long long)rotated.n_before,
                 (long long)rotated.n_damaged); /* a broken pipe is the reader's wish */
    return 0;
}

/* The parent's half of going to the background: the exit code that the child sends, 0 when the mount answers. */
static int wait_for_child(int fd)
{
    unsigned char code = EXIT_FUSE;

    if (read(fd, &code, 1) != 1)
        (void)fprintf(
            stderr,
            "malqueryfs: the mount ended before it was usable, and did not say why: try with -f\n"); /* nowhere else to
                                                                                                        say it */
    return code;
}

static int finish(struct program *program, int code, const struct err *err)
{
    unsigned char byte = (unsigned char)code;

    if (code)
        (void)complain(err, code); /* the code is reported below */
    if (code && !program->config.foreground && program->ready_fd < 0)
        log_event(LOG_LEVEL_ERR, err->text, LOG_NUMBER(LOG_ERRNO, err->code)); /* when stderr is closed already */
    stop(program);
    if (program->ready_fd >= 0 && write(program->ready_fd, &byte, 1) != 1)
        return code;
    return code;
}

static int start(struct program *program, struct err *err)
{
    int fds[2];
    pid_t pid;

    if (program_judge(&program->config, err) < 0 || begin_log(&program->config, err) < 0)
        return complain(err, EXIT_CONFIG);
    notify_open();
    if (program->config.foreground)
        return finish(program, run(program, err), err);
    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        (void)err_sys(err, "cannot go to the background; -f stays in the foreground"); /* the exit code says it */
        return complain(err, EXIT_FUSE);
    }
    if (pid > 0) {
        close(fds[1]);
        return wait_for_child(fds[0]);
    }
    close(fds[0]);
    program->ready_fd = fds[1];
    return finish(program, run(program, err), err);
}

static int dump_config(struct program *program, struct err *err)
{
    int code = find_profile(program, err);

    if (code == 0 && config_places(&program->config, err) < 0)
        code = EXIT_CONFIG;
    if (code == 0)
        options_dump_config(stdout, &program->config);
    return code;
}

/* What needs no mount, only stdout; a broken pipe is the reader's wish. */
static bool print_only(struct program *program, int *ret_code, struct err *err)
{
    const struct config *config = &program->config;
    cleanup_(buf_done) struct buf text = BUF_INIT(DUMP_MAX);

    if (config->help[0])
        *ret_code = options_help(stdout, config->help, err) < 0 ? EXIT_USAGE : 0;
    else if (config->version)
        (void)puts("malqueryfs " MQFS_VERSION);
    else if (config->dump_options)
        options_dump(stdout);
    else if (config->dump_config)
        *ret_code = dump_config(program, err);
    else if (config->dump_tree)
        tree_describe(&text);
    else
        return config->is_fake;
    (void)fputs(buf_text(&text), stdout);
    return true;
}

/* The exit code. */
static int do_as_asked(struct program *program)
{
    struct err err = { 0 };
    int code = config_load(program->argc, program->argv, &program->config, &err);

    if (code)
        return complain(&err, code);
    if (print_only(program, &code, &err))
        return code ? complain(&err, code) : 0;
    harden();
    if (program->config.top)
        return top_run(program->config.mountpoint, &err) < 0 ? complain(&err, EXIT_MOUNTPOINT) : 0;
    if (!program->config.check && !program->config.rotate_key)
        return start(program, &err);
    code = program->config.check ? program_check(program, &err) : rotate_key(program, &err);
    return code ? complain(&err, code) : 0;
}

int main(int argc, char **argv)
{
    static struct program program = { .local = { .alive_fd = -1, .words_fd = -1 }, .ready_fd = -1 };
    int code;

    program.argc = argc;
    program.argv = argv;
    code = do_as_asked(&program);
    config_done(&program.config);
    return program.config.is_mount_helper ? mount_helper_exit_code(code) : code;
}
