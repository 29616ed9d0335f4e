#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ini.h>

#include "mount_helper.h"
#include "options.h"
#include "util/text.h"

/* Where a mount of the whole system has its things: what root mounts from fstab, or without a home. */
#define SYSTEM_CONFIG "/etc/malqueryfs/config.ini"
#define SYSTEM_STATE "/var/lib/malqueryfs"
#define SYSTEM_CACHE "/var/cache/malqueryfs"

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
    FILE *file;
    int line; /* that is being read, counted from 1 */
    int max;  /* bytes that it may have */
    bool is_too_long;
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
    struct config *config = reading->config;
    const struct config_origin origin = { .from = FROM_FILE, .line = reading->line };
    int r;

    if (strcmp(section, reading->section) != 0)
        return 1;
    if (strcmp(name, "client_id") == 0) {
        config->id_origin = origin;
        r = set_secret(&config->client_id, value, reading->err);
    } else if (strcmp(name, "client_secret") == 0) {
        config->secret_origin = origin;
        r = set_secret(&config->client_secret, value, reading->err);
    } else {
        r = options_set(name, value, &origin, config, reading->err);
    }
    return r == 0;
}

/* fgets() that counts. inih would take what does not fit into its buffer for a line of its own. */
static char *next_line(char *buffer, int room, void *closure)
{
    struct reading *reading = closure;
    char *line = fgets(buffer, room, reading->file);

    reading->line += line != NULL;
    reading->is_too_long = line && strlen(line) == (size_t)room - 1 && line[room - 2] != '\n';
    reading->max = room - 2;
    return reading->is_too_long ? NULL : line;
}

/* Root's mounts for all have the same places when somebody calls mount(8) and at boot, where nobody has a home. */
static bool is_system_mount(const struct config *config)
{
    const char *home = getenv("HOME");

    return geteuid() == 0 && !config->setuid[0] && (config->is_mount_helper || !home || *home != '/');
}

static int find_config_file(struct config *config, struct err *err)
{
    const char *dir = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    cleanup_(freep) char *here = getcwd(NULL, 0);
    char *path = config->config_path;
    const size_t room = sizeof config->config_path;
    int n;

    if (config->config_file[0] == '/')
        n = snprintf(path, room, "%s", config->config_file);
    else if (config->config_file[0])
        n = snprintf(path, room, "%s/%s", here ? here : "", config->config_file);
    else if (is_system_mount(config))
        n = snprintf(path, room, SYSTEM_CONFIG);
    else if (dir && *dir == '/')
        n = snprintf(path, room, "%s/malqueryfs/config.ini", dir);
    else
        n = snprintf(path, room, "%s/.config/malqueryfs/config.ini", home && *home == '/' ? home : "");
    if (n < 0 || (size_t)n >= room)
        return err_set(err, ENAMETOOLONG, "the configuration file's name is too long");
    return 0;
}

/* A file with a secret that others can read is refused with the command that mends it; so is one that others can write,
 * as that of the user from whom root has HOME. */
static int check_private(FILE *file, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fileno(file), &st) < 0)
        return err_sys(err, "configuration file '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "'%s' is no file: -o config= names one", path);
    if (st.st_mode & 077)
        return err_set(err, EACCES, "others may read '%s'; run: chmod 600 '%s'", path, path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, EACCES, "'%s' belongs to another user, who would choose what we write where", path);
    return 0;
}

static int read_section(struct config *config, FILE *file, const char *section, struct err *err)
{
    struct reading reading = { .config = config, .err = err, .section = section, .file = file };
    int wrong_line;

    rewind(file);
    wrong_line = ini_parse_stream(next_line, &reading, on_line, &reading);
    if (reading.is_too_long)
        return err_set(err, EINVAL, "%s, line %d: more than the %d bytes that a line may have", config->config_path,
                       reading.line, reading.max);
    if (wrong_line == 0)
        return 0;
    if (err->code)
        return err_wrap(err, "%s, line %d", config->config_path, wrong_line);
    return err_set(err, EINVAL, "%s, line %d: neither a [section] nor name = value", config->config_path, wrong_line);
}

