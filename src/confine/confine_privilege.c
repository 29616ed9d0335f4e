#include "confine/confine_internal.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cap-ng.h>

void confine_dumpable(void)
{
    const struct rlimit none = { 0, 0 };

    (void)setrlimit(RLIMIT_CORE, &none);      /* lowering a limit cannot fail */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a valid value: cannot fail */
}

int confine_new_privileges(struct err *err)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(err, "no_new_privs") : 0;
}

/* None is kept, for root neither. What root would miss: files of others (confine() looks whether state and cache are
 * its own), the executables of others in /proc (the helper has them), passthrough of FUSE. */
int confine_capabilities(struct err *err)
{
    bool may_bound;

    if (capng_get_caps_process() < 0)
        return err_set(err, EIO, "the capabilities of this process are not to be had");
    may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    capng_clear(CAPNG_SELECT_ALL);
    if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        return err_set(err, EPERM, "the bounding set of capabilities cannot be cleared");
    if (capng_apply(CAPNG_SELECT_CAPS) < 0 || capng_apply(CAPNG_SELECT_AMBIENT) < 0)
        return err_set(err, EPERM, "the capabilities cannot be dropped");
    if (capng_get_caps_process() < 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
        return err_set(err, EPERM, "a capability is left");
    return 0;
}
