#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ini.h>

#include "options.h"
#include "util/text.h"

/* Variables of the environment, the names that the vendor's own tools use. */
static const struct {
    const char *variable;
    const char *option;
} environment[] = {
    { "FALCON_CLOUD", "cloud" },
    { "FALCON_BASE_URL", "base_url" },
    { "FALCON_MEMBER_CID", "member_cid" },
};

/* What the reader of the configuration file carries along. */
struct reading {
    struct config *config;
    struct err *err;
    const char *section; /* that counts in this pass */
};

static int set_secret(struct secret **secret, const char *value, struct err *err)
{
    secret_free(*secret);
    *secret = NULL;
    return secret_new(value, strlen(value), secret, err);
}

static int on_line(void *closure, const char *section, const char *name, const char *value)
{
    struct reading *reading = closure;
    int r;

    if (strcmp(section, reading->section) != 0)
        return 1;
    if (strcmp(name, "client_id") == 0)
        r = set_secret(&reading->config->client_id, value, reading->err);
    else if (strcmp(name, "client_secret") == 0)
        r = set_secret(&reading->config->client_secret, value, reading->err);
    else
        r = options_set(name, value, OPTION_FILE, reading->config, reading->err);
    return r == 0;
}

static int default_config_file(char *ret_path, size_t room)
{
    const char *dir = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n;

    if (dir && *dir == '/')
        n = snprintf(ret_path, room, "%s/malqueryfs/config.ini", dir);
    else
        n = snprintf(ret_path, room, "%s/.config/malqueryfs/config.ini", home && *home == '/' ? home : "");
    return n > 0 && (size_t)n < room ? 0 : -ENAMETOOLONG;
}

/* A file with a secret that others can read is refused with the command that mends it. ENOENT: there is none. */
static int open_file(const char *path, bool must_exist, FILE **ret_file, struct err *err)
{
    cleanup_(fclosep) FILE *file = fopen(path, "re");
    struct stat st;

    if (!file && errno == ENOENT && !must_exist)
        return ENOENT;
    if (!file || fstat(fileno(file), &st) < 0)
        return err_sys(err, "configuration file '%s'", path);
    if (st.st_mode & 077)
        return err_set(err, EACCES, "others may read '%s'; run: chmod 600 '%s'", path, path);
    *ret_file = steal_ptr(&file);
    return 0;
}

static int read_section(struct config *config, FILE *file, const char *path, const char *section, struct err *err)
{
    struct reading reading = { .config = config, .err = err, .section = section };
    int line;

    rewind(file);
    line = ini_parse_file(file, on_line, &reading);
    if (line == 0)
        return 0;
    if (err->code)
        return err_wrap(err, "%s, line %d", path, line);
    return err_set(err, EINVAL, "%s, line %d: not a line of a configuration file", path, line);
}

static int read_sections(struct config *config, const char *path, bool must_exist, struct err *err)
{
    char buffer[BUFSIZ]; /* of the stream, so that it can be wiped: it has had the secret */
    char profile[CONFIG_TEXT_MAX];
    FILE *file = NULL;
    int r = open_file(path, must_exist, &file, err);

    if (r != 0)
        return r > 0 ? 0 : r;
    (void)setvbuf(file, buffer, _IOFBF, sizeof buffer);        /* nothing was read yet: cannot fail */
    (void)text_copy(profile, sizeof profile, config->profile); /* same size */
    r = read_section(config, file, path, "default", err);
    if (r == 0 && strcmp(profile, "default") != 0)
        r = read_section(config, file, path, profile, err);
    (void)text_copy(config->profile, sizeof config->profile, profile); /* the file cannot choose another one */
    (void)fclose(file);                                                /* read-only */
    secret_wipe(buffer, sizeof buffer);
    return r;
}

static int read_file(struct config *config, struct err *err)
{
    char path[PATH_MAX];
    bool is_given = config->config_file[0];
    int r = 0;

    if (is_given)
        (void)text_copy(path, sizeof path, config->config_file); /* same size */
    else
        r = default_config_file(path, sizeof path);
    return r < 0 ? err_set(err, -r, "the configuration file's name is too long")
                 : read_sections(config, path, is_given, err);
}

