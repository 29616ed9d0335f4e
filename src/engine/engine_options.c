#include "engine/engine_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine_auth.h"
#include "util/parallel.h"
#include "engine/engine_rate.h"
#include "engine/engine_reply.h"
#include "engine/engine_socket.h"
#include "engine/engine_zip.h"
#include "model/digest.h"
#include "util/text.h"

enum kind { KIND_FLAG, KIND_COUNT, KIND_NUMBER, KIND_TEXT, KIND_PATH };

struct row {
    const char *name;
    char letter; /* '\0': none */
    enum kind kind;
    size_t at;            /* offset in struct engine_options: bool, int64_t, const char * or char * */
    const char *fallback; /* default, in the spelling of the command line */
    int64_t min;
    int64_t max;
    const char *argument; /* as --help shows it */
    const char *help;
};

#define AT(member) offsetof(struct engine_options, member)

enum { HOUR_S = 60 * 60, YEAR_S = 365 * 24 * 60 * 60 };

static const struct row rows[] = {
    /* clang-format off */
    { .name = "port", .kind = KIND_NUMBER, .at = AT(config.port), .fallback = "0", .max = 65535, .argument = "N",
      .help = "TCP port; 0 is any free one" },
    { .name = "socket", .kind = KIND_PATH, .at = AT(socket), .argument = "PATH",
      .help = "listen on a Unix socket instead" },
    { .name = "listen", .kind = KIND_TEXT, .at = AT(listen), .argument = "ADDR",
      .help = "numeric address to listen on (127.0.0.1); others than loopback need credentials in the environment" },
    { .name = "cert", .kind = KIND_PATH, .at = AT(cert), .argument = "FILE", .help = "PEM certificate: serve TLS" },
    { .name = "key", .kind = KIND_PATH, .at = AT(key), .argument = "FILE", .help = "PEM key of the certificate" },
    { .name = "credentials-file", .kind = KIND_PATH, .at = AT(credentials), .argument = "FILE",
      .help = "where credentials are written when the environment has none (beside the index)" },
    { .name = "index", .kind = KIND_PATH, .at = AT(index), .argument = "FILE",
      .help = "database ($XDG_CACHE_HOME/malqueryd/HASH/index.db)" },
    { .name = "labels", .kind = KIND_PATH, .at = AT(labels), .argument = "FILE",
      .help = "table of labels (DIR/labels.tsv if there is one)" },
    { .name = "no-watch", .kind = KIND_FLAG, .at = AT(no_watch), .help = "do not follow changes of DIR" },
    { .name = "threads", .kind = KIND_NUMBER, .at = AT(config.n_threads), .fallback = "0", .max = PARALLEL_THREADS_MAX,
      .argument = "N", .help = "threads for reading and searching; 0 is one per processor" },
    { .name = "hunt-limit", .kind = KIND_NUMBER, .at = AT(config.hunt_limit), .fallback = "100", .max = INT32_MAX,
      .argument = "N", .help = "hunts and exact searches per month" },
    { .name = "download-limit", .kind = KIND_NUMBER, .at = AT(config.download_limit), .fallback = "50",
      .max = INT32_MAX, .argument = "N", .help = "downloads per month" },
    { .name = "rate-limit", .kind = KIND_NUMBER, .at = AT(config.rate_limit), .fallback = "6000", .min = 1,
      .max = ENGINE_RATE_MAX, .argument = "N", .help = "requests per minute with a valid token" },
    { .name = "unauth-rate-limit", .kind = KIND_NUMBER, .at = AT(config.unauth_rate_limit), .fallback = "15",
      .min = 1, .max = ENGINE_RATE_MAX, .argument = "N", .help = "requests per minute and peer without a valid token" },
    { .name = "token-lifetime", .kind = KIND_NUMBER, .at = AT(config.token_lifetime_s), .fallback = "1799", .min = 1,
      .max = YEAR_S, .argument = "S", .help = "seconds that a token is valid" },
    { .name = "scopes", .kind = KIND_TEXT, .at = AT(config.scopes), .fallback = "read,write", .argument = "LIST",
      .help = "scopes of the tokens: read, write or both" },
    { .name = "region", .kind = KIND_TEXT, .at = AT(config.region), .fallback = "us-1", .argument = "NAME",
      .help = "cloud in the header X-Cs-Region" },
    { .name = "foreign-region", .kind = KIND_TEXT, .at = AT(config.foreign_region), .fallback = "", .argument = "NAME",
      .help = "answer 308 to this cloud, as the wrong cloud does" },
    { .name = "job-delay-ms", .kind = KIND_NUMBER, .at = AT(config.job_delay_ms), .fallback = "200",
      .max = HOUR_S * 1000LL, .argument = "MS", .help = "milliseconds that a request stays in progress, at least" },
    { .name = "retention-s", .kind = KIND_NUMBER, .at = AT(config.retention_s), .fallback = "86400", .min = 1,
      .max = YEAR_S, .argument = "S", .help = "seconds that a request is known" },
    { .name = "zip-method", .kind = KIND_TEXT, .at = AT(config.zip_method), .fallback = "zipcrypto",
      .argument = "METHOD", .help = "encryption of archives: zipcrypto or aes" },
    { .name = "zip-password", .kind = KIND_TEXT, .at = AT(config.zip_password), .fallback = "infected",
      .argument = "TEXT", .help = "password of archives; it is a convention, not a secret" },
    { .name = "request-log", .kind = KIND_PATH, .at = AT(request_log), .argument = "FILE",
      .help = "append a JSON line per request" },
    { .name = "exit-with-stdin", .kind = KIND_FLAG, .at = AT(exit_with_stdin), .help = "end when standard input ends" },
    { .name = "verbose", .letter = 'v', .kind = KIND_COUNT, .at = AT(verbosity),
      .help = "log requests; twice: log details" },
    { .name = "help", .letter = 'h', .kind = KIND_FLAG, .at = AT(help), .help = "show this and end" },
    { .name = "version", .letter = 'V', .kind = KIND_FLAG, .at = AT(version), .help = "show the version and end" },
    { .name = "dump-options", .kind = KIND_FLAG, .at = AT(dump_options), .help = "show all options for programs and end" },
    /* clang-format on */
};

