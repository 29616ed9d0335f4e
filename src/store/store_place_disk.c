/*
 * Objects in files: <shelf>/ab/cd/<sha256>, with a suffix that says the form. A sealed object could be the plain bytes
 * of a sample, so its first bytes would not tell.
 *
 * Who has a file open has a shared lock on it. Who evicts it needs the exclusive one, and then takes the name away; who
 * opens it checks with the lock in hand that the name still leads there, else starts again. So what is open is never
 * evicted, in any process, and the kernel drops the locks of the dead.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_files.h"
#include "store/store_internal.h"
#include "util/clock.h"
#include "util/fault.h"

enum {
    SCAN_LEVELS = 2, /* directories above an object */
    SCAN_PREFIX = 2, /* digits in the name of each */
    SUFFIX_MAX = sizeof ".plain" - 1,
    BLOCK_BYTES = 512,                                                           /* in which stat(2) counts */
    WRITE_BACK_BYTES = 8 * MIB,                                                  /* written ahead of the sync at once */
    NAME_MAX_BYTES = SCAN_LEVELS * (SCAN_PREFIX + 1) + DIGEST_TEXT + SUFFIX_MAX, /* "ab/cd/<sha256>.plain" */
    DAMAGED_NAME_MAX = DIGEST_TEXT + 32,
};

#define SETTLED_NS (STORE_FILES_S_NS / 10) /* two changes within a tick of the kernel's clock have one time */

struct name {
    char s[NAME_MAX_BYTES + 1];
};

static const char *suffix_of(enum store_kind kind)
{
    return kind == STORE_PLAIN ? ".plain" : "";
}

/* Relative to a shelf. */
static struct name name_of(const struct store_ref *ref)
{
    struct digest_text hex = digest_format(&ref->digest);
    struct name name;

    (void)snprintf(name.s, sizeof name.s, "%.2s/%.2s/%s%s", hex.s, hex.s + 2, hex.s, suffix_of(ref->kind)); /* fits */
    return name;
}

static int shelf_fd(const struct store *store, enum store_shelf shelf)
{
    return shelf == SHELF_ARCHIVES ? store->archives_fd : store->cache_fd;
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * STORE_FILES_S_NS + time->tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ .tv_sec = ns / STORE_FILES_S_NS, .tv_nsec = ns % STORE_FILES_S_NS };
}

static struct store_facts facts_of(const struct stat *st)
{
    return (struct store_facts){
        .bytes = st->st_size, .came_ns = ns_of(&st->st_mtim), .used_ns = ns_of(&st->st_atim), .number = st->st_ino
    };
}

/* ---- what is there ---- */

static void disk_close(struct store *store, struct store_blob *blob)
{
    if (blob->fd >= 0 && blob->name[0])
        (void)unlinkat(store->tmp_fd, blob->name, 0); /* else the next start sweeps it */
    closep(&blob->fd);
    *blob = STORE_BLOB_NONE;
}

/* Opens and locks a name. STORE_ABSENT: it leads nowhere, or elsewhere by now; STORE_BUSY with STORE_FILES_TRY. */
CHECKED static int open_once(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
    cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
    int r;

    if (fd < 0)
        return errno == ENOENT ? STORE_ABSENT : err_sys(err, "open");
    r = store_files_share(fd, STORE_FILES_WAIT, err); /* who excludes us only looks, or takes the name away */
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    return r;
}

CHECKED static int disk_open(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob,
                             struct err *err)
{
    int dir_fd = shelf_fd(store, ref->shelf);
    struct name name = name_of(ref);

    for (;;) {
        struct store_blob blob = STORE_BLOB_NONE;
        int r = open_once(dir_fd, name.s, &blob.fd, err);

        if (r != 0)
            return r;
        if (store_files_is_at(blob.fd, dir_fd, name.s)) {
            *ret_blob = blob;
            return 0;
        }
        disk_close(store, &blob);
    }
}

