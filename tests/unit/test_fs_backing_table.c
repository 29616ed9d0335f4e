#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/fs_backing_table.h"
#include "util/check.h"

enum { LIMIT = 1000, SMALL = 100 };

static struct backing_table table;

static int setup(void **state)
{
    (void)state;
    backing_table_init(&table);
    table.limit = LIMIT;
    table.is_on = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    backing_table_done(&table);
    return 0;
}

static struct backing_sample sample(uint64_t ino, int64_t bytes)
{
    return (struct backing_sample){
        .ino = ino, .digest = { { (uint8_t)ino, (uint8_t)(ino >> 8) } }, .bytes = bytes, .is_fixed = true
    };
}

static int open_as(struct backing_sample opened)
{
    struct err err = { 0 };
    int id = -1;

    assert_int_equal(backing_open(&table, &opened, &id, &err), 0);
    return id;
}

static int open_it(uint64_t ino)
{
    return open_as(sample(ino, SMALL));
}

static void seen_before(struct backing_sample opened)
{
    assert_int_equal(open_as(opened), 0);
    backing_close(&table, opened.ino);
}

static enum backing_work next(struct backing **ret_row)
{
    return backing_next(&table, ret_row);
}

static void nothing_to_do(void)
{
    struct backing *row;

    assert_int_equal(next(&row), BACKING_IDLE);
}

/* The next work is a copy of `ino`, and it succeeds. */
static void build(uint64_t ino, int id)
{
    struct backing *row = NULL;
    struct digest digest;

    assert_int_equal(next(&row), BACKING_BUILD);
    assert_int_equal(row->ino, ino);
    digest = row->digest;
    backing_built(&table, row, &digest, id);
}

static void close_next(uint64_t ino, int id, bool is_gone)
{
    struct backing *row = NULL;

    assert_int_equal(next(&row), BACKING_CLOSE);
    assert_int_equal(row->ino, ino);
    assert_int_equal(row->id, id);
    backing_closed(&table, row, is_gone);
}

/* Closed, and its copy is there. */
static void ready(struct backing_sample opened, int id)
{
    seen_before(opened);
    seen_before(opened);
    build(opened.ino, id);
}

static bool wants_odd(void *closure, const struct digest *digest)
{
    (void)closure;
    return digest->bytes[0] % 2 == 1;
}

/* ---- who reads what ---- */

static void what_is_opened_once_is_not_copied(void **state)
{
    (void)state;
    assert_int_equal(open_it(1), 0);
    nothing_to_do();
    backing_close(&table, 1);
    nothing_to_do();
}

static void what_is_opened_again_is_copied_and_read_so_from_then_on(void **state)
{
    (void)state;
    seen_before(sample(1, SMALL));
    assert_int_equal(open_it(1), 0);
    backing_close(&table, 1);
    build(1, 7);
    assert_int_equal(open_it(1), 7);
    assert_int_equal(open_it(1), 7);
    backing_close(&table, 1);
    assert_int_equal(open_it(1), 7);
    nothing_to_do();
    assert_int_equal(table.bytes, SMALL);
}

/* Another mode than that of the others would be EIO in the kernel. */
static void all_who_have_it_open_read_it_alike(void **state)
{
    (void)state;
    assert_int_equal(open_it(1), 0);
    assert_int_equal(open_it(1), 0);
    build(1, 7);
    assert_int_equal(open_it(1), 0);
    backing_close(&table, 1);
    backing_close(&table, 1);
    assert_int_equal(open_it(1), 0);
    backing_close(&table, 1);
    backing_close(&table, 1);
    assert_int_equal(open_it(1), 7);
}

static void a_copy_that_is_in_use_never_goes(void **state)
{
    (void)state;
    ready(sample(1, SMALL), 7);
    assert_int_equal(open_it(1), 7);
    table.limit = 0;
    backing_sweep(&table, wants_odd, NULL);
    nothing_to_do();
    assert_int_equal(open_it(1), 7);
    backing_close(&table, 1);
    nothing_to_do();
    backing_close(&table, 1);
    close_next(1, 7, true);
    assert_int_equal(table.bytes, 0);
    assert_int_equal(table.n_copies, 0);
}

