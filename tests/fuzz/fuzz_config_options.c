/* Any bytes as the arguments of malqueryfs, a line each; what is accepted is in range. Nothing is opened or made. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ARGUMENTS_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct config config; /* as large as its paths */
    static char program[] = "malqueryfs";
    char *text = strndup((const char *)data, n);
    char *argv[ARGUMENTS_MAX + 2] = { program };
    struct err err = { 0 };
    int argc = 1;

    if (!text)
        abort();
    for (char *rest = text; rest && argc <= ARGUMENTS_MAX;)
        argv[argc++] = strsep(&rest, "\n");
    config = (struct config){ 0 };
    options_defaults(&config);
    if (options_parse(argc, argv, &config, &err) == 0)
        check_config(&config);
    else if (err.code == 0 || !err.text[0])
        abort();
    free(text);
    return 0;
}
