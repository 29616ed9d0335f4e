/*
 * engine_labels -- what people know about samples: a table of tab-separated lines under a header.
 *
 *   sha256 <TAB> label <TAB> family <TAB> first_seen
 *
 * The columns are found by their names in the header line, sha256 must be one of them, others may be missing or empty.
 * Dates are 2024/01/31 or 2024-01-31. Lines that do not fit, and texts that are not UTF-8, are an error with a line
 * number: a silent loss would give wrong verdicts. So are links, what is no regular file and more than
 * ENGINE_LABELS_MAX bytes.
 *
 * Ownership  engine_labels_load() makes a table, engine_labels_free() frees it.
 * Threads    a table is constant, any thread may read it.
 */
#pragma once

#include "model/sample.h"
#include "util/cleanup.h"

enum { ENGINE_LABELS_LINE_MAX = 4096, ENGINE_LABELS_MAX = 256 * 1024 * 1024 };

struct engine_labels;

CHECKED int engine_labels_load(const char *path, struct engine_labels **ret_labels, struct err *err);
void engine_labels_free(struct engine_labels *labels);
DEFINE_CLEANUP(struct engine_labels *, engine_labels_free)

/* Fills label, family and first_seen of a sample from the row of its digest; `labels` may be NULL. */
void engine_labels_apply(const struct engine_labels *labels, struct sample *sample);
