#include "test_tree_bench.h"

#define PREFIX "user.malquery."

enum { REQUESTS = 250 }; /* more than are shown */

static struct sample sample_of(const char *family)
{
    struct sample sample = { .digest = digest_from(SHA_A), .size_bytes = 7, .first_seen_s = 951782400 };

    (void)snprintf(sample.family, sizeof sample.family, "%s", family);
    return sample;
}

static void know(struct tree_bench *bench, const struct sample *sample)
{
    struct err err = { 0 };

    assert_int_equal(store_sample_put(bench->below.store, sample, 1, &err), 0);
}

static uint64_t sample_ino(struct tree_bench *bench)
{
    return tree_find(bench, tree_find(bench, TREE_ROOT, "samples"), SHA_A);
}

static void assert_value(struct tree_bench *bench, uint64_t ino, const char *name, const char *wanted)
{
    struct buf value = { 0 };
    struct err err = { 0 };

    assert_int_equal(tree_xattr_get(bench->tree, ino, name, &value, &err), 0);
    assert_string_equal(buf_text(&value), wanted);
    assert_int_equal(value.n, strlen(wanted));
    buf_done(&value);
}

static void assert_refused(struct tree_bench *bench, uint64_t ino, const char *name, int code)
{
    struct buf value = { 0 };
    struct err err = { 0 };

    assert_int_equal(tree_xattr_get(bench->tree, ino, name, &value, &err), -code);
    buf_done(&value);
}

/* The names, a blank after each. */
static void assert_names(struct tree_bench *bench, uint64_t ino, const char *wanted)
{
    struct buf names = { 0 };
    struct err err = { 0 };

    assert_int_equal(tree_xattr_list(bench->tree, ino, &names, &err), 0);
    for (size_t i = 0; i < names.n; i++)
        if (!names.data[i])
            names.data[i] = ' ';
    assert_string_equal(buf_text(&names), wanted);
    buf_done(&names);
}

static void what_nothing_is_known_about_has_its_hash_and_is_remote(void **state)
{
    struct tree_bench bench;
    uint64_t ino;

    (void)state;
    tree_up(&bench);
    ino = sample_ino(&bench);
    assert_names(&bench, ino, PREFIX "sha256 " PREFIX "state ");
    assert_value(&bench, ino, PREFIX "sha256", SHA_A);
    assert_value(&bench, ino, PREFIX "state", "remote");
    assert_refused(&bench, ino, PREFIX "family", ENODATA);
    tree_down(&bench);
}

static void a_value_is_the_foreign_text_as_it_came(void **state)
{
    struct sample sample = sample_of("Agent/Tesla \x1b[31m\n\xff");
    struct tree_bench bench;
    uint64_t ino;

    (void)state;
    tree_up(&bench);
    know(&bench, &sample);
    ino = sample_ino(&bench);
    assert_value(&bench, ino, PREFIX "family", sample.family);
    assert_value(&bench, ino, PREFIX "first_seen", "2000/02/29");
    assert_names(&bench, ino, PREFIX "sha256 " PREFIX "family " PREFIX "first_seen " PREFIX "state ");
    tree_down(&bench);
}

static void a_sample_that_cannot_be_delivered_is_gone_and_says_why(void **state)
{
    struct sample sample = sample_of("");
    struct tree_bench bench;
    struct err err = { 0 };

    (void)state;
    tree_up(&bench);
    know(&bench, &sample);
    assert_int_equal(store_sample_put_gone(bench.below.store, &sample.digest, "not found", &err), 0);
    assert_value(&bench, sample_ino(&bench), PREFIX "state", "gone");
    assert_value(&bench, sample_ino(&bench), PREFIX "error", "not found");
    tree_down(&bench);
}

/* A finished request with one result. */
static void finish_request(struct tree_bench *bench, const char *id, const struct sample *sample)
{
    struct store_request request = { .state = REQUEST_DONE };
    struct err err = { 0 };

    assert_true(request_id_parse(id, &request.id));
    assert_int_equal(store_request_adopt(bench->below.store, &request.id, QUERY_HUNT, 1, &err), 0);
    assert_int_equal(
        store_request_finish(bench->below.store,
                             &(struct store_answer){ .request = &request, .samples = sample, .n_samples = 1 }, &err),
        0);
}

