/*
 * An archive lies on a shelf of its own and is named by its request: the digest in its header is that of a label and
 * the id, which no sample can have. In all else it is an object like a sample.
 */
#include <stdio.h>

#include "store/store_internal.h"

static const char label[] = "malqueryfs archive of request ";

CHECKED static int name_of(const struct request_id *id, struct digest *ret_digest, struct err *err)
{
    char text[sizeof label + REQUEST_ID_TEXT];
    int n = snprintf(text, sizeof text, "%s%s", label, id->s); /* fits */

    return digest_of(text, (size_t)n, ret_digest, err);
}

int store_archive_begin(struct store *store, const struct request_id *id, struct store_writer **ret_writer,
                        struct err *err)
{
    struct digest digest;
    int r = name_of(id, &digest, err);

    return r < 0 ? r : store_writer_begin_on(store, SHELF_ARCHIVES, &digest, ret_writer, err);
}

int store_archive_open(struct store *store, const struct request_id *id, struct store_object **ret_object,
                       struct err *err)
{
    struct digest digest;
    int r = name_of(id, &digest, err);

    return r < 0 ? r : store_object_open_on(store, SHELF_ARCHIVES, &digest, ret_object, err);
}

int store_archive_look(struct store *store, const struct request_id *id, int64_t *ret_bytes, struct err *err)
{
    struct digest digest;
    int r = name_of(id, &digest, err);

    return r < 0 ? r : store_object_look_on(store, SHELF_ARCHIVES, &digest, ret_bytes, err);
}
