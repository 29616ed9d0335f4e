/*
 * From a written text to disk: a new one is queued for its submission, a changed one becomes a draft.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

int user_dir_of(struct tree *tree, uint64_t parent, const struct user_dir **ret_dir, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;

    if (!node_copy(tree, parent, &spec, &subject))
        return err_set(err, ESTALE, "unknown directory");
    if (!spec->user)
        return err_set(err, EROFS, "nothing can be made or changed here");
    *ret_dir = spec->user;
    return 0;
}

/* Is `text` what the entry's request was sent with, or what the entry holds already? */
static int compare(struct tree *tree, const struct store_entry *entry, const struct buf *text, bool *ret_is_sent,
                   bool *ret_is_same, struct err *err)
{
    cleanup_(buf_done) struct buf sent = BUF_INIT(QUERY_RULE_MAX);
    cleanup_(buf_done) struct buf held = BUF_INIT(QUERY_RULE_MAX);
    struct store_request request;
    int r = entry->has_request ? store_request_get(tree->store, &entry->request, &request, err) : STORE_ABSENT;

    if (r == 0)
        r = store_request_text(tree->store, request.row, &sent, err);
    *ret_is_sent = r == 0 && sent.n == text->n && memcmp(buf_text(&sent), buf_text(text), text->n) == 0;
    if (r >= 0)
        r = store_entry_text(tree->store, entry->row, &held, err);
    *ret_is_same = r == 0 && held.n == text->n && memcmp(buf_text(&held), buf_text(text), text->n) == 0;
    return r < 0 ? r : 0;
}

/* What a written text means for an entry that exists: nothing, a draft, or a submission. */
static enum store_entry_state next_state(const struct tree *tree, const struct store_entry *entry, bool is_same,
                                         bool is_sent)
{
    bool under_way = entry->state == STORE_ENTRY_SUBMITTED || entry->state == STORE_ENTRY_SUBMITTING ||
                     entry->state == STORE_ENTRY_QUEUED;
    bool sends_changes = atomic_load(&tree->resubmit) || user_dirs[entry->dir].is_free;

    if (is_sent)
        return STORE_ENTRY_SUBMITTED;
    if (is_same && (under_way || entry->state == STORE_ENTRY_FAILED))
        return entry->state;
    if ((entry->has_request || entry->state == STORE_ENTRY_SUBMITTING) && !sends_changes)
        return STORE_ENTRY_DRAFT;
    return STORE_ENTRY_QUEUED; /* sent at once, or after a death in between at the next mount */
}

/* The state of the entry once it has this text; `entry` is what is there now, or of zeros. */
static int decide(struct tree *tree, const struct store_entry *entry, const struct written *written,
                  enum store_entry_state *ret_next, struct err *err)
{
    bool is_same = false;
    bool is_sent = false;
    int r = entry->row ? compare(tree, entry, written->text, &is_sent, &is_same, err) : 0;

    if (r < 0)
        return r;
    *ret_next = entry->row ? next_state(tree, entry, is_same, is_sent) : STORE_ENTRY_QUEUED;
    if (is_same && *ret_next == STORE_ENTRY_FAILED) /* it may be running: sending it again is for the user to say */
        return err_set(err, EREMOTEIO, "'%s' may have been accepted (%s); `echo retry > ctl` sends it anyway",
                       entry->name, entry->error);
    if (written->is_draft && *ret_next == STORE_ENTRY_QUEUED)
        *ret_next = STORE_ENTRY_DRAFT;
    return is_same && *ret_next == entry->state ? STORE_EXISTS : 0;
}

static int commit_entry(struct tree *tree, enum store_dir dir, const struct user_name *name,
                        const struct written *written, struct need *ret_need, struct err *err)
{
    struct store_entry entry = { .created_s = clock_now_s() };
    enum store_entry_state next = STORE_ENTRY_QUEUED;
    int r = store_entry_get(tree->store, dir, name->base, &entry, err);

    if (r == 0 && strcmp(entry.suffix, name->suffix) != 0)
        return err_set(err, EEXIST, "'%s%s' has this name already", name->base, entry.suffix);
    if (r >= 0)
        r = decide(tree, &entry, written, &next, err);
    if (r != 0)
        return r < 0 ? r : 0;                                         /* nothing new */
    (void)text_copy(entry.name, sizeof entry.name, name->base);       /* checked by user_name() */
    (void)text_copy(entry.suffix, sizeof entry.suffix, name->suffix); /* one of ours */
    entry.dir = dir;
    entry.state = next;
    entry.is_forced = false;
    entry.changed_s = written->changed_s;
    entry.who = *written->who;
    entry.error[0] = '\0';
    entry.trace[0] = '\0';
    r = store_entry_put(tree->store, &entry, buf_text(written->text), written->text->n, err);
    if (r < 0 || written->is_draft || (next != STORE_ENTRY_QUEUED && next != STORE_ENTRY_DRAFT))
        return r;
    *ret_need = (struct need){ .kind = NEED_SUBMIT, .row = entry.row };
    return TREE_NEED;
}

