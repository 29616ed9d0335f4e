#include "http/http_pool.h"

#include <errno.h>
#include <stdlib.h>

static void handle_free(struct http_handle *handle)
{
    if (handle->easy)
        curl_easy_cleanup(handle->easy);
    if (handle->multi)
        (void)curl_multi_cleanup(handle->multi); /* no transfer is in it */
    free(handle);
}
DEFINE_CLEANUP(struct http_handle *, handle_free)

static int handle_new(struct http_handle **ret_handle, struct err *err)
{
    cleanup_(handle_freep) struct http_handle *handle = calloc(1, sizeof *handle);

    if (handle) {
        list_init(&handle->entry);
        handle->easy = curl_easy_init();
        handle->multi = curl_multi_init();
    }
    if (!handle || !handle->easy || !handle->multi ||
        curl_multi_setopt(handle->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK)
        return err_set(err, ENOMEM, "no memory for a connection");
    *ret_handle = steal_ptr(&handle);
    return 0;
}

void http_pool_init(struct http_pool *pool)
{
    lock_init(&pool->lock, LOCK_HTTP);
    list_init(&pool->idle);
    list_init(&pool->running);
}

void http_pool_done(struct http_pool *pool)
{
    assert(list_is_empty(&pool->running));
    list_for_each (entry, &pool->idle)
        handle_free(container_of(entry, struct http_handle, entry));
    lock_done(&pool->lock);
}

static struct http_handle *take_idle(struct http_pool *pool)
{
    struct http_handle *handle = NULL;

    lock_acquire(&pool->lock);
    if (!list_is_empty(&pool->idle)) {
        handle = container_of(pool->idle.prev, struct http_handle, entry);
        list_remove(&handle->entry);
        list_add_tail(&pool->running, &handle->entry);
    }
    lock_release(&pool->lock);
    return handle;
}

int http_pool_take(struct http_pool *pool, struct http_handle **ret_handle, struct err *err)
{
    struct http_handle *handle = take_idle(pool);

    if (!handle) {
        int r = handle_new(&handle, err);

        if (r < 0)
            return r;
        lock_acquire(&pool->lock);
        list_add_tail(&pool->running, &handle->entry);
        lock_release(&pool->lock);
    }
    *ret_handle = handle;
    return 0;
}

void http_pool_give(struct http_pool *pool, struct http_handle *handle)
{
    curl_easy_reset(handle->easy);
    lock_acquire(&pool->lock);
    list_remove(&handle->entry);
    list_add_tail(&pool->idle, &handle->entry);
    lock_release(&pool->lock);
}

void http_pool_wake(struct http_pool *pool)
{
    lock_acquire(&pool->lock);
    list_for_each (entry, &pool->running)
        (void)curl_multi_wakeup(container_of(entry, struct http_handle, entry)->multi); /* it may be awake already */
    lock_release(&pool->lock);
}
