/*
 * The table in words: --help, --dump-options, --dump-config. A broken pipe is the reader's wish, so nobody looks at
 * what fprintf() returns.
 */
#include <errno.h>
#include <string.h>

#include "options_internal.h"
#include "util/text.h"

enum { VALUE_MAX = 8 * KIB, HELP_COLUMN = 26 };

static const struct {
    const char *name;
    const char *what;
    const char *more; /* printed below its options */
} topics[TOPICS] = {
    /* clang-format off */
    [TOPIC_MOUNT] = { "mount", "mounting, by hand, from fstab and from systemd",
        "SOURCE is a profile, a directory to be served as with --local, or none. mount.malqueryfs takes what mount(8)\n"
        "passes, so that `mount -t malqueryfs SOURCE MOUNTPOINT -o ...` and fstab work; mounts of root have their\n"
        "configuration in /etc/malqueryfs, state and cache in /var/lib/malqueryfs and /var/cache/malqueryfs.\n"
        "Words of fstab (_netdev, nofail, user, x-...) are accepted. Passed on to the kernel:\n " },
    [TOPIC_SERVICE] = { "service", "the account, the cloud and the way there",
        "Credentials: FALCON_CLIENT_ID and FALCON_CLIENT_SECRET in the environment, or client_id and client_secret in\n"
        "the configuration file or in systemd's LoadCredential; never on the command line. FALCON_CLOUD,\n"
        "FALCON_BASE_URL and FALCON_MEMBER_CID stand for the options of these names.\n" },
    [TOPIC_SPENDING] = { "spending", "what may be spent, and by whom",
        "The file `budget` of the mount says what is left, and takes +10, 25, hunts 3.\n" },
    [TOPIC_CACHE] = { "cache", "where samples and results are kept", "" },
    [TOPIC_ZIPS] = { "zips", "the archives in zips/", "" },
    [TOPIC_CONFIG] = { "config", "the configuration, and what shows it",
        "Options of -o stand in the configuration file as name = value lines, below [default] or [PROFILE]. A file\n"
        "wins over a default, the environment over the file, the command line over all. SIGHUP reads the file again\n"
        "and takes over what says (live).\n" },
    [TOPIC_LOG] = { "log", "what is logged, and where", "SIGUSR1 writes what the mount is doing to the log.\n" },
    /* clang-format on */
};

const char *options_topic(enum option_topic topic)
{
    return topics[topic].name;
}

static bool is_shown_default(const struct option_row *row)
{
    return row->fallback && row->fallback[0] && strcmp(row->fallback, "-") != 0 && row->kind != KIND_FLAG;
}

static void help_row(FILE *out, const struct option_row *row)
{
    char text[128];
    char letter[8] = "    ";
    bool is_argument = row->place == PLACE_ARGUMENT;

    if (row->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", row->letter); /* fits */
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", is_argument ? letter : "-o ", is_argument ? "--" : "", row->name,
                   row->value ? (is_argument ? " " : "=") : "", row->value ? row->value : "");
    (void)fprintf(out, "  %-*s %s%s%s%s%s\n", HELP_COLUMN, text, row->help, is_shown_default(row) ? " [" : "",
                  is_shown_default(row) ? row->fallback : "", is_shown_default(row) ? "]" : "",
                  row->is_live ? " (live)" : "");
}

static void help_topic(FILE *out, enum option_topic topic)
{
    (void)fprintf(out, "%s: %s\n", topics[topic].name, topics[topic].what);
    for (size_t i = 0; i < option_rows_n; i++)
        if (option_rows[i].topic == topic)
            help_row(out, &option_rows[i]);
    (void)fprintf(out, "%s", topics[topic].more);
    for (size_t i = 0; topic == TOPIC_MOUNT && option_kernel_names[i]; i++)
        (void)fprintf(out, " %s%s", option_kernel_names[i], option_kernel_names[i + 1] ? "," : "\n");
}

static void help_summary(FILE *out)
{
    (void)fputs("usage: malqueryfs [options] [SOURCE] MOUNTPOINT\n"
                "       malqueryfs --local DIR MOUNTPOINT\n"
                "       malqueryfs --check | --dump-config | --rotate-key [options]\n"
                "       malqueryfs --top MOUNTPOINT\n\n"
                "Mounts CrowdStrike MalQuery as a directory. The account comes from FALCON_CLIENT_ID and\n"
                "FALCON_CLIENT_SECRET or from ~/.config/malqueryfs/config.ini; --local DIR needs none.\n\n"
                "Topics, for malqueryfs --help TOPIC:\n",
                out);
    for (size_t i = 0; i < TOPICS; i++)
        (void)fprintf(out, "  %-10s %s\n", topics[i].name, topics[i].what);
    (void)fputs("  all        every option\n\nmalqueryfs(1) and malqueryfs.conf(5) say more.\n", out);
}

