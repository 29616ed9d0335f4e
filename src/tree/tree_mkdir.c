/*
 * mkdir(2) and rmdir(2). A directory that the user makes is a search of one pattern, its name; what can be removed says
 * so in its row's operations.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "util/clock.h"
#include "util/text.h"

/* The search goes to disk, queued. */
static int put_pattern(struct tree *tree, enum store_dir dir, const char *name, const struct caller *who,
                       struct need *ret_need, struct err *err)
{
    cleanup_(buf_done) struct buf text = BUF_INIT(QUERY_RULE_MAX);
    struct store_entry entry = { .dir = dir, .state = STORE_ENTRY_QUEUED, .created_s = clock_now_s() };
    int r = cache_pattern_text(name, &text, err);

    if (r < 0)
        return r;
    (void)text_copy(entry.name, sizeof entry.name, name); /* its length was checked */
    entry.changed_s = entry.created_s;
    entry.who = process_caller(tree, who);
    r = store_entry_put(tree->store, &entry, buf_text(&text), text.n, err);
    if (r < 0)
        return r;
    *ret_need = (struct need){ .kind = NEED_SUBMIT, .row = entry.row };
    return TREE_NEED;
}

int tree_mkdir(struct tree *tree, uint64_t parent, const char *name, const struct caller *who, struct need *ret_need,
               struct err *err)
{
    const struct user_dir *user;
    struct store_entry there;
    int r = user_dir_of(tree, parent, &user, err);

    if (r < 0)
        return r;
    if (!user->has_patterns)
        return err_set(err, EPERM, "%s", user->wants);
    if (strlen(name) > STORE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a pattern of more than %d bytes: write it into a file *.txt",
                       STORE_NAME_MAX);
    if (!text_is_line(name))
        return err_set(err, EINVAL, "a name here is printable UTF-8; %%XX stands for any other byte");
    r = store_entry_get(tree->store, user->dir, name, &there, err);
    if (r == 0)
        return err_set(err, EEXIST, "'%s' exists", name);
    return r < 0 ? r : put_pattern(tree, user->dir, name, who, ret_need, err);
}

int tree_rmdir(struct tree *tree, uint64_t parent, const char *name, struct err *err)
{
    const struct node_spec *spec = NULL;
    struct subject subject;
    int r = tree_find_child(tree, parent, name, &spec, &subject, err);

    if (r == 0 && !S_ISDIR(spec->mode))
        return err_set(err, ENOTDIR, "not a directory");
    if (r == 0 && (!spec->ops || !spec->ops->remove))
        return err_set(err, EPERM, "this directory is always here");
    if (r == 0)
        r = spec->ops->remove(tree, &subject, err);
    return r == TREE_ABSENT ? err_set(err, ENOENT, "no such directory") : r;
}
