#!/usr/bin/env bash
# The list of files in malqueryfs(1) is the table of nodes: what stands between the two marks is what
# `malqueryfs --dump-tree` prints, as mdoc. With --write it is brought up to date.
# Usage: man_tree.sh MALQUERYFS [--write] [ROOT]
set -u
fs=${1:?the program malqueryfs}
write=${2:-}
cd "${3:-$(dirname "$0")/../..}" || exit 2
page=packaging/man/malqueryfs.1
export BEGIN_MARK='.\" tree: made by tests/lint/man_tree.sh' END_MARK='.\" end of tree'

wanted=$("$fs" --dump-tree | awk -F '\t' '{
    gsub(/\\/, "\\e", $2)
    printf ".It Pa %s\n%s\n", $1, $2
}')
[ -n "$wanted" ] || { echo "$fs --dump-tree prints nothing"; exit 1; }
there=$(awk '
    $0 == ENVIRON["END_MARK"] { inside = 0 }
    inside { print }
    $0 == ENVIRON["BEGIN_MARK"] { inside = 1 }' "$page")
if [ "$write" = --write ]; then
    WANTED=$wanted awk '
        $0 == ENVIRON["END_MARK"] { inside = 0 }
        !inside { print }
        $0 == ENVIRON["BEGIN_MARK"] { inside = 1; print ENVIRON["WANTED"] }' "$page" >"$page.new" && mv "$page.new" "$page"
elif [ "$wanted" != "$there" ]; then
    echo "$page: the list of files is not what the table has; tests/lint/man_tree.sh $fs --write"
    diff <(echo "$there") <(echo "$wanted") | head -20
    exit 1
fi
