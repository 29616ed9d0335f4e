#include "test_store_archive_fixture.h"

static struct member member_of(const struct content *content, const char *name)
{
    return (struct member){
        .name = name, .content = content, .compression = ZIP_CM_STORE, .encryption = ZIP_EM_TRAD_PKWARE
    };
}

static int list(struct fixture *fixture, struct digest **ret_digests, size_t *ret_n)
{
    fixture->err = (struct err){ 0 };
    return store_archive_list(fixture->store, &request, password, NULL, ret_digests, ret_n, &fixture->err);
}

static void members_are_known_by_their_bytes_in_their_order(void **state)
{
    struct content contents[] = { make_content(300000, 1), make_content(0, 2), make_content(100, 3) };
    struct member members[] = { member_of(&contents[0], contents[2].hex.s), member_of(&contents[1], "../evil"),
                                member_of(&contents[2], "a/b") };
    cleanup_(freep) struct digest *digests = NULL;
    size_t n = 0;

    keep_buf(*state, pack(members, ARRAY_SIZE(members)));
    assert_int_equal(list(*state, &digests, &n), 0);
    assert_int_equal(n, ARRAY_SIZE(contents));
    for (size_t i = 0; i < n; i++) {
        assert_true(digest_equal(&digests[i], &contents[i].digest));
        assert_false(store_object_exists(((struct fixture *)*state)->store, &digests[i])); /* nothing is unpacked */
        content_done(&contents[i]);
    }
}

static void what_is_there_twice_is_named_once(void **state)
{
    struct content contents[] = { make_content(100, 1), make_content(200, 2) };
    struct member members[] = { member_of(&contents[0], "a"), member_of(&contents[1], "b"),
                                member_of(&contents[0], "c") };
    cleanup_(freep) struct digest *digests = NULL;
    size_t n = 0;

    keep_buf(*state, pack(members, ARRAY_SIZE(members)));
    assert_int_equal(list(*state, &digests, &n), 0);
    assert_int_equal(n, 2);
    content_done(&contents[0]);
    content_done(&contents[1]);
}

static void what_cannot_be_read_is_left_out(void **state)
{
    struct content contents[] = { make_content(100, 1), make_content(200, 2) };
    struct member members[] = { member_of(&contents[0], "a"), member_of(&contents[1], "b") };
    cleanup_(freep) struct digest *digests = NULL;
    size_t n = 0;

    members[0].password = "another";
    keep_buf(*state, pack(members, ARRAY_SIZE(members)));
    assert_int_equal(list(*state, &digests, &n), 0);
    assert_int_equal(n, 1);
    assert_true(digest_equal(&digests[0], &contents[1].digest));
    content_done(&contents[0]);
    content_done(&contents[1]);
}

static void what_is_no_archive_is_eproto_and_none_is_absent(void **state)
{
    struct digest *digests = NULL;
    size_t n = 0;

    assert_int_equal(list(*state, &digests, &n), STORE_ABSENT);
    keep_archive(*state, &request, "this is no zip", 14);
    assert_int_equal(list(*state, &digests, &n), -EPROTO);
    assert_null(digests);
}

static void a_cancelled_listing_ends(void **state)
{
    static const volatile bool cancelled = true;
    struct fixture *fixture = *state;
    struct content content = make_content(100, 1);
    struct member member = member_of(&content, "a");
    struct digest *digests = NULL;
    size_t n = 0;

    keep_buf(fixture, pack(&member, 1));
    assert_int_equal(store_archive_list(fixture->store, &request, password, &cancelled, &digests, &n, &fixture->err),
                     -ECANCELED);
    content_done(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARCHIVE_TEST(members_are_known_by_their_bytes_in_their_order),
        ARCHIVE_TEST(what_is_there_twice_is_named_once),
        ARCHIVE_TEST(what_cannot_be_read_is_left_out),
        ARCHIVE_TEST(what_is_no_archive_is_eproto_and_none_is_absent),
        ARCHIVE_TEST(a_cancelled_listing_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
