#include "test_store_archive_fixture.h"

#include "store/store_archive_reader.h"

/* What comes of the archive with these bytes when `wanted` is asked for; nothing may be stored. */
static int try_bytes(struct fixture *fixture, const void *bytes, size_t n, const struct content *wanted)
{
    int r;

    keep_archive(fixture, &request, bytes, n);
    r = unpack(fixture, wanted, 1);
    assert_false(store_object_exists(fixture->store, &wanted->digest));
    return r;
}

static int try_buf(struct fixture *fixture, struct buf bytes, const struct content *wanted)
{
    int r = try_bytes(fixture, buf_text(&bytes), bytes.n, wanted);

    buf_done(&bytes);
    return r;
}

/* ---- no zip ---- */

static void what_is_no_zip_is_refused(void **state)
{
    static const char *const texts[] = { "", "P", "PK\5\6", "{\"errors\":[{\"code\":404}]}", "<html></html>\n" };
    struct content content = make_content(300000, 1);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(try_bytes(*state, texts[i], strlen(texts[i]), &content), -EPROTO);
    assert_int_equal(try_bytes(*state, content.bytes, content.n, &content), -EPROTO);
    content_done(&content);
}

static void an_archive_that_was_cut_is_refused(void **state)
{
    struct content content = make_content(3000, 1);
    struct member member = { .name = content.hex.s, .content = &content, .encryption = ZIP_EM_TRAD_PKWARE };
    struct buf bytes = pack(&member, 1);

    for (size_t n = 0; n < bytes.n; n = n < 2900 ? n + 500 : n + 1)
        assert_int_equal(try_bytes(*state, bytes.data, n, &content), -EPROTO);
    buf_done(&bytes);
    content_done(&content);
}

static void a_zip_without_members_is_one(void **state)
{
    struct content content = make_content(10, 1);
    struct raw raw = RAW_INIT;

    assert_int_equal(try_buf(*state, raw_take(&raw, 0), &content), 0);
    assert_string_equal(reasons[0].text, "not in the archive");
    content_done(&content);
}

/* ---- bombs ---- */

/* Zeros and a small sample, deflated; `lies` says that there are few zeros. */
static struct buf bomb(const struct content *zeros, const struct content *small, bool lies)
{
    enum { LOCAL_SIZE = 22, ENTRY_SIZE = 24 };
    struct member members[] = {
        { .name = zeros->hex.s, .content = zeros, .compression = ZIP_CM_DEFLATE },
        { .name = small->hex.s, .content = small, .encryption = ZIP_EM_TRAD_PKWARE },
    };
    struct buf bytes = pack(members, 2);
    char *entry = memmem(bytes.data, bytes.n, "PK\1\2", 4);

    if (lies) {
        memset(bytes.data + LOCAL_SIZE, 0, 4);
        memset(entry + ENTRY_SIZE, 0, 4);
    }
    return bytes;
}

static void expect_defused(struct fixture *fixture, size_t n_bytes, bool lies)
{
    struct content contents[] = { content_of_zeros(n_bytes), make_content(1000, 1) };

    keep_buf(fixture, bomb(&contents[0], &contents[1], lies));
    assert_int_equal(unpack(fixture, contents, 2), 0);
    assert_non_null(strstr(reasons[0].text, "larger than"));
    assert_string_equal(reasons[1].text, "");
    assert_false(store_object_exists(fixture->store, &contents[0].digest));
    expect_stored(fixture, &contents[1]);
    content_done(&contents[0]);
    content_done(&contents[1]);
}

static void a_bomb_is_not_unpacked(void **state)
{
    expect_defused(*state, (size_t)200 * MIB, false);
}

static void a_bomb_that_lies_about_its_size_is_not_unpacked(void **state)
{
    expect_defused(*state, (size_t)50 * MIB, true);
}

static void a_sample_that_is_known_to_be_full_of_zeros_is_no_bomb(void **state)
{
    struct fixture *fixture = *state;
    struct content contents[] = { content_of_zeros(20 * MIB), make_content(1000, 1) };
    struct sample known = { .digest = contents[0].digest, .size_bytes = 20 * MIB, .first_seen_s = SAMPLE_NO_DATE };

    assert_int_equal(store_sample_put(fixture->store, &known, 1, &fixture->err), 0);
    keep_buf(fixture, bomb(&contents[0], &contents[1], false));
    assert_int_equal(unpack(fixture, contents, 2), 0);
    assert_string_equal(reasons[0].text, "");
    expect_stored(fixture, &contents[0]);
    content_done(&contents[0]);
    content_done(&contents[1]);
}

static void members_that_overlap_end_early(void **state)
{
    struct content wanted = make_content(10, 1);
    struct content large = make_content(200000, 2);
    struct raw raw = RAW_INIT;

    raw_add(&raw, "0", &large, 0);
    for (int i = 1; i < 60; i++)
        raw_add(&raw, "again", &large, RAW_NO_DATA);
    assert_int_equal(try_buf(*state, raw_take(&raw, 0), &wanted), -EFBIG);
    content_done(&wanted);
    content_done(&large);
}

