#include "engine/engine_zip.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include <zip.h>

#include "util/clock.h"

#define PREFIX "archive-" /* of temporary archives */

enum { LEFTOVER_AGE_S = 60 * 60 };

static const struct {
    const char *name;
    zip_uint16_t encryption;
} methods[] = {
    [ZIP_METHOD_ZIPCRYPTO] = { "zipcrypto", ZIP_EM_TRAD_PKWARE },
    [ZIP_METHOD_AES] = { "aes", ZIP_EM_AES_256 },
};

/* A sample as a source of libzip: opened only while it is copied, so that big archives need few descriptors. */
struct member {
    struct engine_index *index;
    const atomic_bool *stop;
    struct digest digest;
    zip_error_t error;
    int64_t size_bytes;
    int64_t offset;
    time_t mtime_s; /* one for all questions: the check byte of ZipCrypto is made of it */
    int fd;
};

static void zip_discardp(zip_t **zip)
{
    if (*zip)
        zip_discard(*zip);
}

static zip_int64_t member_fail(struct member *member, int zip_code, int code)
{
    zip_error_set(&member->error, zip_code, code);
    return -1;
}

static zip_int64_t member_open(struct member *member)
{
    struct err err = { 0 };
    int r;

    closep(&member->fd);
    member->fd = -1;
    member->offset = 0;
    r = engine_index_open(member->index, &member->digest, NULL, &member->fd, &member->size_bytes, &err);
    return r == 0 ? 0 : member_fail(member, ZIP_ER_OPEN, r < 0 ? -r : ENOENT);
}

static zip_int64_t member_read(struct member *member, void *data, zip_uint64_t n)
{
    ssize_t got;

    if (member->stop && atomic_load(member->stop))
        return member_fail(member, ZIP_ER_READ, ECANCELED);
    do
        got = pread(member->fd, data, n, member->offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return member_fail(member, ZIP_ER_READ, errno);
    member->offset += got;
    return got;
}

static zip_int64_t member_stat(const struct member *member, void *data, zip_uint64_t n)
{
    zip_stat_t *st = data;

    if (n < sizeof *st)
        return -1;
    zip_stat_init(st);
    st->valid = ZIP_STAT_SIZE | ZIP_STAT_MTIME;
    st->size = (zip_uint64_t)member->size_bytes;
    st->mtime = member->mtime_s;
    return sizeof *st;
}

static zip_int64_t member_command(void *user_data, void *data, zip_uint64_t n, zip_source_cmd_t command)
{
    struct member *member = user_data;

    /* NOLINTNEXTLINE: the other commands are those that SUPPORTS does not list */
    switch ((int)command) {
    case ZIP_SOURCE_OPEN:
        return member_open(member);
    case ZIP_SOURCE_READ:
        return member_read(member, data, n);
    case ZIP_SOURCE_CLOSE:
        closep(&member->fd);
        member->fd = -1;
        return 0;
    case ZIP_SOURCE_STAT:
        return member_stat(member, data, n);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&member->error, data, n);
    case ZIP_SOURCE_FREE:
        closep(&member->fd);
        zip_error_fini(&member->error);
        free(member);
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SUPPORTS, -1);
    default:
        return member_fail(member, ZIP_ER_OPNOTSUPP, 0);
    }
}

CHECKED static int fail(zip_t *zip, struct err *err, const char *what)
{
    return err_set(err, EIO, "archive: %s: %s", what, zip_strerror(zip));
}

CHECKED static int set_up_member(zip_t *zip, zip_uint64_t at, const struct engine_zip_config *config, struct err *err)
{
    if (zip_set_file_compression(zip, at, ZIP_CM_STORE, 0) < 0)
        return fail(zip, err, "compression");
    if (zip_file_set_encryption(zip, at, methods[config->method].encryption, config->password) < 0)
        return fail(zip, err, "encryption");
    return 0;
}

