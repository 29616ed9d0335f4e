/*
 * ino ↔ node. A number is computed from what the node is; when two different nodes compute the same number, the later
 * one takes the next free number (stable as long as both are looked up in the same order, which 63 bits make an
 * academic question).
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <string.h>

enum { NUMBER_FIRST = 16, NUMBER_PROBES_MAX = 64, NOTHING_TOLD = -1, NOTHING_KNOWN = -1 };

uint64_t node_number(uint64_t parent, const struct node_spec *spec, const char *name, const struct subject *subject)
{
    uint64_t number = 0;

    if (subject->kind == SUBJECT_DIGEST) {
        number = map_hash(subject->digest.bytes, DIGEST_BYTES);
        if (*spec->suffix) /* metadata of the sample */
            number ^= map_hash(spec->suffix, strlen(spec->suffix));
    } else {
        if (subject->kind == SUBJECT_REQUEST && !spec->name) /* an id in upper case is the same one */
            name = subject->text;
        number = map_hash_u64(parent) ^ map_hash(name, strlen(name));
        if (spec->is_per_request)
            number ^= map_hash(subject->text, strlen(subject->text));
    }
    number &= INT64_MAX; /* some programs read st_ino as a signed number */
    return number < NUMBER_FIRST ? number + NUMBER_FIRST : number;
}

struct node *node_get_locked(struct tree *tree, uint64_t ino)
{
    struct map_entry *entry = map_first(&tree->nodes, map_hash_u64(ino));

    for (; entry; entry = map_next(entry)) {
        struct node *node = container_of(entry, struct node, by_ino);

        if (node->ino == ino)
            return node;
    }
    return NULL;
}

static bool is_same(const struct node *node, const struct node_spec *spec, const struct subject *subject)
{
    if (node->spec != spec || node->kind != subject->kind)
        return false;
    if (node->kind == SUBJECT_DIGEST)
        return digest_equal(&node->digest, &subject->digest);
    return node->dir == subject->dir && node->group == subject->group &&
           digest_equal(&node->digest, &subject->digest) && strcmp(node->text, subject->text) == 0;
}

static struct node *make_locked(struct tree *tree, const struct node_spec *spec, const struct subject *subject,
                                uint64_t ino) REQUIRES(&tree->lock)
{
    size_t n = subject->kind == SUBJECT_DIGEST ? 0 : strlen(subject->text);
    struct node *node = calloc(1, sizeof *node + n + 1);

    if (!node)
        return NULL;
    node->spec = spec;
    node->ino = ino;
    node->kind = subject->kind;
    node->dir = subject->dir;
    node->group = subject->group;
    node->digest = subject->digest;
    node->known_size = NOTHING_KNOWN;
    node->told_size = NOTHING_TOLD;
    memcpy(node->text, subject->text, n);
    if (!map_add(&tree->nodes, &node->by_ino, map_hash_u64(ino))) {
        free(node);
        return NULL;
    }
    return node;
}

struct node *node_take_locked(struct tree *tree, uint64_t parent, const struct node_spec *spec, const char *name,
                              const struct subject *subject)
{
    uint64_t ino = node_number(parent, spec, name, subject);

    for (int i = 0; i < NUMBER_PROBES_MAX; i++, ino++) {
        struct node *node = node_get_locked(tree, ino);

        if (!node)
            node = make_locked(tree, spec, subject, ino);
        if (!node)
            return NULL;
        if (!is_same(node, spec, subject))
            continue;
        node->n_lookups++;
        return node;
    }
    return NULL;
}

void node_forget_locked(struct tree *tree, uint64_t ino, uint64_t n)
{
    struct node *node = node_get_locked(tree, ino);

    if (!node || ino == TREE_ROOT)
        return;
    node->n_lookups = n < node->n_lookups ? node->n_lookups - n : 0;
    if (node->n_lookups > 0)
        return;
    map_remove(&tree->nodes, &node->by_ino);
    free(node);
    tree->n_forgotten++;
}

void node_tell_locked(struct node *node, struct tree_attr *attr)
{
    if (node->known_size != NOTHING_KNOWN)
        attr->size = node->known_size;
    if (attr->attr_ttl_ms > 0)
        node->told_size = attr->size;
}

bool node_was_told(struct tree *tree, uint64_t ino, int64_t size)
{
    struct node *node;
    bool is_right = true;

    lock_acquire(&tree->lock);
    node = node_get_locked(tree, ino);
    if (node) {
        is_right = node->told_size == NOTHING_TOLD || node->told_size == size;
        if (!is_right)
            node->told_size = NOTHING_TOLD; /* whoever asks takes it out of the kernel */
    }
    lock_release(&tree->lock);
    return is_right;
}

void node_set_size(struct tree *tree, uint64_t ino, int64_t size, bool is_exact)
{
    struct node *node;

    lock_acquire(&tree->lock);
    node = node_get_locked(tree, ino);
    if (node) {
        node->known_size = size;
        node->is_exact = node->is_exact || is_exact;
    }
    lock_release(&tree->lock);
}

bool node_is_exact(struct tree *tree, uint64_t ino)
{
    struct node *node;
    bool is_exact;

    lock_acquire(&tree->lock);
    node = node_get_locked(tree, ino);
    is_exact = node && node->is_exact;
    lock_release(&tree->lock);
    return is_exact;
}

bool node_copy(struct tree *tree, uint64_t ino, const struct node_spec **ret_spec, struct subject *ret_subject)
{
    struct node *node;

    *ret_subject = (struct subject){ .kind = SUBJECT_NONE };
    *ret_spec = &tree_root;
    if (ino == TREE_ROOT)
        return true;
    lock_acquire(&tree->lock);
    node = node_get_locked(tree, ino);
    if (node) {
        *ret_spec = node->spec;
        ret_subject->kind = node->kind;
        ret_subject->dir = node->dir;
        ret_subject->group = node->group;
        ret_subject->digest = node->digest;
        memcpy(ret_subject->text, node->text, strlen(node->text) + 1);
    }
    lock_release(&tree->lock);
    return node != NULL;
}

void node_free_all(struct tree *tree)
{
    struct map_entry *entry;

    while ((entry = map_pop(&tree->nodes)))
        free(container_of(entry, struct node, by_ino));
    map_done(&tree->nodes);
}
