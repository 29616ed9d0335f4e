/*
 * Events: the last of them as JSON Lines in memory. They have offsets that only grow, so that a reader who was away
 * knows what it missed; when the room is used up the oldest quarter goes at once, since each drop moves the rest.
 */
#include "cache/cache_internal.h"

#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

enum { EVENT_LOG_FIELDS_MAX = 8 };

/* How a member is called in the log. */
static const struct {
    const char *key;
    enum log_key log_key;
} log_keys[] = {
    { "name", LOG_NODE },     { "id", LOG_REQUEST },  { "sha256", LOG_HASH }, { "status", LOG_STATUS },
    { "results", LOG_COUNT }, { "bytes", LOG_BYTES }, { "errno", LOG_ERRNO }, { "trace", LOG_TRACE },
};

static bool is_empty(const struct cache_word *word)
{
    return word->text && !*word->text;
}

static bool log_key_of(const char *key, enum log_key *ret_key)
{
    for (size_t i = 0; i < ARRAY_SIZE(log_keys); i++)
        if (strcmp(log_keys[i].key, key) == 0) {
            *ret_key = log_keys[i].log_key;
            return true;
        }
    return false;
}

/* The reason is what the log says in words; without one it is the event itself. */
void cache_event_log(const char *event, const struct cache_word *words, size_t n)
{
    struct log_field fields[EVENT_LOG_FIELDS_MAX] = { { .key = LOG_OP, .text = event } };
    const char *msg = event;
    size_t n_fields = 1;

    for (size_t i = 0; i < n; i++) {
        struct log_field field = { .text = words[i].text, .number = words[i].number };

        if (is_empty(&words[i]))
            continue;
        if (words[i].text && strcmp(words[i].key, "reason") == 0)
            msg = words[i].text;
        else if (n_fields < EVENT_LOG_FIELDS_MAX && log_key_of(words[i].key, &field.key))
            fields[n_fields++] = field;
    }
    log_write(LOG_LEVEL_INFO, msg, fields, n_fields);
}

/* ,"key":value, or nothing when it does not fit. */
static void put_word(struct buf *line, const struct cache_word *word)
{
    char text[CACHE_EVENT_TEXT_MAX + 1];
    size_t before = line->n;

    buf_printf(line, ",\"%s\":", word->key);
    if (word->text) {
        (void)text_copy(text, sizeof text, word->text); /* cut is fine */
        api_encode_string(line, text);
    } else {
        buf_printf(line, "%lld", (long long)word->number);
    }
    if (!line->code)
        return;
    line->code = 0;
    buf_resize(line, before);
}

static void put_line(struct buf *line, const char *event, int64_t now_s, const struct cache_word *words, size_t n)
{
    line->max = CACHE_EVENT_MAX_BYTES - strlen("}\n");
    buf_printf(line, "{\"time\":\"%s\",\"event\":\"%s\"", clock_iso(now_s).s, event);
    for (size_t i = 0; i < n; i++)
        if (!is_empty(&words[i]))
            put_word(line, &words[i]);
    line->max = CACHE_EVENT_MAX_BYTES;
    buf_puts(line, "}\n");
}

/* Makes room by forgetting the oldest quarter, up to the end of a line. */
static void drop_locked(struct cache *cache) REQUIRES(&cache->lock)
{
    struct buf *lines = &cache->event_lines;
    const char *end = memchr(lines->data + lines->n / 4, '\n', lines->n - lines->n / 4);
    size_t n;

    assert(end); /* there are whole lines only */
    n = (size_t)(end + 1 - lines->data);
    memmove(lines->data, lines->data + n, lines->n - n);
    buf_resize(lines, lines->n - n);
    cache->events.first += (int64_t)n;
}

void cache_event_add(struct cache *cache, const char *event, const struct cache_word *words, size_t n)
{
    struct buf line = BUF_INIT(CACHE_EVENT_MAX_BYTES);
    int64_t now_s = clock_now_s();
    struct buf *lines = &cache->event_lines;

    put_line(&line, event, now_s, words, n);
    if (line.n > lines->max - lines->n)
        drop_locked(cache);
    if (!line.code)
        buf_append(lines, buf_text(&line), line.n);
    lines->code = 0; /* no memory: this one is lost, the next may find some */
    cache->events.end = cache->events.first + (int64_t)lines->n;
    cache->events.last_s = now_s;
    cache->events.n++;
    cache->changes++;
    cond_broadcast(&cache->changed);
    buf_done(&line);
}

void cache_event(struct cache *cache, const char *event, const struct cache_word *words, size_t n)
{
    lock_acquire(&cache->lock);
    cache_event_add(cache, event, words, n);
    lock_release(&cache->lock);
    cache_event_log(event, words, n);
}

void cache_events(struct cache *cache, struct cache_events *ret_events)
{
    lock_acquire(&cache->lock);
    *ret_events = cache->events;
    lock_release(&cache->lock);
}

int64_t cache_events_read(struct cache *cache, int64_t offset, void *to, size_t n, size_t *ret_n)
{
    size_t left;

    lock_acquire(&cache->lock);
    if (offset < cache->events.first)
        offset = cache->events.first;
    left = offset < cache->events.end ? (size_t)(cache->events.end - offset) : 0;
    *ret_n = n < left ? n : left;
    if (*ret_n)
        memcpy(to, cache->event_lines.data + (offset - cache->events.first), *ret_n);
    lock_release(&cache->lock);
    return offset;
}
