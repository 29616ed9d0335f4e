/*
 * engine_options -- malqueryd's command line: one table for parsing, defaults, ranges, --help and --dump-options.
 *
 * Ownership  texts point into argv or into the options, which engine_options_done() frees.
 * Errors     EINVAL with words for the user.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "engine/engine.h"

struct engine_options {
    struct engine_config config;
    char *dir;
    char *index;
    char *labels;
    char *socket;
    char *request_log;
    char *credentials; /* where made-up credentials go */
    char *cert;
    char *key;
    const char *listen;
    bool no_watch;
    bool exit_with_stdin;
    bool help;
    bool version;
    bool dump_options;
    int64_t verbosity;
};

/* Parses and fills every default; --help, --version and --dump-options need no directory. */
CHECKED int engine_options_parse(int argc, char **argv, struct engine_options *ret_options, struct err *err);
void engine_options_done(struct engine_options *options);

void engine_options_help(FILE *file);

/* A line for each: name, letter, value and help, separated by tabs; packaging/completions reads them. */
void engine_options_dump(FILE *file);
