#!/usr/bin/env bash
# cppcheck finds nothing in src/. What is left out, and why:
#   memleak                    does not know the cleanup attribute; LeakSanitizer finds leaks
#   uninitvar in digest.c      takes digest_format(), which fills a text elsewhere, for one that reads it
#   missingIncludeSystem       libraries are not looked into
#   normalCheckLevelMax…       a word of version 2.17 about its own speed
# It is told to be clang because version 2.17 takes [[nodiscard]] in front of a declaration for a mistake.
# Usage: cppcheck.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
if ! command -v cppcheck >/dev/null; then
    echo "skipped: cppcheck is not installed"
    exit 77
fi
cppcheck --quiet -j 2 --error-exitcode=1 --std=c11 --enable=warning,performance,portability -Isrc -D_GNU_SOURCE -D__clang__ \
    '-DMQFS_VERSION=""' --suppress=memleak --suppress=uninitvar:src/model/digest.c --suppress=missingIncludeSystem \
    --suppress=normalCheckLevelMaxBranches src
