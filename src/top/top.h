/*
 * top -- what a mount is doing, on a screen: quota, budget, cache, transfers, requests, events.
 *
 * It reads the mount's own files like any other program, and only those that are answered from memory and disk: nothing
 * it does costs, asks the service or waits for it. The mount may be anybody's that lets itself be read.
 *
 * Errors     a negative errno, err filled: no mount of malqueryfs is there (ENODEV), or it went away (ENOTCONN).
 * Threads    one, before others start: it takes over signals, and the terminal.
 */
#pragma once

#include "util/err.h"

/*
 * On a terminal a screen that lives until `q` or a signal ends it; the terminal is as it was afterwards. Elsewhere
 * what there is now, once.
 */
CHECKED int top_run(const char *mountpoint, struct err *err);