/* ---- directories ---- */

static void far_more_members_than_asked_for_are_refused(void **state)
{
    struct content wanted = make_content(10, 1);
    struct content other = make_content(10, 2);
    struct raw raw = RAW_INIT;

    for (int i = 0; i < 1000; i++)
        raw_add(&raw, "x", &other, 0);
    assert_int_equal(try_buf(*state, raw_take(&raw, 0), &wanted), -EPROTO);
    assert_non_null(strstr(((struct fixture *)*state)->err.text, "more members"));
    content_done(&wanted);
    content_done(&other);
}

static void some_more_members_than_asked_for_are_fine(void **state)
{
    struct fixture *fixture = *state;
    struct content wanted = make_content(10, 1);
    struct content other = make_content(10, 2);
    struct raw raw = RAW_INIT;

    for (int i = 0; i < 60; i++)
        raw_add(&raw, "x", &other, 0);
    raw_add(&raw, "y", &wanted, 0);
    keep_buf(fixture, raw_take(&raw, 0));
    assert_int_equal(unpack(fixture, &wanted, 1), 0);
    expect_stored(fixture, &wanted);
    content_done(&wanted);
    content_done(&other);
}

static void a_false_number_of_members_takes_no_memory(void **state)
{
    struct content content = make_content(4 * MIB, 1);
    struct raw raw = RAW_INIT;

    raw_add(&raw, content.hex.s, &content, 0);
    assert_int_equal(try_buf(*state, raw_take(&raw, 100 * 1000), &content), -EPROTO);
    assert_non_null(strstr(((struct fixture *)*state)->err.text, "more members"));
    content_done(&content);
}

static void an_endless_directory_is_refused(void **state)
{
    struct content content = make_content(10, 1);
    struct raw raw = RAW_INIT;

    raw.n_comment = 60000;
    for (int i = 0; i < 60; i++)
        raw_add(&raw, content.hex.s, &content, 0);
    assert_int_equal(try_buf(*state, raw_take(&raw, 0), &content), -EFBIG);
    content_done(&content);
}

/* Each end names the whole directory, so that a reader who believes the best of them has to read it many times. */
static void a_thousand_ends_come_to_an_end(void **state)
{
    struct content content = make_content(100, 1);
    struct content other = make_content(100, 2);
    struct raw raw = RAW_INIT;
    char end[22];
    struct buf bytes;
    int r;

    for (int i = 0; i < 60; i++)
        raw_add(&raw, "x", &other, 0);
    bytes = raw_take(&raw, 0);
    memcpy(end, bytes.data + bytes.n - sizeof end, sizeof end);
    for (int i = 0; i < 2900; i++)
        buf_append(&bytes, end, sizeof end);
    r = try_buf(*state, bytes, &content);
    assert_true(r == 0 || r == -EPROTO || r == -EFBIG);
    content_done(&content);
    content_done(&other);
}

/* ---- anything ---- */

static void flipped_bytes_never_make_a_wrong_sample(void **state)
{
    enum { FLIPS = 200 };
    struct fixture *fixture = *state;
    struct content contents[] = { make_content(70, 1), make_content(500, 2) };
    struct member members[] = {
        { .name = contents[0].hex.s, .content = &contents[0], .encryption = ZIP_EM_AES_256 },
        { .name = contents[1].hex.s, .content = &contents[1], .compression = ZIP_CM_DEFLATE },
    };
    struct buf bytes = pack(members, 2);

    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = i * 7919 % bytes.n;
        char was = bytes.data[at];
        int r;

        bytes.data[at] = (char)(was ^ (1 << i % 8));
        keep_archive(fixture, &request, bytes.data, bytes.n);
        r = unpack(fixture, contents, 2);
        assert_true(r == 0 || r == -EPROTO || r == -EFBIG);
        for (size_t c = 0; c < 2; c++) { /* for the next round; what there is has been stored under its own digest */
            if (r == 0 && !*reasons[c].text)
                expect_stored(fixture, &contents[c]);
            (void)unlink(fixture_path(fixture, &contents[c].digest).s);
        }
        bytes.data[at] = was;
    }
    buf_done(&bytes);
    content_done(&contents[0]);
    content_done(&contents[1]);
}

static int flip_in_the_middle(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    cleanup_(closep) int fd = kind == FTW_F ? open(path, O_RDWR) : -1;
    uint8_t byte = 0;

    (void)ftw;
    if (kind != FTW_F)
        return 0;
    assert_int_equal(pread(fd, &byte, 1, st->st_size / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st->st_size / 2), 1);
    return 0;
}

static void damage_on_disk_is_an_error_not_a_reason(void **state)
{
    struct fixture *fixture = *state;
    struct content content = make_content(MIB, 1);
    struct member member = { .name = content.hex.s, .content = &content, .encryption = ZIP_EM_TRAD_PKWARE };
    char path[PATH_MAX];

    keep_buf(fixture, pack(&member, 1));
    (void)snprintf(path, sizeof path, "%s/archives", fixture->cache);
    assert_int_equal(nftw(path, flip_in_the_middle, 16, FTW_PHYS), 0);
    assert_int_equal(unpack(fixture, &content, 1), -EIO);
    assert_false(store_object_exists(fixture->store, &content.digest));
    content_done(&content);
}

