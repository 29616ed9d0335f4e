#include "test_engine_fixture.h"

#include "engine/engine_quota.h"
#include "util/clock.h"
#include "util/text.h"

static int64_t date_of(const char *text)
{
    int64_t s = 0;

    assert_true(text_parse_date(text, &s));
    return s;
}

static struct engine_db *open_db(const struct fixture *fixture)
{
    struct engine_db *db = NULL;

    assert_int_equal(engine_db_open(fixture_path(fixture, "q.db"), &db, NULL), 0);
    return db;
}

static int64_t spent(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s)
{
    int64_t n = -1;

    assert_int_equal(engine_quota_spent(db, kind, now_s, &n, NULL), 0);
    return n;
}

static int charge(struct engine_db *db, enum engine_quota_kind kind, int64_t now_s, int64_t n, int64_t limit)
{
    const struct engine_price price = { .kind = kind, .n = n, .limit = limit };

    return engine_quota_charge(db, &price, now_s, NULL);
}

static void charging_stops_at_the_limit(void **unused)
{
    int64_t now_s = date_of("2026/03/05");
    struct fixture fixture;
    struct engine_db *db;

    (void)unused;
    fixture_init(&fixture);
    db = open_db(&fixture);
    assert_int_equal(charge(db, QUOTA_HUNTS, now_s, 2, 3), 0);
    assert_int_equal(charge(db, QUOTA_HUNTS, now_s, 2, 3), ENGINE_QUOTA_EXCEEDED);
    assert_int_equal(spent(db, QUOTA_HUNTS, now_s), 2);
    assert_int_equal(charge(db, QUOTA_HUNTS, now_s, 1, 3), 0);
    assert_int_equal(charge(db, QUOTA_HUNTS, now_s, 1, 3), ENGINE_QUOTA_EXCEEDED);
    assert_int_equal(charge(db, QUOTA_DOWNLOADS, now_s, INT64_MAX, 3), ENGINE_QUOTA_EXCEEDED);
    assert_int_equal(spent(db, QUOTA_DOWNLOADS, now_s), 0);
    engine_db_free(db);
    fixture_done(&fixture);
}

static void what_was_spent_survives_a_restart(void **unused)
{
    int64_t now_s = date_of("2026/03/05");
    struct fixture fixture;
    struct engine_db *db;

    (void)unused;
    fixture_init(&fixture);
    db = open_db(&fixture);
    assert_int_equal(charge(db, QUOTA_DOWNLOADS, now_s, 5, 50), 0);
    engine_db_free(db);
    db = open_db(&fixture);
    assert_int_equal(spent(db, QUOTA_DOWNLOADS, now_s), 5);
    assert_int_equal(spent(db, QUOTA_DOWNLOADS, now_s), 5);
    engine_db_free(db);
    fixture_done(&fixture);
}

static void a_new_month_starts_at_nothing(void **unused)
{
    int64_t last_s = date_of("2026/04/01") - 1;
    struct fixture fixture;
    struct engine_db *db;

    (void)unused;
    fixture_init(&fixture);
    db = open_db(&fixture);
    assert_int_equal(charge(db, QUOTA_HUNTS, last_s, 3, 3), 0);
    assert_int_equal(charge(db, QUOTA_HUNTS, last_s, 1, 3), ENGINE_QUOTA_EXCEEDED);
    assert_int_equal(spent(db, QUOTA_HUNTS, last_s + 1), 0);
    assert_int_equal(charge(db, QUOTA_HUNTS, last_s + 1, 1, 3), 0);
    assert_int_equal(spent(db, QUOTA_HUNTS, last_s), 3);
    engine_db_free(db);
    fixture_done(&fixture);
}

static void the_quota_is_new_on_the_first_of_the_month(void **unused)
{
    (void)unused;
    assert_int_equal(engine_quota_refresh_s(date_of("2026/03/05") + 77), date_of("2026/04/01"));
    assert_int_equal(engine_quota_refresh_s(date_of("2026/04/01") - 1), date_of("2026/04/01"));
    assert_int_equal(engine_quota_refresh_s(date_of("2026/04/01")), date_of("2026/05/01"));
    assert_int_equal(engine_quota_refresh_s(date_of("2026/12/31")), date_of("2027/01/01"));
    assert_int_equal(engine_quota_refresh_s(date_of("2024/02/29")), date_of("2024/03/01"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charging_stops_at_the_limit),
        cmocka_unit_test(what_was_spent_survives_a_restart),
        cmocka_unit_test(a_new_month_starts_at_nothing),
        cmocka_unit_test(the_quota_is_new_on_the_first_of_the_month),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
