/*
 * The FUSE operations, in the order of struct fuse_lowlevel_ops, each of one shape: decode, one call of the tree, one
 * reply. Those that may lack something are calls that can be parked (fs_park.c); the others always answer at once.
 */
#include "fs/fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

static struct caller caller_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct caller){ .uid = ctx->uid, .pid = ctx->pid };
}

static void fs_op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct fs *fs = userdata;

    /* Sizes and bytes of samples never change; what changes is direct_io. */
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    if (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA)
        conn->want |= FUSE_CAP_EXPLICIT_INVAL_DATA;
    /* Always with attributes: `auto` misses the first listing (3.2 times native instead of 0.73). */
    if (conn->capable & FUSE_CAP_READDIRPLUS)
        conn->want |= FUSE_CAP_READDIRPLUS;
    conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
    conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE; /* it would hide write errors until after close */
#ifdef FUSE_CAP_PARALLEL_DIROPS
    if (conn->capable & FUSE_CAP_PARALLEL_DIROPS)
        conn->want |= FUSE_CAP_PARALLEL_DIROPS;
#endif
    conn->max_background = FS_BACKGROUND_MAX;
    conn->max_read = FS_READ_MAX; /* the same as the mount option */
    conn->max_readahead = FS_READ_MAX;
    fs_backing_agree(fs, conn);
    if (fs->config.ready)
        fs->config.ready(fs->config.closure);
}

static void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param entry;
    struct tree_attr attr;
    struct err err = { 0 };

    if (tree_lookup(fs->tree, parent, name, &attr, &err) < 0) {
        fs_reply_err(req, "lookup", parent, &err);
        return;
    }
    fs_fill_entry(fs, &attr, &entry);
    if (fuse_reply_entry(req, &entry) != 0)
        tree_forget(fs->tree, attr.ino, 1); /* the kernel never saw it */
}

static void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
    tree_forget(fs_of(req)->tree, ino, n_lookups);
    fuse_reply_none(req);
}

static int run_getattr(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    struct tree_attr attr;
    struct stat st;
    int r = tree_getattr(fs->tree, call->ino, call->has_fi ? handle_of(&call->fi) : NULL, &attr, need, err);

    if (r != 0)
        return r;
    fs_fill_stat(fs, &attr, &st);
    (void)fuse_reply_attr(call->req, &st, (double)attr.attr_ttl_ms / 1000); /* fails only when the caller is gone */
    return 0;
}

static void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "getattr", run_getattr, ino, fi);

    if (call)
        fs_call_begin(fs, call);
}

static void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct caller who = caller_of(req);
    struct fs_call *call;
    struct need need = { 0 };
    struct err err = { 0 };
    int r;

    /* Mode, owner and times of a user's file are accepted and not kept: cp -p and editors must not fail. */
    if (to_set & FUSE_SET_ATTR_SIZE)
        r = tree_truncate(fs->tree, ino, fi ? handle_of(fi) : NULL, st->st_size, &who, &need, &err);
    else
        r = tree_is_writable(fs->tree, ino, &err);
    if (r < 0) {
        fs_reply_err(req, "setattr", ino, &err);
        return;
    }
    if (r == TREE_NEED)
        fs_job_background(fs, &need);
    call = fs_call_new(fs, req, "setattr", run_getattr, ino, fi);
    if (call)
        fs_call_begin(fs, call);
}

/* Links and devices are not made by users; EPERM in their own directories, EROFS elsewhere. */
static void refuse(fuse_req_t req, const char *op, fuse_ino_t parent)
{
    struct err err = { 0 };

    if (tree_is_writable(fs_of(req)->tree, parent, &err) == 0)
        (void)err_set(&err, EPERM, "only files can be made here"); /* the code is in err */
    fs_reply_err(req, op, parent, &err);
}

static void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    (void)name;
    (void)mode;
    (void)device;
    refuse(req, "mknod", parent);
}

/* The first round makes it, or what it waits for; then it is there. */
static int run_mkdir(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    struct fuse_entry_param entry;
    struct caller who = caller_of(call->req);
    struct tree_attr attr;
    int r = call->rounds > 0 ? 0 : tree_mkdir(fs->tree, call->ino, call->name, &who, need, err);

    if (r == 0)
        r = tree_lookup(fs->tree, call->ino, call->name, &attr, err);
    if (r != 0)
        return r;
    fs_fill_entry(fs, &attr, &entry);
    if (fuse_reply_entry(call->req, &entry) != 0)
        tree_forget(fs->tree, attr.ino, 1); /* the kernel never saw it */
    return 0;
}

