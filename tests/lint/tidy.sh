#!/usr/bin/env bash
# clang-tidy finds nothing in src/; .clang-tidy says what it looks for.
# Usage: tidy.sh [ROOT]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2
# shellcheck source-path=SCRIPTDIR
. "$here/compile_flags.sh"
if ! command -v clang-tidy >/dev/null; then
    echo "skipped: clang-tidy is not installed"
    exit 77
fi
# What it says of the headers of libraries, and how often, is no finding.
find src -name '*.c' -print0 | sort -z |
    xargs -0 -r -P 2 -n 4 sh -c 'clang-tidy --quiet "$@" -- '"$(printf '%q ' "${flags[@]}")"' 2>/dev/null' sh