static void a_copy_that_goes_is_not_used_any_more(void **state)
{
    struct backing *row = NULL;

    (void)state;
    ready(sample(2, SMALL), 7);
    backing_sweep(&table, wants_odd, NULL);
    assert_int_equal(open_it(2), 0);
    assert_int_equal(next(&row), BACKING_CLOSE);
    assert_int_equal(open_it(2), 0);
    backing_close(&table, 2);
    backing_closed(&table, row, true);
    assert_int_equal(open_it(2), 0);
    backing_close(&table, 2);
    backing_close(&table, 2);
    build(2, 8);
    assert_int_equal(open_it(2), 8);
}

static void an_inode_that_is_another_sample_now_never_gets_the_old_bytes(void **state)
{
    struct backing_sample other = sample(1, SMALL);

    (void)state;
    other.digest.bytes[31] = 1;
    ready(sample(1, SMALL), 7);
    assert_int_equal(open_as(other), 0);
    close_next(1, 7, true);
    backing_close(&table, 1);
    assert_int_equal(open_as(other), 0);
    backing_close(&table, 1);
    build(1, 8);
    assert_int_equal(open_as(other), 8);
}

static void a_copy_of_what_the_inode_was_before_is_thrown_away(void **state)
{
    struct backing_sample other = sample(1, SMALL);
    struct backing *row = NULL;
    struct digest before;

    (void)state;
    other.digest.bytes[31] = 1;
    seen_before(sample(1, SMALL));
    seen_before(sample(1, SMALL));
    assert_int_equal(next(&row), BACKING_BUILD);
    before = row->digest;
    assert_int_equal(open_as(other), 0);
    backing_built(&table, row, &before, 7);
    assert_int_equal(open_as(other), 0);
    close_next(1, 7, true);
}

static void an_inode_cannot_be_two_samples_at_once(void **state)
{
    struct backing_sample other = sample(1, SMALL);
    struct err err = { 0 };
    int id = -1;

    (void)state;
    other.digest.bytes[31] = 1;
    assert_int_equal(open_it(1), 0);
    assert_int_equal(backing_open(&table, &other, &id, &err), -ESTALE);
    assert_int_equal(id, 0);
}

static void what_has_no_certain_size_is_not_copied(void **state)
{
    struct backing_sample unsure = sample(1, SMALL);

    (void)state;
    unsure.is_fixed = false;
    seen_before(unsure);
    seen_before(unsure);
    nothing_to_do();
    ready(sample(1, SMALL), 7);
    assert_int_equal(open_as(unsure), 0);
}

static void closing_what_was_never_counted_is_nothing(void **state)
{
    (void)state;
    backing_close(&table, 1);
    ready(sample(1, SMALL), 7);
    backing_close(&table, 1);
    assert_int_equal(open_it(1), 7);
}

/* ---- limits ---- */

static void what_was_not_used_for_longest_makes_room(void **state)
{
    (void)state;
    ready(sample(1, 400), 1);
    ready(sample(2, 400), 2);
    assert_int_equal(open_as(sample(1, 400)), 1);
    backing_close(&table, 1);
    seen_before(sample(3, 400));
    seen_before(sample(3, 400));
    close_next(2, 2, true);
    build(3, 3);
    assert_int_equal(table.bytes, 800);
    assert_int_equal(open_as(sample(1, 400)), 1);
    assert_int_equal(open_as(sample(2, 400)), 0);
    assert_int_equal(open_as(sample(3, 400)), 3);
}

static void what_cannot_fit_is_left(void **state)
{
    (void)state;
    seen_before(sample(1, LIMIT + 1));
    seen_before(sample(1, LIMIT + 1));
    seen_before(sample(2, 0));
    seen_before(sample(2, 0));
    nothing_to_do();
    ready(sample(3, LIMIT), 3);
    assert_int_equal(open_as(sample(3, LIMIT)), 3);
    seen_before(sample(4, 1));
    seen_before(sample(4, 1));
    nothing_to_do();
    backing_close(&table, 3);
    nothing_to_do(); /* it is not asked for now */
    assert_int_equal(open_as(sample(4, 1)), 0);
    close_next(3, 3, true);
    build(4, 4);
}

