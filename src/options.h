/*
 * options -- the table of options: command line, -o, configuration file, --help, --dump-options and --dump-config walk
 * it.
 *
 * Errors     0, or -EINVAL with one line that names the option.
 */
#pragma once

#include <stdio.h>

#include "config.h"

/* Defaults of every row. */
void options_defaults(struct config *config);

/* Parses argv: options, and at the end [SOURCE] MOUNTPOINT. */
CHECKED int options_parse(int argc, char **argv, struct config *config, struct err *err);

/* "a=b,c,d=e", as after -o. */
CHECKED int options_parse_list(const char *list, struct config *config, struct err *err);

/* One word that is no option: the mountpoint, after what is mounted if there are two. */
CHECKED int options_place(const char *word, struct config *config, struct err *err);

/* One `name=value` of -o or of the configuration file. `origin` is what --dump-config says of it. */
CHECKED int options_set(const char *name, const char *value, const struct config_origin *origin, struct config *config,
                        struct err *err);

/* What SIGHUP may change is taken over from `fresh`. Each option whose value differs is told, also one that stays. */
typedef void options_changed(void *closure, const char *name, bool is_taken);
void options_take_live(struct config *config, const struct config *fresh, options_changed *changed, void *closure);

/* Usage and topics, one topic, or "all" of them; -EINVAL: no such topic. */
CHECKED int options_help(FILE *out, const char *topic, struct err *err);

/* A line for each: name, letter, value and help, separated by tabs; packaging/completions reads them. */
void options_dump(FILE *out);

/* A line `name<TAB>value<TAB>where it is from` for each option of the configuration, and the places that come of them.
 */
void options_dump_config(FILE *out, const struct config *config);
