/*
 * --check: everything that a mount needs is looked at, in the order in which a mount would. A later step that needs an
 * earlier one is left out when that one failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "model/budget.h"
#include "program.h"
#include "util/text.h"

enum { WORDS_MAX = 8 * KIB };

/* Words of success go to `words`. */
typedef int look(struct program *program, struct buf *words, struct err *err);

static int look_at_config(struct program *program, struct buf *words, struct err *err)
{
    const struct config *config = &program->config;
    bool is_there = access(config->config_path, F_OK) == 0;
    int r = program_judge(config, err); /* what else is wrong with it has ended us before */

    if (r < 0)
        return r;
    buf_printf(words, "%s: %s, profile %s", config->config_path,
               is_there ? "private and well formed" : "does not exist", config->profile);
    return 0;
}

static int look_at_directories(struct program *program, struct buf *words, struct err *err)
{
    int code = program_prepare(program, err);

    if (code)
        return -err->code;
    buf_printf(words, "%s and %s", program->config.state_path, program->config.cache_path);
    return 0;
}

/* Opens them as a mount does; several may. */
static int look_at_store(struct program *program, struct buf *words, struct err *err)
{
    const struct store_config config = program_store_config(&program->config);
    cleanup_(store_freep) struct store *store = NULL;
    struct store_usage usage;
    struct statvfs disk;
    int r = store_new(&config, &store, err);

    if (r < 0)
        return r;
    store_room_usage(store, &usage);
    buf_printf(words, "%lld samples, %lld of %lld MiB", (long long)usage.n_samples, (long long)(usage.bytes / MIB),
               (long long)(usage.limit_bytes / MIB));
    if (statvfs(program->config.cache_path, &disk) == 0)
        buf_printf(words, ", %llu MiB free on its disk",
                   (unsigned long long)disk.f_bavail * disk.f_frsize / (unsigned long long)MIB);
    return 0;
}

static int look_at_fuse(struct program *program, struct buf *words, struct err *err)
{
    cleanup_(closep) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    (void)program;
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ENOENT, "there is no /dev/fuse: load the module with modprobe fuse");
    if (fd < 0)
        return err_sys(err, "/dev/fuse cannot be opened");
    buf_puts(words, "/dev/fuse can be opened");
    return 0;
}

static int look_at_credentials(struct program *program, struct buf *words, struct err *err)
{
    int code = program_start_service(program, err);

    if (code)
        return -err->code;
    buf_puts(words, program->config.local_dir[0] ? "of the private malqueryd"
                                                 : "there are some; malqueryfs --dump-config says where they are from");
    return 0;
}

static int look_at_token(struct program *program, struct buf *words, struct err *err)
{
    char place[API_TEXT_MAX + 1];
    int r = api_login(program->api, err);

    if (r < 0)
        return r;
    api_place(program->api, place, sizeof place);
    buf_puts(words, "from ");
    text_escape(words, place, sizeof place);
    return 0;
}

static int look_at_quotas(struct program *program, struct buf *words, struct err *err)
{
    struct api_quotas quotas;
    int r = api_quotas(program->api, &quotas, NULL, err);

    if (r < 0)
        return r;
    buf_puts(words, "hunts ");
    budget_print_quota(words, quotas.hunt_count, quotas.hunt_limit);
    buf_puts(words, ", downloads ");
    budget_print_quota(words, quotas.download_count, quotas.download_limit);
    buf_puts(words, ", until ");
    text_escape(words, quotas.refresh_time, sizeof quotas.refresh_time);
    buf_printf(words, " (%lld days)", (long long)quotas.days_left);
    return 0;
}

static const struct step {
    const char *name;
    look *look;
    int exit_code;
    bool is_service; /* asks it, so not when offline */
    bool is_vital;   /* nothing after it makes sense without it */
} steps[] = {
    { "configuration", look_at_config, EXIT_CONFIG, false, false },
    { "directories", look_at_directories, EXIT_STATE, false, true },
    { "state and cache", look_at_store, EXIT_STATE, false, false },
    { "fuse", look_at_fuse, EXIT_FUSE, false, false },
    { "credentials", look_at_credentials, EXIT_CONFIG, false, true },
    { "token", look_at_token, EXIT_UNREACHABLE, true, true },
    { "read scope, quotas", look_at_quotas, EXIT_UNREACHABLE, true, true },
};

static int exit_code_of(const struct step *step, const struct err *err)
{
    bool is_refused = err->code == EKEYREJECTED || err->code == EACCES;

    return is_refused && (step->look == look_at_credentials || step->is_service) ? EXIT_CREDENTIALS : step->exit_code;
}

static void print_step(const char *verdict, const char *name, const char *words)
{
    (void)printf("%-8s %-19s %s\n", verdict, name, words); /* a broken pipe is the reader's wish */
}

/* The exit code of this step alone. */
static int take_step(struct program *program, const struct step *step, struct err *err)
{
    struct buf words = BUF_INIT(WORDS_MAX);
    int r = step->look(program, &words, err);

    print_step(r < 0 ? "failed" : "ok", step->name, r < 0 ? err->text : buf_text(&words));
    buf_done(&words);
    return r < 0 ? exit_code_of(step, err) : 0;
}

int program_check(struct program *program, struct err *err)
{
    struct err here;
    int first = 0;

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const struct step *step = &steps[i];
        int code;

        if (step->is_service && program->config.offline) {
            print_step("skipped", step->name, "-o offline: nothing is asked");
            continue;
        }
        here = (struct err){ 0 };
        code = take_step(program, step, &here);
        if (code && !first) {
            first = code;
            *err = here;
        }
        if (code && step->is_vital)
            break;
    }
    if (!first && !program->config.offline)
        print_step("unknown", "write scope", "the first hunt shows it: nothing is sent that may cost");
    api_free(program->api);
    program->api = NULL;
    local_stop(&program->local);
    return first;
}