static int commit_defaults(struct tree *tree, enum store_dir dir, const struct buf *text, struct err *err)
{
    int r = cache_check_defaults(dir, buf_text(text), err);

    if (r < 0) {
        CACHE_EVENT(tree->cache, "rejected", CACHE_TEXT("name", USER_DEFAULTS), CACHE_TEXT("reason", err->text));
        return err_wrap(err, USER_DEFAULTS);
    }
    return store_defaults_put(tree->store, dir, buf_text(text), text->n, err);
}

int user_forget(struct tree *tree, const struct store_entry *entry, struct err *err)
{
    char name[STORE_NAME_MAX + sizeof entry->suffix];
    struct spool *spool;
    int r;

    (void)snprintf(name, sizeof name, "%s%s", entry->name, entry->suffix); /* both fit */
    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, entry->dir, name);
    if (spool) {
        spool_unlink_locked(tree, spool);
        spool_drop_locked(tree, spool);
    }
    lock_release(&tree->lock);
    r = store_entry_delete(tree->store, entry->row, err);
    if (r < 0)
        return r;
    CACHE_EVENT(tree->cache, "forgotten", CACHE_TEXT("name", entry->name),
                CACHE_TEXT("id", entry->has_request ? entry->request.s : ""));
    return 0;
}

int spool_commit(struct tree *tree, enum store_dir dir, const char *name, const struct written *written,
                 struct need *ret_need, struct err *err)
{
    struct user_name parsed;

    switch (user_name(dir, name, &parsed)) {
    case NAME_FINAL:
        return commit_entry(tree, dir, &parsed, written, ret_need, err);
    case NAME_DEFAULTS:
        return commit_defaults(tree, dir, written->text, err);
    case NAME_SCRATCH:
    case NAME_NONE:
        break;
    }
    return err_set(err, EINVAL, "'%s' is not a name that can be submitted", name);
}

int spool_resubmit(struct tree *tree, enum store_dir dir, const char *name, const struct caller *who,
                   struct need *ret_need, struct err *err)
{
    struct store_entry entry;
    struct user_name parsed;
    int r = user_name(dir, name, &parsed) == NAME_FINAL ? store_entry_get(tree->store, dir, parsed.base, &entry, err)
                                                        : STORE_ABSENT;

    if (r == 0)
        r = store_entry_queue(tree->store, entry.row, false, who, err);
    if (r < 0)
        return r;
    *ret_need = (struct need){ .kind = NEED_SUBMIT, .row = entry.row };
    return TREE_NEED; /* STORE_ABSENT: it is under way already */
}

/* Nothing of this name, and nothing that would be in its way: "x.yar" when "x.yara" is a hunt already. */
int spool_may_create(struct tree *tree, enum store_dir dir, const char *name, struct err *err)
{
    struct store_entry entry;
    struct user_name parsed;
    enum user_name_kind kind = user_name(dir, name, &parsed);
    int r;

    if (kind == NAME_NONE)
        return user_name_refuse(dir, name, err);
    r = store_entry_get(tree->store, dir, kind == NAME_FINAL ? parsed.base : name, &entry, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (kind != NAME_FINAL)
        return err_set(err, EEXIST, "'%s' is a directory", name);
    if (strcmp(entry.suffix, parsed.suffix) != 0)
        return err_set(err, EEXIST, "'%s%s' has this name already", parsed.base, entry.suffix);
    return 0;
}

/* The built-in ones have been there since the mount began. */
static int disk_defaults(struct tree *tree, enum store_dir dir, struct buf *text, int64_t *ret_changed_s,
                         struct err *err)
{
    int r = store_defaults_get(tree->store, dir, text, ret_changed_s, err);

    if (r == STORE_ABSENT) {
        buf_printf(text, "limit=%d\n", QUERY_LIMIT_DEFAULT);
        *ret_changed_s = tree->started_s;
    }
    return r < 0 ? r : buf_check(text, err, USER_DEFAULTS);
}

int spool_disk_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text, int64_t *ret_changed_s,
                    struct err *err)
{
    struct store_entry entry;
    struct user_name parsed;
    enum user_name_kind kind = user_name(dir, name, &parsed);
    int r;

    if (kind == NAME_DEFAULTS)
        return disk_defaults(tree, dir, text, ret_changed_s, err);
    if (kind != NAME_FINAL)
        return TREE_ABSENT;
    r = store_entry_get(tree->store, dir, parsed.base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, parsed.suffix) != 0))
        return TREE_ABSENT;
    if (r == 0)
        r = store_entry_text(tree->store, entry.row, text, err);
    if (r == 0)
        *ret_changed_s = entry.changed_s;
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}