/* A file of systemd's LoadCredential=, which only we can read. Absent: nothing changes. */
static int read_credential(const char *dir, const char *name, struct secret **secret, struct err *err)
{
    char path[PATH_MAX];
    char text[SECRET_MAX];
    cleanup_(closep) int fd = -1;
    ssize_t n;
    int r;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "CREDENTIALS_DIRECTORY is too long");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, "credential '%s'", path);
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return err_sys(err, "credential '%s'", path);
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    r = set_secret(secret, text, err);
    secret_wipe(text, (size_t)n);
    return r;
}

static int read_credentials(struct config *config, struct err *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    int r;

    if (!dir || *dir != '/')
        return 0;
    r = read_credential(dir, "client_id", &config->client_id, err);
    return r < 0 ? r : read_credential(dir, "client_secret", &config->client_secret, err);
}

static int read_environment(struct config *config, struct err *err)
{
    struct secret *id = NULL;
    struct secret *secret = NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(environment); i++) {
        const char *value = getenv(environment[i].variable);

        if (value && *value)
            r = options_set(environment[i].option, value, OPTION_FILE, config, err);
    }
    if (r == 0)
        r = secret_from_env("FALCON_CLIENT_ID", &id, err);
    if (r == 0)
        r = secret_from_env("FALCON_CLIENT_SECRET", &secret, err);
    if (id) {
        secret_free(config->client_id);
        config->client_id = id;
    }
    if (secret) {
        secret_free(config->client_secret);
        config->client_secret = secret;
    }
    return r;
}

/* A profile is a directory's name. */
static bool is_profile(const char *name)
{
    return *name && *name != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

int config_load(int argc, char **argv, struct config *config, struct err *err)
{
    options_defaults(config);
    if (options_parse(argc, argv, config, err) < 0)
        return EXIT_USAGE;
    if (config->help || config->version || config->dump_options || config->dump_tree)
        return 0;
    if (!config->mountpoint[0] && !config->check && !config->rotate_key) {
        (void)err_set(err, EINVAL, "no mountpoint; see malqueryfs --help"); /* the exit code says it */
        return EXIT_USAGE;
    }
    if (!is_profile(config->profile)) {
        (void)err_set(err, EINVAL, "a profile's name has letters, digits, '.', '_' and '-'"); /* likewise */
        return EXIT_USAGE;
    }
    if (read_file(config, err) < 0 || read_credentials(config, err) < 0 || read_environment(config, err) < 0)
        return EXIT_CONFIG;
    config->mountpoint[0] = '\0'; /* once more: the command line wins over file and environment */
    config->kernel_options[0] = '\0';
    return options_parse(argc, argv, config, err) < 0 ? EXIT_USAGE : 0;
}

void config_done(struct config *config)
{
    secret_free(config->client_id);
    secret_free(config->client_secret);
    config->client_id = NULL;
    config->client_secret = NULL;
}

/* Makes `path` and what is missing above it, 0700. */
static int make_directories(char *path, struct err *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        int r;

        if (slash)
            *slash = '\0';
        r = mkdir(path, 0700);
        if (r < 0 && errno != EEXIST)
            return err_sys(err, "make the directory '%s'", path);
        if (!slash)
            return 0;
        *slash = '/';
    }
}

static int one_directory(const struct config *config, char *dir, size_t room, const char *variable,
                         const char *below_home, struct err *err)
{
    cleanup_(freep) char *given = strdup(dir);
    const char *base = getenv(variable);
    const char *home = getenv("HOME");
    cleanup_(freep) char *here = getcwd(NULL, 0);
    int n;

    if (!given || !here)
        return err_set(err, ENOMEM, "no memory for a directory's name");
    if (*given)
        n = snprintf(dir, room, "%s%s%s/%s", *given == '/' ? "" : here, *given == '/' ? "" : "/", given,
                     config->profile);
    else if (base && *base == '/')
        n = snprintf(dir, room, "%s/malqueryfs/%s", base, config->profile);
    else if (home && *home == '/')
        n = snprintf(dir, room, "%s/%s/malqueryfs/%s", home, below_home, config->profile);
    else
        return err_set(err, EINVAL, "HOME is not set: say where with -o state_dir= and -o cache_dir=");
    if (n < 0 || (size_t)n >= room)
        return err_set(err, ENAMETOOLONG, "a directory's name is too long");
    return make_directories(dir, err);
}

int config_directories(struct config *config, struct err *err)
{
    int r = one_directory(config, config->state_dir, sizeof config->state_dir, "XDG_STATE_HOME", ".local/state", err);

    if (r == 0)
        r = one_directory(config, config->cache_dir, sizeof config->cache_dir, "XDG_CACHE_HOME", ".cache", err);
    return r;
}
