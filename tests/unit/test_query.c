#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/query.h"

/* Ids that MalQuery really gave; the fourth group is not what RFC 4122 asks for. */
static void ids_of_the_service_are_accepted(void **state)
{
    static const char *const good[] = {
        "096f6aa5-f245-4b09-790f-133bc89d4d26",
        "fc4db762-288c-40cc-5f4f-4f19b65649a8",
        "93b55373-3b69-43cb-6ea1-2870a44e1c1e",
        "ac1403c0-d095-4934-5bd2-4cd45f365a45",
    };
    struct request_id id;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(request_id_parse(good[i], &id));
        assert_string_equal(id.s, good[i]);
    }
}

static void no_version_and_no_variant_is_asked_for(void **state)
{
    struct request_id id;

    (void)state;
    assert_true(request_id_parse("00000000-0000-0000-0000-000000000000", &id));
    assert_true(request_id_parse("ffffffff-ffff-ffff-ffff-ffffffffffff", &id));
}

static void upper_case_is_the_same_id(void **state)
{
    struct request_id id;

    (void)state;
    assert_true(request_id_parse("096F6AA5-F245-4B09-790F-133BC89D4D26", &id));
    assert_string_equal(id.s, "096f6aa5-f245-4b09-790f-133bc89d4d26");
}

static void other_shapes_are_no_ids(void **state)
{
    static const char *const bad[] = {
        "",
        "096f6aa5",
        "096f6aa5f2454b09790f133bc89d4d26",
        "096f6aa5-f245-4b09-790f-133bc89d4d2",
        "096f6aa5-f245-4b09-790f-133bc89d4d261",
        "096f6aa5-f245-4b09-790f-133bc89d4d2g",
        "096f6aa5_f245_4b09_790f_133bc89d4d26",
        "096f6aa-5f245-4b09-790f-133bc89d4d26",
        "096f6aa5-f245-4b09-790f-133bc89d4d2\n",
        "{96f6aa5-f245-4b09-790f-133bc89d4d2}",
        "../../../../../../../../etc/passwd..",
    };
    struct request_id id = { "untouched" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(request_id_parse(bad[i], &id));
    assert_string_equal(id.s, "untouched");
}

static void states_have_the_words_of_the_service(void **state)
{
    (void)state;
    assert_string_equal(request_state_name(REQUEST_INPROGRESS), "inprogress");
    assert_string_equal(request_state_name(REQUEST_DONE), "done");
    assert_string_equal(request_state_name(REQUEST_FAILED), "failed");
}

static void options_of_nobody_ask_for_nothing_but_the_limit(void **state)
{
    const struct query_options none = QUERY_OPTIONS_NONE;

    (void)state;
    assert_int_equal(none.limit, 1000);
    assert_true(none.min_size_bytes == -1 && none.max_size_bytes == -1);
    assert_true(none.min_date_s == INT64_MIN && none.max_date_s == INT64_MIN);
    assert_int_equal(none.submitted_by_customer, -1);
    assert_int_equal(none.n_filetypes, 0);
}

static void every_file_type_fits_into_the_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUERY_TYPES_MAX; i++) {
        assert_non_null(query_filetypes[i]);
        assert_in_range(strlen(query_filetypes[i]), 1, QUERY_TYPE_TEXT);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(query_filetypes[i], query_filetypes[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_the_service_are_accepted),
        cmocka_unit_test(no_version_and_no_variant_is_asked_for),
        cmocka_unit_test(upper_case_is_the_same_id),
        cmocka_unit_test(other_shapes_are_no_ids),
        cmocka_unit_test(states_have_the_words_of_the_service),
        cmocka_unit_test(options_of_nobody_ask_for_nothing_but_the_limit),
        cmocka_unit_test(every_file_type_fits_into_the_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
