/*
 * An object is opened once per process: the map holds one struct per digest while somebody uses it. The header is
 * verified at open, each chunk at each read. Bytes go from the file straight into the caller's buffer and are opened
 * there; what a chunk has before and after the wanted range passes through a small buffer, because the tag covers all
 * of it. Nothing is served before its tag was right: a failed read wipes what it has written.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "store/store_seal.h"
#include "util/clock.h"

enum { PASS_BYTES = 16 * KIB, DAMAGED_NAME_MAX = DIGEST_TEXT + 32 };

struct store_object {
    struct map_entry entry; /* in store->objects unless damaged; guarded by store->files */
    struct store *store;
    enum store_shelf shelf;
    int64_t plain_bytes;
    struct store_seal seal;
    int fd;
    unsigned int n_refs; /* guarded by store->files */
    bool is_damaged;     /* guarded by store->files */
};

struct store_object_name store_object_name(const struct digest *digest)
{
    struct digest_text hex = digest_format(digest);
    struct store_object_name name;

    (void)snprintf(name.s, sizeof name.s, "%.2s/%.2s/%s", hex.s, hex.s + 2, hex.s); /* fits */
    return name;
}

int store_object_shelf_fd(const struct store *store, enum store_shelf shelf)
{
    return shelf == SHELF_ARCHIVES ? store->archives_fd : store->cache_fd;
}

const char *store_object_noun(enum store_shelf shelf)
{
    static const char *const nouns[SHELF_COUNT] = { [SHELF_SAMPLES] = "sample", [SHELF_ARCHIVES] = "archive" };

    return nouns[shelf];
}

void store_object_count_locked(struct store *store, enum store_shelf shelf, int64_t bytes, int n)
{
    store->used_bytes += bytes;
    store->n_objects += shelf == SHELF_SAMPLES ? n : 0;
}

uint64_t store_object_hash(const struct digest *digest)
{
    uint64_t hash;

    memcpy(&hash, digest->bytes, sizeof hash);
    return map_hash_u64(hash);
}

static void object_free(struct store_object *object)
{
    closep(&object->fd);
    store_seal_done(&object->seal);
    free(object);
}
DEFINE_CLEANUP(struct store_object *, object_free)

/* Moves the file of an object out of the way, unless its name already leads to another one. Returns EIO with words. */
static int set_aside(const struct store_object *object, const struct digest *digest, const char *why, struct err *err)
{
    struct store_object_name name = store_object_name(digest);
    struct store *store = object->store;
    int shelf_fd = store_object_shelf_fd(store, object->shelf);
    char to[DAMAGED_NAME_MAX];
    struct stat st;

    (void)snprintf(to, sizeof to, "%s.%lld", digest_format(digest).s, (long long)clock_now_s()); /* fits */
    lock_acquire(&store->files);
    if (store_files_is_at(object->fd, shelf_fd, name.s) && fstat(object->fd, &st) == 0 &&
        renameat(shelf_fd, name.s, store->damaged_fd, to) == 0)
        store_object_count_locked(store, object->shelf, -st.st_size, -1);
    lock_release(&store->files);
    return err_set(err, EIO, "%s %s is damaged on disk, set aside: %s", store_object_noun(object->shelf),
                   digest_short(digest).s, why);
}

/* Fills an object from its open file; EBADMSG when it is not what we sealed. */
CHECKED static int load(struct store_object *object, const struct digest *digest, struct err *err)
{
    uint8_t header[SEAL_HEADER_BYTES];
    struct stat st;
    size_t n = 0;
    int r;

    if (fstat(object->fd, &st) < 0)
        return err_sys(err, "stat");
    if (!S_ISREG(st.st_mode))
        return err_set(err, EBADMSG, "not a regular file");
    r = store_files_pread(object->fd, header, sizeof header, 0, &n, err);
    if (r < 0)
        return r;
    if (n < sizeof header)
        return err_set(err, EBADMSG, "shorter than a header");
    r = store_seal_from_header(&object->seal, object->store->key, digest, header, &object->plain_bytes, err);
    if (r < 0)
        return r;
    if (st.st_size != store_seal_file_bytes(object->plain_bytes))
        return err_set(err, EBADMSG, "%lld bytes on disk instead of %lld", (long long)st.st_size,
                       (long long)store_seal_file_bytes(object->plain_bytes));
    return 0;
}

