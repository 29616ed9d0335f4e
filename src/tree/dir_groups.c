/*
 * by-family/, by-label/, by-type/, by-year/: the results of a request under a safe name for each value they share. Two
 * values whose names are the same once they are safe get "~2", "~3" in the order in which the results name them; what
 * has no value is in `unknown`. The names of the request that was looked at last are kept for a moment, since finding
 * one needs all of them.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

enum {
    GROUPS_N = STORE_GROUP_YEAR + 1,
    GROUPS_FRESH_MS = 2000, /* metadata can be completed later, which may add a value */
    GROUP_NAME_MAX = TEXT_COMPONENT_MAX,
    GROUP_VALUE_MAX = SAMPLE_FAMILY_MAX,
    GROUP_SUFFIX_MAX = 12, /* bytes of "~10000" and the like */
};

static const char unknown_name[] = "unknown";

struct group {
    struct map_entry by_name;
    struct digest digest; /* of the value */
    size_t next_number;   /* for the next value whose name would be this one */
    char name[GROUP_NAME_MAX + 1];
};

/* The groups of one kind in one request. */
struct grouping {
    char request[REQUEST_ID_TEXT + 1];
    int64_t made_ms;
    struct group *items;
    size_t n;
    struct map names;
};

struct groups {
    struct grouping of[GROUPS_N];
};

/* ---- the value of a sample ---- */

static void value_of(const struct sample *sample, enum store_group group, char *ret_value)
{
    const char *const texts[] = {
        [STORE_GROUP_FAMILY] = sample->family,
        [STORE_GROUP_LABEL] = sample->label,
        [STORE_GROUP_TYPE] = sample->filetype,
        [STORE_GROUP_YEAR] = "",
    };

    (void)text_copy(ret_value, GROUP_VALUE_MAX + 1, texts[group]); /* fits */
    if (group == STORE_GROUP_YEAR && sample->first_seen_s != SAMPLE_NO_DATE)
        (void)snprintf(ret_value, GROUP_VALUE_MAX + 1, "%.4s", clock_date(sample->first_seen_s).s); /* fits */
}

int group_has(const struct subject *group, const struct sample *sample, bool *ret_has, struct err *err)
{
    char value[GROUP_VALUE_MAX + 1];
    struct digest digest;
    int r;

    value_of(sample, group->group, value);
    r = digest_of(value, strlen(value), &digest, err);
    *ret_has = r == 0 && digest_equal(&digest, &group->digest);
    return r;
}

/* ---- names ---- */

static struct group *find_name(const struct grouping *grouping, const char *name)
{
    struct map_entry *entry = map_first(&grouping->names, map_hash(name, strlen(name)));

    for (; entry; entry = map_next(entry)) {
        struct group *group = container_of(entry, struct group, by_name);

        if (strcmp(group->name, name) == 0)
            return group;
    }
    return NULL;
}

/* "name~2", cut so that it stays a valid component. */
static void number_name(char *name, size_t number)
{
    char suffix[GROUP_SUFFIX_MAX + 1];
    int suffix_n = snprintf(suffix, sizeof suffix, "~%zu", number);
    size_t n = strlen(name);

    while (n + (size_t)suffix_n > GROUP_NAME_MAX || !text_is_utf8(name, n))
        n--;
    memcpy(name + n, suffix, (size_t)suffix_n + 1);
}

static void name_value(const struct grouping *grouping, const char *value, char *ret_name)
{
    char safe[GROUP_NAME_MAX + 1];
    struct group *taken; /* counts on, so that a thousand of one name are not a million tries */

    if (*value)
        text_component(value, safe);
    else
        (void)text_copy(safe, sizeof safe, unknown_name); /* fits */
    (void)text_copy(ret_name, GROUP_NAME_MAX + 1, safe);  /* same size */
    for (taken = find_name(grouping, safe); taken && find_name(grouping, ret_name); taken->next_number++) {
        (void)text_copy(ret_name, GROUP_NAME_MAX + 1, safe); /* same size */
        number_name(ret_name, taken->next_number);
    }
}

static int add_value(struct grouping *grouping, const char *value)
{
    struct group *group = &grouping->items[grouping->n];
    struct err ignored = { 0 };

    group->next_number = 2;
    name_value(grouping, value, group->name);
    if (digest_of(value, strlen(value), &group->digest, &ignored) < 0 ||
        !map_add(&grouping->names, &group->by_name, map_hash(group->name, strlen(group->name))))
        return -ENOMEM;
    grouping->n++;
    return 0;
}

/* ---- making a grouping ---- */

struct values {
    char **items;
    size_t n;
    size_t room;
    bool has_unknown;
};

static int collect(void *closure, const char *value)
{
    struct values *values = closure;

    if (!*value) {
        values->has_unknown = true;
        return 0;
    }
    if (values->n == values->room) {
        size_t room = values->room ? values->room * 2 : 64;
        char **grown = reallocarray(values->items, room, sizeof *grown);

        if (!grown)
            return 1;
        values->items = grown;
        values->room = room;
    }
    values->items[values->n] = strdup(value);
    return values->items[values->n++] ? 0 : 1;
}

