/*
 * options -- the table of options: command line, -o, configuration file, --help and --dump-options walk it.
 *
 * Errors     0, or -EINVAL with one line that names the option.
 */
#pragma once

#include <stdio.h>

#include "config.h"

enum option_from {
    OPTION_COMMAND_LINE,
    OPTION_FILE,
};

/* Defaults of every row. */
void options_defaults(struct config *config);

/* Parses argv. */
CHECKED int options_parse(int argc, char **argv, struct config *config, struct err *err);

/* One `name=value` of -o or of the configuration file. */
CHECKED int options_set(const char *name, const char *value, enum option_from from, struct config *config,
                        struct err *err);

void options_help(FILE *out);

/* One name a line. */
void options_dump(FILE *out);