enum { ROWS = ARRAY_SIZE(rows), LETTER_BASE = 1000 };

static void *field_of(struct engine_options *options, const struct row *row)
{
    return (char *)options + row->at;
}

CHECKED static int set_number(int64_t *field, const struct row *row, const char *value, struct err *err)
{
    uint64_t number;

    if (!text_parse_u64(value, (uint64_t)row->max, &number) || (int64_t)number < row->min)
        return err_set(err, EINVAL, "--%s: '%s' is not a number from %lld to %lld", row->name, value,
                       (long long)row->min, (long long)row->max);
    *field = (int64_t)number;
    return 0;
}

/* Paths become absolute, because the program may run in another directory than the one who reads its log. */
CHECKED static int set_path(char **field, const struct row *row, const char *value, struct err *err)
{
    char cwd[PATH_MAX] = "";
    char *path = NULL;
    bool is_absolute = value[0] == '/';

    if (!*value)
        return err_set(err, EINVAL, "--%s: the path is empty", row->name);
    if (!is_absolute && !getcwd(cwd, sizeof cwd))
        return err_sys(err, "current directory");
    if (asprintf(&path, "%s%s%s", cwd, is_absolute ? "" : "/", value) < 0)
        return err_set(err, ENOMEM, "no memory for a path");
    free(*field);
    *field = path;
    return 0;
}

