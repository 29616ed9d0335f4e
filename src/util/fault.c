#include "util/fault.h"

#ifdef MQFS_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fault_slot *slots; /* FAULT_COUNT of them, NULL when nobody asked for faults */
static fault_watcher *watching;

/* Before main(), so that it is there before the program confines itself. */
__attribute__((constructor)) static void map_slots(void)
{
    const char *path = getenv("MQFS_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page =
        fd < 0 ? MAP_FAILED : mmap(NULL, FAULT_COUNT * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (page != MAP_FAILED)
        slots = page;
    if (fd >= 0)
        close(fd);
}

static bool fires(enum fault fault)
{
    int32_t times = slots ? atomic_load(&slots[fault].times) : 0;
    int32_t left = times > 0 ? atomic_fetch_sub(&slots[fault].skip, 1) : 1;

    return left <= 0 && left > -times;
}

void fault_crash_here(enum fault point)
{
    if (fires(point))
        _exit(FAULT_STATUS);
}

void fault_watch(fault_watcher *watcher)
{
    watching = watcher;
}

bool fault_fails(enum fault call, int fd)
{
    if (watching)
        watching(call, fd);
    if (!fires(call))
        return false;
    errno = atomic_load(&slots[call].code);
    return true;
}

#endif
