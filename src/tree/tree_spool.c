/*
 * Files of the user: what programs write into hunts/. A file is a spool in memory while it is written. Names decide:
 * only a final name (*.yar, *.yara) can be submitted, and then its text goes to disk before anything else; every other
 * name is scratch of some editor, kept in memory and never sent.
 */
#include "tree/tree_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/clock.h"
#include "util/text.h"

/* Names that can be submitted, by directory; in any case. */
static const struct {
    enum store_dir dir;
    const char *suffix;
} final_suffixes[] = {
    { STORE_HUNTS, ".yar" },
    { STORE_HUNTS, ".yara" },
};

/* Temporary names of editors and tools. Any other name would swallow a text that its user believes to be submitted. */
static const struct {
    enum { MATCH_BEGIN, MATCH_END, MATCH_WHOLE, MATCH_WITHIN } how;
    const char *text;
} scratch_names[] = {
    { MATCH_BEGIN, "." },    /* vim's swap files, rsync, emacs locks */
    { MATCH_BEGIN, "#" },    /* emacs auto-saves */
    { MATCH_BEGIN, "sed" },  /* sed -i */
    { MATCH_BEGIN, "tmp" },  /* mkstemp of Python, mktemp(1) */
    { MATCH_WHOLE, "4913" }, /* vim's test of a directory */
    { MATCH_END, "~" },      /* backups */
    { MATCH_END, ".tmp" },   { MATCH_END, ".bak" },    { MATCH_END, ".new" },
    { MATCH_END, ".swp" },   { MATCH_WITHIN, ".yar" }, /* wiper.yar.X8fj2s */
};

static const char *final_suffix(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < ARRAY_SIZE(final_suffixes); i++) {
        size_t m = strlen(final_suffixes[i].suffix);

        if (n >= m && strcasecmp(name + n - m, final_suffixes[i].suffix) == 0)
            return name + n - m;
    }
    return NULL;
}

bool spool_is_final(const char *name, char *ret_base, const char **ret_suffix)
{
    size_t n = strlen(name);
    const char *suffix = final_suffix(name);

    if (name[0] == '.' || n > STORE_NAME_MAX || !suffix || suffix == name || !text_is_utf8(name, n))
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return false;
    memcpy(ret_base, name, (size_t)(suffix - name));
    ret_base[suffix - name] = '\0';
    *ret_suffix = suffix;
    return true;
}

bool spool_is_scratch(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < ARRAY_SIZE(scratch_names); i++) {
        const char *text = scratch_names[i].text;
        bool matches[] = {
            [MATCH_BEGIN] = strncmp(name, text, strlen(text)) == 0,
            [MATCH_END] = text_has_suffix(name, text),
            [MATCH_WHOLE] = strcmp(name, text) == 0,
            [MATCH_WITHIN] = strstr(name, text) != NULL,
        };

        if (n > 0 && matches[scratch_names[i].how])
            return name[0] == '.' || !final_suffix(name);
    }
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

bool spool_is_killed(pid_t pid)
{
    enum { PF_SIGNALED = 0x400 };
    char path[64];
    char line[1024];
    unsigned long flags = 0;
    const char *after_name;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid); /* fits */
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file || !fgets(line, sizeof line, file))
        return false;
    after_name = strrchr(line, ')'); /* field 2 may hold anything */
    return after_name && sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && (flags & PF_SIGNALED);
}

/* The inode number of a descriptor as fdinfo tells it (proc(5), since Linux 5.14); asks no filesystem. */
static bool is_descriptor_of(pid_t pid, const char *number, uint64_t ino)
{
    char path[64];
    char line[128];
    unsigned long long found;
    cleanup_(fclosep) FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/fdinfo/%.16s", (int)pid, number); /* fits */
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "ino: %llu", &found) == 1)
            return found == ino;
    return false;
}

bool spool_is_open_elsewhere(pid_t pid, const char *name, uint64_t ino)
{
    enum { DESCRIPTORS_MAX = 4096 };
    char path[64];
    char target[PATH_MAX];
    const struct dirent *entry;
    bool found = false;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid); /* fits */
    dir = pid > 0 ? opendir(path) : NULL;
    for (int i = 0; dir && !found && i < DESCRIPTORS_MAX && (entry = readdir(dir)); i++) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1); /* asks no filesystem */
        const char *slash;

        target[n > 0 ? n : 0] = '\0';
        slash = strrchr(target, '/');
        found = slash && strcmp(slash + 1, name) == 0 && is_descriptor_of(pid, entry->d_name, ino);
    }
    if (dir)
        (void)closedir(dir); /* a stream of ours: cannot fail */
    return found;
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

