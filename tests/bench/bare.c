/*
 * bare -- the control: what FUSE itself costs. One flat directory, read once; names, sizes and times are answered from
 * an array, bytes from a mapping of the file. Everything that makes the kernel ask less is on, nothing is checked,
 * opened or noted, so no filesystem on the same libfuse answers sooner.
 *
 *     bare [--sealed] DIRECTORY MOUNTPOINT [libfuse options]
 *
 * --sealed: the bytes lie in memory as AES-256-GCM has sealed them, 128 KiB at a time, and are opened for each answer:
 * no filesystem whose files are sealed so answers sooner, on as many threads.
 *
 * Stays in the foreground; ends when it is unmounted.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
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
    CHUNK_BYTES = 128 * 1024,
    TAG_BYTES = 16,
    NONCE_BYTES = 12,
};

static const double for_good = 1e9;

struct file {
    char *name;
    struct stat st;
    const char *bytes; /* NULL: empty, or never opened; sealed: with a tag behind each chunk */
};

static struct file *files; /* by name */
static size_t n_files;
static int dir_fd;
static bool is_sealed;
static const unsigned char key[32];

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

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Seals or opens one chunk. */
static void turn(bool seal, unsigned char *to, const unsigned char *from, size_t n, size_t index, unsigned char *tag)
{
    static __thread EVP_CIPHER_CTX *ctx; /* keyed once for each thread */
    unsigned char nonce[NONCE_BYTES] = { 0 };
    int got;

    memcpy(nonce, &index, sizeof index);
    if (!ctx) {
        ctx = EVP_CIPHER_CTX_new();
        if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL, seal) != 1)
            fail("AES-256-GCM");
    }
    if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, seal) != 1 ||
        (!seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1) ||
        EVP_CipherUpdate(ctx, to, &got, from, (int)n) != 1 || EVP_CipherFinal_ex(ctx, to + n, &got) != 1 ||
        (seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1))
        fail("a chunk");
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The sealed bytes of the mapping, in memory. */
static const char *seal(const char *plain, size_t length)
{
    size_t n_chunks = (length + CHUNK_BYTES - 1) / CHUNK_BYTES;
    unsigned char *sealed = malloc(n_chunks * (CHUNK_BYTES + TAG_BYTES));

    if (!sealed)
        fail("sealed");
    for (size_t i = 0; i < n_chunks; i++) {
        unsigned char *to = sealed + i * (CHUNK_BYTES + TAG_BYTES);

        turn(true, to, (const unsigned char *)plain + i * CHUNK_BYTES, least(CHUNK_BYTES, length - i * CHUNK_BYTES), i,
             to + CHUNK_BYTES);
    }
    return (const char *)sealed;
}

static void reply_unsealed(fuse_req_t req, const struct file *file, size_t offset, size_t n)
{
    static __thread unsigned char *page;
    size_t length = (size_t)file->st.st_size;
    size_t first = offset / CHUNK_BYTES;
    size_t end = n ? (offset + n - 1) / CHUNK_BYTES + 1 : first;

    if (!page)
        page = malloc(READ_MAX + 2 * CHUNK_BYTES);
    if (!page)
        fail("page");
    for (size_t i = first; i < end; i++) {
        unsigned char *from = (unsigned char *)file->bytes + i * (CHUNK_BYTES + TAG_BYTES);

        turn(false, page + (i - first) * CHUNK_BYTES, from, least(CHUNK_BYTES, length - i * CHUNK_BYTES), i,
             from + CHUNK_BYTES);
    }
    (void)fuse_reply_buf(req, (char *)page + offset - first * CHUNK_BYTES, n);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct file *file = file_of(ino);
    size_t length = (size_t)file->st.st_size;
    size_t left = (size_t)offset < length ? length - (size_t)offset : 0;

    (void)fi;
    if (is_sealed)
        reply_unsealed(req, file, (size_t)offset, least(size, left));
    else
        (void)fuse_reply_buf(req, file->bytes + offset, least(size, left));
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
    if (is_sealed) {
        char *plain = (char *)file->bytes;

        file->bytes = seal(plain, (size_t)file->st.st_size);
        munmap(plain, (size_t)file->st.st_size);
    }
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

    if (argc > 1 && strcmp(argv[1], "--sealed") == 0) {
        is_sealed = true;
        argc--;
        argv++;
    }
    if (argc < 3) {
        fputs("usage: bare [--sealed] DIRECTORY MOUNTPOINT [libfuse options]\n", stderr);
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
