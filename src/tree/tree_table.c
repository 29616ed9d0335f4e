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

/* clang-format off */

static const struct node_spec in_samples[] = {
    { .pattern = "<sha256>", .ops = &file_sample, .mode = FILE_MODE, .ttl_ms = FOREVER_MS, .suffix = "",
      .doc = "the bytes of a sample; reading a remote one downloads and verifies it (costs one download, once)" },
};

static const struct node_spec in_metadata[] = {
    { .pattern = "<sha256>.json", .ops = &file_metadata, .mode = FILE_MODE, .ttl_ms = FOREVER_MS, .suffix = ".json",
      .doc = "what the service says about a sample; the bare hash resolves too" },
};

static const struct node_spec in_request[] = {
    { .name = "rule.yar", .ops = &view_rule, .mode = FILE_MODE, .doc = "the rule that was sent, exactly" },
    { .name = "options", .ops = &view_options, .mode = FILE_MODE, .doc = "the options that were sent, name=value lines" },
    { .name = "status", .ops = &view_state, .mode = FILE_MODE,
      .doc = "one line; the first word is draft, queued, inprogress, done, failed or rejected" },
    { .name = "id", .ops = &view_id, .mode = FILE_MODE, .doc = "the request id" },
    { .name = "error", .ops = &view_error, .mode = FILE_MODE, .doc = "the reason, only when there is one" },
    { .name = "results.tsv", .ops = &view_results_tsv, .mode = FILE_MODE,
      .doc = "sha256 filetype filesize first_seen label family md5 sha1 state, with a header" },
    { .name = "results.jsonl", .ops = &view_results_jsonl, .mode = FILE_MODE,
      .doc = "one JSON object a line, the service's field names" },
    { .name = "response.json", .ops = &view_response, .mode = FILE_MODE, .doc = "the service's last answer, as it came" },
    { .name = "hashes.txt", .ops = &view_hashes, .mode = FILE_MODE, .doc = "the SHA-256 of each result, one a line" },
    { .name = "SHA256SUMS", .ops = &view_sums, .mode = FILE_MODE,
      .doc = "for `sha256sum -c ../SHA256SUMS` inside samples/" },
    { .name = "samples", .ops = &dir_result_samples, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_samples),
      .doc = "the results as regular files, and nothing else" },
    { .name = "metadata", .ops = &dir_result_metadata, .mode = DIR_MODE, .is_per_request = true, CHILDREN(in_metadata),
      .doc = "one JSON file per result" },
    { .name = "wait", .ops = &file_wait, .mode = FILE_MODE, .is_unlisted = true,
      .doc = "not listed; reading waits until the request is finished and ends with its status" },
};

static const struct node_spec in_hunts[] = {
    { .pattern = "NAME.yar", .ops = &file_rule, .mode = USER_FILE_MODE,
      .doc = "a YARA rule; closing a new one schedules a hunt (costs one hunt)" },
    { .pattern = "NAME", .ops = &dir_hunts, .mode = DIR_MODE, CHILDREN(in_request), .doc = "what the hunt came to" },
    { .pattern = "SCRATCH", .ops = &file_scratch, .mode = USER_FILE_MODE, .is_unlisted = true,
      .doc = "temporary files of editors: kept in memory, never sent" },
};

static const struct node_spec in_requests[] = {
    { .pattern = "<id>", .ops = &dir_requests, .mode = DIR_MODE, CHILDREN(in_request),
      .doc = "one request, the layout of a hunt; an unknown id is asked for (free)" },
};

static const struct node_spec in_root[] = {
    { .name = "README", .ops = &file_readme, .mode = FILE_MODE, .doc = "this page" },
    { .name = "quotas", .ops = &file_quotas, .mode = FILE_MODE,
      .doc = "what the month's quota still allows, name, value and limit; asked at most every 60 s" },
    { .name = "quotas.json", .ops = &file_quotas_json, .mode = FILE_MODE, .doc = "the same, the service's answer" },
    { .name = "status", .ops = &file_status, .mode = FILE_MODE,
      .doc = "one screen: online, offline or unauthorized, the cloud, counters, the last error" },
    { .name = "hunts", .mode = USER_DIR_MODE, .is_writable = true, CHILDREN(in_hunts),
      .doc = "copy a YARA rule here to hunt with it" },
    { .name = "requests", .mode = DIR_MODE, CHILDREN(in_requests), .doc = "every request of this profile" },
    { .name = "samples", .ops = &dir_samples, .mode = DIR_MODE, CHILDREN(in_samples),
      .doc = "any sample by its SHA-256; a listing shows what is local" },
    { .name = "metadata", .ops = &dir_metadata, .mode = DIR_MODE, CHILDREN(in_metadata),
      .doc = "metadata of any sample (free); a listing shows what is known" },
};

const struct node_spec tree_root = { .name = "", .mode = DIR_MODE, CHILDREN(in_root), .doc = "" };

/* clang-format on */
