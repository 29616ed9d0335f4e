#include "test_tree_bench.h"

#include "util/text.h"

enum { MANY = 1000 };

#define OTHER_ID "096f6aa5-f245-4b09-790f-133bc89d4d27"

/* A finished request whose results have these families, in this order. */
static struct subject with_families(struct tree_bench *bench, const char *id_text, const char *const *families,
                                    size_t n)
{
    struct subject subject = { .kind = SUBJECT_REQUEST };
    cleanup_(freep) struct sample *samples = calloc(n + 1, sizeof *samples);
    struct store_request request = { .state = REQUEST_DONE };
    char bytes[64]; /* of each sample, in effect */
    struct err err = { 0 };

    for (size_t i = 0; i < n; i++) {
        samples[i] = (struct sample){ .size_bytes = 1, .first_seen_s = SAMPLE_NO_DATE };
        (void)snprintf(bytes, sizeof bytes, "%s %zu", id_text, i);
        assert_int_equal(digest_of(bytes, strlen(bytes), &samples[i].digest, &err), 0);
        assert_true(text_copy(samples[i].family, sizeof samples[i].family, families[i]));
    }
    assert_true(request_id_parse(id_text, &request.id));
    assert_int_equal(store_request_adopt(bench->below.store, &request.id, QUERY_HUNT, clock_now_s(), &err), 0);
    assert_int_equal(
        store_request_finish(bench->below.store,
                             &(struct store_answer){ .request = &request, .samples = samples, .n_samples = n }, &err),
        0);
    (void)snprintf(subject.text, sizeof subject.text, "%s", id_text);
    return subject;
}

static const struct node_spec by_family = { .group = STORE_GROUP_FAMILY };
static const struct node_spec by_year = { .group = STORE_GROUP_YEAR };
static const struct node_spec sample_row = { .suffix = "" };

static struct listing list(struct tree_bench *bench, const struct subject *subject, const struct node_spec *spec)
{
    struct listing listing = { .n = 0 };
    struct err err = { 0 };

    assert_int_equal(dir_groups.list(bench->tree, subject, spec, &listing, &err), 0);
    assert_int_equal(listing.code, 0);
    return listing;
}

static int find(struct tree_bench *bench, const struct subject *subject, const struct node_spec *spec, const char *name,
                struct subject *ret_group)
{
    struct err err = { 0 };

    return dir_group.find(bench->tree, subject, spec, name, ret_group, &err);
}

/* How many results a group has. */
static size_t members(struct tree_bench *bench, const struct subject *group)
{
    struct listing listing = { .n = 0 };
    struct err err = { 0 };
    size_t n;

    assert_int_equal(dir_group.list(bench->tree, group, &sample_row, &listing, &err), 0);
    n = listing.n;
    listing_done(&listing);
    return n;
}

/* The listing has these names in this order, and each is found with one result. */
static void expect_names(struct tree_bench *bench, const struct subject *subject, const char *const *names, size_t n)
{
    struct listing listing = list(bench, subject, &by_family);
    struct subject group;

    assert_int_equal(listing.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(listing.items[i].name, names[i]);
        assert_int_equal(find(bench, subject, &by_family, names[i], &group), 0);
        assert_int_equal(group.kind, SUBJECT_GROUP);
        assert_int_equal(members(bench, &group), 1);
    }
    listing_done(&listing);
}

static void names_are_made_safe(void **state)
{
    static const char *const families[] = { "Stone Drill", "Agent/Tesla", "..",         "../../etc",
                                            ".hidden",     "line\nbreak", "\x1b[31mred" };
    static const char *const names[] = { "Stone Drill", "Agent_Tesla", "_.",      "_._.._etc",
                                         "_hidden",     "line_break",  "_[31mred" };
    struct tree_bench bench;
    struct subject subject;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, families, ARRAY_SIZE(families));
    expect_names(&bench, &subject, names, ARRAY_SIZE(names));
    tree_down(&bench);
}

static void equal_names_of_different_values_are_numbered_in_order(void **state)
{
    static const char *const families[] = { "a/b", "a_b", "a\\b", "a\nb", "a_b~2" };
    static const char *const names[] = { "a_b", "a_b~2", "a\\b", "a_b~3", "a_b~2~2" };
    struct tree_bench bench;
    struct subject subject;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, families, ARRAY_SIZE(families));
    expect_names(&bench, &subject, names, ARRAY_SIZE(names));
    tree_down(&bench);
}

static void what_has_no_value_is_unknown_and_comes_first(void **state)
{
    static const char *const families[] = { "unknown", "Emotet", "" };
    static const char *const names[] = { "unknown", "unknown~2", "Emotet" };
    struct tree_bench bench;
    struct subject subject;
    struct subject group;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, families, ARRAY_SIZE(families));
    expect_names(&bench, &subject, names, ARRAY_SIZE(names));
    assert_int_equal(find(&bench, &subject, &by_year, "unknown", &group), 0);
    assert_int_equal(members(&bench, &group), ARRAY_SIZE(families));
    tree_down(&bench);
}

static void nothing_is_in_no_group(void **state)
{
    struct tree_bench bench;
    struct subject subject;
    struct subject group;
    struct listing listing;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, NULL, 0);
    listing = list(&bench, &subject, &by_family);
    assert_int_equal(listing.n, 0);
    listing_done(&listing);
    assert_int_equal(find(&bench, &subject, &by_family, "unknown", &group), TREE_ABSENT);
    tree_down(&bench);
}

