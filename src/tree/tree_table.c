/*
 * The whole directory tree, as data. A new directory is a row here and a dir_*.c; the README of the mount and FILES in
 * the man page are made from the same rows.
 */
#include "tree/tree_internal.h"

#include <sys/stat.h>

enum {
    DIR_MODE = S_IFDIR | 0500,
    USER_DIR_MODE = S_IFDIR | 0700,
    FILE_MODE = S_IFREG | 0400,
    USER_FILE_MODE = S_IFREG | 0600,
};

enum { ZIP_TTL_MS = 1000 };

/* clang-format off */

static const struct node_spec in_samples[] = {
    { .pattern = "<sha256>", .ops = &file_sample, .mode = FILE_MODE, .ttl_ms = FOREVER_MS, .suffix = "",
      .doc = "the bytes of a sample; reading a remote one downloads and verifies it (costs one download, once)" },
};

static const struct node_spec in_zips[] = {
    { .pattern = "<sha256>.zip", .ops = &file_zip, .mode = FILE_MODE, .ttl_ms = ZIP_TTL_MS, .suffix = ".zip",
      .doc = "a local sample in a zip with the password `infected`, or that of -o zip_password" },
};

static const struct node_spec in_metadata[] = {
    { .pattern = "<sha256>.json", .ops = &file_metadata, .mode = FILE_MODE, .ttl_ms = FOREVER_MS, .suffix = ".json",
      .doc = "what the service says about a sample; the bare hash resolves too" },
};

/* One for each kind of group: the row says by what. */
static const struct node_spec in_by_family[] = {
    { .pattern = "<family>", .ops = &dir_group, .mode = DIR_MODE, .group = STORE_GROUP_FAMILY, CHILDREN(in_samples),
      .doc = "the samples of one family; `unknown` has the others" },
};

static const struct node_spec in_by_label[] = {
    { .pattern = "<label>", .ops = &dir_group, .mode = DIR_MODE, .group = STORE_GROUP_LABEL, CHILDREN(in_samples),
      .doc = "the samples with one label" },
};

static const struct node_spec in_by_type[] = {
    { .pattern = "<type>", .ops = &dir_group, .mode = DIR_MODE, .group = STORE_GROUP_TYPE, CHILDREN(in_samples),
      .doc = "the samples of one file type" },
};

static const struct node_spec in_by_year[] = {
    { .pattern = "<year>", .ops = &dir_group, .mode = DIR_MODE, .group = STORE_GROUP_YEAR, CHILDREN(in_samples),
      .doc = "the samples first seen in one year" },
};