CHECKED static int open_file(struct store *store, enum store_shelf shelf, const struct digest *digest,
                             struct store_object **ret_object, struct err *err)
{
    cleanup_(object_freep) struct store_object *object = calloc(1, sizeof *object);
    const char *noun = store_object_noun(shelf);
    struct err why = { 0 };
    int r;

    if (!object)
        return err_set(err, ENOMEM, "no memory for an object");
    object->store = store;
    object->shelf = shelf;
    object->n_refs = 1;
    object->fd = openat(store_object_shelf_fd(store, shelf), store_object_name(digest).s,
                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (object->fd < 0 && errno == ENOENT)
        return STORE_ABSENT;
    if (object->fd < 0)
        return err_sys(err, "open %s %s", noun, digest_short(digest).s);
    r = load(object, digest, &why);
    if (r == -EBADMSG)
        return set_aside(object, digest, why.text, err);
    if (r < 0)
        return err_set(err, why.code, "open %s %s: %s", noun, digest_short(digest).s, why.text);
    *ret_object = steal_ptr(&object);
    return 0;
}

/* The open object of this digest with one more reference, or NULL. */
static struct store_object *find_locked(struct store *store, const struct digest *digest) REQUIRES(&store->files);

static struct store_object *find_locked(struct store *store, const struct digest *digest)
{
    struct map_entry *entry = map_first(&store->objects, store_object_hash(digest));

    for (; entry; entry = map_next(entry)) {
        struct store_object *object = container_of(entry, struct store_object, entry);

        if (digest_equal(&object->seal.digest, digest)) {
            object->n_refs++;
            return object;
        }
    }
    return NULL;
}

int store_object_open(struct store *store, const struct digest *digest, struct store_object **ret_object,
                      struct err *err)
{
    return store_object_open_on(store, SHELF_SAMPLES, digest, ret_object, err);
}

/* One table for all shelves: a digest is that of a sample or that of an archive, never both. */
int store_object_open_on(struct store *store, enum store_shelf shelf, const struct digest *digest,
                         struct store_object **ret_object, struct err *err)
{
    cleanup_(object_freep) struct store_object *opened = NULL;
    struct store_object *object;
    bool added = true;
    int r;

