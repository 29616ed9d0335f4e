/*
 * seccomp: which system calls there are. Whatever is not in the tables fails with EPERM and does not end the process: a
 * mount that dies takes the files of many programs with it. So nothing can be executed, traced, mounted, loaded or
 * listened on; processes cannot be made, only threads; and memory is writable or executable, never both.
 */
#include "confine/confine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <seccomp.h>

#include "util/cleanup.h"

enum { CALL_NAME_MAX = 32 };

/* Calls with any arguments, names separated by blanks; what an architecture or the library does not know is left out.
 */
/* clang-format off */
static const char *const groups[] = {
    /* memory; memfd for sealed copies */
    "brk munmap mremap madvise mlock mlock2 munlock mincore membarrier memfd_create",
    /* threads */
    "futex futex_waitv set_robust_list get_robust_list rseq set_tid_address gettid getcpu sched_yield "
    "sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max "
    "sched_get_priority_min exit exit_group",
    /* signals to ourselves and their handlers */
    "rt_sigaction rt_sigprocmask rt_sigreturn sigreturn rt_sigtimedwait "
    "rt_sigpending rt_sigsuspend sigaltstack restart_syscall alarm setitimer getitimer pause",
    /* the end of the private engine and of the helper */
    "wait4 waitid",
    /* time */
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times timerfd_create "
    "timerfd_settime timerfd_gettime",
    /* who we are */
    "getpid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid getresgid getgroups "
    "uname sysinfo getrusage getrlimit ugetrlimit capget umask getrandom",
    /* reading and writing */
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek "
    "splice tee vmsplice sendfile copy_file_range close close_range dup dup2 dup3 fcntl fcntl64 flock fsync "
    "fdatasync syncfs sync_file_range fallocate ftruncate ftruncate64 fadvise64 fadvise64_64 readahead",
    /* files by name; Landlock says which */
    "open openat openat2 creat stat lstat fstat newfstatat stat64 lstat64 "
    "fstat64 fstatat64 statx statfs fstatfs statfs64 fstatfs64 access faccessat faccessat2 readlink readlinkat "
    "getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link "
    "linkat truncate truncate64 chmod fchmod fchmodat fchmodat2 fchown fchown32 utimensat utimes utime futimesat",
    /* connections out; what a socket may be is below */
    "connect getsockname getpeername getsockopt setsockopt sendto "
    "sendmsg sendmmsg recvfrom recvmsg recvmmsg recv send shutdown bind",
    /* waiting */
    "poll ppoll select _newselect pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait "
    "epoll_pwait2 eventfd eventfd2 pipe pipe2",
};

/* One condition, on an argument under a mask; rows of one call are alternatives. */
struct narrow {
    const char *call;
    unsigned argument;
    uint64_t mask;
    uint64_t wanted;
};

#define ALL_BITS UINT64_MAX
#define INT_BITS UINT32_MAX /* the kernel ignores the upper half of an int */

static const struct narrow narrow_calls[] = {
    /* a thread, never a process */
    { "clone", 0, CLONE_THREAD, CLONE_THREAD },
    /* what is written is not executed: anonymous memory and data, or code of a library that is loaded late */
    { "mmap", 2, PROT_WRITE | PROT_EXEC, 0 },
    { "mmap", 2, PROT_WRITE | PROT_EXEC, PROT_WRITE },
    { "mmap", 2, PROT_WRITE | PROT_EXEC, PROT_EXEC },
    { "mmap2", 2, PROT_WRITE | PROT_EXEC, 0 },
    { "mmap2", 2, PROT_WRITE | PROT_EXEC, PROT_WRITE },
    { "mmap2", 2, PROT_WRITE | PROT_EXEC, PROT_EXEC },
    { "mprotect", 2, PROT_EXEC, 0 },
    /* limits are read, by the library for the stacks of threads */
    { "prlimit64", 2, ALL_BITS, 0 },
    { "prctl", 0, INT_BITS, PR_SET_NAME },
    { "prctl", 0, INT_BITS, PR_GET_DUMPABLE },
    { "prctl", 0, INT_BITS, PR_GET_NO_NEW_PRIVS },
    /* is it a terminal; sockets that do not block, and what waits in them */
    { "ioctl", 1, INT_BITS, TCGETS },
    { "ioctl", 1, INT_BITS, FIONBIO },
    { "ioctl", 1, INT_BITS, FIONREAD },
    /* the service; the private engine, the log, name services; addresses of this machine, for getaddrinfo() */
    { "socket", 0, INT_BITS, AF_INET },
    { "socket", 0, INT_BITS, AF_INET6 },
    { "socket", 0, INT_BITS, AF_UNIX },
    { "socketpair", 0, INT_BITS, AF_UNIX },
};
/* clang-format on */

static int add(scmp_filter_ctx filter, uint32_t action, const char *call, unsigned n, const struct scmp_arg_cmp *args,
               struct err *err)
{
    int number = seccomp_syscall_resolve_name(call);
    int r = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, action, number, n, args);

    return r < 0 && r != -EEXIST ? err_set(err, -r, "seccomp: a rule for %s", call) : 0;
}

static int add_names(scmp_filter_ctx filter, const char *names, struct err *err)
{
    int r = 0;

    while (r == 0 && *names) {
        char name[CALL_NAME_MAX];
        size_t n = strcspn(names, " ");

        (void)snprintf(name, sizeof name, "%.*s", (int)n, names); /* a cut name is none */
        r = add(filter, SCMP_ACT_ALLOW, name, 0, NULL, err);
        names += n + strspn(names + n, " ");
    }
    return r;
}

static int add_narrow(scmp_filter_ctx filter, const struct narrow *row, struct err *err)
{
    const struct scmp_arg_cmp arg = {
        .arg = row->argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = row->mask, .datum_b = row->wanted
    };

    return add(filter, SCMP_ACT_ALLOW, row->call, 1, &arg, err);
}

static int add_rules(scmp_filter_ctx filter, const struct confine_config *config, struct err *err)
{
    const struct narrow own_calls[] = {
        { "tgkill", 0, INT_BITS, (uint32_t)getpid() },
        { config->child ? "kill" : NULL, 0, INT_BITS, (uint32_t)config->child },
    };
    const struct scmp_arg_cmp route[] = {
        { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK },
        { .arg = 2, .op = SCMP_CMP_EQ, .datum_a = NETLINK_ROUTE },
    };
    int r = add_names(filter, confine_sanitizer_calls, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(groups); i++)
        r = add_names(filter, groups[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(narrow_calls); i++)
        r = add_narrow(filter, &narrow_calls[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_calls); i++)
        if (own_calls[i].call)
            r = add_narrow(filter, &own_calls[i], err);
    if (r == 0)
        r = add(filter, SCMP_ACT_ALLOW, "socket", ARRAY_SIZE(route), route, err);
    if (r == 0) /* its arguments are in memory, where a filter cannot look; so the library takes clone() */
        r = add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL, err);
    return r;
}

static void filter_releasep(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

int confine_seccomp(const struct confine_config *config, bool *ret_is_on, struct err *err)
{
    cleanup_(filter_releasep) scmp_filter_ctx filter = NULL;
    int r;

    *ret_is_on = false;
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return 0; /* the kernel has none */
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return err_set(err, ENOMEM, "no memory for the filter of system calls");
    r = add_rules(filter, config, err);
    if (r < 0)
        return r;
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; without it only slower */
    r = seccomp_load(filter);
    if (r < 0)
        return err_set(err, -r, "seccomp: the filter cannot be loaded");
    *ret_is_on = true;
    return 0;
}