static void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "mkdir", run_mkdir, parent, NULL);

    (void)mode; /* directories have one mode */
    if (!call)
        return;
    call->name = strdup(name);
    if (!call->name) {
        fs_reply_code(req, "mkdir", parent, ENOMEM);
        fs_call_free(call);
        return;
    }
    fs_call_begin(fs, call);
}

static void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct err err = { 0 };

    if (tree_unlink(fs_of(req)->tree, parent, name, &err) < 0)
        fs_reply_err(req, "unlink", parent, &err);
    else
        (void)fuse_reply_err(req, 0); /* fails only when the caller is gone */
}

static void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct err err = { 0 };

    if (tree_rmdir(fs_of(req)->tree, parent, name, &err) < 0)
        fs_reply_err(req, "rmdir", parent, &err);
    else
        (void)fuse_reply_err(req, 0); /* fails only when the caller is gone */
}

static void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target;
    (void)name;
    refuse(req, "symlink", parent);
}

static int run_rename(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    struct tree_rename how = { .is_exclusive = call->flags & RENAME_NOREPLACE,
                               .is_met = call->rounds > 0,
                               .who = caller_of(call->req) };
    int r = tree_rename(fs->tree, call->ino, call->name, call->new_parent, call->new_name, &how, need, err);

    if (r == 0)
        (void)fuse_reply_err(call->req, 0); /* fails only when the caller is gone */
    return r;
}

static void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                         const char *new_name, unsigned int flags)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call;

    if (flags & ~(unsigned)RENAME_NOREPLACE) {
        fs_reply_code(req, "rename", parent, EINVAL);
        return;
    }
    call = fs_call_new(fs, req, "rename", run_rename, parent, NULL);
    if (!call)
        return;
    call->new_parent = new_parent;
    call->flags = (int)flags;
    call->name = strdup(name);
    call->new_name = strdup(new_name);
    if (!call->name || !call->new_name) {
        fs_reply_code(req, "rename", parent, ENOMEM);
        fs_call_free(call);
        return;
    }
    fs_call_begin(fs, call);
}

static void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    (void)ino;
    (void)new_name;
    refuse(req, "link", new_parent);
}

static int run_open(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    struct handle *handle = NULL;
    struct tree_open opened;
    struct err ignored = { 0 };
    struct need nobody;
    struct caller who = caller_of(call->req);
    int r = tree_open(fs->tree, call->ino, call->fi.flags, &who, &handle, &opened, need, err);

    if (r != 0)
        return r;
    call->fi.fh = (uintptr_t)handle;
    fs_fill_open(&call->fi, &opened);
    r = fs_backing_open(fs, call->ino, &opened, &call->fi, err);
    if (r == 0 && fuse_reply_open(call->req, &call->fi) == 0)
        return 0;
    if (r == 0)
        fs_backing_close(fs, call->ino);                     /* an interrupted open gets no release */
    (void)tree_release(fs->tree, handle, &nobody, &ignored); /* nothing is dirty */
    return r;
}

static void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "open", run_open, ino, fi);

    if (call)
        fs_call_begin(fs, call);
}

static int run_read(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    size_t size = call->size < FS_READ_MAX ? call->size : FS_READ_MAX;
    void *buffer = fs_buffer_take(fs);
    size_t n = 0;
    int r;

    if (!buffer)
        return err_set(err, ENOMEM, "no memory for a reply");
    r = tree_read(fs->tree, handle_of(&call->fi), call->offset, buffer, size, &n, need, err);
    if (r == 0)
        (void)fuse_reply_buf(call->req, buffer, n); /* fails only when the caller is gone */
    fs_buffer_give(fs, buffer);
    return r;
}

static void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "read", run_read, ino, fi);

    if (!call)
        return;
    call->size = size;
    call->offset = offset;
    fs_call_begin(fs, call);
}

/* Bytes are taken at once; only the verdict of a command can be waited for, and then there is nothing to write again.
 */
