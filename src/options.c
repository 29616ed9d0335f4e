#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

enum option_kind {
    KIND_FLAG,    /* a bool, set by its presence */
    KIND_BOOL,    /* on|off */
    KIND_TEXT,    /* at most `max` bytes */
    KIND_CHOICE,  /* one of the words of `value`; an int, its place among them */
    KIND_PERCENT, /* an int from 0 to 100, with or without the sign */
    KIND_BYTES,   /* "8G", "500M"; an int64_t from `min` to BYTES_MAX */
};

#define BYTES_MAX (16 * TIB)

enum option_place {
    PLACE_ARGUMENT = 1, /* -x, --name */
    PLACE_MOUNT = 2,    /* -o name=value and the configuration file */
};

struct option_row {
    const char *name;
    char letter;
    enum option_kind kind;
    enum option_place place;
    size_t at;
    size_t max;
    int64_t min; /* of a size */
    const char *fallback;
    const char *value; /* how the value is called in --help; of a choice: "one|other" */
    const char *help;
};

#define AT(field) .at = offsetof(struct config, field), .max = sizeof(((struct config *)NULL)->field)

/* clang-format off */
static const struct option_row rows[] = {
    { .name = "foreground", .letter = 'f', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(foreground),
      .help = "stay in the foreground and log to stderr" },
    { .name = "debug", .letter = 'd', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(debug),
      .help = "log every operation; implies -f" },
    { .name = "local", .kind = KIND_TEXT, .place = PLACE_ARGUMENT, AT(local_dir), .value = "DIR",
      .help = "start a private malqueryd over DIR and mount that: no account needed" },
    { .name = "check", .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(check),
      .help = "ask for a token and the quotas, print them, do not mount" },
    { .name = "rotate-key", .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(rotate_key),
      .help = "seal the cache of the profile with a new key, do not mount" },
    { .name = "help", .letter = 'h', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(help), .help = "this text" },
    { .name = "version", .letter = 'V', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(version), .help = "the version" },
    { .name = "dump-options", .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(dump_options),
      .help = "the names of all options, one a line" },
    { .name = "dump-tree", .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(dump_tree),
      .help = "every file and directory of the mount, one a line" },

    { .name = "cloud", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(cloud), .fallback = "auto", .value = "NAME",
      .help = "us-1, us-2, us-3, eu-1, us-gov-1, us-gov-2 or auto" },
    { .name = "base_url", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(base_url), .fallback = "", .value = "URL",
      .help = "another service: https://HOST, http://127.0.0.1:PORT or unix:/PATH; wins over cloud" },
    { .name = "member_cid", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(member_cid), .fallback = "", .value = "CID",
      .help = "work in this child customer (Flight Control)" },
    { .name = "profile", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(profile), .fallback = "default", .value = "NAME",
      .help = "which state, cache and section of the configuration file" },
    { .name = "config", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(config_file), .fallback = "", .value = "FILE",
      .help = "configuration file; default ~/.config/malqueryfs/config.ini" },
    { .name = "state_dir", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(state_dir), .fallback = "", .value = "DIR",
      .help = "where requests and results are kept; default ~/.local/state/malqueryfs" },
    { .name = "cache_dir", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(cache_dir), .fallback = "", .value = "DIR",
      .help = "where sealed samples are kept; default ~/.cache/malqueryfs" },
    { .name = "cache", .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(cache), .fallback = "sealed",
      .value = "sealed|plain|memory", .help = "how new samples are kept: encrypted, as they are, or on no disk at all" },
    { .name = "cache_size", .kind = KIND_BYTES, .place = PLACE_MOUNT, AT(cache_size), .min = MIB, .fallback = "8G",
      .value = "SIZE", .help = "what the cache on disk may take; what was used longest ago goes first" },
    { .name = "memory_size", .kind = KIND_BYTES, .place = PLACE_MOUNT, AT(memory_size), .min = MIB, .fallback = "512M",
      .value = "SIZE", .help = "the same for cache=memory" },
    { .name = "proxy", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(proxy), .fallback = "", .value = "URL",
      .help = "proxy; default: what https_proxy and no_proxy say" },
    { .name = "ca_file", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(ca_file), .fallback = "", .value = "FILE",
      .help = "certificates to trust instead of the system's" },
    { .name = "offline", .kind = KIND_FLAG, .place = PLACE_MOUNT, AT(offline), .fallback = "off",
      .help = "never call the service: what is known is readable, what is written is queued for a later mount" },
    { .name = "confine", .kind = KIND_BOOL, .place = PLACE_MOUNT, AT(confine), .fallback = "on", .value = "on|off",
      .help = "give up what serving needs no more; off only to look into the program with a debugger" },
    { .name = "yara_check", .kind = KIND_BOOL, .place = PLACE_MOUNT, AT(yara_check), .fallback = "on", .value = "on|off",
      .help = "compile a rule before a hunt is spent on it" },
    { .name = "resubmit", .kind = KIND_FLAG, .place = PLACE_MOUNT, AT(resubmit), .fallback = "off",
      .help = "a changed rule is sent at close instead of becoming a draft (each costs a hunt)" },
    { .name = "budget", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(budget), .fallback = "", .value = "N[:HUNTS]",
      .help = "sets the file budget once; a new profile begins with 10 downloads and 20 hunts, --local with unlimited" },
    { .name = "reserve", .kind = KIND_PERCENT, .place = PLACE_MOUNT, AT(reserve_percent), .fallback = "10",
      .value = "PERCENT", .help = "of each month's quota, never spent" },
    { .name = "deny", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(deny), .fallback = "-", .value = "PROGRAM[:...]",
      .help = "more programs that may not make a sample come; deny= none, deny=:PROGRAM only these" },
    { .name = "transport", .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(transport), .fallback = "raw", .value = "raw|zip",
      .help = "how single samples come: as they are, or in archives, for networks that cut raw executables" },
    { .name = "zip_password", .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(zip_password), .fallback = "infected",
      .value = "TEXT", .help = "of the archives in zips/; no secret" },
    { .name = "zip_method", .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(zip_method), .fallback = "zipcrypto",
      .value = "zipcrypto|aes", .help = "their encryption: what every tool can open, or AES-256" },
};

