#!/usr/bin/env bash
# clang-tidy finds nothing in src/; .clang-tidy says what it looks for. Each version has other checks and finds other
# things (19 wants each name's own header), so that only one of them can be the judge: the one of Debian 12.
# Usage: tidy.sh [ROOT]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2
# shellcheck source-path=SCRIPTDIR
. "$here/compile_flags.sh"
major=14
for tool in clang-tidy-$major clang-tidy ""; do
    case "$("${tool:-false}" --version 2>/dev/null)" in *"version $major."*) break ;; esac
done
if [ -z "$tool" ]; then
    echo "skipped: clang-tidy $major is not installed"
    exit 77
fi
# What it says of the headers of libraries, and how often, is no finding.
find src -name '*.c' -print0 | sort -z |
    xargs -0 -r -P 2 -n 4 sh -c "$tool"' --quiet "$@" -- '"$(printf '%q ' "${flags[@]}")"' 2>/dev/null' sh