static int run_write(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    int r = call->rounds > 0
                ? 0
                : tree_write(fs->tree, handle_of(&call->fi), call->offset, call->data, call->size, need, err);

    call->data = NULL; /* libfuse's, gone after the first round */
    if (r == 0)
        (void)fuse_reply_write(call->req, call->size); /* fails only when the caller is gone */
    return r;
}

static void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                        struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "write", run_write, ino, fi);

    if (!call)
        return;
    call->data = data;
    call->size = size;
    call->offset = offset;
    fs_call_begin(fs, call);
}

static int run_flush(struct fs *fs, struct fs_call *call, struct need *need, struct err *err)
{
    int r = tree_flush(fs->tree, handle_of(&call->fi), fuse_req_ctx(call->req)->pid, need, err);

    if (r == 0)
        (void)fuse_reply_err(call->req, 0); /* fails only when the caller is gone */
    return r;
}

static void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs_call_new(fs, req, "flush", run_flush, ino, fi);

    if (call)
        fs_call_begin(fs, call);
}

static void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct need need = { 0 };
    struct err err = { 0 };
    int r;

    fs_poll_forget(fs, handle_of(fi));
    fs_backing_close(fs, ino);
    r = tree_release(fs->tree, handle_of(fi), &need, &err);
    if (r == TREE_NEED)
        fs_job_background(fs, &need);
    if (r < 0)
        fs_reply_err(req, "release", ino, &err);
    else
        (void)fuse_reply_err(req, 0); /* nobody reads it */
}

static void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    (void)ino;
    (void)data_only;
    (void)fi;
    (void)fuse_reply_err(req, 0); /* durability comes with close(); failing here breaks vim and VS Code */
}

static void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    enum tree_listing listing;
    struct handle *handle = NULL;
    struct err err = { 0 };

    if (tree_opendir(fs->tree, ino, &handle, &listing, &err) < 0) {
        fs_reply_err(req, "opendir", ino, &err);
        return;
    }
    fi->fh = (uintptr_t)handle;
    fi->cache_readdir = listing != TREE_LISTING_LIVE;
    fi->keep_cache = listing == TREE_LISTING_KEPT;
    if (fuse_reply_open(req, fi) != 0)
        tree_releasedir(fs->tree, handle); /* an interrupted open gets no release */
}

/* A READDIR reply that is being filled. */
struct page {
    fuse_req_t req;
    struct fs *fs;
    bool is_plus;
    char *data;
    size_t n;
    size_t room;
};

static int add_entry(void *closure, const char *name, const struct tree_attr *attr, bool has_attr, int64_t next)
{
    struct page *page = closure;
    struct fuse_entry_param entry = { 0 };
    size_t left = page->room - page->n;
    size_t n;

    fs_fill_entry(page->fs, attr, &entry);
    if (page->is_plus) {
        if (!has_attr)
            entry.ino = 0; /* name and type only: no lookup count */
        n = fuse_add_direntry_plus(page->req, page->data + page->n, left, name, &entry, next);
    } else {
        n = fuse_add_direntry(page->req, page->data + page->n, left, name, &entry.attr, next);
    }
    if (n > left) {
        if (has_attr)
            tree_forget(page->fs->tree, attr->ino, 1);
        return 1;
    }
    page->n += n;
    return 0;
}

static void list_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi, bool is_plus)
{
    struct fs *fs = fs_of(req);
    struct page page = { .req = req, .fs = fs, .is_plus = is_plus, .room = size < FS_LIST_MAX ? size : FS_LIST_MAX };
    struct err err = { 0 };

    page.data = malloc(page.room);
    if (!page.data) {
        fs_reply_code(req, "readdir", ino, ENOMEM);
        return;
    }
    if (tree_list(fs->tree, handle_of(fi), offset, is_plus, add_entry, &page, &err) < 0)
        fs_reply_err(req, "readdir", ino, &err);
    else
        (void)fuse_reply_buf(req, page.data, page.n); /* fails only when the caller is gone */
    free(page.data);
}

static void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list_dir(req, ino, size, offset, fi, false);
}

static void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    tree_releasedir(fs_of(req)->tree, handle_of(fi));
    (void)fuse_reply_err(req, 0); /* nobody reads it */
}

