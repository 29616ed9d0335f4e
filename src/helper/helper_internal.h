/*
 * helper_internal -- the looks into /proc, done by whoever may.
 */
#pragma once

#include "helper/helper.h"

bool helper_process_has_open(pid_t pid, const char *name, uint64_t ino);
bool helper_process_executable(pid_t pid, char *ret_path, size_t room);