static void values_done(struct values *values)
{
    for (size_t i = 0; i < values->n; i++)
        free(values->items[i]);
    free(values->items);
}

static void grouping_done(struct grouping *grouping)
{
    map_done(&grouping->names);
    free(grouping->items);
    *grouping = (struct grouping){ .n = 0 };
}

/* What is unknown has the first word on its name. */
static int make(struct grouping *grouping, const struct values *values, const char *request)
{
    int r = 0;

    grouping->items = calloc(values->n + 1, sizeof *grouping->items);
    if (!grouping->items)
        return -ENOMEM;
    if (values->has_unknown)
        r = add_value(grouping, "");
    for (size_t i = 0; r == 0 && i < values->n; i++)
        r = add_value(grouping, values->items[i]);
    (void)text_copy(grouping->request, sizeof grouping->request, request); /* an id */
    grouping->made_ms = clock_mono_ms();
    return r;
}

/* The groups of a request, fresh; a copy that grouping_done() frees. */
static int load(struct tree *tree, const struct subject *subject, enum store_group group, struct grouping *ret_grouping,
                struct err *err)
{
    struct values values = { 0 };
    struct view view;
    int r = view_load(tree, subject, &view, err);

    *ret_grouping = (struct grouping){ .n = 0 };
    if (r != 0 || !view.has_request)
        return r < 0 ? r : TREE_ABSENT;
    r = store_result_groups(tree->store, view.request.row, group, collect, &values, err);
    if (r == 0)
        r = make(ret_grouping, &values, view.request.id.s);
    values_done(&values);
    if (r > 0 || r == -ENOMEM)
        r = err_set(err, ENOMEM, "no memory for groups");
    if (r < 0)
        grouping_done(ret_grouping);
    return r;
}

static bool is_fresh(const struct grouping *grouping, const char *request)
{
    return strcmp(grouping->request, request) == 0 && clock_mono_ms() - grouping->made_ms < GROUPS_FRESH_MS;
}

/* Keeps a grouping for the next who asks. */
static void keep(struct tree *tree, enum store_group group, struct grouping *grouping)
{
    lock_acquire(&tree->lock);
    if (!tree->groups)
        tree->groups = calloc(1, sizeof *tree->groups);
    if (tree->groups) {
        grouping_done(&tree->groups->of[group]);
        tree->groups->of[group] = *grouping;
        *grouping = (struct grouping){ .n = 0 };
    }
    lock_release(&tree->lock);
    grouping_done(grouping); /* nothing is left in it, or there was no memory to keep it */
}

/* 0 or TREE_ABSENT from what is kept; TREE_NEED: nothing fresh is. */
static int find_kept(struct tree *tree, const char *request, enum store_group group, const char *name,
                     struct digest *ret_digest)
{
    const struct group *found;
    int r = TREE_NEED;

    lock_acquire(&tree->lock);
    if (tree->groups && is_fresh(&tree->groups->of[group], request)) {
        found = find_name(&tree->groups->of[group], name);
        if (found)
            *ret_digest = found->digest;
        r = found ? 0 : TREE_ABSENT;
    }
    lock_release(&tree->lock);
    return r;
}

void groups_free(struct groups *groups)
{
    for (size_t i = 0; groups && i < GROUPS_N; i++)
        grouping_done(&groups->of[i]);
    free(groups);
}

/* ---- the rows ---- */

static int find_group(struct tree *tree, const struct subject *parent, const struct node_spec *spec, const char *name,
                      struct subject *ret_subject, struct err *err)
{
    struct subject found = { .kind = SUBJECT_GROUP, .group = spec->group };
    struct grouping grouping;
    int r = find_kept(tree, parent->text, spec->group, name, &found.digest);

    if (r == TREE_NEED) {
        const struct group *group;

        r = load(tree, parent, spec->group, &grouping, err);
        if (r != 0)
            return r;
        group = find_name(&grouping, name);
        if (group)
            found.digest = group->digest;
        r = group ? 0 : TREE_ABSENT;
        keep(tree, spec->group, &grouping);
    }
    (void)text_copy(found.text, sizeof found.text, parent->text); /* same size */
    if (r == 0)
        *ret_subject = found;
    return r;
}

static int list_groups(struct tree *tree, const struct subject *subject, const struct node_spec *spec,
                       struct listing *listing, struct err *err)
{
    struct grouping grouping;
    int r = load(tree, subject, spec->group, &grouping, err);

    if (r != 0)
        return r < 0 ? r : 0;
    for (size_t i = 0; i < grouping.n; i++)
        listing_add_name(listing, spec, grouping.items[i].name);
    keep(tree, spec->group, &grouping);
    return 0;
}

const struct node_ops dir_groups = { .exists = exists_when_done, .list = list_groups };
const struct node_ops dir_group = { .find = find_group, .list = list_results };
