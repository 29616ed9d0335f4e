#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"
#include "util/text.h"

#define BYTES_MAX (16 * TIB)

enum { SOURCE_SHOWN_MAX = 255 }; /* bytes of what is mounted, as mount(8) shows it */

#define AT(field) .at = offsetof(struct config, field), .max = sizeof(((struct config *)NULL)->field)

/* clang-format off */
const struct option_row option_rows[] = {
    { .name = "foreground", .topic = TOPIC_MOUNT, .letter = 'f', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(foreground),
      .help = "stay in the foreground" },
    { .name = "debug", .topic = TOPIC_LOG, .letter = 'd', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(debug),
      .help = "log every operation; implies -f" },
    { .name = "local", .topic = TOPIC_MOUNT, .kind = KIND_TEXT, .place = PLACE_ARGUMENT, AT(local_dir), .value = "DIR",
      .help = "start a private malqueryd over DIR and mount that: no account needed" },
    { .name = "check", .topic = TOPIC_CONFIG, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(check),
      .help = "look at everything that a mount needs, a line each, do not mount" },
    { .name = "dump-config", .topic = TOPIC_CONFIG, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(dump_config),
      .help = "every value that counts and where it is from, a line each, without secrets" },
    { .name = "rotate-key", .topic = TOPIC_CACHE, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(rotate_key),
      .help = "seal the cache of the profile with a new key, do not mount" },
    { .name = "top", .topic = TOPIC_CONFIG, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(top),
      .help = "show what the mount at MOUNTPOINT is doing: live on a terminal, else once" },
    { .name = "help", .topic = TOPIC_CONFIG, .letter = 'h', .kind = KIND_TOPIC, .place = PLACE_ARGUMENT, AT(help),
      .value = "[TOPIC]", .help = "usage and topics, or the options of one" },
    { .name = "version", .topic = TOPIC_CONFIG, .letter = 'V', .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(version), .help = "the version" },
    { .name = "dump-options", .topic = TOPIC_CONFIG, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(dump_options),
      .help = "all options, one a line: name, letter, value and help, separated by tabs" },
    { .name = "dump-tree", .topic = TOPIC_CONFIG, .kind = KIND_FLAG, .place = PLACE_ARGUMENT, AT(dump_tree),
      .help = "every file and directory of the mount, one a line" },

    { .name = "cloud", .topic = TOPIC_SERVICE, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(cloud), .fallback = "auto", .value = "NAME",
      .help = "us-1, us-2, us-3, eu-1, us-gov-1, us-gov-2 or auto" },
    { .name = "base_url", .topic = TOPIC_SERVICE, .is_url = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(base_url), .fallback = "", .value = "URL",
      .help = "another service: https://HOST, http://127.0.0.1:PORT or unix:/PATH; wins over cloud" },
    { .name = "member_cid", .topic = TOPIC_SERVICE, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(member_cid), .fallback = "", .value = "CID",
      .help = "work in this child customer (Flight Control)" },
    { .name = "profile", .topic = TOPIC_CONFIG, .is_early = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(profile), .fallback = "default", .value = "NAME",
      .help = "which state, cache and section of the configuration file" },
    { .name = "config", .topic = TOPIC_CONFIG, .is_early = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(config_file), .fallback = "", .value = "FILE",
      .help = "configuration file; ~/.config/malqueryfs/config.ini unless given" },
    { .name = "state_dir", .topic = TOPIC_CACHE, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(state_dir), .fallback = "", .value = "DIR",
      .help = "where requests and results are kept; ~/.local/state/malqueryfs unless given" },
    { .name = "cache_dir", .topic = TOPIC_CACHE, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(cache_dir), .fallback = "", .value = "DIR",
      .help = "where sealed samples are kept; ~/.cache/malqueryfs unless given" },
    { .name = "cache", .topic = TOPIC_CACHE, .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(cache), .fallback = "sealed",
      .value = "sealed|plain|memory", .help = "how new samples are kept: encrypted, as they are, or on no disk at all" },
    { .name = "cache_size", .topic = TOPIC_CACHE, .is_live = true, .kind = KIND_BYTES, .place = PLACE_MOUNT, AT(cache_size), .min = MIB, .fallback = "8G",
      .value = "SIZE", .help = "what the cache on disk may take; what was used longest ago goes first" },
    { .name = "memory_size", .topic = TOPIC_CACHE, .is_live = true, .kind = KIND_BYTES, .place = PLACE_MOUNT, AT(memory_size), .min = MIB, .fallback = "512M",
      .value = "SIZE", .help = "the same for cache=memory, and for what passthrough keeps" },
    { .name = "proxy", .topic = TOPIC_SERVICE, .is_url = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(proxy), .fallback = "", .value = "URL",
      .help = "the way to the service; what https_proxy and no_proxy say unless given" },
    { .name = "ca_file", .topic = TOPIC_SERVICE, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(ca_file), .fallback = "", .value = "FILE",
      .help = "certificates to trust instead of the system's" },
    { .name = "offline", .topic = TOPIC_SERVICE, .kind = KIND_FLAG, .place = PLACE_MOUNT, AT(offline), .fallback = "off",
      .help = "never call the service: what is known is readable, what is written is queued for a later mount" },
    { .name = "setuid", .topic = TOPIC_MOUNT, .is_early = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(setuid),
      .fallback = "", .value = "USER", .help = "become this user first, when root mounts: their files, their configuration" },
    { .name = "log", .topic = TOPIC_LOG, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(log), .fallback = "auto",
      .value = "auto|stderr|journal|syslog|FILE", .help = "where it goes; auto: stderr or the journal with -f, else syslog" },
    { .name = "log_level", .topic = TOPIC_LOG, .is_live = true, .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(log_level),
      .fallback = "info", .value = "err|warn|info|debug", .help = "what is logged: this and what is worse" },
    { .name = "confine", .topic = TOPIC_MOUNT, .kind = KIND_BOOL, .place = PLACE_MOUNT, AT(confine), .fallback = "on", .value = "on|off",
      .help = "give up what serving needs no more; off only to look into the program with a debugger" },
    { .name = "passthrough", .topic = TOPIC_MOUNT, .kind = KIND_BOOL, .place = PLACE_MOUNT, AT(passthrough), .fallback = "on", .value = "on|off",
      .help = "let the kernel itself read samples that are opened again, where it can and we are root" },
    { .name = "yara_check", .topic = TOPIC_SPENDING, .is_live = true, .kind = KIND_BOOL, .place = PLACE_MOUNT, AT(yara_check), .fallback = "on", .value = "on|off",
      .help = "compile a rule before a hunt is spent on it" },
    { .name = "resubmit", .topic = TOPIC_SPENDING, .is_live = true, .kind = KIND_FLAG, .place = PLACE_MOUNT, AT(resubmit), .fallback = "off",
      .help = "a changed rule is sent at close instead of becoming a draft (each costs a hunt)" },
    { .name = "budget", .topic = TOPIC_SPENDING, .is_live = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(budget), .fallback = "", .value = "N[:HUNTS]",
      .help = "sets the file budget once; a new profile begins with 10 downloads and 20 hunts, --local with unlimited" },
    { .name = "reserve", .topic = TOPIC_SPENDING, .is_live = true, .kind = KIND_PERCENT, .place = PLACE_MOUNT, AT(reserve_percent), .fallback = "10",
      .value = "PERCENT", .help = "of each month's quota, never spent" },
    { .name = "deny", .topic = TOPIC_SPENDING, .is_live = true, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(deny), .fallback = "-", .value = "PROGRAM[:...]",
      .help = "more programs that may not make a sample come; deny= none, deny=:PROGRAM only these" },
    { .name = "transport", .topic = TOPIC_SERVICE, .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(transport), .fallback = "raw", .value = "raw|zip",
      .help = "how single samples come: as they are, or in archives, for networks that cut raw executables" },
    { .name = "zip_password", .topic = TOPIC_ZIPS, .kind = KIND_TEXT, .place = PLACE_MOUNT, AT(zip_password), .fallback = "infected",
      .value = "TEXT", .help = "of the archives in zips/; no secret" },
    { .name = "zip_method", .topic = TOPIC_ZIPS, .kind = KIND_CHOICE, .place = PLACE_MOUNT, AT(zip_method), .fallback = "zipcrypto",
      .value = "zipcrypto|aes", .help = "their encryption: what every tool can open, or AES-256" },
};

