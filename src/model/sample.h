/*
 * sample -- what MalQuery says about one file (SampleMetadata, API page section 2.11). A plain value: copy it.
 *
 * Units      sizes in bytes, -1 when the service did not say; dates in seconds since the epoch (UTC midnight),
 *            SAMPLE_NO_DATE when it did not say. Texts are "" when absent; label, family and filetype are foreign text.
 */
#pragma once

#include <stdint.h>

#include "model/digest.h"

enum {
    SAMPLE_SHA1_TEXT = 40,
    SAMPLE_MD5_TEXT = 32,
    SAMPLE_TYPE_MAX = 31,
    SAMPLE_LABEL_MAX = 63,
    SAMPLE_FAMILY_MAX = 1023
};
#define SAMPLE_NO_SIZE (-1)
#define SAMPLE_NO_DATE INT64_MIN

struct sample {
    struct digest digest;
    int64_t size_bytes;
    int64_t first_seen_s;
    char sha1[SAMPLE_SHA1_TEXT + 1];
    char md5[SAMPLE_MD5_TEXT + 1];
    char filetype[SAMPLE_TYPE_MAX + 1];
    char label[SAMPLE_LABEL_MAX + 1];
    char family[SAMPLE_FAMILY_MAX + 1];
};
