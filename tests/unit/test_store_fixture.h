/* What the tests of the store share: a store in a directory of its own, samples of any size, files to damage. */
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
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"
#include "util/text.h"

struct fixture {
    char dir[64];
    char state[96];
    char cache[96];
    struct store_config config;
    struct store *store;
    struct err err;
};

static inline int fixture_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/mqfs-store-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->state, sizeof fixture->state, "%s/state/deep/one", fixture->dir);
    (void)snprintf(fixture->cache, sizeof fixture->cache, "%s/cache/one", fixture->dir);
    fixture->config = (struct store_config){ .state_dir = fixture->state, .cache_dir = fixture->cache };
    if (store_new(&fixture->config, &fixture->store, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    store_free(fixture->store);
    assert_int_equal(nftw(fixture->dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    return 0;
}

#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

static inline void fixture_reopen(struct fixture *fixture)
{
    store_free(fixture->store);
    fixture->store = NULL;
    if (store_new(&fixture->config, &fixture->store, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
}

/* Bytes that differ at every place of every chunk, and their digest. The caller frees. */
static inline uint8_t *fixture_bytes(size_t n, unsigned int seed, struct digest *ret_digest)
{
    uint8_t *bytes = malloc(n + 1);
    uint64_t x = 0x9e3779b97f4a7c15ULL * (seed + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)(x >> 32);
    }
    assert_int_equal(digest_of(bytes, n, ret_digest, NULL), 0);
    return bytes;
}

static inline void fixture_store(struct fixture *fixture, const struct digest *digest, const void *bytes, size_t n)
{
    struct store_writer *writer = NULL;

    assert_int_equal(store_writer_begin(fixture->store, digest, &writer, &fixture->err), 0);
    assert_int_equal(store_writer_write(writer, bytes, n, &fixture->err), 0);
    assert_int_equal(store_writer_commit(writer, &fixture->err), 0);
}

/* A stored sample of n bytes. */
static inline struct digest fixture_sample(struct fixture *fixture, size_t n, unsigned int seed)
{
    struct digest digest;
    cleanup_(freep) uint8_t *bytes = fixture_bytes(n, seed, &digest);

    fixture_store(fixture, &digest, bytes, n);
    return digest;
}

/* Bytes on disk and number of samples. */
static inline void fixture_usage(const struct fixture *fixture, int64_t *ret_bytes, int64_t *ret_n)
{
    struct store_usage usage;

    store_room_usage(fixture->store, &usage);
    *ret_bytes = usage.bytes;
    *ret_n = usage.n_samples;
}

struct fixture_path {
    char s[PATH_MAX];
};

static inline struct fixture_path fixture_path(const struct fixture *fixture, const struct digest *digest)
{
    struct digest_text hex = digest_format(digest);
    struct fixture_path path;

    (void)snprintf(path.s, sizeof path.s, "%s/%.2s/%.2s/%s", fixture->cache, hex.s, hex.s + 2, hex.s);
    return path;
}

static int fixture_n_files; /* of the walk that runs; tests that count have one thread */

static inline int fixture_count_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    fixture_n_files += kind == FTW_F && !text_has_suffix(path, "/sealed-by") &&
                       !text_has_suffix(path, "/in-use"); /* the cache's own marks */
    return 0;
}

/* Files below a directory. */
static inline int fixture_count_path(const char *path)
{
    fixture_n_files = 0;
    assert_int_equal(nftw(path, fixture_count_one, 16, FTW_PHYS), 0);
    return fixture_n_files;
}

/* Files below a directory of the cache. */
static inline int fixture_count(const struct fixture *fixture, const char *below)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", fixture->cache, below);
    return fixture_count_path(path);
}

/* Fails when it cannot be opened. */
static inline struct store_object *fixture_open(struct fixture *fixture, const struct digest *digest)
{
    struct store_object *object = NULL;

    if (store_object_open(fixture->store, digest, &object, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
    return object;
}

/* One bit of a byte of the file. */
static inline void fixture_flip(const char *path, int64_t at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte = 0;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Digest number i, for tests that need no bytes. */
static inline struct digest fixture_digest(uint32_t i)
{
    struct digest digest;

    assert_int_equal(digest_of(&i, sizeof i, &digest, NULL), 0);
    return digest;
}

/* Waits for a child process and returns its exit status. */
static inline int fixture_wait(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