/* Options of mount(8) and libfuse that go to the kernel unchanged, and words of fstab that mean nothing here. */
static const char *const kernel_names[] = { "allow_other", "allow_root", "auto_unmount", "ro", "rw", "noexec", "nosuid", "nodev",
    "noatime" };
static const char *const ignored_names[] = { "_netdev", "nofail", "noauto", "auto", "user", "users", "nouser", "owner",
    "defaults", "dev", "suid", "exec", "async", "sync", "atime", "relatime" };
/* clang-format on */

static bool is_in(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static const struct option_row *find(const char *name, enum option_place place)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].place == place && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static int set_choice(const struct option_row *row, const char *value, int *ret_choice, struct err *err)
{
    size_t n = value ? strlen(value) : 0;
    int choice = 0;

    for (const char *word = row->value; n > 0 && word; word = strchr(word, '|'), choice++) {
        if (*word == '|')
            word++;
        if (strcspn(word, "|") == n && strncmp(word, value, n) == 0) {
            *ret_choice = choice;
            return 0;
        }
    }
    return err_set(err, EINVAL, "option '%s' is one of %s", row->name, row->value);
}

static int set_percent(const struct option_row *row, const char *value, int *ret_percent, struct err *err)
{
    char number[sizeof "100"];
    uint64_t percent = 0;
    size_t n = value ? strlen(value) : 0;

    n -= n > 0 && value[n - 1] == '%';
    if (n == 0 || n >= sizeof number)
        return err_set(err, EINVAL, "option '%s' is a number from 0 to 100", row->name);
    memcpy(number, value, n);
    number[n] = '\0';
    if (!text_parse_u64(number, 100, &percent))
        return err_set(err, EINVAL, "option '%s' is a number from 0 to 100", row->name);
    *ret_percent = (int)percent;
    return 0;
}

static int set_bytes(const struct option_row *row, const char *value, int64_t *ret_bytes, struct err *err)
{
    uint64_t bytes = 0;

    if (!value || !text_parse_bytes(value, BYTES_MAX, &bytes) || (int64_t)bytes < row->min)
        return err_set(err, EINVAL, "option '%s' is a size of at least %lld bytes, like 500M or 8G", row->name,
                       (long long)row->min);
    *ret_bytes = (int64_t)bytes;
    return 0;
}

static int set_row(const struct option_row *row, const char *value, struct config *config, struct err *err)
{
    void *at = (char *)config + row->at;

    switch (row->kind) {
    case KIND_TEXT:
        if (!value)
            return err_set(err, EINVAL, "option '%s' needs a value", row->name);
        if (!text_copy(at, row->max, value))
            return err_set(err, EINVAL, "the value of '%s' is longer than %zu bytes", row->name, row->max - 1);
        return 0;
    case KIND_BOOL:
    case KIND_FLAG:
        if (!value && row->kind == KIND_FLAG) {
            *(bool *)at = true;
            return 0;
        }
        if (!value || !text_parse_bool(value, at))
            return err_set(err, EINVAL, "option '%s' is on or off", row->name);
        return 0;
    case KIND_CHOICE:
        return set_choice(row, value, at, err);
    case KIND_PERCENT:
        return set_percent(row, value, at, err);
    case KIND_BYTES:
        return set_bytes(row, value, at, err);
    }
    return 0;
}

void options_defaults(struct config *config)
{
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].fallback && set_row(&rows[i], rows[i].fallback, config, &err) < 0)
            assert(!"a default of the table is wrong");
}

static int add_kernel_option(const char *name, struct config *config, struct err *err)
{
    size_t used = strlen(config->kernel_options);
    int n =
        snprintf(config->kernel_options + used, sizeof config->kernel_options - used, "%s%s", used ? "," : "", name);

    if (n < 0 || (size_t)n >= sizeof config->kernel_options - used)
        return err_set(err, EINVAL, "too many mount options");
    return 0;
}

