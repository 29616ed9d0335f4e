#include "test_engine_fixture.h"

#include <errno.h>

#include "engine/engine_options.h"

enum { ARGS_MAX = 16 };

static int parse(struct engine_options *options, struct err *err, const char *const *args)
{
    char *argv[ARGS_MAX + 2];
    static char storage[ARGS_MAX + 1][256];
    int argc = 1;

    memcpy(storage[0], "malqueryd", sizeof "malqueryd");
    argv[0] = storage[0];
    for (; args[argc - 1]; argc++) {
        (void)snprintf(storage[argc], sizeof storage[argc], "%s", args[argc - 1]);
        argv[argc] = storage[argc];
    }
    argv[argc] = NULL;
    return engine_options_parse(argc, argv, options, err);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void defaults_are_those_of_the_service(void **unused)
{
    struct engine_options options = { 0 };

    (void)unused;
    assert_int_equal(setenv("XDG_CACHE_HOME", "/var/cache/test", 1), 0);
    assert_int_equal(parse(&options, NULL, ARGS("/usr/../usr")), 0);
    assert_string_equal(options.config.dir, "/usr");
    assert_int_equal(options.config.port, 0);
    assert_string_equal(options.config.listen, "127.0.0.1");
    assert_int_equal(options.config.hunt_limit, 100);
    assert_int_equal(options.config.download_limit, 50);
    assert_int_equal(options.config.rate_limit, 6000);
    assert_int_equal(options.config.unauth_rate_limit, 15);
    assert_int_equal(options.config.token_lifetime_s, 1799);
    assert_int_equal(options.config.job_delay_ms, 200);
    assert_int_equal(options.config.retention_s, 86400);
    assert_string_equal(options.config.zip_method, "zipcrypto");
    assert_string_equal(options.config.zip_password, "infected");
    assert_string_equal(options.config.region, "us-1");
    assert_string_equal(options.config.labels, "/usr/labels.tsv");
    assert_true(options.config.may_lack_labels);
    assert_true(options.config.has_watch);
    assert_true(options.config.n_threads >= 1);
    assert_memory_equal(options.config.index, "/var/cache/test/malqueryd/", 26);
    assert_non_null(strstr(options.credentials, "/credentials"));
    engine_options_done(&options);
}

static void values_are_taken(void **unused)
{
    struct engine_options options = { 0 };

    (void)unused;
    assert_int_equal(
        parse(&options, NULL,
              ARGS("--socket", "/run/s", "--hunt-limit=7", "-vv", "--no-watch", "--threads", "3", "--labels", "/l",
                   "--index", "/i/x.db", "--exit-with-stdin", "--zip-method", "aes", "/usr")),
        0);
    assert_string_equal(options.config.socket, "/run/s");
    assert_int_equal(options.config.hunt_limit, 7);
    assert_int_equal(options.verbosity, 2);
    assert_false(options.config.has_watch);
    assert_int_equal(options.config.n_threads, 3);
    assert_string_equal(options.config.labels, "/l");
    assert_false(options.config.may_lack_labels);
    assert_string_equal(options.config.index, "/i/x.db");
    assert_string_equal(options.credentials, "/i/credentials");
    assert_true(options.exit_with_stdin);
    engine_options_done(&options);
}

static void mistakes_are_refused_with_a_word(void **unused)
{
    static const struct {
        const char *args[4];
        const char *word;
    } cases[] = {
        { { NULL }, "DIR is missing" },
        { { "/usr", "/bin", NULL }, "only one DIR" },
        { { "--nonsense", "/usr", NULL }, "--nonsense" },
        { { "--port", "65536", "/usr", NULL }, "--port" },
        { { "--port", "-1", "/usr", NULL }, "--port" },
        { { "--rate-limit", "0", "/usr", NULL }, "--rate-limit" },
        { { "--threads", "many", "/usr", NULL }, "--threads" },
        { { "--zip-method", "rar", "/usr", NULL }, "--zip-method" },
        { { "--scopes", "admin", "/usr", NULL }, "--scopes" },
        { { "--cert", "/c", "/usr", NULL }, "--key" },
        { { "--socket=/s", "--port=1", "/usr", NULL }, "--socket" },
        { { "--index", "", "/usr", NULL }, "--index" },
        { { "/nonexistent/dir", NULL }, "/nonexistent/dir" },
        { { "/etc/passwd", NULL }, "not a directory" },
        { { "/usr", "--index", NULL }, "--index" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct engine_options options = { 0 };
        struct err err = { 0 };

        assert_true(parse(&options, &err, cases[i].args) < 0);
        if (!strstr(err.text, cases[i].word))
            fail_msg("'%s' is not in '%s'", cases[i].word, err.text);
    }
}

static void help_needs_no_directory(void **unused)
{
    struct engine_options options = { 0 };

    (void)unused;
    assert_int_equal(parse(&options, NULL, ARGS("--help")), 0);
    assert_true(options.help);
    engine_options_done(&options);
    assert_int_equal(parse(&options, NULL, ARGS("--dump-options")), 0);
    assert_true(options.dump_options);
    engine_options_done(&options);
}

static void every_dumped_name_is_in_the_help(void **unused)
{
    char *help = NULL;
    char *names = NULL;
    size_t n = 0;
    int n_names = 0;
    FILE *file;

    (void)unused;
    file = open_memstream(&help, &n);
    engine_options_help(file);
    assert_int_equal(fclose(file), 0);
    file = open_memstream(&names, &n);
    engine_options_dump(file);
    assert_int_equal(fclose(file), 0);
    for (char *name = names; *name; n_names++) {
        char wanted[64];
        char *end = strchr(name, '\n');

        assert_non_null(end);
        (void)snprintf(wanted, sizeof wanted, "%.*s ", (int)strcspn(name, "\t"), name);
        assert_non_null(strstr(help, wanted));
        name = end + 1;
    }
    assert_true(n_names > 20);
    free(help);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_service), cmocka_unit_test(values_are_taken),
        cmocka_unit_test(mistakes_are_refused_with_a_word),  cmocka_unit_test(help_needs_no_directory),
        cmocka_unit_test(every_dumped_name_is_in_the_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
