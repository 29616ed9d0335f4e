/*
 * README, and the list of files in the man page: the table of nodes in words.
 */
#include "tree/tree_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { README_DEPTH_MAX = 6, README_COLUMN = 36, README_ROWS_MAX = 32, README_PATH_MAX = 256 };

static const char readme_head[] = "malqueryfs: MalQuery as a directory\n\n"
                                  "  cp wiper.yar hunts/                       schedules a hunt\n"
                                  "  cat hunts/wiper/wait                      waits for it\n"
                                  "  cd hunts/wiper/samples && sha256sum -c ../SHA256SUMS\n"
                                  "  mkdir 'searches/fuzzy/ascii:trickbot'     searches for a text\n"
                                  "  cp case42.txt downloads/                  downloads a list of hashes\n\n";

static const char readme_costs[] =
    "\nWhat costs what:\n"
    "  listing, stat, find, metadata, waiting    nothing\n"
    "  a fuzzy search                            nothing\n"
    "  closing a new rule in hunts/              one hunt of the month\n"
    "  a new search in searches/exact/           one hunt of the month\n"
    "  the same text and options again           nothing: the request that there is is shown\n"
    "  reading a sample that is not local        one download of the month, as long as it is kept\n"
    "  a list in downloads/, `fetch` in a ctl    one download for each hash that is not local\n"
    "  reading a sample that is local            nothing\n"
    "\nBeyond `budget`, the reserve and the month: \"Disk quota exceeded\", and nothing is sent. `echo +10 > budget` "
    "allows\n"
    "ten more downloads. Programs that only look (file managers, indexers) get \"Permission denied\" on what is not "
    "local.\n";

/* Directories with the same layout share their rows: those are explained once. */
struct explained {
    const struct node_spec *rows[README_ROWS_MAX];
    size_t n;
};

static bool is_explained(struct explained *explained, const struct node_spec *rows)
{
    for (size_t i = 0; i < explained->n; i++)
        if (explained->rows[i] == rows)
            return true;
    assert(explained->n < README_ROWS_MAX);
    explained->rows[explained->n++] = rows;
    return false;
}

/* Calls back for each row in the order of the table, with its path. */
typedef void row_sink(struct buf *text, const struct node_spec *spec, const char *path, int depth);

/* NOLINTNEXTLINE(misc-no-recursion): ends after README_DEPTH_MAX */
static void walk(struct buf *text, const struct node_spec *dir, const char *path, int depth,
                 struct explained *explained, row_sink *sink)
{
    char below[README_PATH_MAX];

    for (size_t i = 0; depth < README_DEPTH_MAX && i < dir->n_children; i++) {
        const struct node_spec *spec = &dir->children[i];

        (void)snprintf(below, sizeof below, "%s%s%s", path, spec->name ? spec->name : spec->pattern,
                       S_ISDIR(spec->mode) ? "/" : ""); /* the rows are ours: they fit */
        sink(text, spec, below, depth);
        if (spec->children && !is_explained(explained, spec->children))
            walk(text, spec, below, depth + 1, explained, sink);
    }
}

static void put_readme_row(struct buf *text, const struct node_spec *spec, const char *path, int depth)
{
    const char *name = spec->name ? spec->name : spec->pattern;
    int column = 2 * depth + (int)strlen(name);

    (void)path;
    buf_printf(text, "  %*s%s%s%*s %s\n", 2 * depth, "", name, S_ISDIR(spec->mode) ? "/" : " ",
               column < README_COLUMN ? README_COLUMN - column : 0, "", spec->doc);
}

static void put_path_row(struct buf *text, const struct node_spec *spec, const char *path, int depth)
{
    (void)depth;
    buf_printf(text, "%s\t%s\n", path, spec->doc);
}

void tree_describe(struct buf *text)
{
    struct explained explained = { .n = 0 };

    walk(text, &tree_root, "", 0, &explained, put_path_row);
}

static int render_readme(struct tree *tree, const struct subject *subject, struct buf *text, struct need *need,
                         struct err *err)
{
    struct explained explained = { .n = 0 };

    (void)tree;
    (void)subject;
    (void)need;
    buf_puts(text, readme_head);
    buf_puts(text, "What is here:\n");
    walk(text, &tree_root, "", 0, &explained, put_readme_row);
    buf_puts(text, readme_costs);
    return buf_check(text, err, "README");
}

const struct node_ops file_readme = { .render = render_readme };
