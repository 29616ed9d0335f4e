#!/usr/bin/env bash
# What the documents name exists: paths, source files, links, the README's two commands, and each decision is linked.
# Usage: docs.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
status=0
fail() {
    echo "$*"
    status=1
}

documents='README.md SECURITY.md CONTRIBUTING.md src/ARCHITECTURE.md'
for document in $documents; do
    [ -f "$document" ] || fail "$document is missing"
done

# Paths from the root, but not build output; then bare names of source files, which may be in any folder.
for document in $documents; do
    while read -r path; do
        [ -e "$path" ] || fail "$document names $path, which does not exist"
    done < <(grep -oE '(^|[[:space:]`(])(\.ci|src|tests|packaging)/[A-Za-z0-9_./-]+' "$document" |
        sed -E 's/^[[:space:]`(]//; s/[.,:]+$//' | sort -u)
    while read -r name; do
        [ -n "$(find src tests -name "$name" -print -quit)" ] || fail "$document names $name, which does not exist"
    done < <(grep -oE '(^|[[:space:]`(])[a-z0-9_]+\.(c|h|awk|sh)\b' "$document" | sed -E 's/^[[:space:]`(]//' | sort -u)
done

# Relative links of all documents.
while IFS=: read -r document link; do
    target=$(dirname "$document")/${link%%#*}
    [ -e "$target" ] || fail "$document links to $link, which does not exist"
done < <(find . -name '*.md' -not -path './build/*' -not -path './.git/*' -print0 |
    xargs -0 grep -oHE '\]\([^):]+\)' | sed -E 's/\]\(([^)]*)\)/\1/' | grep -vE ':#')

for decision in src/decisions/[0-9]*.md; do
    grep -qF "(decisions/${decision##*/})" src/ARCHITECTURE.md || fail "src/ARCHITECTURE.md does not link $decision"
done

for command in packaging/try tests/run; do
    [ -x "$command" ] || fail "$command is not executable"
    grep -qE "^(sudo )?$command\b" README.md || fail "README.md does not show the command $command"
done
[ -x .ci/run ] || fail ".ci/run is not executable"

version=$(sed -nE 's/^project\(malqueryfs VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
grep -qF "## [$version]" CHANGELOG.md || fail "CHANGELOG.md has no section for version $version"
exit $status
