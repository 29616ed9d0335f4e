/*
 * What a sanitizer adds to the tables. At exit LeakSanitizer stops all threads from a process that it makes, which
 * attaches to them; and reports are files that name functions, for which the program reads itself. Where lines are
 * counted (MQFS_COVERAGE), the counts go to files, too.
 */
#include "confine/confine_internal.h"

#ifdef MQFS_SANITIZED
const char confine_sanitizer_calls[] = "clone prctl ptrace kill tkill process_vm_readv personality setrlimit";
const char confine_sanitizer_reports[] = "MQFS_REPORTS";
const char confine_sanitizer_program[] = "/proc/self/exe";
#else
const char confine_sanitizer_calls[] = "";
#ifdef MQFS_COVERAGE
const char confine_sanitizer_reports[] = "MQFS_REPORTS";
#else
const char confine_sanitizer_reports[] = "";
#endif
const char confine_sanitizer_program[] = "";
#endif
