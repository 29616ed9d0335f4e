#include "tree/tree_internal.h"

#include <errno.h>

#include "util/text.h"

static int find_request(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                        struct subject *ret_subject, struct err *err)
{
    struct request_id id;

    (void)spec;
    (void)tree; /* any id resolves; getattr asks the service for one that we do not know */
    (void)parent;
    (void)err;
    if (!request_id_parse(name, &id))
        return TREE_ABSENT;
    *ret_subject = (struct subject){ .kind = SUBJECT_REQUEST };
    (void)text_copy(ret_subject->text, sizeof ret_subject->text, id.s); /* shorter */
    return 0;
}

static int attr_request(struct tree *tree, const struct subject *subject, bool is_lookup, struct tree_attr *attr,
                        struct need *need, struct err *err)
{
    struct store_request request;
    struct request_id id;
    int r;

    if (!request_id_parse(subject->text, &id))
        return TREE_ABSENT;
    r = store_request_get(tree->store, &id, &request, err);
    if (r == 0)
        attr->mtime_s = request.finished_s ? request.finished_s : request.submitted_s;
    if (r <= 0 || is_lookup)
        return r < 0 ? r : 0;
    if (request_id_is_local(&id))
        return TREE_ABSENT; /* ours, and forgotten: the service never knew it */
    *need = (struct need){ .kind = NEED_REQUEST, .request = id };
    return TREE_NEED;
}

struct requests {
    struct listing *listing;
    const struct node_spec *spec;
};

static int list_request(void *closure, const struct store_request *request)
{
    const struct requests *requests = closure;

    listing_add_name(requests->listing, requests->spec, request->id.s);
    return 0;
}

static int list_requests(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                         struct listing *listing, struct err *err)
{
    struct requests requests = { .listing = listing, .spec = spec };

    (void)subject;
    return store_request_list(tree->store, false, list_request, &requests, err);
}

int request_forget(struct tree *tree, const struct store_request *request, struct err *err)
{
    int r = store_request_delete(tree->store, request->row, err);

    if (r < 0)
        return r;
    CACHE_EVENT(tree->cache, "forgotten", CACHE_TEXT("id", request->id.s));
    return 0;
}

static int remove_request(struct tree *tree, const struct subject *subject, struct err *err)
{
    struct view view;
    int r = view_load(tree, subject, &view, err);

    if (r == 0 && view.request.state == REQUEST_INPROGRESS) /* the service lists nothing: its id would be lost */
        r = err_set(err, EBUSY, "it is in progress; `echo forget > ctl` forgets it all the same");
    return r == 0 ? request_forget(tree, &view.request, err) : r;
}

const struct node_ops dir_requests = {
    .find = find_request, .attr = attr_request, .list = list_requests, .remove = remove_request
};