static int read_sections(struct config *config, FILE *file, struct err *err)
{
    char buffer[BUFSIZ]; /* of the stream, so that it can be wiped: it has had the secret */
    int r = check_private(file, config->config_path, err);

    if (r == 0) {
        (void)setvbuf(file, buffer, _IOFBF, sizeof buffer); /* nothing was read yet: cannot fail */
        r = read_section(config, file, "default", err);
    }
    if (r == 0 && strcmp(config->profile, "default") != 0)
        r = read_section(config, file, config->profile, err);
    (void)fclose(file); /* read-only */
    secret_wipe(buffer, sizeof buffer);
    return r;
}

static int read_file(struct config *config, struct err *err)
{
    int r = find_config_file(config, err);
    FILE *file;

    if (r < 0)
        return r;
    file = fopen(config->config_path, "re");
    if (!file && errno == ENOENT && !config->config_file[0])
        return 0;
    if (!file)
        return err_sys(err, "configuration file '%s'", config->config_path);
    return read_sections(config, file, err);
}

/* A file of systemd's LoadCredential=, which only we can read. Absent: nothing changes. */
static int read_credential(const char *dir, const char *name, struct secret **secret, struct config_origin *origin,
                           struct err *err)
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
    *origin = (struct config_origin){ .from = FROM_CREDENTIALS };
    secret_wipe(text, (size_t)n);
    return r;
}

static int read_credentials(struct config *config, struct err *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    int r;

    if (!dir || *dir != '/')
        return 0;
    r = read_credential(dir, "client_id", &config->client_id, &config->id_origin, err);
    return r < 0 ? r : read_credential(dir, "client_secret", &config->client_secret, &config->secret_origin, err);
}

/* A variable with a credential, which wins over what there was. */
static int read_secret(const char *variable, struct secret **secret, struct config_origin *origin, struct err *err)
{
    struct secret *found = NULL;
    int r = secret_from_env(variable, &found, err);

    if (r < 0 || !found)
        return r;
    secret_free(*secret);
    *secret = found;
    *origin = (struct config_origin){ .from = FROM_ENVIRONMENT, .variable = variable };
    return 0;
}

static int read_environment(struct config *config, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(environment); i++) {
        const struct config_origin origin = { .from = FROM_ENVIRONMENT, .variable = environment[i].variable };
        const char *value = getenv(environment[i].variable);

        if (value && *value)
            r = options_set(environment[i].option, value, &origin, config, err);
        if (r < 0)
            return err_wrap(err, "%s", environment[i].variable);
    }
    return 0;
}

/* Both are wiped there, also when one of them cannot be read. */
static int read_secrets(struct config *config, struct err *err)
{
    int r = read_secret("FALCON_CLIENT_ID", &config->client_id, &config->id_origin, err);
    int r_too = read_secret("FALCON_CLIENT_SECRET", &config->client_secret, &config->secret_origin, r < 0 ? NULL : err);

    return r < 0 ? r : r_too;
}

