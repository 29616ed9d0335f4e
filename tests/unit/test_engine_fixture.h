/*
 * What the tests of the engine share: a directory of their own and small files in it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64]; /* all below is removed at the end */
};

static inline void fixture_init(struct fixture *fixture)
{
    memcpy(fixture->dir, "/tmp/test_engine.XXXXXX", sizeof "/tmp/test_engine.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
}

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void fixture_done(struct fixture *fixture)
{
    assert_int_equal(nftw(fixture->dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* The path of `name` in the directory, in one of four static buffers. */
static inline const char *fixture_path(const struct fixture *fixture, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    assert_true(snprintf(path, PATH_MAX, "%s/%s", fixture->dir, name) < PATH_MAX);
    return path;
}

static inline void fixture_write(const struct fixture *fixture, const char *name, const void *data, size_t n)
{
    FILE *file = fopen(fixture_path(fixture, name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_text(const struct fixture *fixture, const char *name, const char *text)
{
    fixture_write(fixture, name, text, strlen(text));
}
