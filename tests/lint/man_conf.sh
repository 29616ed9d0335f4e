#!/usr/bin/env bash
# The list of options in malqueryfs.conf(5) is the table of options: what stands between the two marks is what
# `malqueryfs --help all` prints of -o, as mdoc, but for those that are known before the file is read. With --write it is
# brought up to date.
# Usage: man_conf.sh MALQUERYFS [--write] [ROOT]
set -u
fs=${1:?the program malqueryfs}
write=${2:-}
# shellcheck source=tests/lint/made.bash
. "$(dirname "$0")/made.bash"
cd "${3:-$(dirname "$0")/../..}" || exit 2
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
made_check packaging/man/malqueryfs.conf.5 options "$wanted" "tests/lint/man_conf.sh $fs --write" "$write"