    lock_acquire(&store->files);
    object = find_locked(store, digest);
    lock_release(&store->files);
    if (object) {
        *ret_object = object;
        return 0;
    }
    r = open_file(store, shelf, digest, &opened, err); /* not under the lock: disk */
    if (r != 0)
        return r;
    lock_acquire(&store->files);
    object = find_locked(store, digest); /* somebody was faster */
    if (!object) {
        added = map_add(&store->objects, &opened->entry, store_object_hash(digest));
        object = added ? steal_ptr(&opened) : NULL;
    }
    lock_release(&store->files);
    if (!added)
        return err_set(err, ENOMEM, "no memory for the table of open objects");
    *ret_object = object;
    return 0;
}

struct store_object *store_object_ref(struct store_object *object)
{
    lock_acquire(&object->store->files);
    object->n_refs++;
    lock_release(&object->store->files);
    return object;
}

void store_object_unref(struct store_object *object)
{
    bool is_last;

    if (!object)
        return;
    lock_acquire(&object->store->files);
    is_last = --object->n_refs == 0;
    if (is_last && !object->is_damaged)
        map_remove(&object->store->objects, &object->entry);
    lock_release(&object->store->files);
    if (is_last)
        object_free(object);
}

int64_t store_object_size(const struct store_object *object)
{
    return object->plain_bytes;
}

/* The part of one chunk that a read wants. */
struct part {
    int64_t index;
    size_t chunk_bytes; /* plain bytes of the whole chunk */
    size_t skip;
    size_t n;
    bool is_last;
};

CHECKED static int read_exactly(const struct store_object *object, void *to, size_t n, int64_t offset, struct err *err)
{
    size_t got = 0;
    int r = store_files_pread(object->fd, to, n, offset, &got, err);

    if (r == 0 && got < n)
        return err_set(err, EBADMSG, "the file was cut");
    return r;
}

/* Reads and opens a piece of the current chunk in place. */
CHECKED static int open_piece(const struct store_object *object, struct store_seal_stream *stream, void *to, size_t n,
                              int64_t offset, struct err *err)
{
    int r = read_exactly(object, to, n, offset, err);

    return r < 0 ? r : store_seal_chunk_piece(stream, to, n, err);
}

/* Bytes of a chunk that nobody wants but the tag covers. */
CHECKED static int pass_piece(const struct store_object *object, struct store_seal_stream *stream, size_t n,
                              int64_t offset, struct err *err)
{
    uint8_t pass[PASS_BYTES];
    size_t step;
    int r = 0;

    for (; r == 0 && n > 0; n -= step, offset += (int64_t)step) {
        step = n < sizeof pass ? n : sizeof pass;
        r = open_piece(object, stream, pass, step, offset, err);
    }
    secret_wipe(pass, sizeof pass);
    return r;
}

CHECKED static int open_part(const struct store_object *object, struct store_seal_stream *stream,
                             const struct part *part, void *to, struct err *err)
{
    int64_t at = store_seal_chunk_offset(part->index);
    size_t end = part->skip + part->n;
    uint8_t tag[SEAL_TAG_BYTES];
    int r;

    r = store_seal_chunk_begin(stream, part->index, part->is_last, err);
    if (r == 0 && part->skip > 0)
        r = pass_piece(object, stream, part->skip, at, err);
    if (r == 0)
        r = open_piece(object, stream, to, part->n, at + (int64_t)part->skip, err);
    if (r == 0 && end < part->chunk_bytes)
        r = pass_piece(object, stream, part->chunk_bytes - end, at + (int64_t)end, err);
    if (r == 0)
        r = read_exactly(object, tag, sizeof tag, at + (int64_t)part->chunk_bytes, err);
    return r < 0 ? r : store_seal_chunk_end(stream, tag, err);
}

CHECKED static int read_parts(const struct store_object *object, int64_t offset, char *to, size_t n, struct err *err)
{
    cleanup_(store_seal_stream_done) struct store_seal_stream stream = { 0 };
    int r = store_seal_stream_init(&stream, &object->seal, object->store->cipher, false, err);

    for (size_t done = 0; r == 0 && done < n;) {
        struct part part = { .index = offset / STORE_CHUNK_BYTES, .skip = (size_t)(offset % STORE_CHUNK_BYTES) };

        part.chunk_bytes = store_seal_chunk_plain(object->plain_bytes, part.index);
        part.n = part.chunk_bytes - part.skip < n - done ? part.chunk_bytes - part.skip : n - done;
        part.is_last = part.index * STORE_CHUNK_BYTES + (int64_t)part.chunk_bytes == object->plain_bytes;
        r = open_part(object, &stream, &part, to + done, err);
        done += part.n;
        offset += (int64_t)part.n;
    }
    return r;
}

/* True for the first who finds the damage; the object cannot be opened again, who has it keeps it. */
static void mark_damaged(struct store_object *object)
{
    lock_acquire(&object->store->files);
    if (!object->is_damaged)
        map_remove(&object->store->objects, &object->entry);
    object->is_damaged = true;
    lock_release(&object->store->files);
}

int store_object_read(struct store_object *object, int64_t offset, void *to, size_t n, size_t *ret_n, struct err *err)
{
    struct err why = { 0 };
    int r;

    if (offset < 0)
        return err_set(err, EINVAL, "a negative offset");
    if (offset >= object->plain_bytes)
        n = 0;
    else if ((uint64_t)(object->plain_bytes - offset) < n)
        n = (size_t)(object->plain_bytes - offset);
    r = n > 0 ? read_parts(object, offset, to, n, &why) : 0;
    if (r == 0) {
        *ret_n = n;
        return 0;
    }
    secret_wipe(to, n); /* not proven to be the sample */
    if (r != -EBADMSG)
        return err_set(err, why.code, "read %s %s: %s", store_object_noun(object->shelf),
                       digest_short(&object->seal.digest).s, why.text);
    mark_damaged(object);
    return set_aside(object, &object->seal.digest, why.text, err);
}

bool store_object_exists(struct store *store, const struct digest *digest)
{
    struct stat st;

    return fstatat(store->cache_fd, store_object_name(digest).s, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

void store_object_usage(struct store *store, int64_t *ret_bytes, int64_t *ret_n)
{
    lock_acquire(&store->files);
    *ret_bytes = store->used_bytes;
    *ret_n = store->n_objects;
    lock_release(&store->files);
}

/* Walks ab/cd/<sha256> below a shelf. Names of another shape are not ours and are passed over. */
enum { SCAN_LEVELS = 2, SCAN_PREFIX = 2 }; /* directories above an object, digits in the name of each */

struct scan {
    store_digest_each *each;
    void *closure;
    char prefix[SCAN_LEVELS * SCAN_PREFIX + 1]; /* the directories so far, without slashes */
};

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* read-only */
}

static bool is_prefix(const char *name)
{
    return strlen(name) == SCAN_PREFIX && strspn(name, "0123456789abcdef") == SCAN_PREFIX;
}

CHECKED static int scan_dir(struct scan *scan, int parent_fd, const char *name, int level, struct err *err);

CHECKED static int scan_entry(struct scan *scan, int fd, const char *name, int level, struct err *err)
{
    struct digest digest;

    if (level < SCAN_LEVELS) {
        if (!is_prefix(name))
            return 0;
        memcpy(scan->prefix + (ptrdiff_t)level * SCAN_PREFIX, name, SCAN_PREFIX);
        return scan_dir(scan, fd, name, level + 1, err);
    }
    if (strncmp(name, scan->prefix, sizeof scan->prefix - 1) != 0 || !digest_parse(name, &digest) ||
        strcmp(name, digest_format(&digest).s) != 0)
        return 0;
    return scan->each(scan->closure, &digest);
}

/* Recursion ends after SCAN_LEVELS. */
int scan_dir(struct scan *scan, int parent_fd, const char *name, int level, struct err *err)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0;
    if (!dir) {
        r = err_sys(err, "list the cache");
        closep(&fd);
        return r;
    }
    for (const struct dirent *entry; r == 0 && (entry = readdir(dir));)
        r = scan_entry(scan, fd, entry->d_name, level, err);
    return r;
}

int store_object_list(struct store *store, store_digest_each *each, void *closure, struct err *err)
{
    struct scan scan = { .each = each, .closure = closure };

    return scan_dir(&scan, store->cache_fd, ".", 0, err);
}

struct counted {
    struct store *store;
    enum store_shelf shelf;
};

static int count(void *closure, const struct digest *digest)
{
    const struct counted *counted = closure;
    struct store *store = counted->store;
    struct stat st;

    if (fstatat(store_object_shelf_fd(store, counted->shelf), store_object_name(digest).s, &st, AT_SYMLINK_NOFOLLOW) <
            0 ||
        !S_ISREG(st.st_mode))
        return 0;
    lock_acquire(&store->files);
    store_object_count_locked(store, counted->shelf, st.st_size, 1);
    lock_release(&store->files);
    return 0;
}

int store_object_scan(struct store *store, struct err *err)
{
    int r = 0;

    for (int shelf = 0; r == 0 && shelf < SHELF_COUNT; shelf++) {
        struct counted counted = { .store = store, .shelf = (enum store_shelf)shelf };
        struct scan scan = { .each = count, .closure = &counted };

        r = scan_dir(&scan, store_object_shelf_fd(store, counted.shelf), ".", 0, err);
    }
    return r;
}

/* Damaged copies of a sample, "<sha256>.<time>"; removed on the way when `drop`. */
static size_t count_damaged(struct store *store, const struct digest *digest, bool drop)
{
    struct digest_text hex = digest_format(digest);
    int fd = openat(store->damaged_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t n = 0;

    if (!dir) {
        closep(&fd);
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, hex.s, DIGEST_TEXT) != 0)
            continue;
        n++;
        if (drop)
            (void)unlinkat(store->damaged_fd, entry->d_name, 0); /* costs room, nothing else */
    }
    return n;
}

bool store_object_is_damaged(struct store *store, const struct digest *digest)
{
    return !store_object_exists(store, digest) && count_damaged(store, digest, false) > 0;
}

void store_object_drop_damaged(struct store *store, const struct digest *digest)
{
    (void)count_damaged(store, digest, true); /* how many there were is of no interest */
}
