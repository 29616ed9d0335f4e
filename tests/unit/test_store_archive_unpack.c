#include "test_store_archive_fixture.h"

#include <signal.h>
#include <sys/resource.h>

enum { THREE = 3 };

static void three_contents(struct content *contents)
{
    static const size_t sizes[THREE] = { 100, 0, 300000 };

    for (unsigned int i = 0; i < THREE; i++)
        contents[i] = make_content(sizes[i], i);
}

static void contents_done(struct content *contents, size_t n)
{
    for (size_t i = 0; i < n; i++)
        content_done(&contents[i]);
}

/* A good member: ZipCrypto, stored, named by its digest. */
static struct member good(const struct content *content)
{
    return (struct member){
        .name = content->hex.s, .content = content, .compression = ZIP_CM_STORE, .encryption = ZIP_EM_TRAD_PKWARE
    };
}

/* Packs three members under these names and wants all of them. */
static void expect_found(struct fixture *fixture, const char *const *names)
{
    struct content contents[THREE];
    struct member members[THREE];

    three_contents(contents);
    for (size_t i = 0; i < THREE; i++) {
        members[i] = good(&contents[i]);
        members[i].name = names[i];
    }
    keep_buf(fixture, pack(members, THREE));
    assert_int_equal(unpack(fixture, contents, THREE), 0);
    for (size_t i = 0; i < THREE; i++) {
        assert_string_equal(reasons[i].text, "");
        expect_stored(fixture, &contents[i]);
    }
    contents_done(contents, THREE);
}

/* ---- what is tolerated ---- */

static void every_encryption_and_packing_is_read(void **state)
{
    static const zip_uint16_t encryptions[] = { ZIP_EM_NONE, ZIP_EM_TRAD_PKWARE, ZIP_EM_AES_128, ZIP_EM_AES_192,
                                                ZIP_EM_AES_256 };
    static const zip_int32_t compressions[] = { ZIP_CM_STORE, ZIP_CM_DEFLATE };
    unsigned int seed = 0;

    for (size_t e = 0; e < ARRAY_SIZE(encryptions); e++)
        for (size_t c = 0; c < ARRAY_SIZE(compressions); c++) {
            struct content content = make_content(200000, ++seed);
            struct member member = good(&content);

            member.encryption = encryptions[e];
            member.compression = compressions[c];
            memset(content.bytes + 1000, 'a', 100000); /* something to deflate */
            assert_int_equal(digest_of(content.bytes, content.n, &content.digest, NULL), 0);
            keep_buf(*state, pack(&member, 1));
            if (encryptions[e] == ZIP_EM_NONE && compressions[c] == ZIP_CM_STORE)
                fixture_reopen(*state); /* the archive is in the cache, sealed, like everything else */
            assert_int_equal(unpack(*state, &content, 1), 0);
            assert_string_equal(reasons[0].text, "");
            expect_stored(*state, &content);
            content_done(&content);
        }
}

/* As 7-Zip and WinZip write AES: without checksums. The headers are found by their signatures. */
static void drop_checksums(struct buf *bytes)
{
    enum { LOCAL_CRC_AT = 14, CENTRAL_CRC_AT = 16, CRC_BYTES = 4 };

    for (size_t i = 0; i + CENTRAL_CRC_AT + CRC_BYTES < bytes->n; i++) {
        if (memcmp(bytes->data + i, "PK\3\4", 4) == 0)
            memset(bytes->data + i + LOCAL_CRC_AT, 0, CRC_BYTES);
        if (memcmp(bytes->data + i, "PK\1\2", 4) == 0)
            memset(bytes->data + i + CENTRAL_CRC_AT, 0, CRC_BYTES);
    }
}

