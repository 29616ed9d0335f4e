#include "engine/engine_labels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "util/map.h"
#include "util/text.h"

enum column { COLUMN_SHA256, COLUMN_LABEL, COLUMN_FAMILY, COLUMN_FIRST_SEEN, COLUMN_N };

static const char *const column_names[COLUMN_N] = { "sha256", "label", "family", "first_seen" };

struct row {
    struct map_entry entry;
    struct digest digest;
    int64_t first_seen_s;
    const char *label;
    const char *family;
    char text[]; /* what label and family point to */
};

struct engine_labels {
    struct map rows;
};

/* The positions of our columns in a file, -1 when missing. */
struct layout {
    int at[COLUMN_N];
};

static void row_free(struct row *row)
{
    free(row);
}
DEFINE_CLEANUP(struct row *, row_free)

/* Cuts a line at its tabs, in place; the number of fields. */
static int split(char *line, char **fields, int n_max)
{
    int n = 0;

    for (char *at = line; at && n < n_max; n++) {
        char *tab = strchr(at, '\t');

        if (tab)
            *tab = '\0';
        fields[n] = text_trim(at);
        at = tab ? tab + 1 : NULL;
    }
    return n;
}

enum { FIELDS_MAX = 16 };

CHECKED static int parse_header(char *line, struct layout *layout, struct err *err)
{
    char *fields[FIELDS_MAX];
    int n = split(line, fields, FIELDS_MAX);

    for (int c = 0; c < COLUMN_N; c++) {
        layout->at[c] = -1;
        for (int i = 0; i < n; i++)
            if (strcasecmp(fields[i], column_names[c]) == 0)
                layout->at[c] = i;
    }
    if (layout->at[COLUMN_SHA256] < 0)
        return err_set(err, EINVAL, "the first line has no column sha256");
    return 0;
}

static struct row *row_find(const struct engine_labels *labels, const struct digest *digest)
{
    uint64_t hash = map_hash(digest->bytes, DIGEST_BYTES);

    for (struct map_entry *e = map_first(&labels->rows, hash); e; e = map_next(e)) {
        struct row *row = container_of(e, struct row, entry);

        if (digest_equal(&row->digest, digest))
            return row;
    }
    return NULL;
}

CHECKED static int row_new(const char *const *values, struct row **ret_row, struct err *err)
{
    size_t n_label = strlen(values[COLUMN_LABEL]) + 1;
    size_t n_family = strlen(values[COLUMN_FAMILY]) + 1;
    cleanup_(row_freep) struct row *row = calloc(1, sizeof *row + n_label + n_family);

    if (!row)
        return err_set(err, ENOMEM, "no memory for a label");
    if (!digest_parse(values[COLUMN_SHA256], &row->digest))
        return err_set(err, EINVAL, "the sha256 is not 64 hex digits");
    row->first_seen_s = SAMPLE_NO_DATE;
    if (*values[COLUMN_FIRST_SEEN] && !text_parse_date(values[COLUMN_FIRST_SEEN], &row->first_seen_s))
        return err_set(err, EINVAL, "first_seen is not a date YYYY/MM/DD");
    if (!text_is_utf8(values[COLUMN_LABEL], n_label - 1) || !text_is_utf8(values[COLUMN_FAMILY], n_family - 1))
        return err_set(err, EINVAL, "the text is not UTF-8");
    memcpy(row->text, values[COLUMN_LABEL], n_label);
    memcpy(row->text + n_label, values[COLUMN_FAMILY], n_family);
    row->label = row->text;
    row->family = row->text + n_label;
    *ret_row = steal_ptr(&row);
    return 0;
}

CHECKED static int add_line(struct engine_labels *labels, const struct layout *layout, char *line, struct err *err)
{
    char *fields[FIELDS_MAX];
    const char *values[COLUMN_N];
    cleanup_(row_freep) struct row *row = NULL;
    int n = split(line, fields, FIELDS_MAX);
    int r;

    for (int c = 0; c < COLUMN_N; c++)
        values[c] = layout->at[c] >= 0 && layout->at[c] < n ? fields[layout->at[c]] : "";
    r = row_new(values, &row, err);
    if (r < 0)
        return r;
    if (row_find(labels, &row->digest)) /* the first row counts */
        return 0;
    if (!map_add(&labels->rows, &row->entry, map_hash(row->digest.bytes, DIGEST_BYTES)))
        return err_set(err, ENOMEM, "no memory for labels");
    (void)steal_ptr(&row); /* the map's now */
    return 0;
}

CHECKED static int read_lines(struct engine_labels *labels, FILE *file, struct err *err)
{
    char line[ENGINE_LABELS_LINE_MAX];
    struct layout layout;
    bool has_header = false;
    int64_t n_bytes = 0;

    for (int number = 1; fgets(line, sizeof line, file); number++) {
        int r = 0;

        n_bytes += (int64_t)strlen(line);
        if (n_bytes > ENGINE_LABELS_MAX) /* it grows while it is read */
            return err_set(err, EFBIG, "more than %d bytes", ENGINE_LABELS_MAX);
        if (!strchr(line, '\n') && !feof(file))
            return err_set(err, EINVAL, "line %d is longer than %d bytes", number, ENGINE_LABELS_LINE_MAX);
        if (!has_header) {
            r = parse_header(line, &layout, err);
            has_header = true;
        } else if (line[strspn(line, " \t\r\n")] && line[0] != '#') {
            r = add_line(labels, &layout, line, err);
        }
        if (r < 0)
            return err_wrap(err, "line %d", number);
    }
    if (ferror(file))
        return err_sys(err, "read");
    return 0;
}

/* The table may lie among samples: a link, a FIFO or a huge file there must not reach or stop anything else. */
CHECKED static int open_table(const char *path, FILE **ret_file, struct err *err)
{
    cleanup_(closep) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "labels '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "labels '%s': not a regular file", path);
    if (st.st_size > ENGINE_LABELS_MAX)
        return err_set(err, EFBIG, "labels '%s': more than %d bytes", path, ENGINE_LABELS_MAX);
    *ret_file = fdopen(fd, "r");
    if (!*ret_file)
        return err_set(err, ENOMEM, "no memory for labels");
    (void)steal_fd(&fd); /* the stream's now */
    return 0;
}

int engine_labels_load(const char *path, struct engine_labels **ret_labels, struct err *err)
{
    cleanup_(engine_labels_freep) struct engine_labels *labels = calloc(1, sizeof *labels);
    cleanup_(fclosep) FILE *file = NULL;
    int r;

    if (!labels)
        return err_set(err, ENOMEM, "no memory for labels");
    r = open_table(path, &file, err);
    if (r < 0)
        return r;
    r = read_lines(labels, file, err);
    if (r < 0)
        return err_wrap(err, "labels '%s'", path);
    *ret_labels = steal_ptr(&labels);
    return 0;
}

void engine_labels_free(struct engine_labels *labels)
{
    struct map_entry *entry;

    if (!labels)
        return;
    while ((entry = map_pop(&labels->rows)))
        row_free(container_of(entry, struct row, entry));
    map_done(&labels->rows);
    free(labels);
}

void engine_labels_apply(const struct engine_labels *labels, struct sample *sample)
{
    const struct row *row = labels ? row_find(labels, &sample->digest) : NULL;

    if (!row)
        return;
    if (*row->label)
        (void)text_copy(sample->label, sizeof sample->label, row->label); /* a cut label is still one */
    (void)text_copy(sample->family, sizeof sample->family, row->family);  /* likewise */
    if (row->first_seen_s != SAMPLE_NO_DATE)
        sample->first_seen_s = row->first_seen_s;
}