static void only_its_own_names_are_found(void **state)
{
    static const char *const families[] = { "Agent/Tesla", "Emotet" };
    static const char *const others[] = { "Agent/Tesla", "agent_tesla", "Emotet~2", "unknown", "", "Emote" };
    struct tree_bench bench;
    struct subject subject;
    struct subject group;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, families, ARRAY_SIZE(families));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(find(&bench, &subject, &by_family, others[i], &group), TREE_ABSENT);
    tree_down(&bench);
}

static void what_is_kept_of_one_request_is_not_taken_for_another(void **state)
{
    static const char *const first[] = { "Emotet" };
    static const char *const second[] = { "Dridex" };
    struct tree_bench bench;
    struct subject one;
    struct subject two;
    struct subject group;

    (void)state;
    tree_up(&bench);
    one = with_families(&bench, REQID, first, 1);
    two = with_families(&bench, OTHER_ID, second, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find(&bench, &one, &by_family, "Emotet", &group), 0);
        assert_string_equal(group.text, REQID);
        assert_int_equal(find(&bench, &two, &by_family, "Emotet", &group), TREE_ABSENT);
        assert_int_equal(find(&bench, &two, &by_family, "Dridex", &group), 0);
        assert_string_equal(group.text, OTHER_ID);
        assert_int_equal(find(&bench, &one, &by_family, "Dridex", &group), TREE_ABSENT);
        assert_int_equal(find(&bench, &one, &by_year, "Emotet", &group), TREE_ABSENT);
    }
    tree_down(&bench);
}

/* Values that differ behind the end of a name, and have a character of three bytes across it. */
static void many_of_one_name_stay_apart_and_short_enough(void **state)
{
    static char texts[MANY][SAMPLE_FAMILY_MAX + 1];
    static const char *pointers[MANY];
    struct tree_bench bench;
    struct subject subject;
    struct subject group;
    struct listing listing;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        for (size_t k = 0; k < 45; k++)
            memcpy(texts[i] + 3 * k, "\xe2\x82\xac", 3);
        (void)snprintf(texts[i] + 135, sizeof texts[i] - 135, "%zu", i);
        pointers[i] = texts[i];
    }
    tree_up(&bench);
    subject = with_families(&bench, REQID, pointers, MANY);
    listing = list(&bench, &subject, &by_family);
    assert_int_equal(listing.n, MANY);
    for (size_t i = 0; i < MANY; i++) {
        const char *name = listing.items[i].name;

        assert_true(strlen(name) <= TEXT_COMPONENT_MAX);
        assert_true(text_is_utf8(name, strlen(name)));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, listing.items[k].name);
        assert_int_equal(find(&bench, &subject, &by_family, name, &group), 0);
        if (i % 100 == 0) /* each looks at all results */
            assert_int_equal(members(&bench, &group), 1);
    }
    listing_done(&listing);
    tree_down(&bench);
}

static void a_sample_is_in_the_group_of_its_value_only(void **state)
{
    static const char *const families[] = { "a/b", "a_b" };
    struct sample sample = { .first_seen_s = SAMPLE_NO_DATE };
    struct tree_bench bench;
    struct subject subject;
    struct subject group;
    struct err err = { 0 };
    bool has = false;

    (void)state;
    tree_up(&bench);
    subject = with_families(&bench, REQID, families, ARRAY_SIZE(families));
    assert_int_equal(find(&bench, &subject, &by_family, "a_b", &group), 0);
    (void)snprintf(sample.family, sizeof sample.family, "a/b");
    assert_int_equal(group_has(&group, &sample, &has, &err), 0);
    assert_true(has);
    (void)snprintf(sample.family, sizeof sample.family, "a_b");
    assert_int_equal(group_has(&group, &sample, &has, &err), 0);
    assert_false(has);
    tree_down(&bench);
}

static void there_are_no_groups_before_the_request_is_done(void **state)
{
    struct subject subject = { .kind = SUBJECT_REQUEST, .text = REQID };
    struct request_id id;
    struct tree_bench bench;
    struct err err = { 0 };

    (void)state;
    tree_up(&bench);
    assert_true(request_id_parse(REQID, &id));
    assert_int_equal(store_request_adopt(bench.below.store, &id, QUERY_HUNT, clock_now_s(), &err), 0);
    assert_int_equal(dir_groups.exists(bench.tree, &subject, &err), TREE_ABSENT);
    (void)with_families(&bench, REQID, NULL, 0);
    assert_int_equal(dir_groups.exists(bench.tree, &subject, &err), 0);
    tree_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_made_safe),
        cmocka_unit_test(equal_names_of_different_values_are_numbered_in_order),
        cmocka_unit_test(what_has_no_value_is_unknown_and_comes_first),
        cmocka_unit_test(nothing_is_in_no_group),
        cmocka_unit_test(only_its_own_names_are_found),
        cmocka_unit_test(what_is_kept_of_one_request_is_not_taken_for_another),
        cmocka_unit_test(many_of_one_name_stay_apart_and_short_enough),
        cmocka_unit_test(a_sample_is_in_the_group_of_its_value_only),
        cmocka_unit_test(there_are_no_groups_before_the_request_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
