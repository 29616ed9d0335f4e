#!/usr/bin/env bash
# clang-format has nothing to change in src and tests. Other versions lay out a few things differently (19 takes our
# REQUIRES for a keyword of C++), so that only one of them can be the judge: the one of Debian 12.
# Usage: format.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
major=14
for tool in clang-format-$major clang-format ""; do
    case "$("${tool:-false}" --version 2>/dev/null)" in *"version $major."*) break ;; esac
done
if [ -z "$tool" ]; then
    echo "skipped: clang-format $major is not installed"
    exit 77
fi
find src tests -name '*.[ch]' | sort | xargs -r "$tool" --dry-run -Werror --ferror-limit=3
