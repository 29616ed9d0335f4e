/*
 * bare -- the control: what FUSE itself costs. One flat directory, read once; names, sizes and times are answered from
 * an array, bytes from a mapping of the file. Everything that makes the kernel ask less is on, nothing is checked,
 * opened or noted, so no filesystem on the same libfuse answers sooner.
 *
 *     bare DIRECTORY MOUNTPOINT [libfuse options]
 *
 * Stays in the foreground; ends when it is unmounted.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_MAX = 1024 * 1024,
    THREADS = 4,
    FIRST_INO = 2, /* of files[0] */
    FIRST_ROOM = 1024,
};

static const double for_good = 1e9;

struct file {
    char *name;
    struct stat st;
    const char *bytes; /* NULL: empty, or never opened */
};

static struct file *files; /* by name */
static size_t n_files;
static int dir_fd;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static struct file *file_of(fuse_ino_t ino)
{
    return ino >= FIRST_INO && ino - FIRST_INO < n_files ? &files[ino - FIRST_INO] : NULL;
}

static struct fuse_entry_param entry_of(const struct file *file)
{
    return (struct fuse_entry_param){
        .ino = file->st.st_ino, .attr = file->st, .attr_timeout = for_good, .entry_timeout = for_good
    };
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO);
    conn->want |= conn->capable & (FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_READDIRPLUS);
    conn->max_readahead = READ_MAX;
    conn->max_read = READ_MAX;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    char *wanted = strdupa(name);
    struct file key = { .name = wanted };
    struct file *found = parent == FUSE_ROOT_ID ? bsearch(&key, files, n_files, sizeof *files, by_name) : NULL;
    struct fuse_entry_param entry;

    if (!found) {
        (void)fuse_reply_err(req, ENOENT);
        return;
    }
    entry = entry_of(found);
    (void)fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat root = { .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0555, .st_nlink = 2 };
    struct file *file = file_of(ino);

    (void)fi;
    (void)fuse_reply_attr(req, file ? &file->st : &root, for_good);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fi->fh = (uintptr_t)file_of(ino);
    fi->keep_cache = 1;
    fi->noflush = 1;
    (void)fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct file *file = file_of(ino);
    size_t length = (size_t)file->st.st_size;
    size_t left = (size_t)offset < length ? length - (size_t)offset : 0;

    (void)fi;
    (void)fuse_reply_buf(req, file->bytes + offset, size < left ? size : left);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    (void)fuse_reply_open(req, fi);
}

static void list(fuse_req_t req, size_t size, off_t offset, int is_plus)
{
    char *page = malloc(size);
    size_t n = 0;

    if (!page) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    for (size_t i = (size_t)offset; i < n_files; i++) {
        struct fuse_entry_param entry = entry_of(&files[i]);
        size_t took = is_plus ? fuse_add_direntry_plus(req, page + n, size - n, files[i].name, &entry, (off_t)i + 1)
                              : fuse_add_direntry(req, page + n, size - n, files[i].name, &files[i].st, (off_t)i + 1);

        if (took > size - n)
            break;
        n += took;
    }
    (void)fuse_reply_buf(req, page, n);
    free(page);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    list(req, size, offset, 0);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    list(req, size, offset, 1);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino;
    (void)name;
    (void)size;
    (void)fuse_reply_err(req, EOPNOTSUPP); /* ls asks once, not for every file */
}

static const struct fuse_lowlevel_ops ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .open = op_open,
    .read = op_read,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .getxattr = op_getxattr,
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void add(const char *name)
{
    static size_t room;
    struct file *file;

    if (n_files == room) {
        room = room ? room * 2 : FIRST_ROOM;
        files = reallocarray(files, room, sizeof *files);
        if (!files)
            fail("files");
    }
    file = &files[n_files];
    *file = (struct file){ .name = strdup(name) };
    if (!file->name || fstatat(dir_fd, name, &file->st, AT_SYMLINK_NOFOLLOW) < 0)
        fail(name);
    if (S_ISREG(file->st.st_mode))
        n_files++;
    else
        free(file->name);
}

static void map_bytes(struct file *file)
{
    int fd = openat(dir_fd, file->name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail(file->name);
    file->bytes = mmap(NULL, (size_t)file->st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file->bytes == MAP_FAILED)
        fail(file->name);
    close(fd);
}

static void load(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *one;

    if (!dir)
        fail(directory);
    dir_fd = dirfd(dir);
    while ((one = readdir(dir)))
        add(one->d_name);
    qsort(files, n_files, sizeof *files, by_name);
    for (size_t i = 0; i < n_files; i++) {
        files[i].st.st_ino = FIRST_INO + i;
        if (files[i].st.st_size > 0 && files[i].st.st_blocks > 0) /* what is a hole is only listed */
            map_bytes(&files[i]);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    char minus_o[] = "-o";
    char options[] = "ro,fsname=bare,subtype=bare,max_read=1048576";
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    struct fuse_session *session;

    if (argc < 3) {
        fputs("usage: bare DIRECTORY MOUNTPOINT [libfuse options]\n", stderr);
        return 2;
    }
    load(argv[1]);
    fuse_opt_add_arg(&args, argv[0]);
    fuse_opt_add_arg(&args, minus_o);
    fuse_opt_add_arg(&args, options);
    for (int i = 3; i < argc; i++)
        fuse_opt_add_arg(&args, argv[i]);
    session = fuse_session_new(&args, &ops, sizeof ops, NULL);
    if (!session || fuse_session_mount(session, argv[2]) != 0)
        return 1;
    fuse_loop_cfg_set_max_threads(loop, THREADS);
    fuse_loop_cfg_set_clone_fd(loop, 0);
    return fuse_session_loop_mt(session, loop) < 0;
}