/* ---- the reader itself ---- */

static int cancelling_sink(void *closure, const void *data, size_t n, struct err *err)
{
    (void)data;
    (void)n;
    (void)err;
    *(bool *)closure = true;
    return 0;
}

static int failing_sink(void *closure, const void *data, size_t n, struct err *err)
{
    (void)closure;
    (void)data;
    (void)n;
    return err_set(err, ENOSPC, "full");
}

static void a_member_is_given_up_in_the_middle_for_the_sink_or_when_cancelled(void **state)
{
    struct fixture *fixture = *state;
    bool cancel = false;
    struct store_archive_budget budget;
    struct store_archive_reader_config config = {
        .password = password, .n_wanted = 1, .cancel = &cancel, .budget = &budget
    };
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    cleanup_(store_archive_reader_freep) struct store_archive_reader *reader = NULL;
    struct store_archive_sink failing = { .write = failing_sink };
    struct store_archive_sink cancelling = { .write = cancelling_sink, .closure = &cancel };
    struct store_archive_reader *late = NULL;
    struct content content = make_content(MIB, 1);
    struct member member = { .name = "x", .content = &content, .encryption = ZIP_EM_TRAD_PKWARE };

    keep_buf(fixture, pack(&member, 1));
    assert_int_equal(store_archive_open(fixture->store, &request, &archive, &fixture->err), 0);
    store_archive_budget_init(&budget, archive);
    assert_int_equal(store_archive_reader_open(archive, &config, &reader, &fixture->err), 0);
    assert_int_equal(store_archive_reader_count(reader), 1);
    assert_string_equal(store_archive_reader_name(reader, 0), "x");
    assert_int_equal(store_archive_reader_read(reader, 0, &failing, reasons, &fixture->err), -ENOSPC);
    assert_int_equal(store_archive_reader_read(reader, 0, &cancelling, reasons, &fixture->err), -ECANCELED);
    assert_int_equal(store_archive_reader_open(archive, &config, &late, &fixture->err), -ECANCELED);
    content_done(&content);
}

static int counting_sink(void *closure, const void *data, size_t n, struct err *err)
{
    (void)data;
    (void)err;
    *(size_t *)closure += n;
    return 0;
}

static void a_member_that_is_too_large_by_its_own_account_is_not_begun(void **state)
{
    struct fixture *fixture = *state;
    struct store_archive_budget budget;
    struct store_archive_reader_config config = { .password = password, .n_wanted = 1, .budget = &budget };
    cleanup_(store_object_unrefp) struct store_object *archive = NULL;
    cleanup_(store_archive_reader_freep) struct store_archive_reader *reader = NULL;
    size_t n = 0;
    struct store_archive_sink sink = { .write = counting_sink, .closure = &n };
    struct content contents[] = { content_of_zeros(2 * MIB), make_content(1000, 1) };

    keep_buf(fixture, bomb(&contents[0], &contents[1], false));
    assert_int_equal(store_archive_open(fixture->store, &request, &archive, &fixture->err), 0);
    store_archive_budget_init(&budget, archive);
    assert_int_equal(store_archive_reader_open(archive, &config, &reader, &fixture->err), 0);
    assert_int_equal(store_archive_reader_read(reader, 0, &sink, reasons, &fixture->err), STORE_ARCHIVE_REFUSED);
    assert_int_equal(n, 0);
    sink.expected_bytes = 2 * MIB;
    assert_int_equal(store_archive_reader_read(reader, 0, &sink, reasons, &fixture->err), 0);
    assert_int_equal(n, 2 * MIB);
    content_done(&contents[0]);
    content_done(&contents[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARCHIVE_TEST(what_is_no_zip_is_refused),
        ARCHIVE_TEST(an_archive_that_was_cut_is_refused),
        ARCHIVE_TEST(a_zip_without_members_is_one),
        ARCHIVE_TEST(a_bomb_is_not_unpacked),
        ARCHIVE_TEST(a_bomb_that_lies_about_its_size_is_not_unpacked),
        ARCHIVE_TEST(a_sample_that_is_known_to_be_full_of_zeros_is_no_bomb),
        ARCHIVE_TEST(members_that_overlap_end_early),
        ARCHIVE_TEST(far_more_members_than_asked_for_are_refused),
        ARCHIVE_TEST(some_more_members_than_asked_for_are_fine),
        ARCHIVE_TEST(a_false_number_of_members_takes_no_memory),
        ARCHIVE_TEST(an_endless_directory_is_refused),
        ARCHIVE_TEST(a_thousand_ends_come_to_an_end),
        ARCHIVE_TEST(flipped_bytes_never_make_a_wrong_sample),
        ARCHIVE_TEST(damage_on_disk_is_an_error_not_a_reason),
        ARCHIVE_TEST(a_member_is_given_up_in_the_middle_for_the_sink_or_when_cancelled),
        ARCHIVE_TEST(a_member_that_is_too_large_by_its_own_account_is_not_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