/* 0 added, ENGINE_ZIP_EMPTY when the sample cannot be read any more. */
CHECKED static int add_member(zip_t *zip, struct engine_index *index, const struct engine_zip_config *config,
                              const struct digest *digest, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct member *member;
    zip_source_t *source;
    int64_t size;
    zip_int64_t at;
    int r = engine_index_open(index, digest, NULL, &fd, &size, err);

    if (r != 0)
        return r < 0 ? r : ENGINE_ZIP_EMPTY;
    member = calloc(1, sizeof *member);
    if (!member)
        return err_set(err, ENOMEM, "no memory for an archive");
    *member = (struct member){ .index = index,
                               .stop = config->stop,
                               .digest = *digest,
                               .size_bytes = size,
                               .mtime_s = (time_t)clock_now_s(),
                               .fd = -1 };
    zip_error_init(&member->error);
    source = zip_source_function(zip, member_command, member);
    if (!source) {
        free(member);
        return fail(zip, err, "source");
    }
    at = zip_file_add(zip, digest_format(digest).s, source, ZIP_FL_ENC_UTF_8);
    if (at < 0) {
        zip_source_free(source); /* frees the member, too */
        return fail(zip, err, "add");
    }
    return set_up_member(zip, (zip_uint64_t)at, config, err);
}

CHECKED static int fill(zip_t *zip, struct engine_index *index, const struct engine_zip_config *config,
                        const struct digest *samples, size_t n, struct err *err)
{
    size_t n_added = 0;

    for (size_t i = 0; i < n; i++) {
        int r = add_member(zip, index, config, &samples[i], err);

        if (r < 0)
            return r;
        n_added += r == 0;
    }
    return n_added ? 0 : ENGINE_ZIP_EMPTY;
}

/* libzip wants a name: it writes beside it and renames. */
CHECKED static int write_archive(const char *path, struct engine_index *index, const struct engine_zip_config *config,
                                 const struct digest *samples, size_t n, struct err *err)
{
    cleanup_(zip_discardp) zip_t *zip = NULL;
    int code = 0;
    int r;

    zip = zip_open(path, ZIP_TRUNCATE | ZIP_CREATE, &code);
    if (!zip)
        return err_set(err, EIO, "archive: libzip error %d", code);
    r = fill(zip, index, config, samples, n, err);
    if (r != 0)
        return r;
    if (zip_close(zip) < 0)
        return fail(zip, err, "write");
    (void)steal_ptr(&zip); /* zip_close() freed it */
    return 0;
}

CHECKED static int open_archive(const char *path, struct engine_archive *ret_archive, struct err *err)
{
    cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = { 0 };

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "open '%s'", path);
    ret_archive->size_bytes = st.st_size;
    ret_archive->fd = steal_fd(&fd);
    return 0;
}

int engine_zip_make(struct engine_index *index, const struct engine_zip_config *config, const struct digest *samples,
                    size_t n, struct engine_archive *ret_archive, struct err *err)
{
    cleanup_(closep) int fd = -1; /* holds the name until libzip writes */
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof path, "%s/" PREFIX "XXXXXX", config->dir) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "'%s' is too long", config->dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "make '%s'", path);
    r = write_archive(path, index, config, samples, n, err);
    if (r == 0)
        r = open_archive(path, ret_archive, err);
    (void)unlink(path); /* engine_zip_clean() gets what stays */
    return r;
}

bool engine_zip_parse_method(const char *text, enum engine_zip_method *ret_method)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (strcmp(text, methods[i].name) == 0) {
            *ret_method = (enum engine_zip_method)i;
            return true;
        }
    }
    return false;
}

/* Young ones may belong to another program that uses the same index. */
void engine_zip_clean(const char *dir)
{
    const struct dirent *entry;
    struct stat st;
    DIR *stream = opendir(dir);

    if (!stream)
        return;
    while ((entry = readdir(stream))) /* NOLINT(concurrency-mt-unsafe): our own stream */
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
            fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            clock_now_s() - st.st_mtime > LEFTOVER_AGE_S)
            (void)unlinkat(dirfd(stream), entry->d_name, 0); /* another try at the next start */
    (void)closedir(stream);                                  /* only read from */
}
