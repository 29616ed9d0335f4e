#!/usr/bin/env bash
# Every option of a program is in its man page and the other way round. The programs print their options with
# --dump-options, one a line with the name first; the pages have them as `.It Fl x`, `.It Fl -name` or, for -o, `.It Cm name`.
# Letters are other spellings of a long name and do not count.
# Usage: man_options.sh MALQUERYFS MALQUERYD [ROOT]
set -u
fs=${1:?the program malqueryfs}
d=${2:?the program malqueryd}
cd "${3:-$(dirname "$0")/../..}" || exit 2

in_program() {
    "$1" --dump-options | sed -E 's/^-*//; s/\t.*//' | grep . | sort -u
}
# In an .It line every word after Fl is an option, and a word after Cm when the line starts with it: later ones are values.
in_page() {
    awk '$1 == ".It" {
        for (i = 2; i < NF; i++)
            if ($i == "Fl" || ($i == "Cm" && i == 2)) {
                name = $(i + 1)
                sub(/^-/, "", name)
                sub(/=.*/, "", name)
                if (length(name) > 1)
                    print name
            }
    }' "$1" | sort -u
}
status=0
compare() {
    local page=packaging/man/$2 missing
    missing=$(comm -23 <(in_program "$1") <(in_page "$page"))
    [ -z "$missing" ] || { echo "$page lacks:" "${missing//$'\n'/ }"; status=1; }
    missing=$(comm -13 <(in_program "$1") <(in_page "$page"))
    [ -z "$missing" ] || { echo "$page names what ${1##*/} does not know:" "${missing//$'\n'/ }"; status=1; }
    [ -n "$(in_program "$1")" ] || { echo "$1 --dump-options prints nothing"; status=1; }
}
compare "$fs" malqueryfs.1
compare "$d" malqueryd.8
exit $status
