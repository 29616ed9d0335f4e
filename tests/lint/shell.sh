#!/usr/bin/env bash
# No shell script of the project gets a remark of shellcheck.
# Usage: shell.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not installed"
    exit 77
fi
find . \( -name .git -o -path ./build -o -name __pycache__ \) -prune -o -type f -size -200k -print0 |
    xargs -0 awk 'FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ { print FILENAME } { nextfile }' |
    sort | xargs -r shellcheck -x