static void fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    enum { BLOCK = 4096 };
    struct tree_statfs usage;
    int64_t unused;
    struct statvfs st = { .f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = TREE_NAME_MAX };

    (void)ino;
    tree_statfs(fs_of(req)->tree, &usage);
    unused = usage.bytes_total - usage.bytes_used;
    st.f_blocks = (fsblkcnt_t)((usage.bytes_total + BLOCK - 1) / BLOCK);
    st.f_bfree = (fsblkcnt_t)(unused > 0 ? unused / BLOCK : 0);
    st.f_bavail = (fsblkcnt_t)(usage.bytes_free / BLOCK); /* less, when others have filled the disk */
    st.f_files = (fsfilcnt_t)usage.downloads_limit;       /* df -i shows the month's downloads */
    st.f_ffree = (fsfilcnt_t)(usage.downloads_left > 0 ? usage.downloads_left : 0);
    st.f_favail = st.f_ffree;
    (void)fuse_reply_statfs(req, &st); /* fails only when the caller is gone */
}

static void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    fs_reply_code(req, "setxattr", ino, EOPNOTSUPP); /* cp -p and install go on without ACLs */
}

/* A value or a list of names into a buffer of `size` bytes; size 0 asks how large it has to be. */
static void reply_xattr(fuse_req_t req, const char *op, fuse_ino_t ino, const struct buf *value, size_t size)
{
    if (size == 0)
        (void)fuse_reply_xattr(req, value->n); /* fails only when the caller is gone */
    else if (value->n > size)
        fs_reply_code(req, op, ino, ERANGE);
    else
        (void)fuse_reply_buf(req, buf_text(value), value->n); /* fails only when the caller is gone */
}

static void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct buf value = { 0 };
    struct err err = { 0 };

    if (tree_xattr_get(fs_of(req)->tree, ino, name, &value, &err) < 0)
        fs_reply_err(req, "getxattr", ino, &err); /* never ENOSYS: the kernel would not ask again */
    else
        reply_xattr(req, "getxattr", ino, &value, size);
    buf_done(&value);
}

static void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct buf names = { 0 };
    struct err err = { 0 };

    if (tree_xattr_list(fs_of(req)->tree, ino, &names, &err) < 0)
        fs_reply_err(req, "listxattr", ino, &err);
    else
        reply_xattr(req, "listxattr", ino, &names, size);
    buf_done(&names);
}

static void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)name;
    fs_reply_code(req, "removexattr", ino, EOPNOTSUPP); /* as for setting one */
}

static void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param entry;
    struct handle *handle = NULL;
    struct tree_attr attr;
    struct need nobody;
    struct err err = { 0 };
    struct tree_open opened = { .is_live = true };
    struct caller who = caller_of(req);

    (void)mode; /* user's files have one mode */
    if (tree_create(fs->tree, parent, name, fi->flags, &who, &attr, &handle, &err) < 0) {
        fs_reply_err(req, "create", parent, &err);
        return;
    }
    fi->fh = (uintptr_t)handle;
    fs_fill_open(fi, &opened);
    fs_fill_entry(fs, &attr, &entry);
    if (fuse_reply_create(req, &entry, fi) != 0) {
        (void)tree_release(fs->tree, handle, &nobody, &err); /* nothing is dirty yet */
        tree_forget(fs->tree, attr.ino, 1);
    }
}

static void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        tree_forget(fs_of(req)->tree, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list_dir(req, ino, size, offset, fi, true);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = fs_op_init,
    .lookup = fs_op_lookup,
    .forget = fs_op_forget,
    .getattr = fs_op_getattr,
    .setattr = fs_op_setattr,
    .mknod = fs_op_mknod,
    .mkdir = fs_op_mkdir,
    .unlink = fs_op_unlink,
    .rmdir = fs_op_rmdir,
    .symlink = fs_op_symlink,
    .rename = fs_op_rename,
    .link = fs_op_link,
    .open = fs_op_open,
    .read = fs_op_read,
    .write = fs_op_write,
    .flush = fs_op_flush,
    .release = fs_op_release,
    .fsync = fs_op_fsync,
    .opendir = fs_op_opendir,
    .readdir = fs_op_readdir,
    .releasedir = fs_op_releasedir,
    .statfs = fs_op_statfs,
    .setxattr = fs_op_setxattr,
    .getxattr = fs_op_getxattr,
    .listxattr = fs_op_listxattr,
    .removexattr = fs_op_removexattr,
    .create = fs_op_create,
    .poll = fs_op_poll,
    .forget_multi = fs_op_forget_multi,
    .readdirplus = fs_op_readdirplus,
};