/* Is it what the entry's request was sent with? */
static int is_sent_text(struct tree *tree, const struct store_entry *entry, const struct buf *text, bool *ret_is,
                        struct err *err)
{
    struct buf sent = BUF_INIT(QUERY_RULE_MAX);
    struct store_request request;
    int r = entry->has_request ? store_request_get(tree->store, &entry->request, &request, err) : STORE_ABSENT;

    if (r == 0)
        r = store_request_text(tree->store, request.row, &sent, err);
    *ret_is = r == 0 && sent.n == text->n && memcmp(buf_text(&sent), buf_text(text), text->n) == 0;
    buf_done(&sent);
    return r < 0 ? r : 0;
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
static enum store_entry_state next_state(const struct tree *tree, const struct store_entry *entry, bool is_same,
                                         bool is_sent)
{
    bool under_way = entry->state == STORE_ENTRY_SUBMITTED || entry->state == STORE_ENTRY_SUBMITTING ||
                     entry->state == STORE_ENTRY_QUEUED;

    if (is_sent)
        return STORE_ENTRY_SUBMITTED;
    if (is_same && (under_way || entry->state == STORE_ENTRY_FAILED))
        return entry->state;
    if ((entry->has_request || entry->state == STORE_ENTRY_SUBMITTING) && !tree->config.resubmit)
        return STORE_ENTRY_DRAFT;
    return STORE_ENTRY_QUEUED; /* sent at once, or after a death in between at the next mount */
}

int spool_commit(struct tree *tree, enum store_dir dir, const char *name, const struct buf *text, bool is_draft,
                 struct need *ret_need, struct err *err)
{
    struct store_entry entry = { .dir = dir, .created_s = clock_now_s() };
    char base[TREE_NAME_MAX + 1];
    const char *suffix = "";
    bool is_same = false;
    bool is_sent = false;
    enum store_entry_state next = STORE_ENTRY_QUEUED;
    int r;

    if (!spool_is_final(name, base, &suffix))
        return err_set(err, EINVAL, "'%s' is not a name that can be submitted", name);
    r = store_entry_get(tree->store, dir, base, &entry, err);
    if (r == 0)
        r = same_text(tree, &entry, text, &is_same, err);
    if (r == 0)
        r = is_sent_text(tree, &entry, text, &is_sent, err);
    if (r < 0)
        return r;
    if (entry.row) {
        next = next_state(tree, &entry, is_same, is_sent);
        if (is_same && next == STORE_ENTRY_FAILED) /* it may be running: sending it again is for the user to say */
            return err_set(err, EREMOTEIO,
                           "'%s' may have been accepted (%s); delete it and write it again to send it anyway", base,
                           entry.error);
        if (is_same && next == entry.state)
            return 0;
    }
    if (is_draft && next == STORE_ENTRY_QUEUED)
        next = STORE_ENTRY_DRAFT;
    (void)text_copy(entry.name, sizeof entry.name, base);       /* checked by spool_is_final() */
    (void)text_copy(entry.suffix, sizeof entry.suffix, suffix); /* one of ours */
    entry.dir = dir;
    entry.state = next;
    entry.changed_s = clock_now_s();
    entry.error[0] = '\0';
    entry.trace[0] = '\0';
    r = store_entry_put(tree->store, &entry, buf_text(text), text->n, err);
    if (r < 0 || is_draft || (next != STORE_ENTRY_QUEUED && next != STORE_ENTRY_DRAFT))
        return r;
    *ret_need = (struct need){ .kind = NEED_SUBMIT, .row = entry.row };
    return TREE_NEED;
}

/* A text under a name that is neither a rule's nor scratch would never be sent, so it is refused where it is made. */
static int check_name(const char *name, struct err *err)
{
    char base[TREE_NAME_MAX + 1];
    const char *suffix;

    if (spool_is_final(name, base, &suffix) || spool_is_scratch(name))
        return 0;
    if (!final_suffix(name))
        return err_set(err, EINVAL, "a rule's name ends in .yar or .yara");
    if (strlen(name) > STORE_NAME_MAX)
        return err_set(err, ENAMETOOLONG, "a rule's name has at most %d bytes", STORE_NAME_MAX);
    return err_set(err, EINVAL, "a rule's name is printable UTF-8 and does not begin with a dot");
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
    if (r == 0)
        r = store_entry_text(tree->store, entry.row, text, err);
    return r == STORE_ABSENT ? TREE_ABSENT : r;
}
