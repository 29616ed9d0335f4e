#!/usr/bin/env bash
# Who may include whom (src/ARCHITECTURE.md, section 2). Fails on an include that points upwards or sideways, on another
# layer's header that is not its front, and on a library's header outside the layer that owns the library.
# Usage: layers.sh [SRC]
set -u
cd "${1:-$(dirname "$0")/../../src}" || exit 2

# layer: the layers whose front header it may include; util and model show every header they have.
layers='
util    util
model   util
http    model util
api     http model util
store   model util
input   model util
cache   api store input model util
helper  util
confine util
tree    cache store helper model util
fs      tree helper model util
top     util
engine  model util
'
# header or folder of a library: the layers that may know it; `main` is src/ itself.
libraries='
curl/            http
json-c/          api engine
json.h           api engine
sqlite3.h        store engine
zip.h            store engine
yara.h           input engine
yara/            input engine
microhttpd.h     engine
magic.h          engine
fuse.h           fs
fuse_lowlevel.h  fs
fuse3/           fs
ini.h            main
seccomp.h        confine
cap-ng.h         confine
openssl/         model store engine
'
find . -name '*.[ch]' -printf '%P\n' | sort | xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include' |
    awk -v layers="$layers" -v libraries="$libraries" '
function fail(why)
{
    print place ": " why
    failed = 1
}
function folder(path) { return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "main" }
function rest(path) { return substr(path, index(path, "/") + 1) }
function from_library(header,   key)
{
    key = header ~ /\// ? folder(header) "/" : header
    if (key in owners && owners[key] !~ (" " from " "))
        fail("<" header "> belongs to" owners[key] "only")
}
function from_project(header,   to, refused)
{
    to = folder(header)
    if (header ~ /\.\./ || (from != "main" && to == "main")) {
        fail("\"" header "\": write the path from src/, and nothing of src/ itself")
        return
    }
    if (to == from || to == "main")
        return
    if (!(to in allowed)) {
        fail("\"" header "\": no such layer")
        return
    }
    if (from == "main")
        refused = file ~ /^malqueryd\./ ? to !~ /^(engine|model|util)$/ : to == "engine"
    else
        refused = allowed[from] !~ (" " to " ")
    if (refused)
        fail((from == "main" ? file : from) " must not include " to)
    else if (header ~ /_internal\.h$/)
        fail("\"" header "\" stays in its folder")
    else if (to !~ /^(util|model)$/ && rest(header) != to ".h" && file !~ /^malqueryd\./) # the main of the engine
        fail("\"" header "\": across a layer include only " to "/" to ".h")
}
BEGIN {
    n = split(layers, rows, "\n")
    for (i = 1; i <= n; i++)
        if (split(rows[i], words, " ")) {
            allowed[words[1]] = " "
            for (w = 2; w in words; w++)
                allowed[words[1]] = allowed[words[1]] words[w] " "
        }
    n = split(libraries, rows, "\n")
    for (i = 1; i <= n; i++)
        if (split(rows[i], words, " ")) {
            owners[words[1]] = " "
            for (w = 2; w in words; w++)
                owners[words[1]] = owners[words[1]] words[w] " "
        }
}
{
    split($0, part, ":")
    file = part[1]
    place = "src/" part[1] ":" part[2]
    from = folder(file)
    if (from != "main" && !(from in allowed)) {
        fail("folder " from " is no layer: add it to tests/lint/layers.sh and src/ARCHITECTURE.md")
        next
    }
    if (from == "main" && file !~ /^(main|malqueryd)\.c$|^(check|config|live|local|mount_helper|options|options_internal|options_print|program)\.[ch]$/) {
        fail("src/ holds the two programs only, no layer")
        next
    }
    if (match($0, /<[^>]*>/))
        from_library(substr($0, RSTART + 1, RLENGTH - 2))
    else if (match($0, /"[^"]*"/))
        from_project(substr($0, RSTART + 1, RLENGTH - 2))
}
END { exit failed }
'
