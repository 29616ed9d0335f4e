#include "engine/engine_file.h"

#include <errno.h>
#include <fcntl.h>
#include <magic.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "engine/engine_type.h"
#include "util/text.h"

#define NO_TIME_NS INT64_MIN /* no file has it */

enum { MS_NS = 1000 * 1000 };

enum { CHUNK_BYTES = 256 * KIB, COMPONENT_MAX = 255 };

enum hash { HASH_SHA256, HASH_SHA1, HASH_MD5, HASH_N };

struct engine_reader {
    magic_t magic;
    EVP_MD_CTX *hashes[HASH_N];
    uint8_t chunk[CHUNK_BYTES];
};

static const EVP_MD *(*const hash_kinds[HASH_N])(void) = {
    [HASH_SHA256] = EVP_sha256,
    [HASH_SHA1] = EVP_sha1,
    [HASH_MD5] = EVP_md5,
};

static int64_t to_ns(struct timespec ts)
{
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct engine_stamp engine_stamp_of(const struct stat *st)
{
    return (struct engine_stamp){
        .size_bytes = st->st_size,
        .mtime_ns = to_ns(st->st_mtim),
        .ctime_ns = to_ns(st->st_ctim),
        .inode = (int64_t)st->st_ino,
    };
}

bool engine_stamp_equal(const struct engine_stamp *a, const struct engine_stamp *b)
{
    return a->size_bytes == b->size_bytes && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->inode == b->inode;
}

/* Copies the first component of *path and moves *path behind it; false for "", "." and ".." and overlong ones. */
static bool next_component(const char **path, char *component)
{
    size_t n = strcspn(*path, "/");

    if (n == 0 || n > COMPONENT_MAX)
        return false;
    memcpy(component, *path, n);
    component[n] = '\0';
    *path += n;
    if (**path == '/')
        (*path)++;
    return strcmp(component, ".") != 0 && strcmp(component, "..") != 0;
}

/*
 * Component by component with O_NOFOLLOW, because openat2() is refused by the seccomp filters of older containers. A
 * directory that is swapped for a link while we walk is refused, too: each step starts from a descriptor.
 */
CHECKED static int open_beneath(int dir_fd, const char *path, int *ret_fd, struct err *err)
{
    cleanup_(closep) int at = -1;
    char component[COMPONENT_MAX + 1];
    const char *rest = path;

    for (;;) {
        int fd;

        if (!next_component(&rest, component))
            return err_set(err, EINVAL, "'%s' is no path below the directory", path);
        if (*rest)
            fd = openat(at < 0 ? dir_fd : at, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        else
            fd = openat(at < 0 ? dir_fd : at, component, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(err, "open '%s'", path);
        if (!*rest) {
            *ret_fd = fd;
            return 0;
        }
        closep(&at);
        at = fd;
    }
}

bool engine_file_is_lost(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ELOOP || code == EACCES || code == EINVAL || code == ENXIO;
}

int engine_file_open(int dir_fd, const char *path, int *ret_fd, struct engine_stamp *ret_stamp, struct err *err)
{
    cleanup_(closep) int fd = -1;
    struct stat st;
    int r = open_beneath(dir_fd, path, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "'%s' is not a regular file", path);
    *ret_stamp = engine_stamp_of(&st);
    *ret_fd = steal_fd(&fd);
    return 0;
}

int engine_reader_new(struct engine_reader **ret_reader, struct err *err)
{
    cleanup_(engine_reader_freep) struct engine_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        return err_set(err, ENOMEM, "no memory to read files");
    for (int i = 0; i < HASH_N; i++) {
        reader->hashes[i] = EVP_MD_CTX_new();
        if (!reader->hashes[i])
            return err_set(err, ENOMEM, "no memory for digests");
    }
    reader->magic = magic_open(MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_ELF);
    if (!reader->magic)
        return err_set(err, ENOMEM, "no memory for libmagic");
    if (magic_load(reader->magic, NULL) < 0)
        return err_set(err, ENOENT, "libmagic: %s", magic_error(reader->magic));
    *ret_reader = steal_ptr(&reader);
    return 0;
}

void engine_reader_free(struct engine_reader *reader)
{
    if (!reader)
        return;
    for (int i = 0; i < HASH_N; i++)
        EVP_MD_CTX_free(reader->hashes[i]);
    if (reader->magic)
        magic_close(reader->magic);
    free(reader);
}

/* Fills the chunk from `offset`; bytes read, 0 at the end. */
CHECKED static int read_chunk(struct engine_reader *reader, int fd, int64_t offset, struct err *err)
{
    for (;;) {
        ssize_t n = pread(fd, reader->chunk, CHUNK_BYTES, offset);

        if (n >= 0)
            return (int)n;
        if (errno != EINTR)
            return err_sys(err, "read");
    }
}

CHECKED static int read_all(struct engine_reader *reader, int fd, atomic_bool *stop, struct engine_facts *facts,
                            struct err *err)
{
    for (int64_t offset = 0;;) {
        int n = read_chunk(reader, fd, offset, err);

        if (n <= 0)
            return n;
        if (atomic_load(stop))
            return ENGINE_FILE_STOPPED;
        for (int i = 0; i < HASH_N; i++)
            if (EVP_DigestUpdate(reader->hashes[i], reader->chunk, (size_t)n) != 1)
                return err_set(err, ENOMEM, "a digest failed");
        engine_gram_add(&facts->gram, reader->chunk, (size_t)n);
        offset += n;
    }
}

CHECKED static int start_hashes(struct engine_reader *reader, struct err *err)
{
    for (int i = 0; i < HASH_N; i++)
        if (EVP_DigestInit_ex(reader->hashes[i], hash_kinds[i](), NULL) != 1)
            return err_set(err, ENOMEM, "a digest failed to start");
    return 0;
}

CHECKED static int end_hashes(struct engine_reader *reader, struct sample *sample, struct err *err)
{
    uint8_t out[HASH_N][EVP_MAX_MD_SIZE];

    for (int i = 0; i < HASH_N; i++)
        if (EVP_DigestFinal_ex(reader->hashes[i], out[i], NULL) != 1)
            return err_set(err, ENOMEM, "a digest failed to end");
    memcpy(sample->digest.bytes, out[HASH_SHA256], DIGEST_BYTES);
    text_format_hex(out[HASH_SHA1], SAMPLE_SHA1_TEXT / 2, sample->sha1);
    text_format_hex(out[HASH_MD5], SAMPLE_MD5_TEXT / 2, sample->md5);
    return 0;
}

/* What libmagic cannot tell is no error: the sample then has no type. */
static void find_type(struct engine_reader *reader, int fd, struct sample *sample)
{
    const char *text = lseek(fd, 0, SEEK_SET) == 0 ? magic_descriptor(reader->magic, fd) : NULL;

    (void)text_copy(sample->filetype, sizeof sample->filetype, engine_type_of_text(text ? text : "")); /* fits */
}

/* A clock that is behind that of a file server makes a file of the future, which settles later. */
static bool is_settled(const struct engine_stamp *stamp)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with a valid clock and address */
    return to_ns(now) - stamp->ctime_ns > (int64_t)ENGINE_FILE_SETTLE_MS * MS_NS;
}

int engine_file_read(struct engine_reader *reader, int fd, atomic_bool *stop, struct engine_facts *ret_facts,
                     struct err *err)
{
    struct engine_facts facts = { .sample = { .first_seen_s = SAMPLE_NO_DATE } };
    struct engine_stamp after;
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat");
    facts.stamp = engine_stamp_of(&st);
    facts.sample.size_bytes = st.st_size;
    r = start_hashes(reader, err);
    if (r < 0)
        return r;
    r = engine_gram_init(&facts.gram, (uint64_t)st.st_size, err);
    if (r < 0)
        return r;
    r = read_all(reader, fd, stop, &facts, err);
    if (r == 0)
        r = end_hashes(reader, &facts.sample, err);
    if (r == 0) {
        find_type(reader, fd, &facts.sample);
        engine_gram_finish(&facts.gram);
        after = fstat(fd, &st) == 0 ? engine_stamp_of(&st) : (struct engine_stamp){ 0 };
        r = engine_stamp_equal(&after, &facts.stamp) ? 0 : ENGINE_FILE_CHANGED;
        if (!is_settled(&facts.stamp))
            facts.stamp.ctime_ns = NO_TIME_NS;
    }
    if (r == 0)
        *ret_facts = facts;
    else
        engine_gram_done(&facts.gram);
    return r;
}

int engine_file_digest(int fd, struct digest *ret_digest, struct err *err)
{
    cleanup_(digest_stream_freep) struct digest_stream *stream = NULL;
    uint8_t chunk[16 * KIB];
    int64_t offset = 0;
    ssize_t n;
    int r = digest_stream_new(&stream, err);

    if (r < 0)
        return r;
    while ((n = pread(fd, chunk, sizeof chunk, offset)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "read");
        r = digest_stream_add(stream, chunk, (size_t)n, err);
        if (r < 0)
            return r;
        offset += n;
    }
    return digest_stream_end(stream, ret_digest, err);
}
