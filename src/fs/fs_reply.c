#include "fs/fs_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

enum { ST_BLOCK_BYTES = 512, ST_BLKSIZE = 128 * 1024 };

/* What programs meet all the time and nobody needs to read in a log. */
static const int everyday[] = { ENOENT, EINTR, ENODATA, EOPNOTSUPP, EEXIST, ERANGE };

static enum log_level level_of(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(everyday); i++)
        if (everyday[i] == code)
            return LOG_LEVEL_DEBUG;
    return LOG_LEVEL_WARN;
}

void fs_reply_err(fuse_req_t req, const char *op, fuse_ino_t ino, const struct err *err)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    log_event(level_of(err->code), err->text, LOG_TEXT(LOG_OP, op), LOG_NUMBER(LOG_INO, (int64_t)ino),
              LOG_NUMBER(LOG_PROCESS, ctx->pid), LOG_NUMBER(LOG_UID, ctx->uid), LOG_NUMBER(LOG_ERRNO, err->code),
              LOG_TEXT(LOG_TRACE, err->trace));
    (void)fuse_reply_err(req, err->code); /* fails only when the caller is gone */
}

void fs_reply_code(fuse_req_t req, const char *op, fuse_ino_t ino, int code)
{
    struct err err = { 0 };

    (void)err_set(&err, code, "%s", strerrordesc_np(code)); /* the code is what counts */
    fs_reply_err(req, op, ino, &err);
}

void fs_fill_stat(const struct fs *fs, const struct tree_attr *attr, struct stat *st)
{
    *st = (struct stat){ 0 };
    st->st_ino = attr->ino;
    st->st_mode = attr->mode;
    st->st_nlink = attr->nlink;
    st->st_uid = fs->uid;
    st->st_gid = fs->gid;
    st->st_size = attr->size;
    st->st_blksize = ST_BLKSIZE;
    st->st_blocks = (attr->size + ST_BLOCK_BYTES - 1) / ST_BLOCK_BYTES; /* 0 would look like a hole */
    st->st_mtim.tv_sec = attr->mtime_s;
    st->st_ctim.tv_sec = attr->mtime_s;
    st->st_atim.tv_sec = attr->mtime_s;
}

void fs_fill_entry(const struct fs *fs, const struct tree_attr *attr, struct fuse_entry_param *entry)
{
    *entry = (struct fuse_entry_param){ 0 };
    entry->ino = attr->ino;
    entry->generation = 1;
    entry->attr_timeout = (double)attr->attr_ttl_ms / 1000;
    entry->entry_timeout = (double)attr->entry_ttl_ms / 1000;
    fs_fill_stat(fs, attr, &entry->attr);
}

void fs_fill_open(struct fuse_file_info *fi, const struct tree_open *opened)
{
    fi->direct_io = opened->is_live;
    fi->nonseekable = opened->is_stream;
    fi->keep_cache = opened->is_immutable;
    fi->noflush = opened->is_immutable; /* nothing to say at close: one round trip less */
}

void *fs_buffer_take(struct fs *fs)
{
    struct fs_buffers *buffers = &fs->buffers;
    void *buffer = NULL;

    lock_acquire(&buffers->lock);
    if (buffers->n > 0)
        buffer = buffers->idle[--buffers->n];
    lock_release(&buffers->lock);
    return buffer ? buffer : malloc(FS_READ_MAX);
}

void fs_buffer_give(struct fs *fs, void *buffer)
{
    struct fs_buffers *buffers = &fs->buffers;

    lock_acquire(&buffers->lock);
    if (buffers->n < FS_BUFFERS_MAX) {
        buffers->idle[buffers->n++] = buffer;
        buffer = NULL;
    }
    lock_release(&buffers->lock);
    free(buffer);
}
