#include "engine/engine_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "util/text.h"

struct level {
    DIR *dir;
    size_t n_path; /* length of the directory's path */
};

struct engine_walk {
    int dir_fd; /* the caller's */
    struct level levels[ENGINE_WALK_DEPTH_MAX];
    size_t n_levels;
    bool has_start;   /* the first entry is still to come */
    int code;         /* of the first failure; 0: none */
    bool opens_entry; /* `path` is a directory to go into */
    char path[ENGINE_WALK_PATH_MAX + 1];
};

int engine_walk_new(int dir_fd, const char *path, struct engine_walk **ret_walk, struct err *err)
{
    cleanup_(engine_walk_freep) struct engine_walk *walk = calloc(1, sizeof *walk);

    if (!walk)
        return err_set(err, ENOMEM, "no memory to walk a directory");
    walk->dir_fd = dir_fd;
    walk->has_start = true;
    if (!text_copy(walk->path, sizeof walk->path, path))
        return err_set(err, ENAMETOOLONG, "a path of more than %d bytes", ENGINE_WALK_PATH_MAX);
    *ret_walk = steal_ptr(&walk);
    return 0;
}

void engine_walk_free(struct engine_walk *walk)
{
    if (!walk)
        return;
    for (size_t i = 0; i < walk->n_levels; i++)
        (void)closedir(walk->levels[i].dir); /* only read from */
    free(walk);
}

static void note(struct engine_walk *walk, int code)
{
    if (!walk->code && !engine_file_is_lost(code))
        walk->code = code;
}

/*
 * A FUSE filesystem that is mounted below the samples: left out. It may be a mount of malqueryfs that gets its bytes
 * from us, and reading it would wait for ourselves.
 */
static bool is_mounted_here(int fd, int parent_fd)
{
    struct statfs fs;
    struct stat here;
    struct stat above;

    return fstat(fd, &here) == 0 && fstat(parent_fd, &above) == 0 && here.st_dev != above.st_dev &&
           fstatfs(fd, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
}

/* Opens the directory `walk->path`; errors and too great a depth leave it out. */
static void enter(struct engine_walk *walk)
{
    cleanup_(closep) int fd = -1;
    DIR *dir;

    if (walk->n_levels == ENGINE_WALK_DEPTH_MAX)
        return;
    if (walk->n_levels == 0)
        fd = openat(walk->dir_fd, *walk->path ? walk->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    else
        fd = openat(dirfd(walk->levels[walk->n_levels - 1].dir),
                    strrchr(walk->path, '/') ? strrchr(walk->path, '/') + 1 : walk->path,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && walk->n_levels > 0 && is_mounted_here(fd, dirfd(walk->levels[walk->n_levels - 1].dir)))
        return;
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        note(walk, errno);
        return;
    }
    (void)steal_fd(&fd); /* the stream's now */
    walk->levels[walk->n_levels++] = (struct level){ .dir = dir, .n_path = strlen(walk->path) };
}

/* Makes an entry of `name` in the directory `at_fd`; false when it is neither a file nor a directory. */
static bool take(struct engine_walk *walk, int at_fd, const char *name, struct engine_walk_entry *entry)
{
    struct stat st;

    if (fstatat(at_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        note(walk, errno);
        return false;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return false;
    *entry = (struct engine_walk_entry){ .path = walk->path, .is_dir = S_ISDIR(st.st_mode) };
    entry->stamp = engine_stamp_of(&st);
    entry->id = engine_own_id_of(&st);
    walk->opens_entry = entry->is_dir;
    return true;
}

static bool append(struct engine_walk *walk, size_t n_path, const char *name)
{
    size_t n = strlen(name);
    size_t slash = n_path > 0;

    if (n_path + slash + n > ENGINE_WALK_PATH_MAX)
        return false;
    if (slash)
        walk->path[n_path] = '/';
    memcpy(walk->path + n_path + slash, name, n + 1);
    return true;
}

bool engine_walk_next(struct engine_walk *walk, struct engine_walk_entry *ret_entry)
{
    if (walk->has_start) {
        walk->has_start = false;
        return take(walk, walk->dir_fd, *walk->path ? walk->path : ".", ret_entry);
    }
    if (walk->opens_entry)
        enter(walk);
    walk->opens_entry = false;
    while (walk->n_levels > 0) {
        struct level *level = &walk->levels[walk->n_levels - 1];
        const struct dirent *name;

        errno = 0;
        name = readdir(level->dir); /* NOLINT(concurrency-mt-unsafe): our own stream */
        if (!name) {
            if (errno)
                note(walk, errno);
            (void)closedir(level->dir); /* only read from */
            walk->n_levels--;
            continue;
        }
        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        if (append(walk, level->n_path, name->d_name) && take(walk, dirfd(level->dir), name->d_name, ret_entry))
            return true;
    }
    return false;
}

int engine_walk_code(const struct engine_walk *walk)
{
    return walk->code;
}

void engine_walk_skip(struct engine_walk *walk)
{
    walk->opens_entry = false;
}
