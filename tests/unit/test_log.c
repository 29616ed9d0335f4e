#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/log.h"

enum { OUTPUT_MAX = 8192 };
static char output[OUTPUT_MAX];
static int real_stderr;
static int pipe_read;

/* Log lines go to file descriptor 2: a pipe takes its place while a line is written. */
static void capture(void)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(fds[1]); /* only a pipe */
    pipe_read = fds[0];
}

static const char *captured(void)
{
    size_t n = 0;
    ssize_t got;

    assert_int_equal(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
    (void)close(real_stderr); /* a copy */
    while ((got = read(pipe_read, output + n, sizeof output - 1 - n)) > 0)
        n += (size_t)got;
    (void)close(pipe_read); /* only a pipe */
    output[n] = '\0';
    return output;
}

static int setup(void **state)
{
    (void)state;
    log_open("test", LOG_TO_STDERR, LOG_LEVEL_INFO);
    return 0;
}

static void a_line_is_level_fields_and_message(void **state)
{
    (void)state;
    capture();
    log_event(LOG_LEVEL_WARN, "monthly quota used up", LOG_TEXT(LOG_OP, "open"), LOG_NUMBER(LOG_INO, 41),
              LOG_NUMBER(LOG_ERRNO, EDQUOT));
    assert_string_equal(captured(), "level=warn op=open ino=41 errno=EDQUOT msg=\"monthly quota used up\"\n");
}

static void a_line_for_the_journal_begins_with_its_priority(void **state)
{
    (void)state;
    log_open("test", LOG_TO_JOURNAL, LOG_LEVEL_INFO);
    capture();
    log_event(LOG_LEVEL_WARN, "x", LOG_TEXT(LOG_OP, "open"));
    log_event(LOG_LEVEL_STATE, "y", LOG_TEXT(LOG_OP, "state"));
    assert_string_equal(captured(), "<4>level=warn op=open msg=\"x\"\n<5>level=state op=state msg=\"y\"\n");
}

static void a_file_is_appended_to_and_for_its_owner_alone(void **state)
{
    char path[64];
    char text[256];
    struct err err = { 0 };
    struct stat st;
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/mq-log-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        assert_int_equal(log_open_file(path, LOG_LEVEL_INFO, &err), 0);
        log_event(LOG_LEVEL_INFO, "x", LOG_NUMBER(LOG_COUNT, i));
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    text[read(fd, text, sizeof text - 1)] = '\0';
    close(fd);
    assert_string_equal(text, "level=info count=0 msg=\"x\"\nlevel=info count=1 msg=\"x\"\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(log_open_file("/nowhere/log", LOG_LEVEL_INFO, &err), -ENOENT);
}

static void what_was_asked_for_is_written_at_every_level(void **state)
{
    (void)state;
    log_level_set(LOG_LEVEL_ERR);
    capture();
    log_event(LOG_LEVEL_WARN, "x", LOG_TEXT(LOG_OP, "open"));
    log_event(LOG_LEVEL_STATE, "y", LOG_TEXT(LOG_OP, "state"));
    assert_string_equal(captured(), "level=state op=state msg=\"y\"\n");
}

static void the_journal_is_known_by_device_and_inode(void **state)
{
    char stream[64];
    struct stat st;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_true(log_is_journal());
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino + 1);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_false(log_is_journal());
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(log_is_journal());
}

static void levels_beyond_the_chosen_one_are_silent(void **state)
{
    (void)state;
    assert_true(log_is_on(LOG_LEVEL_INFO));
    assert_false(log_is_on(LOG_LEVEL_DEBUG));
    capture();
    log_event(LOG_LEVEL_DEBUG, "x", LOG_TEXT(LOG_OP, "open"));
    assert_string_equal(captured(), "");
}

static void foreign_text_is_quoted_and_escaped(void **state)
{
    (void)state;
    capture();
    log_event(LOG_LEVEL_INFO, "x", LOG_TEXT(LOG_NODE, "a b=\"c\"\x1b[31m"));
    assert_string_equal(captured(), "level=info node=\"a b=\\x22c\\x22\\x1b[31m\" msg=\"x\"\n");
}

static void nobody_can_forge_a_second_line(void **state)
{
    const char *line;

    (void)state;
    capture();
    log_event(LOG_LEVEL_INFO, "bad\nlevel=err msg=\"forged\"\r\n", LOG_TEXT(LOG_NODE, "x\ny"),
              LOG_TEXT(LOG_TRACE, "\n"));
    line = captured();
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, '\r'));
}

static void long_values_are_cut(void **state)
{
    char value[1001];
    const char *line;

    (void)state;
    memset(value, 'a', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    capture();
    log_event(LOG_LEVEL_INFO, "x", LOG_TEXT(LOG_NODE, value));
    line = captured();
    assert_in_range(strlen(line), 100, 300);
    assert_non_null(strstr(line, "a msg=\"x\"\n"));
}

static void a_line_that_is_too_long_still_ends(void **state)
{
    char value[1001];
    const char *line;

    (void)state;
    memset(value, '\x01', sizeof value - 1); /* four bytes each when escaped */
    value[sizeof value - 1] = '\0';
    capture();
    log_event(LOG_LEVEL_INFO, value, LOG_TEXT(LOG_NODE, value), LOG_TEXT(LOG_TRACE, value), LOG_TEXT(LOG_HASH, value));
    line = captured();
    assert_true(strlen(line) > 0);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void *write_lines(void *closure)
{
    (void)closure;
    for (int i = 0; i < 100; i++)
        log_event(LOG_LEVEL_INFO, "x", LOG_NUMBER(LOG_COUNT, i));
    return NULL;
}

/* As the mount does it when it is ready and goes into the background. */
static void the_log_is_opened_again_while_others_write(void **state)
{
    pthread_t writer;
    const char *line;

    (void)state;
    capture();
    assert_int_equal(pthread_create(&writer, NULL, write_lines, NULL), 0);
    for (int i = 0; i < 100; i++)
        log_open("test", LOG_TO_STDERR, LOG_LEVEL_INFO);
    assert_int_equal(pthread_join(writer, NULL), 0);
    line = captured();
    for (int i = 0; i < 100; i++) {
        char wanted[64];

        (void)snprintf(wanted, sizeof wanted, "level=info count=%d msg=\"x\"\n", i);
        assert_memory_equal(line, wanted, strlen(wanted));
        line += strlen(wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_level_fields_and_message),
        cmocka_unit_test(levels_beyond_the_chosen_one_are_silent),
        cmocka_unit_test_setup_teardown(a_line_for_the_journal_begins_with_its_priority, setup, setup),
        cmocka_unit_test_setup_teardown(a_file_is_appended_to_and_for_its_owner_alone, setup, setup),
        cmocka_unit_test_setup_teardown(what_was_asked_for_is_written_at_every_level, setup, setup),
        cmocka_unit_test(the_journal_is_known_by_device_and_inode),
        cmocka_unit_test(foreign_text_is_quoted_and_escaped),
        cmocka_unit_test(nobody_can_forge_a_second_line),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_line_that_is_too_long_still_ends),
        cmocka_unit_test(the_log_is_opened_again_while_others_write),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