static const struct node_spec in_request[] = {
    { .name = "rule.yar", .ops = &view_rule, .mode = FILE_MODE, .doc = "of a hunt: the rule that was sent, exactly" },
    { .name = "query.json", .ops = &view_query, .mode = FILE_MODE, .doc = "of a search: the body that was sent" },
    { .name = "options", .ops = &view_options, .mode = FILE_MODE, .doc = "the options that were sent, name=value lines" },
    { .name = "status", .ops = &view_state, .mode = FILE_MODE,
      .doc = "one line; the first word is draft, queued, inprogress, done, failed or rejected" },
    { .name = "id", .ops = &view_id, .mode = FILE_MODE, .doc = "the request id" },
    { .name = "error", .ops = &view_error, .mode = FILE_MODE, .doc = "the reason, only when there is one" },
    { .name = "note", .ops = &view_note, .mode = FILE_MODE, .doc = "the line that `ctl` was told to keep, if any" },
    { .name = "ctl", .ops = &file_ctl, .mode = USER_FILE_MODE,
      .doc = "takes one word at a time: run, fetch, retry, forget, note; reading explains them" },
    { .name = "runs.tsv", .ops = &view_runs, .mode = FILE_MODE, .doc = "all runs of this name: started id status results" },
    { .name = "results.tsv", .ops = &view_results_tsv, .mode = FILE_MODE,
      .doc = "sha256 filetype filesize first_seen label family md5 sha1 state, with a header" },
    { .name = "results.jsonl", .ops = &view_results_jsonl, .mode = FILE_MODE,
      .doc = "one JSON object a line, the service's field names" },
    { .name = "response.json", .ops = &view_response, .mode = FILE_MODE, .doc = "the service's last answer, as it came" },
    { .name = "hashes.txt", .ops = &view_hashes, .mode = FILE_MODE, .doc = "the SHA-256 of each result, one a line" },
    { .name = "SHA256SUMS", .ops = &view_sums, .mode = FILE_MODE,
      .doc = "for `sha256sum -c ../SHA256SUMS` inside samples/" },
    { .name = "missing.txt", .ops = &view_missing, .mode = FILE_MODE,
      .doc = "of a download: each hash that did not come, and why" },
    { .name = "archive.zip", .ops = &file_archive, .mode = FILE_MODE, .doc = "of a download: the archive as it came" },
    { .name = "samples", .ops = &dir_result_samples, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_samples),
      .doc = "the results as regular files, and nothing else" },
    { .name = "metadata", .ops = &dir_result_metadata, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_metadata),
      .doc = "one JSON file per result" },
    { .name = "by-family", .ops = &dir_groups, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_by_family),
      .doc = "the same files, grouped" },
    { .name = "by-label", .ops = &dir_groups, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_by_label),
      .doc = "likewise" },
    { .name = "by-type", .ops = &dir_groups, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_by_type),
      .doc = "likewise" },
    { .name = "by-year", .ops = &dir_groups, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_by_year),
      .doc = "likewise" },
    { .name = "wait", .ops = &file_wait, .mode = FILE_MODE, .is_unlisted = true,
      .doc = "not listed; reading waits until the request is finished and ends with its status" },
};

/* What every directory of the user's has beside its files. */
#define DEFAULTS_ROW(user_)                                                                                            \
    { .pattern = USER_DEFAULTS, .ops = &file_defaults, .mode = USER_FILE_MODE, .user = (user_),                        \
      .doc = "options for what is new here, name=value lines; deleting it brings back the built-in ones" }
#define SCRATCH_ROW(user_)                                                                                             \
    { .pattern = "SCRATCH", .ops = &file_scratch, .mode = USER_FILE_MODE, .user = (user_), .is_unlisted = true,        \
      .doc = "temporary files of editors: kept in memory, never sent" }
#define ENTRY_ROW(user_, doc_)                                                                                         \
    { .pattern = "NAME", .ops = &dir_entries, .mode = DIR_MODE, .user = (user_), CHILDREN(in_request), .doc = (doc_) }

static const struct node_spec in_hunts[] = {
    DEFAULTS_ROW(&user_dirs[STORE_HUNTS]),
    { .pattern = "NAME.yar", .ops = &file_final, .mode = USER_FILE_MODE, .user = &user_dirs[STORE_HUNTS],
      .doc = "a YARA rule; closing a new one schedules a hunt (costs one hunt)" },
    ENTRY_ROW(&user_dirs[STORE_HUNTS], "what the hunt came to"),
    SCRATCH_ROW(&user_dirs[STORE_HUNTS]),
};

static const struct node_spec in_exact[] = {
    DEFAULTS_ROW(&user_dirs[STORE_EXACT]),
    { .pattern = "NAME.txt", .ops = &file_final, .mode = USER_FILE_MODE, .user = &user_dirs[STORE_EXACT],
      .doc = "lines `hex: …`, `ascii: …`, `wide: …`; or NAME.json, the API's body (costs one hunt)" },
    ENTRY_ROW(&user_dirs[STORE_EXACT], "what the search came to; mkdir 'ascii:…' makes one too"),
    SCRATCH_ROW(&user_dirs[STORE_EXACT]),
};

static const struct node_spec in_fuzzy[] = {
    DEFAULTS_ROW(&user_dirs[STORE_FUZZY]),
    { .pattern = "NAME.txt", .ops = &file_final, .mode = USER_FILE_MODE, .user = &user_dirs[STORE_FUZZY],
      .doc = "as in exact, without filters; answered at once (free)" },
    ENTRY_ROW(&user_dirs[STORE_FUZZY], "what the search came to; mkdir 'ascii:…' makes one too"),
    SCRATCH_ROW(&user_dirs[STORE_FUZZY]),
};

