#!/usr/bin/env bash
# GCC's own static analysis finds nothing in src/. Two of its warnings are left out:
#   malloc-leak   loses what goes into a list or a map, or out through a pointer of the caller; LeakSanitizer takes its place
#   fd-leak       (from GCC 13) the same with descriptors, and takes dup2() in a child for a leak; the soak counts them
# Usage: analyzer.sh [ROOT]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2
# shellcheck source-path=SCRIPTDIR
. "$here/compile_flags.sh"
if ! gcc -fanalyzer -E -x c /dev/null >/dev/null 2>&1; then
    echo "skipped: no gcc with -fanalyzer"
    exit 77
fi
find src -name '*.c' -print0 | sort -z |
    xargs -0 -r -P 2 -I{} gcc "${flags[@]}" -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-fd-leak -Werror -c {} -o /dev/null