static void a_copy_that_fails_costs_nothing(void **state)
{
    struct backing *row = NULL;
    const struct digest digest = sample(1, 0).digest;

    (void)state;
    seen_before(sample(1, SMALL));
    seen_before(sample(1, SMALL));
    assert_int_equal(next(&row), BACKING_BUILD);
    assert_int_equal(table.bytes, SMALL);
    backing_built(&table, row, &digest, 0);
    assert_int_equal(table.bytes, 0);
    assert_int_equal(table.n_copies, 0);
    nothing_to_do();
    assert_int_equal(open_it(1), 0);
    build(1, 7);
}

/* It may still be there, so it counts. */
static void a_copy_that_does_not_go_is_tried_again_later(void **state)
{
    (void)state;
    ready(sample(2, SMALL), 7);
    backing_sweep(&table, wants_odd, NULL);
    close_next(2, 7, false);
    nothing_to_do();
    assert_int_equal(table.bytes, SMALL);
    assert_int_equal(open_it(2), 0);
    backing_close(&table, 2);
    backing_retry(&table);
    close_next(2, 7, true);
    assert_int_equal(table.bytes, 0);
}

static void what_is_off_makes_no_copies(void **state)
{
    (void)state;
    ready(sample(1, SMALL), 7);
    seen_before(sample(2, SMALL));
    seen_before(sample(2, SMALL));
    table.is_on = false;
    nothing_to_do();
    seen_before(sample(3, SMALL));
    seen_before(sample(3, SMALL));
    nothing_to_do();
    assert_int_equal(open_it(1), 7);
}

static void everything_is_bounded(void **state)
{
    enum { MANY = 3 * BACKING_SEEN_MAX };
    struct backing *row;
    struct digest copied;
    int n = 0;

    (void)state;
    table.limit = INT64_MAX;
    for (uint64_t ino = 1; ino <= MANY; ino++) {
        seen_before(sample(ino, 1));
        seen_before(sample(ino, 1));
        assert_true(table.n_queued <= BACKING_QUEUE_MAX);
        if (ino % 2)
            continue;
        switch (next(&row)) {
        case BACKING_BUILD:
            n++;
            copied = row->digest;
            backing_built(&table, row, &copied, n);
            break;
        case BACKING_CLOSE:
            backing_closed(&table, row, true);
            break;
        case BACKING_IDLE:
            break;
        }
        assert_true(table.n_copies <= BACKING_COPIES_MAX);
        assert_true(table.n_seen <= BACKING_SEEN_MAX);
    }
    assert_true(n > BACKING_COPIES_MAX);
    assert_true(table.by_ino.n <= BACKING_SEEN_MAX + BACKING_COPIES_MAX + BACKING_QUEUE_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_opened_once_is_not_copied),
        TEST(what_is_opened_again_is_copied_and_read_so_from_then_on),
        TEST(all_who_have_it_open_read_it_alike),
        TEST(a_copy_that_is_in_use_never_goes),
        TEST(a_copy_that_goes_is_not_used_any_more),
        TEST(an_inode_that_is_another_sample_now_never_gets_the_old_bytes),
        TEST(a_copy_of_what_the_inode_was_before_is_thrown_away),
        TEST(an_inode_cannot_be_two_samples_at_once),
        TEST(what_has_no_certain_size_is_not_copied),
        TEST(closing_what_was_never_counted_is_nothing),
        TEST(what_was_not_used_for_longest_makes_room),
        TEST(what_cannot_fit_is_left),
        TEST(a_copy_that_fails_costs_nothing),
        TEST(a_copy_that_does_not_go_is_tried_again_later),
        TEST(what_is_off_makes_no_copies),
        TEST(everything_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
