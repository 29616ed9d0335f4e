#!/usr/bin/env bash
# Each lint can fail: bad snippets in a temporary tree must be refused, and good ones that look alike accepted.
# Usage: selftest.sh
# shellcheck disable=SC2016 # the backquotes are Markdown
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failures=0
said=""

# Starts a tree with nothing in it.
fresh() {
    tree=$work/tree
    rm -rf "$tree"
    mkdir -p "$tree"/src/{util,model,http,api,store,input,cache,helper,confine,tree,fs,engine} "$tree"/tests "$tree"/packaging/man
    cp "$root/.clang-format" "$tree/"
}
put() { # FILE TEXT
    mkdir -p "$(dirname "$tree/$1")"
    printf '%s\n' "$2" >"$tree/$1"
}
run() { # LINT ARGUMENT...
    said=$("$here/$1.sh" "${@:2}" 2>&1)
}
accepts() { # WHAT LINT ARGUMENT...
    run "${@:2}" || complain "$2 refuses $1: $said"
}
refuses() { # WHAT LINT ARGUMENT...
    run "${@:2}" && complain "$2 accepts $1"
}
complain() {
    echo "$*"
    failures=$((failures + 1))
}
# One file with one include.
include_refused() { # FILE INCLUDE
    fresh
    put "src/$1" "#include $2"
    refuses "$1 with $2" layers "$tree/src"
}
include_accepted() {
    fresh
    put "src/$1" "#include $2"
    accepts "$1 with $2" layers "$tree/src"
}
call_refused() { # FILE CODE
    fresh
    put "src/$1" "$2"
    refuses "$2 in $1" banned "$tree/src"
}
call_accepted() {
    fresh
    put "src/$1" "$2"
    accepts "$2 in $1" banned "$tree/src"
}

include_refused util/a.c '"model/digest.h"'          # upwards
include_refused api/a.c '"store/store.h"'            # sideways
include_refused fs/a.c '"cache/cache.h"'             # past the next layer
include_refused fs/a.c '"store/store.h"'
include_refused tree/a.c '"api/api.h"'
include_refused engine/a.c '"input/input.h"'
include_refused cache/a.c '"store/store_object.h"'   # not the front
include_refused cache/a.c '"store/store_internal.h"' # another folder's inside
include_refused api/a.c '"util/text_internal.h"'
include_refused api/a.c '"config.h"' # src/ itself
include_refused api/a.c '"../store/store.h"'
include_refused api/a.c '<curl/curl.h>'
include_refused tree/a.h '<fuse3/fuse_lowlevel.h>'
include_refused cache/a.c '<yara.h>'
include_refused input/a.c '<openssl/evp.h>'
include_refused helper/a.c '"tree/tree.h"'
include_refused tree/a.c '"confine/confine.h"'
include_refused main.c '<seccomp.h>'
include_refused main.c '"engine/engine.h"'
include_refused main.c '<sqlite3.h>'
include_refused malqueryd.c '"store/store.h"'
include_refused other.c '"util/buf.h"'     # src/ holds the programs only
include_refused extra/a.c '"util/buf.h"'   # a folder that is no layer
include_accepted cache/a.c '"store/store.h"'
include_accepted cache/a.c '"cache/cache_internal.h"'
include_accepted tree/a.c '"store/store.h"'
include_accepted fs/a.c '<fuse_lowlevel.h>'
include_accepted store/a.c '<openssl/evp.h>'
include_accepted config.c '<ini.h>'
include_accepted main.c '"fs/fs.h"'
include_accepted malqueryd.c '"engine/engine.h"'
include_accepted malqueryd.c '"engine/engine_options.h"'
include_accepted util/a.c '<stdio.h>'

call_refused util/a.c 'int f(char *s) { return atoi(s); }'
call_refused util/a.c 'void f(void) { exit(1); }'
call_refused util/a.c 'void f(void) { sleep (1); }'
call_refused util/a.h '#define NOW(t) gmtime(t)'
call_refused util/a.c 'const char *s = "a"; int x = strtol(s, 0, 10);'
call_accepted main.c 'void f(void) { exit(1); }'
call_accepted util/a.c 'void f(void) { puts("sleep(1)"); /* system("x") */ } // rand()'
call_accepted util/a.c $'/*\n * exit(1)\n */'
call_accepted util/a.c 'void f(void) { gmtime_r(t, tm); strtoll(s, 0, 10); do_sleep(1); ops->exit(1); _exit(2); }'
call_accepted util/a.c 'void f(void) { char c = '\''"'\''; (void)c; } /* " strcpy(a, b) */'

body() { # LINES: a function with that many lines between its braces
    printf 'int f(void)\n{\n'
    for ((i = 0; i < $1; i++)); do echo '    ;'; done
    printf '}\n'
}
fresh
put src/util/a.c "$(body 70)"
accepts 'a function of 70 lines' sizes "$tree"
put src/util/a.c "$(body 71)"
refuses 'a function of 71 lines' sizes "$tree"
put src/util/a.c "$(yes ';' | head -n 600)"
accepts 'a file of 600 lines' sizes "$tree"
put src/util/a.c "$(yes ';' | head -n 601)"
refuses 'a file of 601 lines' sizes "$tree"

fresh
put src/util/a.c $'int f(void)\n{\n    return 0;\n}'
run format "$tree"
if [ $? -ne 77 ]; then
    accepts 'code in our style' format "$tree"
    put src/util/a.c 'int f(void) {return 0;}'
    refuses 'code in another style' format "$tree"
