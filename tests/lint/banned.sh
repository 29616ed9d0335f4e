#!/usr/bin/env bash
# Calls with a better replacement in util/text.h, util/clock.h, util/buf.h or util/err.h, and exit() anywhere but in the
# two programs' own files. Comments and literals do not count, nor do members (`ops->exit(...)`) and longer names.
# Usage: banned.sh [SRC]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../../src}" || exit 2

find . -name '*.[ch]' -printf '%P\n' | sort | xargs -r awk -f "$here/strip.awk" | awk '
BEGIN {
    n = split("sprintf strcpy strncpy strcat strtok atoi strtol alloca rand localtime gmtime strerror sleep system exit",
              names, " ")
    for (i = 1; i <= n; i++)
        banned[names[i]] = 1
}
{
    file = $0
    sub(/:.*/, "", file)
    code = substr($0, length(file) + 2)
    number = code
    sub(/:.*/, "", number)
    code = substr(code, length(number) + 2)
    while (match(code, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        before = substr(code, 1, RSTART - 1)
        name = substr(code, RSTART, RLENGTH - 1)
        code = substr(code, RSTART + RLENGTH)
        sub(/[ \t]+$/, "", name)
        if (!(name in banned) || before ~ /(\.|->)[ \t]*$/)
            continue
        if (name == "exit" && file ~ /^(main|malqueryd)\.c$/)
            continue
        print "src/" file ":" number ": " name "() is banned"
        failed = 1
    }
}
END { exit failed }
'