static void a_digest_counts_more_than_a_checksum(void **state)
{
    static const zip_uint16_t encryptions[] = { ZIP_EM_AES_256, ZIP_EM_TRAD_PKWARE, ZIP_EM_NONE };

    for (unsigned int i = 0; i < 2 * ARRAY_SIZE(encryptions); i++) {
        struct content content = make_content(200000, i);
        struct member member = good(&content);
        struct buf bytes;

        member.encryption = encryptions[i / 2];
        member.name = i % 2 ? member.name : "a";
        bytes = pack(&member, 1);
        drop_checksums(&bytes);
        keep_buf(*state, bytes);
        assert_int_equal(unpack(*state, &content, 1), 0);
        assert_string_equal(reasons[0].text, "");
        expect_stored(*state, &content);
        content_done(&content);
    }
}

static void an_empty_sample_is_a_sample(void **state)
{
    static const zip_uint16_t encryptions[] = { ZIP_EM_NONE, ZIP_EM_TRAD_PKWARE, ZIP_EM_AES_256 };
    struct content nothing = make_content(0, 0);

    for (size_t e = 0; e < ARRAY_SIZE(encryptions); e++) {
        struct member member = good(&nothing);

        member.encryption = encryptions[e];
        keep_buf(*state, pack(&member, 1));
        if (e > 0) /* else it is stored already */
            assert_int_equal(unlink(fixture_path(*state, &nothing.digest).s), 0);
        assert_int_equal(unpack(*state, &nothing, 1), 0);
        assert_string_equal(reasons[0].text, "");
        expect_stored(*state, &nothing);
    }
    content_done(&nothing);
}

static void expect_raw(struct fixture *fixture, int how, bool has_record)
{
    struct content contents[THREE];
    struct raw raw = RAW_INIT;

    three_contents(contents);
    for (size_t i = 0; i < THREE; i++)
        raw_add(&raw, contents[i].hex.s, &contents[i], how);
    keep_buf(fixture, raw_take(&raw, has_record ? THREE : 0));
    assert_int_equal(unpack(fixture, contents, THREE), 0);
    for (size_t i = 0; i < THREE; i++)
        expect_stored(fixture, &contents[i]);
    contents_done(contents, THREE);
}

static void data_descriptors_are_tolerated(void **state)
{
    expect_raw(*state, RAW_DESCRIPTOR, false);
}

static void zip64_is_tolerated(void **state)
{
    expect_raw(*state, RAW_ZIP64, true);
}

static void a_zip64_record_without_need_is_tolerated(void **state)
{
    expect_raw(*state, 0, true);
}

static void an_encrypted_member_may_have_its_sizes_in_the_descriptor_only(void **state)
{
    enum { LOCAL_CRC = 14, LOCAL_NAME = 26 };
    struct content content = make_content(1000, 1);
    struct member member = good(&content);
    struct buf bytes = pack(&member, 1);

    assert_true(bytes.data[6] & RAW_FLAG_DESCRIPTOR);
    memset(bytes.data + LOCAL_CRC, 0, LOCAL_NAME - LOCAL_CRC);
    keep_buf(*state, bytes);
    assert_int_equal(unpack(*state, &content, 1), 0);
    expect_stored(*state, &content);
    content_done(&content);
}

static void a_sample_may_be_an_archive_itself(void **state)
{
    struct content inner = make_content(1000, 1);
    struct member members[] = { good(&inner), good(&inner) };
    struct content outer = { .n = 0 };
    struct buf bytes = pack(members, 1);

    outer.bytes = (uint8_t *)buf_take(&bytes, &outer.n);
    assert_int_equal(digest_of(outer.bytes, outer.n, &outer.digest, NULL), 0);
    outer.hex = digest_format(&outer.digest);
    members[0] = good(&outer);
    members[0].encryption = ZIP_EM_NONE;
    keep_buf(*state, pack(members, 1));
    assert_int_equal(unpack(*state, &outer, 1), 0);
    assert_string_equal(reasons[0].text, "");
    expect_stored(*state, &outer);
    assert_false(store_object_exists(((struct fixture *)*state)->store, &inner.digest));
    content_done(&inner);
    content_done(&outer);
}