fi
page='.Dd January 1, 2026
.Dt X 1
.Os
.Sh NAME
.Nm x
.Nd a page
.Sh OPTIONS
.Bl -tag -width Ds
.It Fl -local Ar DIR
.It Cm cloud Ns = Ns Ar NAME
.El'
if command -v mandoc >/dev/null; then
    fresh
    put packaging/man/x.1 "$page"
    accepts 'a page' man "$tree"
    put packaging/man/x.1 "$page"$'\n.Sh\n.Zz'
    refuses 'a page with an unknown macro' man "$tree"
fi
fresh
put packaging/man/malqueryfs.1 "$page"
put packaging/man/malqueryd.8 "$page"
put good $'#!/bin/sh\nprintf \'cloud\\nlocal\\n\''
put more $'#!/bin/sh\nprintf \'cloud\\nlocal\\nnew\\n\''
put less $'#!/bin/sh\necho cloud'
chmod +x "$tree"/{good,more,less}
accepts 'a page with all options' man_options "$tree/good" "$tree/good" "$tree"
refuses 'an option without a page' man_options "$tree/more" "$tree/good" "$tree"
refuses 'a page that names too much' man_options "$tree/good" "$tree/less" "$tree"

if command -v shellcheck >/dev/null; then
    fresh
    put a $'#!/bin/sh\necho "$1"'
    accepts 'a script' shell "$tree"
    put a $'#!/bin/sh\nrm $1'
    refuses 'a script with an unquoted word' shell "$tree"
fi

analysis() { # WHAT LINT BAD GOOD
    fresh
    cp "$root/.clang-tidy" "$tree/"
    put src/util/a.c "$4"
    run "$2" "$tree"
    [ $? -ne 77 ] || return 0
    accepts "code without $1" "$2" "$tree"
    put src/util/a.c "$3"
    refuses "$1" "$2" "$tree"
}
analysis 'a null pointer' analyzer 'int f(void) { int *p = 0; return *p; }' 'int f(void) { return 0; }'
analysis 'an index past the end' cppcheck 'int f(void) { int a[1] = { 0 }; return a[1]; }' 'int f(void) { return 0; }'
analysis 'a narrowing' tidy 'void f(char *c, int n) { *c = n; }' 'void f(char *c, char n) { *c = n; }'

documents() {
    fresh
    mkdir -p "$tree/src/decisions" "$tree/.ci" "$tree/tests"
    put README.md $'packaging/try\ntests/run\n'
    put CONTRIBUTING.md 'See `src/util/a.c`.'
    put SECURITY.md 'What is protected.'
    put src/ARCHITECTURE.md '[why](decisions/0001-x.md); `a.c`'
    put src/decisions/0001-x.md 'x'
    put src/util/a.c ';'
    put CHANGELOG.md '## [1.2.3]'
    put CMakeLists.txt 'project(malqueryfs VERSION 1.2.3)'
    for file in packaging/try tests/run .ci/run; do
        put $file x
        chmod +x "$tree/$file"
    done
}
documents
accepts 'documents that are true' docs "$tree"
put README.md $'packaging/try\ntests/run\nsrc/nothing'
refuses 'a path that does not exist' docs "$tree"
documents
put README.md 'tests/run'
refuses 'a README without packaging/try' docs "$tree"
documents
put CONTRIBUTING.md 'see `b.c`'
refuses 'a source file that does not exist' docs "$tree"
documents
put CONTRIBUTING.md '[x](nowhere.md)'
refuses 'a dead link' docs "$tree"
documents
put src/decisions/0002-y.md 'y'
refuses 'a decision that nobody links' docs "$tree"
documents
put CHANGELOG.md '## [1.2.2]'
refuses 'a change log without this version' docs "$tree"

points() {
    fresh
    put CMakeLists.txt 'option(MQFS_FAULTS "for tests" OFF)'
    put CMakePresets.json '{ "name": "release" }'
    put src/util/fault.h $'#define FAULT_POINTS(ROW) \\\n    ROW(HERE) \\\n    ROW(THERE)'
    put src/util/a.c 'void f(void) { CRASH_POINT(HERE); CRASH_POINT(HERE_TOO); }'
    put src/util/b.c 'void g(void) { CRASH_POINT(THERE); }'
    put tests/mount/scenario_crash_points.py 'POINTS = ("HERE", "THERE")'
}
points
accepts 'crash points that are tested' faults "$tree"
put src/util/b.c 'void g(void) { CRASH_POINT(THERE); CRASH_POINT(HERE); }'
put src/util/c.c 'void h(void) { CRASH_POINT(THERE); }'
refuses 'a crash point at two places' faults "$tree"
points
put src/util/b.c ';'
refuses 'a crash point that is nowhere' faults "$tree"
points
put tests/mount/scenario_crash_points.py 'POINTS = ("HERE",)'
refuses 'a crash point that is not tested' faults "$tree"
points
put CMakeLists.txt 'option(MQFS_FAULTS "for tests" ON)'
refuses 'crash points in every build' faults "$tree"
fresh
mark='<!-- made by tests/lint/fault_table.sh -->'
put tests/mount/fault_table.py 'print("| what is tried |")'
put src/FAULTS.md "$mark"$'\n| what is tried |'
accepts 'tables that are tried' fault_table "$tree"
put src/FAULTS.md "$mark"$'\n| what was tried |'
refuses 'tables that nobody tries' fault_table "$tree"

[ $failures -eq 0 ] || exit 1
