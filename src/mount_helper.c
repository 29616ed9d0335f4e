#include "mount_helper.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "util/text.h"

enum { MOUNT_EXIT_USAGE = 1, MOUNT_EXIT_FAILED = 32 }; /* mount(8), EXIT STATUS */

bool mount_helper_is_called(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

    return argv0 && strncmp(slash ? slash + 1 : argv0, "mount.", strlen("mount.")) == 0;
}

int mount_helper_exit_code(int code)
{
    return code == 0 ? 0 : code == EXIT_USAGE ? MOUNT_EXIT_USAGE : MOUNT_EXIT_FAILED;
}

static int take_letter(char letter, const char *value, struct config *config, struct err *err)
{
    switch (letter) {
    case 's':
        config->is_sloppy = true;
        return 0;
    case 'f':
        config->is_fake = true;
        return 0;
    case 'n': /* no mtab: there is none */
    case 'v':
        return 0;
    case 't': /* the type, of which we have one */
        return value ? 0 : err_set(err, EINVAL, "option '-t' needs a value");
    case 'o':
        return value ? options_parse_list(value, config, err) : err_set(err, EINVAL, "option '-o' needs a value");
    case 'N':
        return err_set(err, EINVAL, "mounting in another namespace is not possible from here: run mount inside of it");
    default:
        return err_set(err, EINVAL, "unknown option '-%c'; mount.malqueryfs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]",
                       letter);
    }
}

/* "-fnv", "-o LIST", "-oLIST"; *at moves over a value that is a word of its own. */
static int take_letters(int argc, char **argv, int *at, struct config *config, struct err *err)
{
    int r = 0;

    for (const char *text = argv[*at] + 1; r == 0 && *text; text++) {
        bool has_value = strchr("otN", *text);
        const char *value = !has_value ? NULL : text[1] ? text + 1 : *at + 1 < argc ? argv[++*at] : NULL;

        r = take_letter(*text, value, config, err);
        if (has_value)
            break;
    }
    return r;
}

static bool comes_first(const char *letters)
{
    return strchr(letters, 's'); /* it is about words that may stand before it */
}

int mount_helper_parse(int argc, char **argv, struct config *config, struct err *err)
{
    int r = 0;

    config->is_mount_helper = true;
    for (int at = 1; at < argc; at++)
        config->is_sloppy |= argv[at][0] == '-' && strncmp(argv[at], "-o", 2) != 0 && comes_first(argv[at]);
    for (int at = 1; r == 0 && at < argc; at++)
        r = argv[at][0] == '-' && argv[at][1] ? take_letters(argc, argv, &at, config, err)
                                              : options_place(argv[at], config, err);
    if (r == 0 && !config->has_source)
        return err_set(err, EINVAL, "mount(8) passes what is mounted and where: a profile or none, and a directory");
    return r;
}

/* ---- another user ---- */

/* Places of whoever started us; the credentials of a unit of root's may be read by root alone. */
static const char *const others_variables[] = { "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
                                                "XDG_RUNTIME_DIR", "CREDENTIALS_DIRECTORY" };

/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet */

static const struct passwd *find_user(const char *user)
{
    uint64_t number = 0;

    return text_parse_u64(user, UINT32_MAX - 1, &number) ? getpwuid((uid_t)number) : getpwnam(user);
}

int mount_helper_become(const char *user, struct err *err)
{
    const struct passwd *account;

    errno = 0;
    account = find_user(user);
    if (!account)
        return err_set(err, errno ? errno : ENOENT, "option 'setuid': there is no user '%s'", user);
    if (geteuid() != account->pw_uid && (initgroups(account->pw_name, account->pw_gid) < 0 ||
                                         setresgid(account->pw_gid, account->pw_gid, account->pw_gid) < 0 ||
                                         setresuid(account->pw_uid, account->pw_uid, account->pw_uid) < 0))
        return err_sys(err, "option 'setuid': cannot become '%s'; only root can", user);
    for (size_t i = 0; i < ARRAY_SIZE(others_variables); i++)
        (void)unsetenv(others_variables[i]); /* a valid name: cannot fail */
    if (setenv("HOME", account->pw_dir, 1) < 0)
        return err_sys(err, "option 'setuid'");
    return 0;
}

/* NOLINTEND(concurrency-mt-unsafe) */
