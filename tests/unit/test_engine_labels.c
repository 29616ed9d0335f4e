#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_labels.h"
#include "util/text.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static int load(const char *text, struct engine_labels **labels, struct err *err)
{
    struct fixture fixture;
    int r;

    fixture_init(&fixture);
    fixture_text(&fixture, "l.tsv", text);
    r = engine_labels_load(fixture_path(&fixture, "l.tsv"), labels, err);
    fixture_done(&fixture);
    return r;
}

static struct sample sample_of(const char *hash)
{
    struct sample sample = { .first_seen_s = 7, .label = "unknown" };

    assert_true(digest_parse(hash, &sample.digest));
    return sample;
}

static void a_row_fills_label_family_and_date(void **unused)
{
    cleanup_(engine_labels_freep) struct engine_labels *labels = NULL;
    struct sample sample = sample_of(A);
    int64_t date_s = 0;

    (void)unused;
    assert_int_equal(
        load("sha256\tlabel\tfamily\tfirst_seen\n" A "\tmalware\tStone drill\t2019/03/12\n", &labels, NULL), 0);
    engine_labels_apply(labels, &sample);
    assert_string_equal(sample.label, "malware");
    assert_string_equal(sample.family, "Stone drill");
    assert_true(text_parse_date("2019/03/12", &date_s));
    assert_int_equal(sample.first_seen_s, date_s);
}

static void columns_are_found_by_name_and_hashes_have_any_case(void **unused)
{
    cleanup_(engine_labels_freep) struct engine_labels *labels = NULL;
    struct sample sample = sample_of(B);

    (void)unused;
    assert_int_equal(load("Family\tnotes\tSHA256\r\nzoo\thello\t" B "\r\n", &labels, NULL), 0);
    engine_labels_apply(labels, &sample);
    assert_string_equal(sample.family, "zoo");
    assert_string_equal(sample.label, "unknown");
    assert_int_equal(sample.first_seen_s, 7);
}

static void empty_fields_and_unknown_samples_change_nothing(void **unused)
{
    cleanup_(engine_labels_freep) struct engine_labels *labels = NULL;
    struct sample known = sample_of(A);
    struct sample other = sample_of(B);

    (void)unused;
    assert_int_equal(load("sha256\tlabel\tfamily\tfirst_seen\n" A "\t\t\t\n\n# comment\n", &labels, NULL), 0);
    engine_labels_apply(labels, &known);
    engine_labels_apply(labels, &other);
    engine_labels_apply(NULL, &other);
    assert_string_equal(known.label, "unknown");
    assert_string_equal(known.family, "");
    assert_int_equal(known.first_seen_s, 7);
    assert_string_equal(other.label, "unknown");
}

static void what_does_not_fit_is_an_error_with_its_line(void **unused)
{
    static const char *const bad[] = {
        "label\tfamily\n",
        "sha256\nzz\n",
        "sha256\tfirst_seen\n" A "\t2019/02/30\n",
        "sha256\tlabel\n" A "\t\xff\n",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct engine_labels *labels = NULL;
        struct err err = { 0 };

        assert_int_equal(load(bad[i], &labels, &err), -EINVAL);
        assert_non_null(strstr(err.text, i == 0 ? "line 1" : "line 2"));
        assert_null(labels);
    }
}

static void a_line_without_end_is_refused(void **unused)
{
    static char text[2 * ENGINE_LABELS_LINE_MAX] = "sha256\n";
    struct engine_labels *labels = NULL;
    struct err err = { 0 };

    (void)unused;
    memset(text + 7, 'a', sizeof text - 8);
    assert_int_equal(load(text, &labels, &err), -EINVAL);
}

static void a_missing_file_is_told_apart(void **unused)
{
    struct engine_labels *labels = NULL;

    (void)unused;
    assert_int_equal(engine_labels_load("/nonexistent/labels.tsv", &labels, NULL), -ENOENT);
}

static void only_a_regular_file_of_limited_size_is_read(void **unused)
{
    struct engine_labels *labels = NULL;
    struct fixture fixture;

    (void)unused;
    fixture_init(&fixture);
    fixture_text(&fixture, "table", "sha256\n");
    assert_int_equal(symlink("table", fixture_path(&fixture, "link")), 0);
    assert_int_equal(mkfifo(fixture_path(&fixture, "fifo"), 0600), 0);
    fixture_text(&fixture, "huge", "sha256\n");
    assert_int_equal(truncate(fixture_path(&fixture, "huge"), ENGINE_LABELS_MAX + 1L), 0);
    assert_int_equal(engine_labels_load(fixture_path(&fixture, "link"), &labels, NULL), -ELOOP);
    assert_int_equal(engine_labels_load(fixture_path(&fixture, "fifo"), &labels, NULL), -EINVAL);
    assert_int_equal(engine_labels_load(fixture.dir, &labels, NULL), -EINVAL);
    assert_int_equal(engine_labels_load(fixture_path(&fixture, "huge"), &labels, NULL), -EFBIG);
    assert_null(labels);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_fills_label_family_and_date),
        cmocka_unit_test(columns_are_found_by_name_and_hashes_have_any_case),
        cmocka_unit_test(empty_fields_and_unknown_samples_change_nothing),
        cmocka_unit_test(what_does_not_fit_is_an_error_with_its_line),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(a_missing_file_is_told_apart),
        cmocka_unit_test(only_a_regular_file_of_limited_size_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