CHECKED static int disk_read(const struct store_blob *blob, void *to, size_t n, int64_t offset, size_t *ret_n,
                             struct err *err)
{
    return store_files_pread(blob->fd, to, n, offset, ret_n, err);
}

CHECKED static int disk_facts(const struct store_blob *blob, struct store_facts *ret_facts, struct err *err)
{
    struct stat st;

    if (fstat(blob->fd, &st) < 0)
        return err_sys(err, "stat");
    if (!S_ISREG(st.st_mode))
        return err_set(err, EBADMSG, "not a regular file");
    *ret_facts = facts_of(&st);
    return 0;
}

/* The time of the last access is ours to set, so that it works whatever the disk's mount options are. */
static void disk_touch(struct store *store, const struct store_blob *blob, int64_t used_ns)
{
    const struct timespec times[2] = { timespec_of(used_ns), { .tv_nsec = UTIME_OMIT } };

    (void)store;
    (void)futimens(blob->fd, times); /* it only seems older */
}

static bool stat_of(struct store *store, const struct store_ref *ref, struct stat *ret_st)
{
    return fstatat(shelf_fd(store, ref->shelf), name_of(ref).s, ret_st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(ret_st->st_mode);
}

static void disk_rest(const struct store_blob *blob)
{
    store_files_unlock(blob->fd);
}

CHECKED static int disk_wake(struct store *store, const struct store_ref *ref, const struct store_blob *blob,
                             const struct store_facts *facts, bool was_resting)
{
    struct err ignored = { 0 };
    int r = was_resting ? store_files_share(blob->fd, STORE_FILES_WAIT, &ignored) : 0;
    struct store_facts now;
    struct stat st;

    if (r < 0)
        return r;
    if (!stat_of(store, ref, &st))
        return STORE_ABSENT;
    now = facts_of(&st);
    return now.number == facts->number && now.bytes == facts->bytes && now.came_ns == facts->came_ns ? 0 : STORE_ABSENT;
}

static bool disk_exists(struct store *store, const struct store_ref *ref)
{
    struct stat st;

    return stat_of(store, ref, &st);
}

/* ---- writing ---- */

/* The lock tells the start of another process that somebody still writes. */
CHECKED static int disk_begin(struct store *store, const struct store_ref *ref, struct store_blob *ret_blob,
                              struct err *err)
{
    struct store_blob blob = STORE_BLOB_NONE;
    struct store_files_name name;
    int r = store_files_begin(store->tmp_fd, digest_short(&ref->digest).s, &name, &blob.fd, err);

    if (r < 0)
        return err_wrap(err, "the cache");
    memcpy(blob.name, name.s, sizeof blob.name);
    *ret_blob = blob;
    return 0;
}

/*
 * The disk writes while more bytes come, so that the sync at the end finds little left to do. That sync is what makes
 * them durable and tells of errors; this only begins earlier.
 */
static void write_back_behind(int fd, int64_t from, int64_t to)
{
    int64_t begun = from / WRITE_BACK_BYTES * WRITE_BACK_BYTES;
    int64_t whole = to / WRITE_BACK_BYTES * WRITE_BACK_BYTES;

    if (whole > begun)
        (void)sync_file_range(fd, begun, whole - begun, SYNC_FILE_RANGE_WRITE); /* else the sync does it */
}

/* A filesystem that cannot reserve says so when it is written. */
CHECKED static int disk_reserve(const struct store_blob *blob, int64_t n, int64_t *ret_taken, struct err *err)
{
    struct stat st;
    int r;

    *ret_taken = 0;
    do
        r = n > 0 ? fallocate(blob->fd, FALLOC_FL_KEEP_SIZE, 0, n) : 0;
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno != EOPNOTSUPP && errno != ENOSYS ? err_sys(err, "room for %lld bytes", (long long)n) : 0;
    if (fstat(blob->fd, &st) == 0)
        *ret_taken = st.st_blocks < n / BLOCK_BYTES ? st.st_blocks * BLOCK_BYTES : n;
    return 0;
}

/* Blocks behind the end, when there were fewer bytes than was said: nobody would count them. Bytes that were paid for
 * are kept, whatever becomes of that. */
static void give_rest_back(const struct store_blob *blob)
{
    struct stat st;

    if (fstat(blob->fd, &st) < 0 || ftruncate(blob->fd, st.st_size) < 0)
        return; /* some room is lost until the sample goes */
}

CHECKED static int disk_write(const struct store_blob *blob, const void *data, size_t n, int64_t offset,
                              struct err *err)
{
    int r = store_files_pwrite(blob->fd, data, n, offset, err);

    if (r == 0)
        write_back_behind(blob->fd, offset, offset + (int64_t)n);
    return r;
}

/* A copy of the same object in the other form, older than the one that was just published. */
static void drop_other_form_locked(struct store *store, const struct store_ref *ref) REQUIRES(&store->files);

static void drop_other_form_locked(struct store *store, const struct store_ref *ref)
{
    struct store_ref other = *ref;
    struct stat st;

    other.kind = ref->kind == STORE_PLAIN ? STORE_SEALED : STORE_PLAIN;
    if (stat_of(store, &other, &st) && unlinkat(shelf_fd(store, ref->shelf), name_of(&other).s, 0) == 0)
        store_room_count_locked(store, &other, -st.st_size, -1);
}

/* Renames into place and counts; whoever had stored the same object before is replaced. */
CHECKED static int rename_into(struct store *store, const struct store_ref *ref, struct store_blob *blob,
                               struct err *err)
{
    struct stat before = { 0 };
    struct stat after = { 0 };
    bool replaces;
    int r = 0;

    lock_acquire(&store->files);
    replaces = stat_of(store, ref, &before);
    if (fstat(blob->fd, &after) < 0 ||
        renameat(store->tmp_fd, blob->name, shelf_fd(store, ref->shelf), name_of(ref).s) < 0) {
        r = err_sys(err, "rename the %s into place", store_object_noun(ref->shelf));
    } else {
        blob->name[0] = '\0'; /* nothing to remove any more */
        store_room_count_locked(store, ref, after.st_size - (replaces ? before.st_size : 0), !replaces);
        drop_other_form_locked(store, ref);
        store_object_replaced_locked(store, &ref->digest);
    }
    lock_release(&store->files);
    CRASH_POINT(COMMIT_RENAMED);
    return r;
}

/* The last touches before the sync. */
CHECKED static int settle(const struct store_writer *writer, struct err *err)
{
    const struct timespec stamps[2] = { timespec_of(writer->times.used_ns), timespec_of(writer->times.came_ns) };

    give_rest_back(&writer->blob);
    if (futimens(writer->blob.fd, stamps) < 0)
        return err_sys(err, "set the times of the %s", store_object_noun(writer->ref.shelf));
    return 0;
}

CHECKED static int name_alone(struct store *store, struct store_writer *writer, struct err *err)
{
    struct name name = name_of(&writer->ref);
    cleanup_(closep) int outer_fd = -1;
    cleanup_(closep) int inner_fd = -1;
    int r;

    name.s[SCAN_PREFIX] = '\0'; /* "ab", "cd" */
    name.s[2 * SCAN_PREFIX + 1] = '\0';
    r = store_files_make_dir(shelf_fd(store, writer->ref.shelf), name.s, &outer_fd, err);
    if (r == 0)
        r = store_files_make_dir(outer_fd, name.s + SCAN_PREFIX + 1, &inner_fd, err);
    if (r == 0)
        r = rename_into(store, &writer->ref, &writer->blob, err);
    if (r == 0 && fsync(inner_fd) < 0)
        r = err_sys(err, "sync the directory of the %s", store_object_noun(writer->ref.shelf));
    return r;
}

/* The directories of a name, when they are missing. */
CHECKED static int make_dirs(struct store *store, const struct store_ref *ref, struct err *err)
{
    struct name name = name_of(ref);

    for (int level = 1; level <= SCAN_LEVELS; level++) {
        char *slash = name.s + (ptrdiff_t)level * (SCAN_PREFIX + 1) - 1;

        *slash = '\0';
        if (mkdirat(shelf_fd(store, ref->shelf), name.s, 0700) < 0 && errno != EEXIST)
            return err_sys(err, "make directory '%s'", name.s);
        *slash = '/';
    }
    return 0;
}

/* Waits once for all that is written. Errors of others on this filesystem count as ours: nobody could tell. */
CHECKED static int sync_all(const struct store *store, struct err *err)
{
    return syncfs(store->cache_fd) < 0 ? err_sys(err, "sync the cache") : 0;
}

CHECKED static int name_together(struct store *store, struct store_writer *const *writers, size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = make_dirs(store, &writers[i]->ref, err);
        if (r == 0)
            r = rename_into(store, &writers[i]->ref, &writers[i]->blob, err);
    }
    return r < 0 ? r : sync_all(store, err);
}

