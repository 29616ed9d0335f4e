# shellcheck shell=bash
# A part of a man page that is made from a table of the program: what stands between two marks is `wanted`. Sourced.
# Usage: made_check PAGE WHAT WANTED REMEDY [--write]
#        WHAT names the marks, `.\" WHAT: made by tests/lint/SCRIPT` and `.\" end of WHAT`; with --write it is brought up
#        to date, else a difference ends the script with 1 and one line that says what mends it.
made_check() {
    local page=$1 what=$2 remedy=$4 write=${5:-} there
    local -x WANTED=$3 BEGIN_MARK='.\" '"$what: made by tests/lint/${0##*/}" END_MARK='.\" end of '"$what"

    grep -qxF -- "$BEGIN_MARK" "$page" && grep -qxF -- "$END_MARK" "$page" || { echo "$page: no marks of $what"; exit 1; }
    there=$(awk '
        $0 == ENVIRON["END_MARK"] { inside = 0 }
        inside { print }
        $0 == ENVIRON["BEGIN_MARK"] { inside = 1 }' "$page")
    if [ "$write" = --write ]; then
        awk '
            $0 == ENVIRON["END_MARK"] { inside = 0 }
            !inside { print }
            $0 == ENVIRON["BEGIN_MARK"] { inside = 1; print ENVIRON["WANTED"] }' "$page" >"$page.new" && mv "$page.new" "$page"
    elif [ "$WANTED" != "$there" ]; then
        echo "$page: what is made of $what is not what the table has; $remedy"
        diff <(echo "$there") <(echo "$WANTED") | head -20
        exit 1
    fi
}
