#!/usr/bin/env bash
# The man pages are mdoc without a warning.
# Usage: man.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
if ! command -v mandoc >/dev/null; then
    echo "skipped: mandoc is not installed"
    exit 77
fi
mandoc -T lint -W warning packaging/man/*
