/*
 * confine_internal -- the parts of confinement, each of one mechanism of the kernel.
 */
#pragma once

#include "confine/confine.h"

/* ---- confine_privilege.c ---- */

/* No core dumps, no ptrace, no readable /proc/self of ours. */
void confine_dumpable(void);
CHECKED int confine_new_privileges(struct err *err);

/* Empties all sets of capabilities; the bounding set only where that is allowed. */
CHECKED int confine_capabilities(struct err *err);

/* ---- confine_landlock.c ---- */

/* *ret_abi is what the kernel has; 0: no Landlock, and nothing was done. */
CHECKED int confine_landlock(const struct confine_config *config, int *ret_abi, struct err *err);

/* ---- confine_seccomp.c ---- */

/* *ret_is_on is false when the kernel has no filters, and nothing was done. */
CHECKED int confine_seccomp(const struct confine_config *config, bool *ret_is_on, struct err *err);

/* ---- confine_sanitizer.c: empty texts, unless sanitizers are compiled in ---- */

extern const char confine_sanitizer_calls[];   /* what their reports need; names separated by blanks */
extern const char confine_sanitizer_reports[]; /* a variable of the environment: the directory of their reports */
extern const char confine_sanitizer_program[]; /* a path: what they read names of functions from */