/* ---- names ---- */

static void names_that_say_nothing_are_hashed(void **state)
{
    expect_found(*state, (const char *[]){ "a.exe", "b", "sample (3).bin" });
}

static void names_that_lie_are_found_out(void **state)
{
    struct content contents[THREE];
    const char *names[THREE];

    three_contents(contents);
    for (size_t i = 0; i < THREE; i++)
        names[i] = contents[(i + 1) % THREE].hex.s;
    expect_found(*state, names);
    contents_done(contents, THREE);
}

static void names_are_never_paths(void **state)
{
    struct fixture *fixture = *state;
    struct content contents[THREE];
    char names[THREE][200];

    three_contents(contents);
    (void)snprintf(names[0], sizeof names[0], "../../../../%s", contents[0].hex.s);
    (void)snprintf(names[1], sizeof names[1], "%s/%s", fixture->dir, contents[1].hex.s);
    (void)snprintf(names[2], sizeof names[2], "..\\..\\%s", contents[2].hex.s);
    expect_found(fixture, (const char *[]){ names[0], names[1], names[2] });
    assert_int_equal(fixture_count(fixture, ".."), THREE + 1); /* the samples and the archive */
    assert_int_equal(access(names[1], F_OK), -1);
    contents_done(contents, THREE);
}

static void upper_case_names_are_digests_too(void **state)
{
    struct content contents[THREE];
    const char *names[THREE] = { "x", "y", contents[2].hex.s };

    three_contents(contents);
    for (char *at = contents[2].hex.s; *at; at++)
        *at = *at >= 'a' ? (char)(*at - 'a' + 'A') : *at;
    expect_found(*state, names);
    contents_done(contents, THREE);
}

static void directories_and_links_are_in_nobodys_way(void **state)
{
    struct fixture *fixture = *state;
    struct content target = make_content(30, 1);
    struct content wanted = make_content(1000, 2);
    struct member members[] = { { .name = "samples/" }, good(&target), { .name = "samples/more/" }, good(&wanted) };

    members[1].name = "link";
    members[1].mode = S_IFLNK | 0777;
    members[3].name = "samples/more/some";
    keep_buf(fixture, pack(members, ARRAY_SIZE(members)));
    assert_int_equal(unpack(fixture, &wanted, 1), 0);
    assert_string_equal(reasons[0].text, "");
    expect_stored(fixture, &wanted);
    assert_int_equal(fixture_count(fixture, "."), 2);
    content_done(&target);
    content_done(&wanted);
}

static void the_second_of_two_members_with_one_name_counts_when_the_first_is_bad(void **state)
{
    struct content bad = make_content(1000, 1);
    struct content wanted = make_content(1000, 2);
    struct raw raw = RAW_INIT;

    raw_add(&raw, wanted.hex.s, &bad, 0);
    raw_add(&raw, wanted.hex.s, &wanted, 0);
    keep_buf(*state, raw_take(&raw, 0));
    assert_int_equal(unpack(*state, &wanted, 1), 0);
    assert_string_equal(reasons[0].text, "");
    expect_stored(*state, &wanted);
    content_done(&bad);
    content_done(&wanted);
}

/* ---- partial success ---- */

static void what_is_missing_is_told_and_what_is_too_much_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct content contents[THREE];
    struct member members[2];

    three_contents(contents);
    members[0] = good(&contents[0]);
    members[1] = good(&contents[1]);
    keep_buf(fixture, pack(members, 2));
    assert_int_equal(unpack(fixture, contents + 1, 2), 0);
    assert_string_equal(reasons[0].text, "");
    assert_string_equal(reasons[1].text, "not in the archive");
    assert_false(store_object_exists(fixture->store, &contents[0].digest));
    contents_done(contents, THREE);
}

