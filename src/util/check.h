/*
 * check -- compiler attributes, each spelled once.
 *
 * GCC lets a (void) cast silence [[nodiscard]] but not warn_unused_result; clang 14 is the other way round and does not
 * know [[...]] in gnu17. CHECKED therefore stands first in a declaration: `CHECKED static int f(void);`.
 */
#pragma once

#include <assert.h>
#include <stddef.h>

#if defined(__clang__)
#define CHECKED __attribute__((warn_unused_result))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define CAPABILITY(name) __attribute__((capability(name)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define NO_THREAD_SAFETY __attribute__((no_thread_safety_analysis))
#else
#define CHECKED [[nodiscard]]
#define REQUIRES(...)
#define CAPABILITY(name)
#define ACQUIRES(...)
#define RELEASES(...)
#define NO_THREAD_SAFETY
#endif

#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct that contains member `member` at address `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum { KIB = 1024, MIB = 1024 * 1024 };
#define GIB (1024LL * 1024 * 1024)
#define TIB (1024LL * 1024 * 1024 * 1024)