int options_set(const char *name, const char *value, enum option_from from, struct config *config, struct err *err)
{
    const struct option_row *row = find(name, PLACE_MOUNT);

    if (row)
        return set_row(row, value, config, err);
    if (from == OPTION_COMMAND_LINE && !value && is_in(kernel_names, ARRAY_SIZE(kernel_names), name))
        return add_kernel_option(name, config, err);
    if (from == OPTION_COMMAND_LINE && (is_in(ignored_names, ARRAY_SIZE(ignored_names), name) ||
                                        strncmp(name, "x-", 2) == 0 || strcmp(name, "comment") == 0))
        return 0;
    return err_set(err, EINVAL, "unknown option '%s'; see malqueryfs --help", name);
}

/* "a=b,c,d=e" */
static int parse_mount_options(const char *list, struct config *config, struct err *err)
{
    cleanup_(freep) char *copy = strdup(list);
    char *rest = copy;
    char *word;
    int r = 0;

    if (!copy)
        return err_set(err, ENOMEM, "no memory for the options");
    while (r == 0 && (word = strsep(&rest, ","))) {
        char *value = strchr(word, '=');

        if (!*word)
            continue;
        if (value)
            *value++ = '\0';
        r = options_set(word, value, OPTION_COMMAND_LINE, config, err);
    }
    return r;
}

static const struct option_row *find_letter(char letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

/* "--name", "--name=value", "--name value"; *at moves over a value that is a word of its own. */
static int parse_long(int argc, char **argv, int *at, struct config *config, struct err *err)
{
    char name[64];
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    const struct option_row *row;

    (void)snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - text : (ptrdiff_t)strlen(text)), text);
    row = find(name, PLACE_ARGUMENT); /* a cut name is none of ours */
    if (!row)
        return err_set(err, EINVAL, "unknown option '%s'; see malqueryfs --help", argv[*at]);
    if (!equals && row->kind == KIND_TEXT)
        return set_row(row, *at + 1 < argc ? argv[++*at] : NULL, config, err);
    return set_row(row, equals ? equals + 1 : NULL, config, err);
}

static int parse_short(int argc, char **argv, int *at, struct config *config, struct err *err)
{
    const char *text = argv[*at] + 1;

    if (*text == 'o') {
        const char *list = text[1] ? text + 1 : *at + 1 < argc ? argv[++*at] : NULL;

        return list ? parse_mount_options(list, config, err) : err_set(err, EINVAL, "-o needs a value");
    }
    for (; *text; text++) {
        const struct option_row *row = find_letter(*text);

        if (!row)
            return err_set(err, EINVAL, "unknown option '-%c'; see malqueryfs --help", *text);
        if (set_row(row, NULL, config, err) < 0)
            return -EINVAL;
    }
    return 0;
}

int options_parse(int argc, char **argv, struct config *config, struct err *err)
{
    int r = 0;

    for (int at = 1; r == 0 && at < argc; at++) {
        if (strncmp(argv[at], "--", 2) == 0)
            r = parse_long(argc, argv, &at, config, err);
        else if (argv[at][0] == '-' && argv[at][1])
            r = parse_short(argc, argv, &at, config, err);
        else if (config->mountpoint[0])
            r = err_set(err, EINVAL, "one mountpoint, please: '%s' is one too many", argv[at]);
        else if (!text_copy(config->mountpoint, sizeof config->mountpoint, argv[at]))
            r = err_set(err, EINVAL, "the mountpoint's name is too long");
    }
    if (config->debug)
        config->foreground = true;
    return r;
}

static void help_place(FILE *out, enum option_place place)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct option_row *row = &rows[i];
        char text[128];
        char letter[8] = "    ";

        if (row->place != place)
            continue;
        if (row->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", row->letter); /* fits */
        (void)snprintf(text, sizeof text, "%s%s%s%s%s", place == PLACE_ARGUMENT ? letter : "-o ",
                       place == PLACE_ARGUMENT ? "--" : "", row->name,
                       row->value ? (place == PLACE_ARGUMENT ? " " : "=") : "", row->value ? row->value : "");
        (void)fprintf(out, "  %-26s %s\n", text, row->help); /* a broken pipe is the reader's wish */
    }
}

void options_help(FILE *out)
{
    (void)fputs("usage: malqueryfs [options] MOUNTPOINT\n"
                "       malqueryfs --local DIR MOUNTPOINT\n"
                "       malqueryfs --check [options]\n"
                "       malqueryfs --rotate-key [options]\n\n"
                "Credentials: FALCON_CLIENT_ID and FALCON_CLIENT_SECRET in the environment, or client_id and\n"
                "client_secret in ~/.config/malqueryfs/config.ini; never on the command line.\n\n",
                out); /* as below */
    help_place(out, PLACE_ARGUMENT);
    (void)fputs("\nMount options, also in the configuration file:\n", out); /* as below */
    help_place(out, PLACE_MOUNT);
    (void)fputs("\nand those of mount(8) and libfuse: allow_other, auto_unmount, ro; words of fstab are accepted.\n",
                out); /* a broken pipe is the reader's wish */
}

void options_dump(FILE *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        (void)fprintf(out, "%s%s\n", rows[i].place == PLACE_ARGUMENT ? "--" : "", rows[i].name); /* likewise */
}