static void another_password_is_named_as_the_reason(void **state)
{
    struct content contents[2] = { make_content(100, 1), make_content(100, 2) };
    struct member members[] = { good(&contents[0]), good(&contents[1]) };

    for (size_t i = 0; i < 2; i++) {
        members[i].encryption = ZIP_EM_AES_256; /* it knows a wrong password better than ZipCrypto */
        members[i].password = "other";
    }
    members[1].name = "x";
    keep_buf(*state, pack(members, 2));
    assert_int_equal(unpack(*state, contents, 2), 0);
    assert_string_equal(reasons[0].text, "wrong password");
    assert_string_equal(reasons[1].text, "not found in the archive; 1 unreadable: wrong password");
    contents_done(contents, 2);
}

static void zipcrypto_with_another_password_gives_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct content content = make_content(100, 1);
    struct member member = good(&content);

    member.password = "other";
    for (int i = 0; i < 300; i++) { /* one in 128 passes the check of the password */
        keep_buf(fixture, pack(&member, 1));
        assert_int_equal(unpack(fixture, &content, 1), 0);
        assert_true(strcmp(reasons[0].text, "wrong password") == 0 ||
                    strcmp(reasons[0].text, "damaged in the archive") == 0);
    }
    assert_false(store_object_exists(fixture->store, &content.digest));
    content_done(&content);
}

/* Three members, the middle one is spoilt by `spoil`; it alone is not delivered. */
typedef void spoil_fn(struct buf *bytes, size_t at);

static void expect_spoilt(struct fixture *fixture, zip_uint16_t encryption, spoil_fn *spoil, const char *reason)
{
    struct content contents[THREE] = { make_content(5000, 1), make_content(5000, 2), make_content(5000, 3) };
    struct member members[THREE];
    struct buf bytes;
    char *name;

    for (size_t i = 0; i < THREE; i++) {
        members[i] = good(&contents[i]);
        members[i].encryption = encryption;
    }
    bytes = pack(members, THREE);
    name = memmem(bytes.data, bytes.n, contents[1].hex.s, DIGEST_TEXT);
    spoil(&bytes, (size_t)(name - bytes.data));
    keep_buf(fixture, bytes);
    assert_int_equal(unpack(fixture, contents, THREE), 0);
    assert_string_equal(reasons[0].text, "");
    assert_string_equal(reasons[1].text, reason);
    assert_string_equal(reasons[2].text, "");
    assert_false(store_object_exists(fixture->store, &contents[1].digest));
    for (size_t i = 0; i < THREE; i += 2) {
        expect_stored(fixture, &contents[i]);
        assert_int_equal(unlink(fixture_path(fixture, &contents[i].digest).s), 0);
    }
    contents_done(contents, THREE);
}

static void spoil_data(struct buf *bytes, size_t at)
{
    bytes->data[at + 1000] ^= 1;
}

static void spoil_local_header(struct buf *bytes, size_t at)
{
    bytes->data[at - 4] ^= 1; /* the length of the name */
}

/* The directory's entry of the second member. */
static char *second_entry(struct buf *bytes)
{
    char *entry = memmem(bytes->data, bytes->n, "PK\1\2", 4);

    entry = memmem(entry + 1, bytes->n - (size_t)(entry + 1 - bytes->data), "PK\1\2", 4);
    assert_non_null(entry);
    return entry;
}

static void spoil_size(struct buf *bytes, size_t at)
{
    (void)at;
    second_entry(bytes)[24] ^= 1;
}

static void spoil_place(struct buf *bytes, size_t at)
{
    (void)at;
    memset(second_entry(bytes) + 42, 0x7f, 4);
}

static void strengthen(struct buf *bytes, size_t at)
{
    (void)at;
    second_entry(bytes)[8] |= 0x40; /* "strong encryption" */
}

static void squeeze(struct buf *bytes, size_t at)
{
    (void)at;
    second_entry(bytes)[10] = 12; /* bzip2 */
}

