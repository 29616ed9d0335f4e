/*
 * Files of the user: what programs write into hunts/. A file is a spool in memory while it is written. Names decide:
 * only a final name (*.yar, *.yara) can be submitted, and then its text goes to disk before anything else; every other
 * name is scratch of some editor, kept in memory and never sent.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/text.h"

/* Names that can be submitted, by directory. */
static const struct {
    enum store_dir dir;
    const char *suffix;
} final_suffixes[] = {
    { STORE_HUNTS, ".yar" },
    { STORE_HUNTS, ".yara" },
};

bool spool_is_final(const char *name, char *ret_base, const char **ret_suffix)
{
    size_t n = strlen(name);

    if (name[0] == '.' || n > STORE_NAME_MAX || !text_is_utf8(name, n))
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return false;
    for (size_t i = 0; i < ARRAY_SIZE(final_suffixes); i++) {
        size_t m = strlen(final_suffixes[i].suffix);

        if (n <= m || !text_has_suffix(name, final_suffixes[i].suffix))
            continue;
        memcpy(ret_base, name, n - m);
        ret_base[n - m] = '\0';
        *ret_suffix = final_suffixes[i].suffix;
        return true;
    }
    return false;
}

bool spool_looks_final(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(final_suffixes); i++)
        if (text_has_suffix(name, final_suffixes[i].suffix))
            return true;
    return false;
}

struct spool *spool_find_locked(struct tree *tree, enum store_dir dir, const char *name)
{
    list_for_each (link, &tree->spools) {
        struct spool *spool = container_of(link, struct spool, link);

        if (spool->dir == dir && strcmp(spool->name, name) == 0)
            return spool;
    }
    return NULL;
}

int spool_new_locked(struct tree *tree, enum store_dir dir, const char *name, struct spool **ret_spool, struct err *err)
{
    struct spool *spool;

    if (tree->n_spools >= TREE_SPOOLS_MAX)
        return err_set(err, ENOSPC, "more than %d unfinished files", TREE_SPOOLS_MAX);
    spool = calloc(1, sizeof *spool);
    if (!spool)
        return err_set(err, ENOMEM, "no memory for a file");
    spool->dir = dir;
    spool->text.max = QUERY_RULE_MAX;
    spool->mtime_s = clock_now_s();
    (void)text_copy(spool->name, sizeof spool->name, name); /* the kernel's limit is the same */
    spool->is_linked = true;
    list_add_tail(&tree->spools, &spool->link);
    tree->n_spools++;
    *ret_spool = spool;
    return 0;
}

void spool_unlink_locked(struct tree *tree, struct spool *spool)
{
    if (!spool->is_linked)
        return;
    list_remove(&spool->link);
    spool->is_linked = false;
    tree->n_spools--;
}

void spool_drop_locked(struct tree *tree, struct spool *spool)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;

    if (spool->n_open > 0)
        return;
    /* A final name whose text is on disk needs no copy here; an empty one and scratch stay until they are deleted. */
    if (spool->is_linked && !spool->is_gone && !spool->is_dirty && spool->text.n > 0 &&
        spool_is_final(spool->name, base, &suffix))
        spool_unlink_locked(tree, spool);
    if (spool->is_linked)
        return;
    buf_done(&spool->text);
    free(spool);
}

pid_t spool_thread_group(pid_t pid)
{
    char path[64];
    char line[128];
    int tgid = pid;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid); /* fits */
    file = pid > 0 ? fopen(path, "re") : NULL;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &tgid) == 1)
            break;
    return tgid;
}

int spool_dir(struct tree *tree, uint64_t parent, enum store_dir *ret_dir, struct err *err)
{
    const struct node_spec *spec;
    struct subject subject;

    if (!node_copy(tree, parent, &spec, &subject))
        return err_set(err, ESTALE, "unknown directory");
    if (!spec->is_writable)
        return err_set(err, EROFS, "nothing can be made or changed here");
    *ret_dir = STORE_HUNTS;
    return 0;
}

/* Is what the entry holds the same text already? */
static int same_text(struct tree *tree, const struct store_entry *entry, const struct buf *text, bool *ret_same,
                     struct err *err)
{
    struct buf old = BUF_INIT(QUERY_RULE_MAX);
    int r = store_entry_text(tree->store, entry->row, &old, err);

    if (r >= 0)
        *ret_same = old.n == text->n && memcmp(buf_text(&old), buf_text(text), text->n) == 0;
    buf_done(&old);
    return r < 0 ? r : 0;
}

/* What a written text means for an entry that exists: nothing, a draft, or a submission. */
static enum store_entry_state next_state(const struct tree *tree, const struct store_entry *entry, bool is_same)
{
    bool under_way = entry->state == STORE_ENTRY_SUBMITTED || entry->state == STORE_ENTRY_SUBMITTING ||
                     entry->state == STORE_ENTRY_QUEUED;