int options_help(FILE *out, const char *topic, struct err *err)
{
    bool is_all = strcmp(topic, "all") == 0;
    bool is_found = false;

    if (strcmp(topic, "topics") == 0) {
        help_summary(out);
        return 0;
    }
    for (size_t i = 0; i < TOPICS; i++) {
        if (!is_all && strcmp(topics[i].name, topic) != 0)
            continue;
        if (is_found)
            (void)fputc('\n', out);
        help_topic(out, (enum option_topic)i);
        is_found = true;
    }
    return is_found ? 0 : err_set(err, EINVAL, "there is no help on '%s'; see malqueryfs --help", topic);
}

void options_dump(FILE *out)
{
    for (size_t i = 0; i < option_rows_n; i++) {
        const struct option_row *row = &option_rows[i];
        const char letter[] = { row->letter, '\0' };

        (void)fprintf(out, "%s%s\t%s\t%s\t%s\n", row->place == PLACE_ARGUMENT ? "--" : "", row->name, letter,
                      row->value ? row->value : "", row->help);
    }
}

/* ---- what counts, and where it is from ---- */

/* A password in a URL is nobody's business: scheme://user:password@host; a proxy is one without a scheme, too. */
static void print_url(struct buf *text, const char *value)
{
    const char *slashes = strstr(value, "://");
    const char *start = slashes ? slashes + strlen("://") : value;
    const char *at = strrchr(start, '@');

    text_escape(text, value, (size_t)(start - value));
    if (at)
        buf_puts(text, "***");
    at = at ? at : start;
    text_escape(text, at, strlen(at));
}

static void print_bytes(struct buf *text, int64_t bytes)
{
    static const char units[] = { '\0', 'K', 'M', 'G', 'T' };
    size_t unit = 0;

    while (bytes % KIB == 0 && bytes > 0 && unit + 1 < sizeof units) {
        bytes /= KIB;
        unit++;
    }
    buf_printf(text, "%lld", (long long)bytes);
    if (unit > 0)
        buf_putc(text, units[unit]);
}

static void print_choice(struct buf *text, const char *words, int choice)
{
    for (; choice > 0; choice--)
        words += strcspn(words, "|") + 1;
    buf_printf(text, "%.*s", (int)strcspn(words, "|"), words);
}

void options_print_value(struct buf *text, const struct option_row *row, const struct config *config)
{
    const void *at = (const char *)config + row->at;

    switch (row->kind) {
    case KIND_FLAG:
    case KIND_BOOL:
        buf_puts(text, *(const bool *)at ? "on" : "off");
        break;
    case KIND_TOPIC:
    case KIND_TEXT:
        if (row->is_url)
            print_url(text, at);
        else
            text_escape(text, at, strlen(at));
        break;
    case KIND_CHOICE:
        print_choice(text, row->value, *(const int *)at);
        break;
    case KIND_PERCENT:
        buf_printf(text, "%d", *(const int *)at);
        break;
    case KIND_BYTES:
        print_bytes(text, *(const int64_t *)at);
        break;
    }
}

static void print_origin(struct buf *text, const struct config_origin *origin, const char *file)
{
    switch (origin->from) {
    case FROM_DEFAULT:
        buf_puts(text, "default");
        break;
    case FROM_FILE:
        text_escape(text, file, PATH_MAX);
        buf_printf(text, ":%d", origin->line);
        break;
    case FROM_CREDENTIALS:
        buf_puts(text, "systemd credential");
        break;
    case FROM_ENVIRONMENT:
        buf_printf(text, "environment %s", origin->variable);
        break;
    case FROM_COMMAND_LINE:
        buf_puts(text, "command line");
        break;
    }
    buf_putc(text, '\n');
}

static void dump_secret(struct buf *text, const char *name, const struct secret *secret,
                        const struct config_origin *origin, const char *file)
{
    buf_printf(text, "%s\t%s\t", name, secret ? "set" : "unset");
    print_origin(text, origin, file);
}

static void dump_place(struct buf *text, const char *name, const char *path)
{
    buf_printf(text, "%s\t", name);
    text_escape(text, path, PATH_MAX);
    buf_puts(text, "\tresult\n");
}

void options_dump_config(FILE *out, const struct config *config)
{
    struct buf text = BUF_INIT(2 * CONFIG_OPTIONS_MAX * VALUE_MAX);

    dump_secret(&text, "client_id", config->client_id, &config->id_origin, config->config_path);
    dump_secret(&text, "client_secret", config->client_secret, &config->secret_origin, config->config_path);
    for (size_t i = 0; i < option_rows_n; i++) {
        if (option_rows[i].place != PLACE_MOUNT)
            continue;
        buf_printf(&text, "%s\t", option_rows[i].name);
        options_print_value(&text, &option_rows[i], config);
        buf_putc(&text, '\t');
        print_origin(&text, &config->origins[i], config->config_path);
    }
    dump_place(&text, "config_path", config->config_path);
    dump_place(&text, "state_path", config->state_path);
    dump_place(&text, "cache_path", config->cache_path);
    (void)fputs(buf_text(&text), out);
    buf_done(&text);
}