static void the_requests_that_found_it_are_listed_up_to_a_limit(void **state)
{
    struct sample sample = sample_of("");
    struct buf value = { 0 };
    struct tree_bench bench;
    struct err err = { 0 };
    char id[REQUEST_ID_TEXT + 1];

    (void)state;
    tree_up(&bench);
    finish_request(&bench, "00000001-0000-0000-0000-000000000000", &sample);
    finish_request(&bench, "00000000-0000-0000-0000-000000000000", &sample);
    assert_value(&bench, sample_ino(&bench), PREFIX "requests",
                 "00000001-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000000");
    for (int i = 2; i < REQUESTS; i++) {
        (void)snprintf(id, sizeof id, "%08x-0000-0000-0000-000000000000", i);
        finish_request(&bench, id, &sample);
    }
    assert_int_equal(tree_xattr_get(bench.tree, sample_ino(&bench), PREFIX "requests", &value, &err), 0);
    assert_memory_equal(buf_text(&value), "00000001-", strlen("00000001-"));
    assert_true(value.n > 4 * KIB && value.n < (size_t)REQUESTS * REQUEST_ID_TEXT);
    assert_int_equal((value.n + 1) % (REQUEST_ID_TEXT + 1), 0); /* whole ids */
    buf_done(&value);
    tree_down(&bench);
}

static void metadata_has_the_attributes_of_its_sample(void **state)
{
    struct sample sample = sample_of("Emotet");
    struct tree_bench bench;
    uint64_t dir;

    (void)state;
    tree_up(&bench);
    know(&bench, &sample);
    dir = tree_find(&bench, TREE_ROOT, "metadata");
    assert_value(&bench, tree_find(&bench, dir, SHA_A ".json"), PREFIX "family", "Emotet");
    tree_down(&bench);
}

static void a_request_has_its_id_and_its_status(void **state)
{
    struct sample sample = sample_of("");
    struct tree_bench bench;
    uint64_t ino;

    (void)state;
    tree_up(&bench);
    finish_request(&bench, REQID, &sample);
    ino = tree_find(&bench, tree_find(&bench, TREE_ROOT, "requests"), REQID);
    assert_names(&bench, ino, PREFIX "id " PREFIX "status ");
    assert_value(&bench, ino, PREFIX "id", REQID);
    assert_names(&bench, tree_find(&bench, ino, "status"), "");
    tree_down(&bench);
}

static void a_draft_has_no_id(void **state)
{
    struct store_entry entry = { .dir = STORE_HUNTS, .state = STORE_ENTRY_DRAFT, .name = "wiper", .suffix = ".yar" };
    struct tree_bench bench;
    struct err err = { 0 };

    (void)state;
    tree_up(&bench);
    assert_int_equal(store_entry_put(bench.below.store, &entry, "rule", 4, &err), 0);
    assert_names(&bench, tree_find(&bench, tree_find(&bench, TREE_ROOT, "hunts"), "wiper"), PREFIX "status ");
    tree_down(&bench);
}

static void other_names_are_no_data_or_not_supported(void **state)
{
    static const struct {
        const char *name;
        int code;
    } others[] = {
        { "user.malquery", ENODATA },          { "user.malquery.", ENODATA },
        { "user.malquery.sha", ENODATA },      { "user.xdg.origin.url", ENODATA },
        { "trusted.overlay.opaque", ENODATA }, { "system.posix_acl_access", ENOTSUP },
        { "security.selinux", ENOTSUP },       { "", ENOTSUP },
    };
    struct tree_bench bench;

    (void)state;
    tree_up(&bench);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_refused(&bench, sample_ino(&bench), others[i].name, others[i].code);
        assert_refused(&bench, TREE_ROOT, others[i].name, others[i].code);
    }
    assert_names(&bench, TREE_ROOT, "");
    tree_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nothing_is_known_about_has_its_hash_and_is_remote),
        cmocka_unit_test(a_value_is_the_foreign_text_as_it_came),
        cmocka_unit_test(a_sample_that_cannot_be_delivered_is_gone_and_says_why),
        cmocka_unit_test(the_requests_that_found_it_are_listed_up_to_a_limit),
        cmocka_unit_test(metadata_has_the_attributes_of_its_sample),
        cmocka_unit_test(a_request_has_its_id_and_its_status),
        cmocka_unit_test(a_draft_has_no_id),
        cmocka_unit_test(other_names_are_no_data_or_not_supported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