static void a_spoilt_member_costs_the_others_nothing(void **state)
{
    static const char damaged[] = "damaged in the archive";

    expect_spoilt(*state, ZIP_EM_TRAD_PKWARE, spoil_data, damaged);
    expect_spoilt(*state, ZIP_EM_AES_256, spoil_data, damaged);
    expect_spoilt(*state, ZIP_EM_NONE, spoil_data, damaged);
    expect_spoilt(*state, ZIP_EM_NONE, spoil_local_header, damaged);
    expect_spoilt(*state, ZIP_EM_NONE, spoil_size, damaged);
    expect_spoilt(*state, ZIP_EM_TRAD_PKWARE, spoil_place, damaged);
}

static void foreign_encryption_and_packing_are_named(void **state)
{
    expect_spoilt(*state, ZIP_EM_TRAD_PKWARE, strengthen, "unknown encryption");
    expect_spoilt(*state, ZIP_EM_NONE, squeeze, "unknown compression");
}

static void bytes_with_another_digest_are_named(void **state)
{
    struct content wanted = make_content(100, 1);
    struct content other = make_content(100, 2);
    struct member member = good(&other);

    member.name = wanted.hex.s;
    keep_buf(*state, pack(&member, 1));
    assert_int_equal(unpack(*state, &wanted, 1), 0);
    assert_string_equal(reasons[0].text, "its bytes do not have this SHA-256");
    content_done(&wanted);
    content_done(&other);
}

/* ---- asking ---- */

static void what_is_local_already_needs_no_archive(void **state)
{
    struct fixture *fixture = *state;
    struct content contents[2] = { make_content(100, 1), make_content(100, 2) };

    fixture_store(fixture, &contents[0].digest, contents[0].bytes, contents[0].n);
    assert_int_equal(unpack(fixture, contents, 1), 0);
    assert_string_equal(reasons[0].text, "");
    assert_int_equal(unpack(fixture, contents, 0), 0);
    assert_int_equal(unpack(fixture, contents, 2), STORE_ABSENT);
    contents_done(contents, 2);
}

static void a_digest_that_is_wanted_twice_is_answered_twice(void **state)
{
    struct content one = make_content(100, 1);
    struct content two = make_content(100, 2);
    struct content wanted[] = { one, two, one, two };
    struct member members[] = { good(&one), good(&two) };

    members[1].password = "other";
    members[1].encryption = ZIP_EM_AES_256;
    keep_buf(*state, pack(members, 2));
    assert_int_equal(unpack(*state, wanted, 4), 0);
    assert_string_equal(reasons[0].text, "");
    assert_string_equal(reasons[2].text, "");
    assert_string_equal(reasons[1].text, "wrong password");
    assert_string_equal(reasons[3].text, "wrong password");
    content_done(&one);
    content_done(&two);
}

static void too_many_wanted_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store_unpack ask = { .n_wanted = STORE_UNPACK_MAX + 1, .password = password };

    assert_int_equal(store_archive_unpack(fixture->store, &request, &ask, reasons, &fixture->err), -EINVAL);
}

enum { MANY = 600 }; /* more than all workers hold back together */

/* Unpacks many members with a counter of what is local, and a wish to stop that comes true with the first one. */
static int unpack_counting(struct fixture *fixture, bool stops, size_t *ret_n_local)
{
    static struct content contents[MANY];
    static struct digest digests[MANY];
    static struct member members[MANY];
    static struct store_reason many_reasons[MANY];
    union { /* the lowest byte of the counter becomes 1, which is true */
        size_t n;
        bool is_one;
    } local = { .n = 0 };
    struct store_unpack ask = {
        .wanted = digests,
        .n_wanted = MANY,
        .password = password,
        .n_local = &local.n,
        .cancel = stops ? &local.is_one : NULL,
    };
    int r;

    for (size_t i = 0; i < MANY; i++) {
        contents[i] = make_content(1000 + i, (unsigned int)i);
        members[i] = good(&contents[i]);
        digests[i] = contents[i].digest;
    }
    keep_buf(fixture, pack(members, MANY));
    r = store_archive_unpack(fixture->store, &request, &ask, many_reasons, &fixture->err);
    *ret_n_local = local.n;
    contents_done(contents, MANY);
    return r;
}

