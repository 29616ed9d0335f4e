#!/usr/bin/env bash
# Functions of more than 70 lines and files of more than 600. A function starts with `{` in the first column and ends
# with `}` there, which is what clang-format makes of ours.
# Usage: sizes.sh [ROOT]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2

find src tests -name '*.[ch]' | sort | xargs -r awk -f "$here/strip.awk" | awk -v function_max=70 -v file_max=600 '
function end_of_file()
{
    if (lines > file_max) {
        print file ": " lines " lines, at most " file_max
        failed = 1
    }
}
{
    split($0, part, ":")
    if (part[1] != file) {
        end_of_file()
        file = part[1]
        start = 0
    }
    lines = part[2]
    code = substr($0, length(part[1]) + length(part[2]) + 3)
    if (code ~ /^[A-Za-z_].*\(/ && match(code, /[A-Za-z_][A-Za-z0-9_]*\(/))
        name = substr(code, RSTART, RLENGTH - 1)
    if (code ~ /^\{/)
        start = lines
    if (code ~ /^\}/ && start) {
        if (lines - start - 1 > function_max) {
            print file ":" start ": " name "() has " lines - start - 1 " lines, at most " function_max
            failed = 1
        }
        start = 0
    }
}
END {
    end_of_file()
    exit failed
}
'
