/*
 * Requests of somebody else. The service does not say that one is a multi-download (API page 3.2), but it has an
 * archive for nothing else, and asking for that is free:
 *
 *   done, and not said to be a search  →  archive?  →  its members' digests  →  metadata  →  a multi-download of these
 *                                         none      →  a search without results
 *
 * What had been asked for stays unknown: what did not come cannot be told. A member that the service does not know has
 * that for its reason and is not unpacked; it is in the archive still.
 */
#include "cache/cache_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "util/text.h"

bool cache_may_have_archive(const struct store_request *request, const struct api_result *result)
{
    return request->kind == QUERY_HUNT && !request->entry_row && result->state == REQUEST_DONE && !result->is_search &&
           !result->has_stats && result->samples.n == 0;
}

static int ask_metadata(struct cache *cache, const struct digest *digests, size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i += CACHE_METADATA_MAX)
        r = cache_fetch_metadata(cache, digests + i, n - i < CACHE_METADATA_MAX ? n - i : CACHE_METADATA_MAX, err);
    return r;
}

static int make_asked(struct cache *cache, const struct digest *digests, size_t n, struct store_asked *asked,
                      struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct store_sample known;

        asked[i] = (struct store_asked){ .digest = digests[i] };
        r = store_sample_get(cache->store, &digests[i], &known, err);
        if (r == STORE_ABSENT || (r == 0 && known.state == STORE_SAMPLE_ABSENT))
            (void)text_copy(asked[i].reason, sizeof asked[i].reason, "the service does not know it"); /* fits */
    }
    return r < 0 ? r : 0;
}

/* 0: it is a multi-download now, through us or through another mount. API_ABSENT: there is no archive. */
static int become_multi(struct cache *cache, const struct store_request *request, struct err *err)
{
    cleanup_(freep) struct digest *digests = NULL;
    cleanup_(freep) struct store_asked *asked = NULL;
    size_t n = 0;
    int r = cache_fetch_archive(cache, &request->id, err);

    if (r != 0)
        return r;
    r = store_archive_list(cache->store, &request->id, cache_archive_password, &cache->stop_waiting, &digests, &n, err);
    if (r == STORE_ABSENT)
        r = err_set(err, EAGAIN, "the archive went away before it was read");
    if (r == 0)
        r = ask_metadata(cache, digests, n, err);
    if (r != 0)
        return r;
    asked = calloc(n + 1, sizeof *asked);
    if (!asked)
        return err_set(err, ENOMEM, "no memory for a list");
    r = make_asked(cache, digests, n, asked, err);
    if (r == 0)
        r = store_request_adopt_asked(cache->store, request->row, asked, n, err);
    return r < 0 ? r : 0;
}

int cache_adopt_archive(struct cache *cache, struct store_request *request, struct err *err)
{
    int r = become_multi(cache, request, err);

    if (r == API_ABSENT || (cache_is_odd_archive(r) && cache_is_denied(cache, &request->id)))
        r = cache_conclude_search(cache, &request->id, err);
    return r < 0 ? r : store_request_get(cache->store, &request->id, request, err);
}
