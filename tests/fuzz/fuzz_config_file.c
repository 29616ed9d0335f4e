/* Any bytes as the configuration file: it can set what is an option and the credentials, and choose nothing else. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *const variables[] = { "FALCON_CLOUD",     "FALCON_BASE_URL",      "FALCON_MEMBER_CID",
                                         "FALCON_CLIENT_ID", "FALCON_CLIENT_SECRET", "CREDENTIALS_DIRECTORY" };

static char path[] = "/dev/shm/mqfs-fuzz-XXXXXX"; /* memory: it is written again and again */
static int fd = -1;

static void clean_up(void)
{
    (void)unlink(path); /* what stays is in memory */
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        check(unsetenv(variables[i]) == 0);
    fd = mkstemp(path);
    check(fd >= 0);
    return atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct config config; /* as large as its paths */
    static char program[] = "malqueryfs";
    static char list[] = "-o";
    static char mountpoint[] = "/mnt";
    char option[sizeof "config=,profile=work" + sizeof path];
    char *argv[] = { program, list, option, mountpoint, NULL };
    struct err err = { 0 };
    int code;

    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
    (void)snprintf(option, sizeof option, "config=%s,profile=work", path); /* fits */
    config = (struct config){ 0 };
    code = config_load(ARRAY_SIZE(argv) - 1, argv, &config, &err);
    if (code == 0) {
        check_config(&config);
        check(strcmp(config.profile, "work") == 0 && strcmp(config.config_file, path) == 0);
        check(strcmp(config.mountpoint, mountpoint) == 0 && !config.kernel_options[0] && !config.local_dir[0]);
        check(!config.client_secret || !strchr(secret_text(config.client_secret), '\n'));
    } else {
        check(code == EXIT_CONFIG && err.code != 0 && err.text[0]);
    }
    config_done(&config);
    return 0;
}
