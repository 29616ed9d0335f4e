/*
 * engine_hunt -- YARA rules: compiled, and run on files.
 *
 * Ownership  x_new/x_free; the rules must outlive their scanners.
 * Errors     a rule that does not compile is EINVAL with the compiler's words and the line.
 * Threads    rules are shared; a scanner belongs to one thread. engine_hunt_start() once, before all else.
 */
#pragma once

#include <stdbool.h>

#include "util/cleanup.h"
#include "util/err.h"

struct engine_rules;
struct engine_scanner;

CHECKED int engine_hunt_start(struct err *err);
void engine_hunt_end(void);

CHECKED int engine_rules_new(const char *text, struct engine_rules **ret_rules, struct err *err);
void engine_rules_free(struct engine_rules *rules);
DEFINE_CLEANUP(struct engine_rules *, engine_rules_free)

/* A file may take `file_s` seconds, then its scan ends with ETIMEDOUT. */
CHECKED int engine_scanner_new(const struct engine_rules *rules, int file_s, struct engine_scanner **ret_scanner,
                               struct err *err);
void engine_scanner_free(struct engine_scanner *scanner);
DEFINE_CLEANUP(struct engine_scanner *, engine_scanner_free)

/* Does a rule that is not private match the file? */
CHECKED int engine_scanner_scan(struct engine_scanner *scanner, int fd, bool *ret_match, struct err *err);
