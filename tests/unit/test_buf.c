#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/buf.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
    struct buf buf = BUF_INIT(10);

    (void)state;
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf_check(&buf, NULL, "it"), 0);
}

static void a_buffer_of_zeros_takes_nothing(void **state)
{
    struct buf buf = { 0 };

    (void)state;
    buf_putc(&buf, 'a');
    assert_int_equal(buf_check(&buf, NULL, "it"), -EFBIG);
    buf_done(&buf);
}

static void the_limit_itself_fits(void **state)
{
    struct buf buf = BUF_INIT(4);

    (void)state;
    buf_puts(&buf, "four");
    assert_int_equal(buf_check(&buf, NULL, "it"), 0);
    assert_string_equal(buf_text(&buf), "four");
    buf_done(&buf);
}

static void one_byte_over_the_limit_appends_nothing(void **state)
{
    struct buf buf = BUF_INIT(4);

    (void)state;
    buf_puts(&buf, "ab");
    buf_puts(&buf, "cde");
    assert_string_equal(buf_text(&buf), "ab");
    assert_int_equal(buf_check(&buf, NULL, "it"), -EFBIG);
    buf_done(&buf);
}

static void a_failure_sticks(void **state)
{
    struct buf buf = BUF_INIT(4);

    (void)state;
    buf_puts(&buf, "too long");
    buf_putc(&buf, 'a'); /* would fit */
    buf_printf(&buf, "%d", 1);
    buf_resize(&buf, 2);
    assert_null(buf_reserve(&buf, 1));
    assert_int_equal(buf.n, 0);
    assert_int_equal(buf_check(&buf, NULL, "it"), -EFBIG);
    buf_done(&buf);
}

static void clearing_lifts_a_failure_and_keeps_the_memory(void **state)
{
    struct buf buf = BUF_INIT(4);
    const char *memory;

    (void)state;
    buf_puts(&buf, "ab");
    memory = buf.data;
    buf_puts(&buf, "too long");
    buf_clear(&buf);
    assert_string_equal(buf_text(&buf), "");
    buf_puts(&buf, "cd");
    assert_ptr_equal(buf.data, memory);
    assert_string_equal(buf_text(&buf), "cd");
    assert_int_equal(buf_check(&buf, NULL, "it"), 0);
    buf_done(&buf);
}

static void the_error_names_what_was_too_large(void **state)
{
    struct buf buf = BUF_INIT(4);
    struct err err = { 0 };

    (void)state;
    buf_puts(&buf, "too long");
    assert_int_equal(buf_check(&buf, &err, "the rule"), -EFBIG);
    assert_string_equal(err.text, "the rule is larger than 4 bytes");
    buf_done(&buf);
}

static void bytes_may_be_nul(void **state)
{
    struct buf buf = BUF_INIT(10);

    (void)state;
    buf_append(&buf, "a\0b", 3);
    assert_int_equal(buf.n, 3);
    assert_memory_equal(buf.data, "a\0b", 4); /* and a NUL behind them */
    buf_done(&buf);
}

static void printing_goes_on_where_the_text_ends(void **state)
{
    struct buf buf = BUF_INIT(1000);
    char longer[301];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    buf_puts(&buf, "n=");
    buf_printf(&buf, "%d %s", 42, longer); /* more than the first allocation */
    assert_int_equal(buf.n, 5 + 300);
    assert_memory_equal(buf_text(&buf), "n=42 xxx", 8);
    buf_done(&buf);
}

static void printing_over_the_limit_appends_nothing(void **state)
{
    struct buf buf = BUF_INIT(4);

    (void)state;
    buf_printf(&buf, "%s", "12345");
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf_check(&buf, NULL, "it"), -EFBIG);
    buf_done(&buf);
}

static void growing_keeps_what_was_there(void **state)
{
    struct buf buf = BUF_INIT(100000);

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_putc(&buf, (char)('a' + i % 26));
    assert_int_equal(buf_check(&buf, NULL, "it"), 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    buf_done(&buf);
}

static void reserved_bytes_count_when_committed(void **state)
{
    struct buf buf = BUF_INIT(10);
    char *to;

    (void)state;
    to = buf_reserve(&buf, 10);
    assert_non_null(to);
    memcpy(to, "abc", 3);
    assert_int_equal(buf.n, 0);
    buf_commit(&buf, 3);
    assert_string_equal(buf_text(&buf), "abc");
    buf_done(&buf);
}

static void a_reservation_that_cannot_be_counted_is_refused(void **state)
{
    struct buf buf = BUF_INIT(10);

    (void)state;
    buf_putc(&buf, 'a');
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_int_equal(buf_check(&buf, NULL, "it"), -EFBIG);
    buf_done(&buf);
}

static void resizing_extends_with_zero_bytes(void **state)
{
    struct buf buf = BUF_INIT(10);

    (void)state;
    buf_puts(&buf, "abc");
    buf_resize(&buf, 1);
    assert_string_equal(buf_text(&buf), "a");
    buf_resize(&buf, 4); /* the old "bc" must not come back */
    assert_int_equal(buf.n, 4);
    assert_memory_equal(buf.data, "a\0\0\0", 5);
    buf_done(&buf);
}

static void taking_leaves_an_empty_buffer(void **state)
{
    struct buf buf = BUF_INIT(10);
    char *taken;
    size_t n = 0;

    (void)state;
    buf_puts(&buf, "abc");
    taken = buf_take(&buf, &n);
    assert_string_equal(taken, "abc");
    assert_int_equal(n, 3);
    assert_string_equal(buf_text(&buf), "");
    buf_puts(&buf, "def"); /* and it can be used again */
    assert_string_equal(buf_text(&buf), "def");
    assert_string_equal(taken, "abc");
    free(taken);
    buf_done(&buf);
}

static void taking_from_an_untouched_buffer_is_null(void **state)
{
    struct buf buf = BUF_INIT(10);
    size_t n = 1;

    (void)state;
    assert_null(buf_take(&buf, &n));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(a_buffer_of_zeros_takes_nothing),
        cmocka_unit_test(the_limit_itself_fits),
        cmocka_unit_test(one_byte_over_the_limit_appends_nothing),
        cmocka_unit_test(a_failure_sticks),
        cmocka_unit_test(clearing_lifts_a_failure_and_keeps_the_memory),
        cmocka_unit_test(the_error_names_what_was_too_large),
        cmocka_unit_test(bytes_may_be_nul),
        cmocka_unit_test(printing_goes_on_where_the_text_ends),
        cmocka_unit_test(printing_over_the_limit_appends_nothing),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(reserved_bytes_count_when_committed),
        cmocka_unit_test(a_reservation_that_cannot_be_counted_is_refused),
        cmocka_unit_test(resizing_extends_with_zero_bytes),
        cmocka_unit_test(taking_leaves_an_empty_buffer),
        cmocka_unit_test(taking_from_an_untouched_buffer_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
