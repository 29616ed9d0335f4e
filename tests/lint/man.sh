#!/usr/bin/env bash
# The man pages are mdoc without a warning, in characters that every terminal has.
# Usage: man.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
if grep -nP '[^\x00-\x7F]' packaging/man/*; then
    echo "man(1) cannot show these where there is no UTF-8"
    exit 1
fi
if ! command -v mandoc >/dev/null; then
    echo "skipped: mandoc is not installed"
    exit 77
fi
mandoc -T lint -W warning packaging/man/*