    if (is_same && (under_way || entry->state == STORE_ENTRY_FAILED))
        return entry->state;
    if ((entry->has_request || entry->state == STORE_ENTRY_SUBMITTING) && !tree->config.resubmit)
        return STORE_ENTRY_DRAFT;
    return STORE_ENTRY_QUEUED; /* sent at once, or after a death in between at the next mount */
}

int spool_commit(struct tree *tree, enum store_dir dir, const char *name, const struct buf *text, struct need *ret_need,
                 struct err *err)
{
    struct store_entry entry = { .dir = dir, .created_s = clock_now_s() };
    char base[TREE_NAME_MAX + 1];
    const char *suffix = "";
    bool is_same = false;
    enum store_entry_state next = STORE_ENTRY_QUEUED;
    int r;

    if (!spool_is_final(name, base, &suffix))
        return err_set(err, EINVAL, "'%s' is not a name that can be submitted", name);
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r == 0)
        r = same_text(tree, &entry, text, &is_same, err);
    if (r < 0)
        return r;
    if (entry.row) {
        next = next_state(tree, &entry, is_same);
        if (is_same && next == STORE_ENTRY_FAILED) /* it may be running: sending it again is for the user to say */
            return err_set(err, EREMOTEIO,
                           "'%s' may have been accepted (%s); delete it and write it again to send it anyway", base,
                           entry.error);
        if (is_same && next == entry.state)
            return 0;
    }
    (void)text_copy(entry.name, sizeof entry.name, base);       /* checked by spool_is_final() */
    (void)text_copy(entry.suffix, sizeof entry.suffix, suffix); /* one of ours */
    entry.dir = dir;
    entry.state = next;
    entry.changed_s = clock_now_s();
    entry.error[0] = '\0';
    entry.trace[0] = '\0';
    r = store_entry_put(tree->store, &entry, buf_text(text), text->n, err);
    if (r < 0 || next != STORE_ENTRY_QUEUED)
        return r;
    *ret_need = (struct need){ .kind = NEED_SUBMIT, .row = entry.row };
    return TREE_NEED;
}

/* Scratch may have any name; a rule whose name could never be submitted is refused where it is made. */
static int check_name(const char *name, struct err *err)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;

    if (name[0] == '.' || !spool_looks_final(name) || spool_is_final(name, base, &suffix))
        return 0;
    if (strlen(name) > STORE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a rule's name has at most %d bytes", STORE_NAME_MAX);
    return err_set(err, EINVAL, "a rule's name is printable UTF-8");
}

/* Nothing of this name, and nothing that would be in its way: "x.yar" when "x.yara" is a hunt already. */
int spool_may_create(struct tree *tree, enum store_dir dir, const char *name, struct err *err)
{
    struct store_entry entry;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    int r = check_name(name, err);

    if (r < 0)
        return r;
    if (!spool_is_final(name, base, &suffix)) {
        r = store_entry_get(tree->store, dir, name, &entry, err);
        return r == 0 ? err_set(err, EEXIST, "'%s' is a directory", name) : r < 0 ? r : 0;
    }
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r < 0)
        return r;
    if (r == 0 && strcmp(entry.suffix, suffix) != 0)
        return err_set(err, EEXIST, "'%s%s' has this name already", base, entry.suffix);
    return 0;
}

/* The spool to write into: the one there is, or a new one with the text that is on disk. */
int spool_take(struct tree *tree, enum store_dir dir, const char *name, const struct buf *disk, bool truncate,
               struct spool **ret_spool, struct err *err)
{
    struct spool *spool;
    int r = 0;

    lock_acquire(&tree->lock);
    spool = spool_find_locked(tree, dir, name);
    if (!spool) {
        r = spool_new_locked(tree, dir, name, &spool, err);
        if (r == 0 && !truncate && disk)
            buf_append(&spool->text, buf_text(disk), disk->n);
    }
    if (r == 0) {
        if (truncate || spool->is_gone) {
            buf_clear(&spool->text);
            spool->is_broken = false;
        }
        spool->is_gone = false;
        spool->n_open++;
    }
    lock_release(&tree->lock);
    *ret_spool = spool;
    return r;
}

int spool_disk_text(struct tree *tree, enum store_dir dir, const char *name, struct buf *text, struct err *err)
{
    struct store_entry entry;
    char base[TREE_NAME_MAX + 1];
    const char *suffix;
    int r;

    if (!spool_is_final(name, base, &suffix))
        return TREE_ABSENT;
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r == STORE_ABSENT || (r == 0 && strcmp(entry.suffix, suffix) != 0))
        return TREE_ABSENT;
    return r < 0 ? r : store_entry_text(tree->store, entry.row, text, err);
}
