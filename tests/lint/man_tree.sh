#!/usr/bin/env bash
# The list of files in malqueryfs(1) is the table of nodes: what stands between the two marks is what
# `malqueryfs --dump-tree` prints, as mdoc. With --write it is brought up to date.
# Usage: man_tree.sh MALQUERYFS [--write] [ROOT]
set -u
fs=${1:?the program malqueryfs}
write=${2:-}
# shellcheck source=tests/lint/made.bash
. "$(dirname "$0")/made.bash"
cd "${3:-$(dirname "$0")/../..}" || exit 2
wanted=$("$fs" --dump-tree | awk -F '\t' '{
    gsub(/\\/, "\\e", $2)
    gsub(/…/, "...", $2) # a terminal without UTF-8 has none
    printf ".It Pa %s\n%s\n", $1, $2
}')
[ -n "$wanted" ] || { echo "$fs --dump-tree prints nothing"; exit 1; }
made_check packaging/man/malqueryfs.1 tree "$wanted" "tests/lint/man_tree.sh $fs --write" "$write"