CHECKED static int set(struct engine_options *options, const struct row *row, const char *value, struct err *err)
{
    void *field = field_of(options, row);

    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return 0;
    case KIND_COUNT:
        ++*(int64_t *)field;
        return 0;
    case KIND_NUMBER:
        return set_number(field, row, value, err);
    case KIND_TEXT:
        *(const char **)field = value;
        return 0;
    case KIND_PATH:
        return set_path(field, row, value, err);
    }
    return 0;
}

static bool has_argument(const struct row *row)
{
    return row->kind != KIND_FLAG && row->kind != KIND_COUNT;
}

static const struct row *row_of_letter(int letter)
{
    for (size_t i = 0; i < ROWS; i++)
        if (letter == LETTER_BASE + (int)i || (rows[i].letter && letter == rows[i].letter))
            return &rows[i];
    return NULL;
}

CHECKED static int parse_rows(int argc, char **argv, struct engine_options *options, struct err *err)
{
    struct option longs[ROWS + 1] = { 0 };
    char shorts[ROWS + 2] = ":";
    size_t n_shorts = 1;
    int c;

    for (size_t i = 0; i < ROWS; i++) {
        longs[i] = (struct option){ rows[i].name, has_argument(&rows[i]), NULL, LETTER_BASE + (int)i };
        if (rows[i].letter)
            shorts[n_shorts++] = rows[i].letter;
    }
    optind = 0; /* starts anew, also in tests */
    opterr = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet, also below */
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct row *row = row_of_letter(c);
        int r;

        if (c == ':')
            return err_set(err, EINVAL, "%s needs a value", argv[optind - 1]);
        if (!row)
            return err_set(err, EINVAL, "unknown option %s (see --help)", argv[optind - 1]);
        r = set(options, row, optarg, err);
        if (r < 0)
            return r;
    }
    return 0;
}

CHECKED static int set_fallbacks(struct engine_options *options, struct err *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        int r = rows[i].fallback ? set(options, &rows[i], rows[i].fallback, err) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* $XDG_CACHE_HOME/malqueryd/<hash of DIR>/index.db */
CHECKED static int default_index(struct engine_options *options, struct err *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"); /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *home = getenv("HOME");            /* NOLINT(concurrency-mt-unsafe): one thread */
    bool has_cache = cache && cache[0] == '/';
    struct digest digest;
    int r = digest_of(options->dir, strlen(options->dir), &digest, err);

    if (r < 0)
        return r;
    if (!has_cache && (!home || !*home))
        return err_set(err, EINVAL, "neither XDG_CACHE_HOME nor HOME is set: give --index");
    if (asprintf(&options->index, "%s%s/malqueryd/%s/index.db", has_cache ? cache : home, has_cache ? "" : "/.cache",
                 digest_short(&digest).s) < 0)
        return err_set(err, ENOMEM, "no memory for a path");
    return 0;
}

CHECKED static int set_paths(struct engine_options *options, struct err *err)
{
    const char *slash;
    int r = options->index ? 0 : default_index(options, err);

    if (r < 0)
        return r;
    assert(options->index);
    slash = strrchr(options->index, '/');
    assert(slash); /* paths are absolute by now */
    if (!options->credentials &&
        asprintf(&options->credentials, "%.*s/credentials", (int)(slash - options->index), options->index) < 0)
        return err_set(err, ENOMEM, "no memory for a path");
    if (!options->labels && asprintf(&options->labels, "%s/labels.tsv", options->dir) < 0)
        return err_set(err, ENOMEM, "no memory for a path");
    return 0;
}

CHECKED static int check(const struct engine_options *options, struct err *err)
{
    const struct engine_config *config = &options->config;
    enum engine_zip_method method;
    unsigned scopes;

    if (options->socket && (options->listen || config->port))
        return err_set(err, EINVAL, "--socket stands alone, without --port and --listen");
    if (!options->cert != !options->key)
        return err_set(err, EINVAL, "--cert and --key belong together");
    if (!engine_auth_parse_scopes(config->scopes, &scopes))
        return err_set(err, EINVAL, "--scopes: '%s' is not a list of read and write", config->scopes);
    if (!engine_zip_parse_method(config->zip_method, &method))
        return err_set(err, EINVAL, "--zip-method: '%s' is neither zipcrypto nor aes", config->zip_method);
    if (strlen(config->region) >= ENGINE_REGION_MAX || strlen(config->foreign_region) >= ENGINE_REGION_MAX)
        return err_set(err, EINVAL, "a region has less than %d characters", ENGINE_REGION_MAX);
    if (!*config->zip_password)
        return err_set(err, EINVAL, "--zip-password: empty");
    return 0;
}

CHECKED static int set_directory(struct engine_options *options, const char *dir, struct err *err)
{
    struct stat st;

    options->dir = realpath(dir, NULL);
    if (!options->dir || stat(options->dir, &st) < 0)
        return err_sys(err, "'%s'", dir);
    return S_ISDIR(st.st_mode) ? 0 : err_set(err, ENOTDIR, "'%s' is not a directory", dir);
}

static void fill_config(struct engine_options *options)
{
    struct engine_config *config = &options->config;
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);

    config->dir = options->dir;
    config->index = options->index;
    config->labels = options->labels;
    config->socket = options->socket;
    config->request_log = options->request_log;
    config->credentials = options->credentials;
    config->cert = options->cert;
    config->key = options->key;
    config->listen = options->listen ? options->listen : "127.0.0.1";
    config->has_watch = !options->no_watch;
    if (config->n_threads == 0)
        config->n_threads = n_processors < 1                      ? 1
                            : n_processors > PARALLEL_THREADS_MAX ? PARALLEL_THREADS_MAX
                                                                  : n_processors;
}

