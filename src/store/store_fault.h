/*
 * store_fault -- what SQLite does with its files, failing on demand in a build for tests (util/fault.h). Internal.
 */
#pragma once

#include <stddef.h>

#ifdef MQFS_FAULTS

/* The layer below SQLite (VFS) to open a database with; NULL: SQLite's own. Any thread. */
const char *store_fault_vfs(void);

#else

static inline const char *store_fault_vfs(void)
{
    return NULL;
}

#endif
