/*
 * A VFS that is SQLite's own but for the files that it opens: before they are read, written or synced they ask whether
 * that has to fail. Each file has a copy of the table of its methods in which a few are ours, behind the room that the
 * VFS below takes; so the file stays what it was for all the others, and nothing has to be forwarded.
 */
#include "store/store_fault.h"

#ifdef MQFS_FAULTS

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

#include "util/fault.h"

enum { NO_FD = -1, ALIGNMENT = sizeof(void *) };

/* What stands behind a file of the VFS below. */
struct behind {
    const sqlite3_io_methods *below;
    sqlite3_io_methods methods;
};

static const char vfs_name[] = "malqueryfs-faults";
static sqlite3_vfs *below;
static sqlite3_vfs vfs;
static int registered = SQLITE_ERROR;

static int room_below(void)
{
    return (below->szOsFile + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct behind *behind(sqlite3_file *file)
{
    return (void *)((char *)file + room_below());
}

/* SQLite's word for the errno of a call that failed. */
static int code_of(int sqlite)
{
    return errno == ENOSPC ? SQLITE_FULL : sqlite;
}

static int fault_read(sqlite3_file *file, void *to, int n, sqlite3_int64 offset)
{
    return fault_fails(FAULT_DB_READ, NO_FD) ? SQLITE_IOERR_READ : behind(file)->below->xRead(file, to, n, offset);
}

static int fault_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset)
{
    return fault_fails(FAULT_DB_WRITE, NO_FD) ? code_of(SQLITE_IOERR_WRITE)
                                              : behind(file)->below->xWrite(file, data, n, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 n)
{
    return fault_fails(FAULT_DB_WRITE, NO_FD) ? SQLITE_IOERR_TRUNCATE : behind(file)->below->xTruncate(file, n);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    return fault_fails(FAULT_DB_SYNC, NO_FD) ? SQLITE_IOERR_FSYNC : behind(file)->below->xSync(file, flags);
}

static int fault_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    int r = below->xOpen(below, path, file, flags, ret_flags);
    struct behind *own = behind(file);

    (void)self;
    if (!file->pMethods)
        return r;
    own->below = file->pMethods;
    own->methods = *file->pMethods;
    own->methods.xRead = fault_read;
    own->methods.xWrite = fault_write;
    own->methods.xTruncate = fault_truncate;
    own->methods.xSync = fault_sync;
    file->pMethods = &own->methods;
    return r;
}

static void make_vfs(void)
{
    below = sqlite3_vfs_find(NULL);
    if (!below)
        return;
    vfs = *below;
    vfs.pNext = NULL;
    vfs.zName = vfs_name;
    vfs.szOsFile = room_below() + (int)sizeof(struct behind);
    vfs.xOpen = fault_open;
    registered = sqlite3_vfs_register(&vfs, 0);
}

const char *store_fault_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, make_vfs); /* cannot fail */
    return registered == SQLITE_OK ? vfs_name : NULL;
}

#endif
