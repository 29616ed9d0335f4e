/*
 * Extended attributes: what is known of a sample, or of a request, for every tool that reads them. Each is a row of a
 * table; a row that puts nothing is an attribute that does not exist. Memory and disk only: `getfattr -R` over all
 * results asks the service for nothing.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "util/clock.h"

#define XATTR_PREFIX "user.malquery."

enum {
    XATTR_VALUE_MAX = 8 * KIB, /* bytes; a family has up to SAMPLE_FAMILY_MAX */
    XATTR_REQUESTS_MAX = 200,  /* ids in `requests`, the oldest; they fit into a value */
};

/* What a node shows is about. */
struct about {
    struct tree *tree;
    struct store_sample sample; /* only the digest when nothing is known */
    struct view view;
};

/* Appends the value, or nothing. */
typedef int xattr_put(const struct about *about, struct buf *value, struct err *err);

struct xattr {
    const char *name; /* without the prefix */
    xattr_put *put;
};

/* ---- samples ---- */

static int put_sha256(const struct about *about, struct buf *value, struct err *err)
{
    (void)err;
    buf_puts(value, digest_format(&about->sample.sample.digest).s);
    return 0;
}

static int put_first_seen(const struct about *about, struct buf *value, struct err *err)
{
    (void)err;
    if (about->sample.sample.first_seen_s != SAMPLE_NO_DATE)
        buf_puts(value, clock_date(about->sample.sample.first_seen_s).s);
    return 0;
}

static int put_state(const struct about *about, struct buf *value, struct err *err)
{
    (void)err;
    buf_puts(value, sample_state(about->tree, &about->sample));
    return 0;
}

struct ids {
    struct buf *value;
    int n;
};

static int add_id(void *closure, const struct store_request *request)
{
    struct ids *ids = closure;

    if (ids->n++ > 0)
        buf_putc(ids->value, ',');
    buf_puts(ids->value, request->id.s);
    return ids->n == XATTR_REQUESTS_MAX;
}

static int put_requests(const struct about *about, struct buf *value, struct err *err)
{
    struct ids ids = { .value = value };
    int r = store_request_list_sample(about->tree->store, &about->sample.sample.digest, add_id, &ids, err);

    return r < 0 ? r : 0;
}

#define PUT_TEXT(text, field)                                                                                          \
    static int put_##text(const struct about *about, struct buf *value, struct err *err)                               \
    {                                                                                                                  \
        (void)err;                                                                                                     \
        buf_puts(value, about->field);                                                                                 \
        return 0;                                                                                                      \
    }

PUT_TEXT(sha1, sample.sample.sha1)
PUT_TEXT(md5, sample.sample.md5)
PUT_TEXT(filetype, sample.sample.filetype)
PUT_TEXT(label, sample.sample.label)
PUT_TEXT(family, sample.sample.family)
PUT_TEXT(error, sample.error)

static const struct xattr of_sample[] = {
    { "sha256", put_sha256 },         { "sha1", put_sha1 },   { "md5", put_md5 },
    { "filetype", put_filetype },     { "label", put_label }, { "family", put_family },
    { "first_seen", put_first_seen }, { "state", put_state }, { "requests", put_requests },
    { "error", put_error },
};

/* ---- the directory of a hunt, a search or a request ---- */

static int put_id(const struct about *about, struct buf *value, struct err *err)
{
    (void)err;
    if (about->view.has_request)
        buf_puts(value, about->view.request.id.s);
    return 0;
}

static int put_status(const struct about *about, struct buf *value, struct err *err)
{
    char line[STORE_ERROR_MAX + 128];

    (void)err;
    view_status(&about->view, line, sizeof line);
    buf_puts(value, line);
    return 0;
}

static const struct xattr of_request[] = {
    { "id", put_id },
    { "status", put_status },
};

/* ---- nodes ---- */

struct xattrs {
    const struct xattr *rows;
    size_t n;
};

/* Which attributes the node may have, and what they are about. */
static int load(struct tree *tree, uint64_t ino, struct about *ret_about, struct xattrs *ret_xattrs, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;
    int r = 0;

    *ret_about = (struct about){ .tree = tree };
    *ret_xattrs = (struct xattrs){ .n = 0 };
    if (!node_copy(tree, ino, &spec, &subject))
        return err_set(err, ESTALE, "unknown inode");
    if (subject.kind == SUBJECT_DIGEST) {
        *ret_xattrs = (struct xattrs){ of_sample, ARRAY_SIZE(of_sample) };
        r = store_sample_get(tree->store, &subject.digest, &ret_about->sample, err);
        if (r == STORE_ABSENT)
            ret_about->sample.sample = (struct sample){ .digest = subject.digest,
                                                        .first_seen_s = SAMPLE_NO_DATE,
                                                        .size_bytes = SAMPLE_NO_SIZE };
    } else if (!spec->name && S_ISDIR(spec->mode)) {
        r = view_load(tree, &subject, &ret_about->view, err);
        if (r == 0)
            *ret_xattrs = (struct xattrs){ of_request, ARRAY_SIZE(of_request) };
    }
    return r < 0 ? r : 0;
}

/* Names that other programs ask every file for, and that no file here will ever have, are answered without a look. */
static int refuse(const char *name, struct err *err)
{
    bool may_exist = strncmp(name, "user.", strlen("user.")) == 0 || strncmp(name, "trusted.", strlen("trusted.")) == 0;

    return may_exist ? err_set(err, ENODATA, "no such attribute")
                     : err_set(err, ENOTSUP, "no attributes of this kind here");
}

int tree_xattr_get(struct tree *tree, uint64_t ino, const char *name, struct buf *ret_value, struct err *err)
{
    struct xattrs xattrs;
    struct about about;
    int r;

    if (strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
        return refuse(name, err);
    r = load(tree, ino, &about, &xattrs, err);
    if (r < 0)
        return r;
    ret_value->max = XATTR_VALUE_MAX;
    for (size_t i = 0; i < xattrs.n; i++) {
        if (strcmp(xattrs.rows[i].name, name + strlen(XATTR_PREFIX)) != 0)
            continue;
        r = xattrs.rows[i].put(&about, ret_value, err);
        if (r == 0)
            r = buf_check(ret_value, err, "the attribute");
        if (r < 0 || ret_value->n > 0)
            return r;
    }
    return refuse(name, err);
}

int tree_xattr_list(struct tree *tree, uint64_t ino, struct buf *ret_names, struct err *err)
{
    struct buf value = BUF_INIT(XATTR_VALUE_MAX);
    struct xattrs xattrs;
    struct about about;
    int r = load(tree, ino, &about, &xattrs, err);

    ret_names->max = XATTR_VALUE_MAX;
    for (size_t i = 0; r == 0 && i < xattrs.n; i++) {
        buf_clear(&value);
        r = xattrs.rows[i].put(&about, &value, err);
        if (r == 0 && value.n > 0) {
            buf_puts(ret_names, XATTR_PREFIX);
            buf_puts(ret_names, xattrs.rows[i].name);
            buf_putc(ret_names, '\0');
        }
    }
    buf_done(&value);
    return r < 0 ? r : buf_check(ret_names, err, "the names of attributes");
}