int engine_options_parse(int argc, char **argv, struct engine_options *ret_options, struct err *err)
{
    cleanup_(engine_options_done) struct engine_options options = { 0 };
    int r = set_fallbacks(&options, err);

    if (r == 0)
        r = parse_rows(argc, argv, &options, err);
    if (r < 0)
        return r;
    if (!options.help && !options.version && !options.dump_options) {
        if (argc - optind != 1)
            return err_set(err, EINVAL, "%s (see --help)",
                           argc == optind ? "DIR is missing" : "only one DIR is allowed");
        options.config.may_lack_labels = !options.labels;
        r = set_directory(&options, argv[optind], err);
        if (r == 0)
            r = set_paths(&options, err);
        if (r == 0)
            r = check(&options, err);
        if (r < 0)
            return r;
        fill_config(&options);
    }
    *ret_options = options;
    options = (struct engine_options){ 0 };
    return 0;
}

void engine_options_done(struct engine_options *options)
{
    char *const paths[] = { options->dir,         options->index,       options->labels, options->socket,
                            options->request_log, options->credentials, options->cert,   options->key };

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        free(paths[i]);
    *options = (struct engine_options){ 0 };
}

void engine_options_help(FILE *file)
{
    (void)fprintf(file, "usage: malqueryd [options] DIR\n\n"
                        "Serves the files below DIR as a MalQuery-compatible service and prints its URL.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[64];

        (void)snprintf(left, sizeof left, "%c%c%c --%s %s", rows[i].letter ? '-' : ' ',
                       rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? ',' : ' ', rows[i].name,
                       rows[i].argument ? rows[i].argument : ""); /* fits */
        (void)fprintf(file, "  %-32s %s", left, rows[i].help);
        if (rows[i].fallback && *rows[i].fallback)
            (void)fprintf(file, " [%s]", rows[i].fallback);
        (void)fputc('\n', file);
    }
}

void engine_options_dump(FILE *file)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char letter[] = { rows[i].letter, '\0' };

        (void)fprintf(file, "--%s\t%s\t%s\t%s\n", rows[i].name, letter, rows[i].argument ? rows[i].argument : "",
                      rows[i].help);
    }
}