static const struct node_spec in_searches[] = {
    { .name = "exact", .mode = USER_DIR_MODE, .ttl_ms = FOREVER_MS, .user = &user_dirs[STORE_EXACT], CHILDREN(in_exact),
      .doc = "searches for bytes, for certain" },
    { .name = "fuzzy", .mode = USER_DIR_MODE, .ttl_ms = FOREVER_MS, .user = &user_dirs[STORE_FUZZY], CHILDREN(in_fuzzy),
      .doc = "searches for bytes, at once, with false positives" },
};

static const struct node_spec in_downloads[] = {
    { .pattern = "NAME.txt", .ops = &file_final, .mode = USER_FILE_MODE, .user = &user_dirs[STORE_DOWNLOADS],
      .doc = "a hash list; closing a new one downloads what is not local (costs one download each)" },
    ENTRY_ROW(&user_dirs[STORE_DOWNLOADS], "what came"),
    SCRATCH_ROW(&user_dirs[STORE_DOWNLOADS]),
};

static const struct node_spec in_requests[] = {
    { .pattern = "<id>", .ops = &dir_requests, .mode = DIR_MODE, CHILDREN(in_request),
      .doc = "one request, the layout of a hunt; an unknown id is asked for (free); rmdir forgets it" },
};

static const struct node_spec in_root[] = {
    { .name = "README", .ops = &file_readme, .mode = FILE_MODE, .doc = "this page" },
    { .name = "quotas", .ops = &file_quotas, .mode = FILE_MODE,
      .doc = "what is used of the month's quota and its limit, 28/50 or 1/unlimited; asked at most every 60 s" },
    { .name = "quotas.json", .ops = &file_quotas_json, .mode = FILE_MODE, .doc = "the same, the service's answer" },
    { .name = "budget", .ops = &file_budget, .mode = USER_FILE_MODE,
      .doc = "what may still be spent; takes 25, +10, hunts 3, hunts +3, unlimited" },
    { .name = "status", .ops = &file_status, .mode = FILE_MODE,
      .doc = "one screen: online, offline or unauthorized, the cloud, counters, the last error" },
    { .name = "metrics", .ops = &file_metrics, .mode = FILE_MODE,
      .doc = "the same numbers for machines, in the Prometheus text format" },
    { .name = "events", .ops = &file_events, .mode = FILE_MODE,
      .doc = "what happened since the mount, one JSON object a line; `tail -f` and poll(2) work" },
    { .name = "transfers", .ops = &file_transfers, .mode = FILE_MODE,
      .doc = "samples and archives on their way now: what have size rate, with a header; size 0 is not known" },
    { .name = "hunts", .mode = USER_DIR_MODE, .ttl_ms = FOREVER_MS, .user = &user_dirs[STORE_HUNTS], CHILDREN(in_hunts),
      .doc = "copy a YARA rule here to hunt with it" },
    { .name = "searches", .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_searches),
      .doc = "searches for byte patterns" },
    { .name = "downloads", .mode = USER_DIR_MODE, .ttl_ms = FOREVER_MS, .user = &user_dirs[STORE_DOWNLOADS],
      CHILDREN(in_downloads),
      .doc = "copy a hash list here to download its samples in one archive" },
    { .name = "requests", .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_requests),
      .doc = "every request of this profile" },
    { .name = "samples", .ops = &dir_samples, .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_samples),
      .doc = "any sample by its SHA-256; a listing shows what is local" },
    { .name = "metadata", .ops = &dir_metadata, .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_metadata),
      .doc = "metadata of any sample (free); a listing shows what is known" },
    { .name = "zips", .ops = &dir_samples, .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_zips),
      .doc = "local samples, each in a zip of its own" },
};

const struct node_spec tree_root = { .name = "", .mode = DIR_MODE, .ttl_ms = FOREVER_MS, CHILDREN(in_root), .doc = "" };

/* clang-format on */
