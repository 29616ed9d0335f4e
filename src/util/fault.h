/*
 * fault -- a build for tests (MQFS_FAULTS) that stops at a named step, or in which a call fails.
 *
 * A step is a row of FAULT_POINTS and one CRASH_POINT() in the code: there the process may end as if it were killed.
 * A call is a row of FAULT_CALLS; the linker leads calls of our own code through fault_calls.c, those of libraries go
 * where they always went, and those of SQLite have a layer (store_fault.c). In every other build nothing of this is
 * compiled, and the names are only checked.
 *
 * Which one, and when, is said from outside, while the program runs: the environment variable MQFS_FAULTS names a file
 * of one struct fault_slot for each row, in this order. tests/mount/faults.py writes it.
 *
 * Threads    any thread may pass a point or make a call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define FAULT_POINTS(ROW) /* what has happened when the process ends there */                                          \
    ROW(SUBMIT_QUEUED)      /* the text is on disk, and was found right */                                             \
    ROW(SUBMIT_BEGUN)       /* the entry says that it is being sent */                                                 \
    ROW(SPEND_BEGUN)        /* the intent is on disk and taken out of the budget */                                    \
    ROW(SUBMIT_SENT)        /* the service has accepted it, and only we know the id */                                 \
    ROW(SUBMIT_ACCEPTED)    /* the id is on disk */                                                                    \
    ROW(SPEND_SETTLED)      /* what it has cost is on disk */                                                          \
    ROW(AUDIT_WRITTEN)      /* its line is written, not synced */                                                      \
    ROW(AUDIT_SYNCED)       /* the line is on disk, its place is not */                                                \
    ROW(DOWNLOAD_BEGUN)     /* there is an empty temporary */                                                          \
    ROW(DOWNLOAD_ARRIVING)  /* some bytes came */                                                                      \
    ROW(DOWNLOAD_ARRIVED)   /* all bytes came, the last chunk is not sealed */                                         \
    ROW(DOWNLOAD_STORED)    /* the sample is in the cache, what it has cost is not settled */                          \
    ROW(DOWNLOAD_SETTLED)   /* it is settled, what the bytes say of the metadata is not noted */                       \
    ROW(SCHEDULE_SENT)      /* the service has accepted a download of one sample as an archive */                      \
    ROW(SCHEDULE_ACCEPTED)  /* its id is on disk */                                                                    \
    ROW(IMPORT_FETCHED)     /* the archive is in the cache */                                                          \
    ROW(UNPACK_STORED)      /* one of its samples is in the cache */                                                   \
    ROW(IMPORT_UNPACKED)    /* all of them are, the request is not done */                                             \
    ROW(IMPORT_FINISHED)    /* the request is done */                                                                  \
    ROW(SEAL_WRITTEN)       /* a chunk is written */                                                                   \
    ROW(SEAL_FINISHED)      /* all chunks and the header are written */                                                \
    ROW(COMMIT_SYNCED)      /* the object is on disk under its temporary name */                                       \
    ROW(COMMIT_RENAMED)     /* it has its name, perhaps not on disk */                                                 \
    ROW(EVICT_CHOSEN)       /* what has to go is known */                                                              \
    ROW(EVICT_REMOVED)      /* one object is gone, and not counted */                                                  \
    ROW(PUT_WRITTEN)        /* a small file is on disk under its temporary name */                                     \
    ROW(PUT_PLACED)         /* it has its name, perhaps not on disk */                                                 \
    ROW(ROTATE_MADE)        /* the new key is beside the old one */                                                    \
    ROW(ROTATE_BOTH)        /* the cache names both keys */                                                            \
    ROW(ROTATE_SEALED)      /* one object has the new key */                                                           \
    ROW(ROTATE_ALL_SEALED)  /* all of them have it */                                                                  \
    ROW(ROTATE_NAMED)       /* the cache names the new key alone */                                                    \
    ROW(ROTATE_ADOPTED)     /* it has the name of the old one, perhaps not on disk */                                  \
    ROW(MIGRATE_RUN)        /* a version's statements ran, inside the transaction */                                   \
    ROW(MIGRATE_COMMITTED)  /* it is on disk */

#define FAULT_CALLS(ROW)                                                                                               \
    ROW(MEMORY)  /* malloc(3) and its like */                                                                          \
    ROW(OPEN)    /* openat(2) */                                                                                       \
    ROW(READ)    /* pread(2) */                                                                                        \
    ROW(WRITE)   /* write(2), pwrite(2), ftruncate(2), fallocate(2); not to stderr */                                  \
    ROW(SYNC)    /* fsync(2), fdatasync(2), syncfs(2) */                                                               \
    ROW(RENAME)  /* renameat(2), linkat(2) */                                                                          \
    ROW(REMOVE)  /* unlinkat(2) */                                                                                     \
    ROW(MAKE)    /* mkdir(2), mkdirat(2) */                                                                            \
    ROW(THREAD)  /* pthread_create(3) */                                                                               \
    ROW(DB_READ)                                                                                                       \
    ROW(DB_WRITE)                                                                                                      \
    ROW(DB_SYNC) /* what SQLite does with the files of the state (src/store/store_fault.c) */                          \
    ROW(CLOCK)   /* clock_gettime(2) of the clocks that go on in a suspended machine: `code` seconds later */
/* clang-format on */

#define FAULT_ENUMERATOR(name) FAULT_##name,
enum fault { FAULT_POINTS(FAULT_ENUMERATOR) FAULT_CALLS(FAULT_ENUMERATOR) FAULT_COUNT };

#ifdef MQFS_FAULTS

enum { FAULT_STATUS = 86 }; /* the exit status of a process that ended at a point */

/* The first `skip` passages are as always, the next `times` are not; each passage takes one off `skip`, also below 0.
 */
struct fault_slot {
    _Atomic int32_t skip;
    _Atomic int32_t times;
    _Atomic int32_t code; /* errno of a call that fails */
};

void fault_crash_here(enum fault point);

/* Before each call of FAULT_CALLS: true with errno set when it has to fail. */
bool fault_fails(enum fault call, int fd);

/* A test that wants to see every call before it is made; NULL ends it. */
typedef void fault_watcher(enum fault call, int fd);
void fault_watch(fault_watcher *watcher);

#define CRASH_POINT(name) fault_crash_here(FAULT_##name)

#else

#define CRASH_POINT(name) ((void)FAULT_##name)

#endif
