/*
 * Files in memory that the kernel reads itself, for FUSE passthrough. They lie in a filesystem of the helper that has
 * no name anywhere and never reaches swap, as a memfd would. The kernel is given only the file that was made last: what
 * the daemon has open it cannot be made to read so.
 */
#include "helper/helper_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MISC_MAJOR = 10, FUSE_MINOR = 229 }; /* /dev/fuse, Documentation/admin-guide/devices.txt */

/* linux/fuse.h since Linux 6.9; that of Debian 12 has neither. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(FUSE_MINOR, 1, struct backing_map)
#define BACKING_CLOSE _IOW(FUSE_MINOR, 2, uint32_t)

/* Linux < 6.4 has no tmpfs without swap: EINVAL. Whoever is not root: EPERM. */
static int make_place(void)
{
    cleanup_(closep) int context = fsopen("tmpfs", FSOPEN_CLOEXEC);

    if (context < 0 || fsconfig(context, FSCONFIG_SET_FLAG, "noswap", NULL, 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0)
        return -1;
    (void)fsconfig(context, FSCONFIG_SET_STRING, "huge", "within_size", 0); /* not every kernel can; only slower then */
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int helper_memory_open(struct helper_memory *memory, int *ret_fd)
{
    closep(&memory->file);
    memory->file = -1;
    *ret_fd = -1;
    if (memory->place < 0)
        memory->place = make_place();
    if (memory->place >= 0)
        memory->file = openat(memory->place, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (memory->file >= 0)
        *ret_fd = fcntl(memory->file, F_DUPFD_CLOEXEC, 0);
    return *ret_fd >= 0 ? 0 : errno;
}

static bool is_fuse(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(MISC_MAJOR, FUSE_MINOR);
}

int helper_memory_show(struct helper_memory *memory, int fuse, int *ret_id)
{
    cleanup_(closep) int file = steal_fd(&memory->file);
    struct backing_map map = { .fd = file };

    if (file < 0 || !is_fuse(fuse))
        return EBADF;
    *ret_id = ioctl(fuse, BACKING_OPEN, &map);
    return *ret_id > 0 ? 0 : *ret_id < 0 ? errno : EIO;
}

int helper_memory_hide(int fuse, int id)
{
    uint32_t number = (uint32_t)id;

    if (!is_fuse(fuse))
        return EBADF;
    return ioctl(fuse, BACKING_CLOSE, &number) < 0 ? errno : 0;
}