/* One alone does not wait for what others have written. */
CHECKED static int sync_bytes(struct store *store, struct store_writer *const *writers, size_t n, struct err *err)
{
    if (n > 1)
        return sync_all(store, err);
    return fdatasync(writers[0]->blob.fd) < 0 ? err_sys(err, "sync the %s", store_object_noun(writers[0]->ref.shelf))
                                              : 0;
}

/* Everything on the platter before it has its name, and the name before anybody is told. */
CHECKED static int disk_publish(struct store *store, struct store_writer *const *writers, size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = settle(writers[i], err);
    if (r == 0)
        r = sync_bytes(store, writers, n, err);
    CRASH_POINT(COMMIT_SYNCED);
    if (r == 0)
        r = n == 1 ? name_alone(store, writers[0], err) : name_together(store, writers, n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        (void)store_place_disk_damaged(store, &writers[i]->ref.digest, true); /* there is a good one: of no use now */
    return r;
}

/* ---- listing ---- */

/* A walk over ab/cd/<sha256> below a shelf. Names of another shape are not ours and are passed over. */
struct scan {
    struct store_ref ref; /* of the entry; kind and shelf of all */
    store_place_each *each;
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

/* "<sha256>" with the suffix of the kind that is looked for. */
static bool parse_name(struct scan *scan, const char *name)
{
    char hex[DIGEST_TEXT + 1];

    if (strlen(name) < DIGEST_TEXT || strcmp(name + DIGEST_TEXT, suffix_of(scan->ref.kind)) != 0)
        return false;
    memcpy(hex, name, DIGEST_TEXT);
    hex[DIGEST_TEXT] = '\0';
    return strncmp(hex, scan->prefix, sizeof scan->prefix - 1) == 0 && digest_parse(hex, &scan->ref.digest) &&
           strcmp(hex, digest_format(&scan->ref.digest).s) == 0;
}

/* NOLINTBEGIN(misc-no-recursion): ends after SCAN_LEVELS */
CHECKED static int scan_dir(struct scan *scan, int parent_fd, const char *name, int level, struct err *err);

CHECKED static int scan_entry(struct scan *scan, int fd, const char *name, int level, struct err *err)
{
    struct store_facts facts;
    struct stat st;

    if (level < SCAN_LEVELS) {
        if (!is_prefix(name))
            return 0;
        memcpy(scan->prefix + (ptrdiff_t)level * SCAN_PREFIX, name, SCAN_PREFIX);
        return scan_dir(scan, fd, name, level + 1, err);
    }
    if (!parse_name(scan, name) || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    facts = facts_of(&st);
    return scan->each(scan->closure, &scan->ref, &facts);
}

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
/* NOLINTEND(misc-no-recursion) */

CHECKED static int disk_list(struct store *store, enum store_kind kind, enum store_shelf shelf, store_place_each *each,
                             void *closure, struct err *err)
{
    struct scan scan = { .ref = { .kind = kind, .shelf = shelf }, .each = each, .closure = closure };

    return scan_dir(&scan, shelf_fd(store, shelf), ".", 0, err);
}

/* The directories whose changes make a version. */
struct version {
    uint64_t sum; /* of all, in any order */
    int64_t newest_ns;
};

static void add_dir(struct version *version, const struct stat *st)
{
    int64_t ns = ns_of(&st->st_mtim);

    version->sum += map_hash_u64(map_hash_u64(st->st_ino) ^ (uint64_t)ns);
    if (ns > version->newest_ns)
        version->newest_ns = ns;
}

/* NOLINTBEGIN(misc-no-recursion): ends after SCAN_LEVELS */
static void add_dirs_below(struct version *version, int parent_fd, const char *name, int level)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;

    if (!dir) {
        closep(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (!is_prefix(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        add_dir(version, &st);
        if (level + 1 < SCAN_LEVELS)
            add_dirs_below(version, fd, entry->d_name, level + 1);
    }
}
/* NOLINTEND(misc-no-recursion) */

int64_t store_place_disk_version(const struct store *store)
{
    struct version version = { 0 };
    int64_t now_ns = store_files_now_ns();
    struct stat st;

    if (fstat(store->cache_fd, &st) < 0)
        return 0;
    add_dir(&version, &st);
    add_dirs_below(&version, store->cache_fd, ".", 0);
    return now_ns - version.newest_ns > SETTLED_NS ? (int64_t)(version.sum >> 1) | 1 : 0;
}

/* ---- going ---- */

static bool disk_evict(struct store *store, const struct store_ref *ref, enum store_evict how)
{
    int dir_fd = shelf_fd(store, ref->shelf);
    struct name name = name_of(ref);
    cleanup_(closep) int fd = openat(dir_fd, name.s, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    bool may;

    if (fd < 0 || store_files_lock(fd, STORE_FILES_TRY, NULL) != 0 || fstat(fd, &st) < 0)
        return false;
    lock_acquire(&store->files);
    may = store_files_is_at(fd, dir_fd, name.s);
    if (may && how == EVICT_REMOVE)
        may = unlinkat(dir_fd, name.s, 0) == 0;
    if (how == EVICT_REMOVE)
        CRASH_POINT(EVICT_REMOVED);
    if (may && how == EVICT_REMOVE)
        store_room_count_locked(store, ref, -st.st_size, -1);
    lock_release(&store->files);
    return may;
}

static void disk_set_aside(struct store *store, const struct store_ref *ref, const struct store_blob *blob)
{
    struct name name = name_of(ref);
    int dir_fd = shelf_fd(store, ref->shelf);
    char to[DAMAGED_NAME_MAX];
    struct stat st;

    (void)snprintf(to, sizeof to, "%s.%lld", digest_format(&ref->digest).s, (long long)clock_now_s()); /* fits */
    lock_acquire(&store->files);
    if (store_files_is_at(blob->fd, dir_fd, name.s) && fstat(blob->fd, &st) == 0 &&
        renameat(dir_fd, name.s, store->damaged_fd, to) == 0)
        store_room_count_locked(store, ref, -st.st_size, -1);
    lock_release(&store->files);
}

size_t store_place_disk_damaged(struct store *store, const struct digest *digest, bool drop)
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

const struct store_place store_place_disk = {
    .open = disk_open,
    .begin = disk_begin,
    .reserve = disk_reserve,
    .publish = disk_publish,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .facts = disk_facts,
    .touch = disk_touch,
    .rest = disk_rest,
    .wake = disk_wake,
    .exists = disk_exists,
    .list = disk_list,
    .evict = disk_evict,
    .set_aside = disk_set_aside,
};
