#!/usr/bin/env bash
# The list of options in malqueryfs.conf(5) is the table of options: what stands between the two marks is what
# `malqueryfs --help all` prints of -o, as mdoc, but for those that are known before the file is read. With --write it is
# brought up to date.
# Usage: man_conf.sh MALQUERYFS [--write] [ROOT]
set -u
fs=${1:?the program malqueryfs}
write=${2:-}
cd "${3:-$(dirname "$0")/../..}" || exit 2
page=packaging/man/malqueryfs.conf.5
export BEGIN_MARK='.\" options: made by tests/lint/man_conf.sh' END_MARK='.\" end of options'

wanted=$("$fs" --help all | awk '
    $1 == "-o" {
        name = $2
        sub(/=.*/, "", name)
        if (name == "profile" || name == "config" || name == "setuid")
            next
        value = $2 ~ /=/ ? substr($2, length(name) + 2) : ""
        text = $0
        sub(/^ *-o [^ ]+ +/, "", text)
        live = sub(/ \(live\)$/, "", text)
        gsub(/\\/, "\\e", text)
        printf ".It Cm %s%s\n%s%s\n", name, value == "" ? "" : " No = Ar " value, text, live ? "; live" : ""
    }')
[ -n "$wanted" ] || { echo "$fs --help all prints no options"; exit 1; }
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
    echo "$page: the list of options is not what the table has; tests/lint/man_conf.sh $fs --write"
    diff <(echo "$there") <(echo "$wanted") | head -20
    exit 1
fi