_Static_assert(ARRAY_SIZE(option_rows) <= CONFIG_OPTIONS_MAX, "every option has an origin");
const size_t option_rows_n = ARRAY_SIZE(option_rows);

/* Options of mount(8) and libfuse that go to the kernel unchanged, and words of fstab that mean nothing here. */
const char *const option_kernel_names[] = { "allow_other", "allow_root", "auto_unmount", "ro", "rw", "noexec", "nosuid",
    "nodev", "noatime", NULL };
static const char *const ignored_names[] = { "_netdev", "nofail", "noauto", "auto", "user", "users", "nouser", "owner",
    "group", "defaults", "dev", "suid", "exec", "async", "sync", "dirsync", "atime", "relatime", "norelatime",
    "strictatime", "nostrictatime", "lazytime", "nolazytime", "diratime", "nodiratime", "silent", "loud", "iversion",
    "noiversion", "mand", "nomand", "comment", "helper", "uhelper", "fsname", "subtype", NULL };
/* clang-format on */

static bool is_in(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static const struct option_row *find(const char *name, enum option_place place)
{
    for (size_t i = 0; i < option_rows_n; i++)
        if (option_rows[i].place == place && strcmp(option_rows[i].name, name) == 0)
            return &option_rows[i];
    return NULL;
}

/* What was said, what is right, and where to read about it. */
static int refuse(const struct option_row *row, const char *value, const char *wanted, struct err *err)
{
    enum { SHOWN_MAX = 60 };
    const char *topic = options_topic(row->topic);

    if (!value)
        return err_set(err, EINVAL, "option '%s' has no value: give %s; see malqueryfs --help %s", row->name, wanted,
                       topic);
    return err_set(err, EINVAL, "option '%s': '%.*s' is not %s; see malqueryfs --help %s", row->name, SHOWN_MAX, value,
                   wanted, topic);
}

static int set_choice(const struct option_row *row, const char *value, int *ret_choice, struct err *err)
{
    size_t n = value ? strlen(value) : 0;
    char wanted[128];
    int choice = 0;

    for (const char *word = row->value; n > 0 && word; word = strchr(word, '|'), choice++) {
        if (*word == '|')
            word++;
        if (strcspn(word, "|") == n && strncmp(word, value, n) == 0) {
            *ret_choice = choice;
            return 0;
        }
    }
    (void)snprintf(wanted, sizeof wanted, "one of %s", row->value); /* fits */
    return refuse(row, value, wanted, err);
}

static int set_percent(const struct option_row *row, const char *value, int *ret_percent, struct err *err)
{
    char number[sizeof "100"];
    uint64_t percent = 0;
    size_t n = value ? strlen(value) : 0;

    n -= n > 0 && value[n - 1] == '%';
    if (n == 0 || n >= sizeof number)
        return refuse(row, value, "a number from 0 to 100", err);
    memcpy(number, value, n);
    number[n] = '\0';
    if (!text_parse_u64(number, 100, &percent))
        return refuse(row, value, "a number from 0 to 100", err);
    *ret_percent = (int)percent;
    return 0;
}

static int set_bytes(const struct option_row *row, const char *value, int64_t *ret_bytes, struct err *err)
{
    uint64_t bytes = 0;

    if (!value || !text_parse_bytes(value, BYTES_MAX, &bytes) || (int64_t)bytes < row->min)
        return refuse(row, value, "a size from 1M to 16T, like 500M or 8G", err);
    *ret_bytes = (int64_t)bytes;
    return 0;
}

static int set_row(const struct option_row *row, const char *value, struct config *config, struct err *err)
{
    void *at = (char *)config + row->at;

    switch (row->kind) {
    case KIND_TOPIC:
        value = value ? value : "topics";
        /* fall through */
    case KIND_TEXT:
        if (!value)
            return refuse(row, value, row->value, err);
        if (!text_copy(at, row->max, value))
            return err_set(err, EINVAL, "option '%s': the value is longer than %zu bytes", row->name, row->max - 1);
        return 0;
    case KIND_BOOL:
    case KIND_FLAG:
        if (!value && row->kind == KIND_FLAG) {
            *(bool *)at = true;
            return 0;
        }
        if (!value || !text_parse_bool(value, at))
            return refuse(row, value, "on or off", err);
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

    for (size_t i = 0; i < option_rows_n; i++)
        if (option_rows[i].fallback && set_row(&option_rows[i], option_rows[i].fallback, config, &err) < 0)
            assert(!"a default of the table is wrong");
}

static int add_kernel_option(const char *name, struct config *config, struct err *err)
{
    size_t used = strlen(config->kernel_options);
    int n =
        snprintf(config->kernel_options + used, sizeof config->kernel_options - used, "%s%s", used ? "," : "", name);

    if (n < 0 || (size_t)n >= sizeof config->kernel_options - used)
        return err_set(err, EINVAL, "the mount options have more than %zu bytes: leave some out",
                       sizeof config->kernel_options - 1);
    return 0;
}

/* Words that mean something to mount(8) or the kernel, on the command line only. */
static int set_word(const char *name, const char *value, struct config *config, struct err *err)
{
    if (!value && is_in(option_kernel_names, name))
        return add_kernel_option(name, config, err);
    if (is_in(ignored_names, name) || strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0 || config->is_sloppy)
        return 0;
    if (strcmp(name, "remount") == 0)
        return err_set(err, EINVAL,
                       "a mount cannot be remounted with other options: send it SIGHUP to read its "
                       "configuration again, or unmount it first");
    return err_set(err, EINVAL, "unknown option '%s'; see malqueryfs --help all", name);
}

int options_set(const char *name, const char *value, const struct config_origin *origin, struct config *config,
                struct err *err)
{
    const struct option_row *row = find(name, PLACE_MOUNT);
    bool is_said_here = origin->from == FROM_COMMAND_LINE;

    if (!row && is_said_here)
        return set_word(name, value, config, err);
    if (!row)
        return err_set(err, EINVAL, "unknown option '%s'; see malqueryfs --help all", name);
    if (row->is_early && !is_said_here)
        return err_set(err, EINVAL, "option '%s' must be known before this file is read: give it with -o", name);
    if (set_row(row, value, config, err) < 0)
        return -EINVAL;
    config->origins[row - option_rows] = *origin;
    return 0;
}

void options_take_live(struct config *config, const struct config *fresh, options_changed *changed, void *closure)
{
    for (size_t i = 0; i < option_rows_n; i++) {
        const struct option_row *row = &option_rows[i];
        char *now = (char *)config + row->at;
        const char *then = (const char *)fresh + row->at;

        if (row->place != PLACE_MOUNT || row->is_early)
            continue;
        if (row->kind == KIND_TEXT ? strcmp(now, then) == 0 : memcmp(now, then, row->max) == 0)
            continue;
        if (row->is_live) {
            memcpy(now, then, row->max);
            config->origins[i] = fresh->origins[i];
        }
        changed(closure, row->name, row->is_live);
    }
}

int options_parse_list(const char *list, struct config *config, struct err *err)
{
    cleanup_(freep) char *copy = strdup(list);
    const struct config_origin origin = { .from = FROM_COMMAND_LINE };
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
        r = options_set(word, value, &origin, config, err);
    }
    return r;
}

static const struct option_row *find_letter(char letter)
{
    for (size_t i = 0; i < option_rows_n; i++)
        if (option_rows[i].letter == letter)
            return &option_rows[i];
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
        return err_set(err, EINVAL, "unknown option '%s'; see malqueryfs --help all", argv[*at]);
    if (!equals && row->kind == KIND_TOPIC)
        return set_row(row, *at + 1 < argc && argv[*at + 1][0] != '-' ? argv[++*at] : NULL, config, err);
    if (!equals && row->kind == KIND_TEXT)
        return set_row(row, *at + 1 < argc ? argv[++*at] : NULL, config, err);
    return set_row(row, equals ? equals + 1 : NULL, config, err);
}

static int parse_short(int argc, char **argv, int *at, struct config *config, struct err *err)
{
    const char *text = argv[*at] + 1;

    if (*text == 'o') {
        const char *list = text[1] ? text + 1 : *at + 1 < argc ? argv[++*at] : NULL;

        return list ? options_parse_list(list, config, err)
                    : err_set(err, EINVAL, "option '-o' has no value: give name=value; see malqueryfs --help all");
    }
    for (; *text; text++) {
        const struct option_row *row = find_letter(*text);

        if (!row)
            return err_set(err, EINVAL, "unknown option '-%c'; see malqueryfs --help all", *text);
        if (set_row(row, NULL, config, err) < 0)
            return -EINVAL;
    }
    return 0;
}

/* What is mounted, where fstab names a device: a directory is served like that of --local, "none" says nothing, and
 * anything else is a profile. */
static int take_source(const char *source, struct config *config, struct err *err)
{
    const struct config_origin origin = { .from = FROM_COMMAND_LINE };
    char name[sizeof "fsname=" + SOURCE_SHOWN_MAX];

    /* mount(8) finds by it that a line of fstab is mounted already */
    if (strlen(source) <= SOURCE_SHOWN_MAX && !strpbrk(source, ",\\")) {
        (void)snprintf(name, sizeof name, "fsname=%s", source); /* fits */
        if (add_kernel_option(name, config, err) < 0)
            return -EINVAL;
    }
    if (strchr(source, '/'))
        return text_copy(config->local_dir, sizeof config->local_dir, source)
                   ? 0
                   : err_set(err, EINVAL, "the name of what is mounted is too long");
    return strcmp(source, "none") == 0 ? 0 : options_set("profile", source, &origin, config, err);
}

int options_place(const char *word, struct config *config, struct err *err)
{
    if (config->has_source)
        return err_set(err, EINVAL, "'%s' is one name too many: what is mounted, and the mountpoint, are enough", word);
    if (config->mountpoint[0]) {
        config->has_source = true;
        if (take_source(config->mountpoint, config, err) < 0)
            return -EINVAL;
    }
    return text_copy(config->mountpoint, sizeof config->mountpoint, word)
               ? 0
               : err_set(err, EINVAL, "the mountpoint's name is too long");
}

int options_parse(int argc, char **argv, struct config *config, struct err *err)
{
    int r = 0;

    for (int at = 1; r == 0 && at < argc; at++) {
        if (strncmp(argv[at], "--", 2) == 0)
            r = parse_long(argc, argv, &at, config, err);
        else if (argv[at][0] == '-' && argv[at][1])
            r = parse_short(argc, argv, &at, config, err);
        else
            r = options_place(argv[at], config, err);
    }
    if (config->debug)
        config->foreground = true;
    return r;
}
