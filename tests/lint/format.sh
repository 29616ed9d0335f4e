#!/usr/bin/env bash
# clang-format has nothing to change in src and tests.
# Usage: format.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
if ! command -v clang-format >/dev/null; then
    echo "skipped: clang-format is not installed"
    exit 77
fi
find src tests -name '*.[ch]' | sort | xargs -r clang-format --dry-run -Werror --ferror-limit=3
