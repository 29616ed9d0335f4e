#include "confine/confine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Without capabilities root, too, can only use what is its own. */
static int check_own(const char *dir, struct err *err)
{
    if (faccessat(AT_FDCWD, dir, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        return err_set(err, errno, "'%s' belongs to another user: mount as its owner, or say where else with -o", dir);
    return 0;
}

int confine(const struct confine_config *config, struct confine_report *ret_report, struct err *err)
{
    char landlock[24] = "unavailable";
    bool has_seccomp = false;
    int abi = 0;
    int r;

    confine_dumpable();
    r = confine_new_privileges(err);
    if (r == 0)
        r = confine_landlock(config, &abi, err);
    if (r == 0)
        r = confine_capabilities(err);
    if (r == 0)
        r = check_own(config->state_dir, err);
    if (r == 0)
        r = check_own(config->cache_dir, err);
    if (r == 0)
        r = confine_seccomp(config, &has_seccomp, err); /* last: it forbids the others */
    if (r < 0)
        return r;
    if (abi > 0)
        (void)snprintf(landlock, sizeof landlock, "abi%d", abi); /* fits */
    (void)snprintf(ret_report->text, sizeof ret_report->text,
                   "landlock=%s seccomp=%s no_new_privs=on capabilities=none dumpable=no", landlock,
                   has_seccomp ? "on" : "unavailable"); /* fits */
    ret_report->is_whole = abi > 0 && has_seccomp;
    return 0;
}
