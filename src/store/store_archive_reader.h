/*
 * store_archive_reader -- a zip from a hostile place, read within limits, from where it lies sealed. Internal.
 *
 * Units      bytes.
 * Ownership  the archive is borrowed until the reader is freed, password and `cancel` too.
 * Errors     < 0 is the end of the whole archive: EPROTO (not a zip, a broken directory, too many members), EFBIG (more
 *            is to be read or unpacked than can be meant), ECANCELED, ENOMEM, or what the disk says.
 * Threads    one at a time. Several readers may read one archive.
 */
#pragma once

#include "store/store.h"

enum { STORE_ARCHIVE_REFUSED = 1 }; /* this one member is of no use */

struct store_archive_reader;

/* What all readers of one archive may read of it, and what that may unpack to, together. */
struct store_archive_budget {
    _Atomic int64_t may_read_bytes;
    _Atomic int64_t may_unpack_bytes;
};

struct store_archive_reader_config {
    const char *password;
    size_t n_wanted;                     /* how many members were asked for: bounds how many there may be */
    const volatile bool *cancel;         /* read atomically; NULL: never */
    struct store_archive_budget *budget; /* borrowed until the reader is freed */
};

void store_archive_budget_init(struct store_archive_budget *budget, const struct store_object *archive);

CHECKED int store_archive_reader_open(struct store_object *archive, const struct store_archive_reader_config *config,
                                      struct store_archive_reader **ret_reader, struct err *err);
void store_archive_reader_free(struct store_archive_reader *reader);
DEFINE_CLEANUP(struct store_archive_reader *, store_archive_reader_free)

size_t store_archive_reader_count(const struct store_archive_reader *reader);

/* The name of a member: foreign text, never a path. Valid as long as the reader; "" when there is none. */
const char *store_archive_reader_name(struct store_archive_reader *reader, size_t index);

/* Where the plain bytes of a member go, from the first to the last, and how many there should be. */
struct store_archive_sink {
    int (*write)(void *closure, const void *data, size_t n, struct err *err); /* a failure is passed on */
    void *closure;
    int64_t expected_bytes; /* 0: unknown. There may be more when the packed size makes that plausible */
};

/*
 * Reads a member. STORE_ARCHIVE_REFUSED, with the reason: it is damaged, too large, or packed in a way that is not
 * read; what the sink has got is worth nothing. 0 with a reason: all bytes came, and the archive's own checksum says
 * that they are damaged. It may be wrong, because libzip 1.7 looks for one in AES members that have none (AE-2, as
 * 7-Zip writes them), so only the digest of the bytes decides.
 */
CHECKED int store_archive_reader_read(struct store_archive_reader *reader, size_t index,
                                      const struct store_archive_sink *sink, struct store_reason *ret_reason,
                                      struct err *err);

/* Sets a reason and returns STORE_ARCHIVE_REFUSED. */
int store_archive_reader_refuse(struct store_reason *reason, const char *fmt, ...) PRINTF(2, 3);
