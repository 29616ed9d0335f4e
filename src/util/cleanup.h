/*
 * cleanup -- one owner at any moment, released at the end of its scope.
 *
 * DEFINE_CLEANUP(struct store *, store_free) makes store_freep(), for `cleanup_(store_freep) struct store *s = NULL;`.
 * Cleanup variables are always initialised, one per line; destructors accept NULL and half-built objects.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup_(function) __attribute__((cleanup(function)))

#define DEFINE_CLEANUP(type, function)                                                                                 \
    static inline void function##p(type *p)                                                                            \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            function(*p);                                                                                              \
    }

/* Moves ownership out of `*pp`: the value comes back, NULL stays behind. */
#define steal_ptr(pp)                                                                                                  \
    __extension__({                                                                                                    \
        __typeof__(*(pp)) stolen_ = *(pp);                                                                             \
        *(pp) = NULL;                                                                                                  \
        stolen_;                                                                                                       \
    })

/* The same for a descriptor: -1 stays behind. */
static inline int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* For memory of malloc(): `cleanup_(freep) char *s = NULL;`. */
static inline void freep(void *p)
{
    free(*(void **)p);
}

/* For descriptors: `cleanup_(closep) int fd = -1;`. */
static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void fclosep(FILE **file)
{
    if (*file)
        (void)fclose(*file); /* read-only or already flushed by its user */
}