/* A profile is a directory's name. */
static bool is_profile(const char *name)
{
    return *name && *name != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

static int parse_arguments(int argc, char **argv, struct config *config, struct err *err)
{
    config->mountpoint[0] = '\0';
    config->kernel_options[0] = '\0';
    config->has_source = false;
    return mount_helper_is_called(argv[0]) ? mount_helper_parse(argc, argv, config, err)
                                           : options_parse(argc, argv, config, err);
}

/* What is known before a file is read. */
static int begin(int argc, char **argv, struct config *config, struct err *err)
{
    options_defaults(config);
    if (parse_arguments(argc, argv, config, err) < 0)
        return EXIT_USAGE;
    if (is_profile(config->profile))
        return 0;
    (void)err_set(err, EINVAL,
                  "'%s' is no profile: its name has letters, digits, '.', '_' and '-', and begins with none "
                  "of '.'",
                  config->profile); /* the exit code says it */
    return EXIT_USAGE;
}

int config_load(int argc, char **argv, struct config *config, struct err *err)
{
    int code = begin(argc, argv, config, err);

    if (code || config->help[0] || config->version || config->dump_options || config->dump_tree)
        return code;
    if (!config->mountpoint[0] && !config->check && !config->rotate_key && !config->dump_config) {
        (void)err_set(err, EINVAL, "no mountpoint was given: malqueryfs [options] MOUNTPOINT; see malqueryfs --help");
        return EXIT_USAGE;
    }
    if (config->top) /* it reads what is mounted, and needs no account */
        return 0;
    if (config->setuid[0] && mount_helper_become(config->setuid, err) < 0)
        return EXIT_USAGE;
    if (read_file(config, err) < 0 || read_credentials(config, err) < 0 || read_environment(config, err) < 0 ||
        read_secrets(config, err) < 0)
        return EXIT_CONFIG;
    /* once more: the command line wins over file and environment */
    return parse_arguments(argc, argv, config, err) < 0 ? EXIT_USAGE : 0;
}

int config_reload(int argc, char **argv, const char *path, int fd, struct config *ret_config, struct err *err)
{
    cleanup_(closep) int owned = fd;
    FILE *file;

    if (begin(argc, argv, ret_config, err) != 0)
        return -EINVAL;
    (void)text_copy(ret_config->config_path, sizeof ret_config->config_path, path); /* same size */
    if (fd < 0 && ret_config->config_file[0]) /* as at the start: one that was named has to be there */
        return err_set(err, ENOENT, "configuration file '%s' does not exist any more", path);
    if (fd >= 0) {
        file = fdopen(fd, "r");
        if (!file)
            return err_sys(err, "configuration file '%s'", ret_config->config_path);
        (void)steal_fd(&owned);
        if (read_sections(ret_config, file, err) < 0)
            return -EINVAL;
    }
    if (read_environment(ret_config, err) < 0)
        return -EINVAL;
    return parse_arguments(argc, argv, ret_config, err);
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
            return err_set(err, errno,
                           "cannot make the directory '%s' (%s): say where else with -o state_dir=, cache_dir=", path,
                           strerrordesc_np(errno));
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/* Where the parts of a profile are, unless they are said to be elsewhere. */
struct place {
    const char *option;
    const char *variable;
    const char *below_home;
    const char *of_system;
};

static int find_directory(const struct config *config, const struct place *place, const char *given, char *ret_path,
                          struct err *err)
{
    const char *base = getenv(place->variable);
    const char *home = getenv("HOME");
    cleanup_(freep) char *here = getcwd(NULL, 0);
    int n;

    if (!here && *given && *given != '/')
        return err_sys(err, "option '%s': '%s' has no absolute path", place->option, given);
    if (*given)
        n = snprintf(ret_path, PATH_MAX, "%s%s%s/%s", *given == '/' ? "" : here, *given == '/' ? "" : "/", given,
                     config->profile);
    else if (is_system_mount(config))
        n = snprintf(ret_path, PATH_MAX, "%s/%s", place->of_system, config->profile);
    else if (base && *base == '/')
        n = snprintf(ret_path, PATH_MAX, "%s/malqueryfs/%s", base, config->profile);
    else if (home && *home == '/')
        n = snprintf(ret_path, PATH_MAX, "%s/%s/malqueryfs/%s", home, place->below_home, config->profile);
    else
        return err_set(err, EINVAL, "HOME is not set: say where to keep things with -o state_dir= and -o cache_dir=");
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "option '%s': the directory's name is too long", place->option);
    return 0;
}

int config_places(struct config *config, struct err *err)
{
    static const struct place state = { "state_dir", "XDG_STATE_HOME", ".local/state", SYSTEM_STATE };
    static const struct place cache = { "cache_dir", "XDG_CACHE_HOME", ".cache", SYSTEM_CACHE };
    int r = find_directory(config, &state, config->state_dir, config->state_path, err);

    return r == 0 ? find_directory(config, &cache, config->cache_dir, config->cache_path, err) : r;
}

int config_directories(struct config *config, struct err *err)
{
    int r = config_places(config, err);

    if (r == 0)
        r = make_directories(config->state_path, err);
    return r == 0 ? make_directories(config->cache_path, err) : r;
}
