#include "engine/engine_render.h"

#include <string.h>
#include <sys/random.h>

#include "util/clock.h"
#include "util/text.h"

enum { VIEW_FIELDS_MAX = 8 };

static const unsigned orders[][VIEW_FIELDS_MAX] = {
    [VIEW_METADATA] = { FIELD_SHA256, FIELD_SHA1, FIELD_MD5, FIELD_FILESIZE, FIELD_LABEL, FIELD_FAMILY,
                        FIELD_FIRST_SEEN, FIELD_FILETYPE },
    [VIEW_POLL] = { FIELD_SHA256, FIELD_SHA1, FIELD_MD5, FIELD_FILESIZE, FIELD_FAMILY, FIELD_FIRST_SEEN, FIELD_FILETYPE,
                    FIELD_LABEL },
    [VIEW_FUZZY] = { FIELD_SHA256, FIELD_SHA1, FIELD_MD5, FIELD_FILESIZE, FIELD_FAMILY, FIELD_FIRST_SEEN,
                     FIELD_FILETYPE, FIELD_LABEL },
};

/* Absent when empty. */
static void put_text(json_object *object, const char *name, const char *text)
{
    if (*text)
        engine_json_put(object, name, json_object_new_string(text));
}

static void put_field(json_object *object, const struct sample *s, enum engine_field field)
{
    switch (field) {
    case FIELD_SHA256:
        put_text(object, "sha256", digest_format(&s->digest).s);
        break;
    case FIELD_SHA1:
        put_text(object, "sha1", s->sha1);
        break;
    case FIELD_MD5:
        put_text(object, "md5", s->md5);
        break;
    case FIELD_FILESIZE:
        engine_json_put(object, "filesize", json_object_new_int64(s->size_bytes));
        break;
    case FIELD_LABEL:
        put_text(object, "label", s->label);
        break;
    case FIELD_FAMILY:
        put_text(object, "family", s->family);
        break;
    case FIELD_FIRST_SEEN:
        put_text(object, "first_seen", clock_date(s->first_seen_s).s);
        break;
    case FIELD_FILETYPE:
        put_text(object, "filetype", s->filetype);
        break;
    case FIELD_ALL:
        break;
    }
}

json_object *engine_render_sample(const struct sample *sample, unsigned wanted, enum engine_view view)
{
    json_object *object = json_object_new_object();

    for (size_t i = 0; i < VIEW_FIELDS_MAX; i++)
        if (wanted & orders[view][i])
            put_field(object, sample, (enum engine_field)orders[view][i]);
    if (view == VIEW_POLL)
        engine_json_put(object, "samples", json_object_new_array());
    return object;
}

json_object *engine_render_samples(const struct engine_samples *samples, unsigned wanted, enum engine_view view)
{
    json_object *array = json_object_new_array();

    for (size_t i = 0; i < samples->n; i++) {
        json_object *object = engine_render_sample(&samples->items[i], wanted, view);

        if (json_object_array_add(array, object) != 0)
            json_object_putp(&object);
    }
    return array;
}

enum stat_kind { STAT_CLEAN, STAT_MALWARE, STAT_PUA, STAT_UNKNOWN, STAT_N };

static enum stat_kind stat_of_label(const char *label)
{
    static const char *const labels[] = { [STAT_CLEAN] = "clean", [STAT_MALWARE] = "malware", [STAT_PUA] = "pua" };

    for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
        if (strcmp(label, labels[i]) == 0)
            return (enum stat_kind)i;
    return STAT_UNKNOWN;
}

json_object *engine_render_stats(const struct engine_samples *samples, unsigned wanted, size_t total)
{
    json_object *object = json_object_new_object();
    size_t counts[STAT_N] = { 0 };

    for (size_t i = 0; i < samples->n; i++)
        counts[wanted & FIELD_LABEL ? stat_of_label(samples->items[i].label) : STAT_UNKNOWN]++;
    engine_json_put(object, "clean_count", json_object_new_int64((int64_t)counts[STAT_CLEAN]));
    engine_json_put(object, "malware_count", json_object_new_int64((int64_t)counts[STAT_MALWARE]));
    engine_json_put(object, "pua_count", json_object_new_int64((int64_t)counts[STAT_PUA]));
    engine_json_put(object, "total_count", json_object_new_int64((int64_t)total));
    engine_json_put(object, "unknown_count", json_object_new_int64((int64_t)counts[STAT_UNKNOWN]));
    return object;
}

json_object *engine_render_error(int code, const char *message, const char *id)
{
    json_object *object = json_object_new_object();

    engine_json_put(object, "code", json_object_new_int(code));
    if (id)
        engine_json_put(object, "id", json_object_new_string(id));
    engine_json_put(object, "message", json_object_new_string(message));
    return object;
}

struct request_id engine_render_id(void)
{
    static const char digits[] = "0123456789abcdef";
    static const int groups[] = { 8, 4, 4, 4, 12 };
    struct request_id id = { "" };
    uint8_t bytes[REQUEST_ID_TEXT] = { 0 };
    size_t at = 0;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        (void)memset(bytes, 0, sizeof bytes); /* no early boot: getrandom() of so few bytes does not fail */
    for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
        for (int i = 0; i < groups[g]; i++, at++)
            id.s[at] = digits[g == 2 && i == 0 ? 4 : bytes[at] & 15];
        id.s[at++] = '-';
    }
    id.s[REQUEST_ID_TEXT] = '\0';
    return id;
}