static void many_come_in_batches_and_are_counted(void **state)
{
    struct fixture *fixture = *state;
    size_t n_local = 0;

    assert_int_equal(unpack_counting(fixture, false, &n_local), 0);
    assert_int_equal(n_local, MANY);
    assert_int_equal(fixture_count(fixture, "."), MANY + 1); /* and the archive */
}

static void a_cancelled_unpacking_ends_and_keeps_what_it_has(void **state)
{
    struct fixture *fixture = *state;
    size_t n_local = 0;

    assert_int_equal(unpack_counting(fixture, true, &n_local), -ECANCELED);
    assert_in_range(n_local, 1, MANY - 1);
    assert_int_equal(fixture_count(fixture, "."), n_local + 1);
    assert_int_equal(fixture_count(fixture, "tmp"), 0);
}

static void a_full_disk_is_an_error_not_a_reason(void **state)
{
    struct fixture *fixture = *state;
    struct content content = make_content(MIB, 1);
    struct member member = good(&content);
    pid_t pid;

    keep_buf(fixture, pack(&member, 1));
    pid = fork();
    if (pid == 0) { /* a limit of the file size stands for a full disk */
        struct rlimit limit = { .rlim_cur = 200000, .rlim_max = 200000 };

        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        _exit(unpack(fixture, &content, 1) == -EFBIG ? 0 : 2);
    }
    assert_int_equal(fixture_wait(pid), 0);
    assert_false(store_object_exists(fixture->store, &content.digest));
    content_done(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARCHIVE_TEST(every_encryption_and_packing_is_read),
        ARCHIVE_TEST(a_digest_counts_more_than_a_checksum),
        ARCHIVE_TEST(an_empty_sample_is_a_sample),
        ARCHIVE_TEST(data_descriptors_are_tolerated),
        ARCHIVE_TEST(zip64_is_tolerated),
        ARCHIVE_TEST(a_zip64_record_without_need_is_tolerated),
        ARCHIVE_TEST(an_encrypted_member_may_have_its_sizes_in_the_descriptor_only),
        ARCHIVE_TEST(a_sample_may_be_an_archive_itself),
        ARCHIVE_TEST(names_that_say_nothing_are_hashed),
        ARCHIVE_TEST(names_that_lie_are_found_out),
        ARCHIVE_TEST(names_are_never_paths),
        ARCHIVE_TEST(upper_case_names_are_digests_too),
        ARCHIVE_TEST(directories_and_links_are_in_nobodys_way),
        ARCHIVE_TEST(the_second_of_two_members_with_one_name_counts_when_the_first_is_bad),
        ARCHIVE_TEST(what_is_missing_is_told_and_what_is_too_much_is_left),
        ARCHIVE_TEST(another_password_is_named_as_the_reason),
        ARCHIVE_TEST(zipcrypto_with_another_password_gives_nothing),
        ARCHIVE_TEST(a_spoilt_member_costs_the_others_nothing),
        ARCHIVE_TEST(foreign_encryption_and_packing_are_named),
        ARCHIVE_TEST(bytes_with_another_digest_are_named),
        ARCHIVE_TEST(what_is_local_already_needs_no_archive),
        ARCHIVE_TEST(a_digest_that_is_wanted_twice_is_answered_twice),
        ARCHIVE_TEST(too_many_wanted_are_refused),
        ARCHIVE_TEST(many_come_in_batches_and_are_counted),
        ARCHIVE_TEST(a_cancelled_unpacking_ends_and_keeps_what_it_has),
        ARCHIVE_TEST(a_full_disk_is_an_error_not_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
