#include "engine/engine_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

struct engine_own_id engine_own_id_of(const struct stat *st)
{
    return (struct engine_own_id){ .device = st->st_dev, .inode = st->st_ino };
}

struct engine_own engine_own_find(const char *const *paths)
{
    struct engine_own own = { .n = 0 };
    struct stat st;

    for (size_t i = 0; i < ENGINE_OWN_MAX; i++)
        if (paths[i] && stat(paths[i], &st) == 0)
            own.ids[own.n++] = engine_own_id_of(&st);
    return own;
}

static bool is_same(struct engine_own_id a, struct engine_own_id b)
{
    return a.device == b.device && a.inode == b.inode;
}

bool engine_own_has(const struct engine_own *own, struct engine_own_id id)
{
    for (size_t i = 0; i < own->n; i++)
        if (is_same(own->ids[i], id))
            return true;
    return false;
}

int engine_own_check_index(const char *dir, const char *index, struct err *err)
{
    cleanup_(freep) char *above = strndup(index, (size_t)(strrchr(index, '/') - index) + 1);
    struct stat dir_st;
    struct stat st;

    if (!above)
        return err_set(err, ENOMEM, "no memory for a path");
    if (stat(above, &st) < 0)
        return err_sys(err, "'%s'", above);
    if (stat(dir, &dir_st) < 0)
        return err_sys(err, "'%s'", dir);
    if (is_same(engine_own_id_of(&st), engine_own_id_of(&dir_st)))
        return err_set(err, EINVAL, "the index '%s' lies among the samples: give another --index", index);
    return 0;
}
