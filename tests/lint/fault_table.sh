#!/usr/bin/env bash
# The tables of src/FAULTS.md are the rows that tests/mount/scenario_faults.py tries: what stands below the mark is what
# tests/mount/fault_table.py prints. With --write it is brought up to date.
# Usage: fault_table.sh [--write] [ROOT]
set -u
write=${1:-}
[ "$write" = --write ] && shift
cd "${1:-$(dirname "$0")/../..}" || exit 2
page=src/FAULTS.md
export MARK='<!-- made by tests/lint/fault_table.sh -->'

command -v python3 >/dev/null || { echo "skipped: python3 is not installed"; exit 77; }
wanted=$(PYTHONDONTWRITEBYTECODE=1 python3 tests/mount/fault_table.py)
[ -n "$wanted" ] || { echo "tests/mount/fault_table.py prints nothing"; exit 1; }
there=$(awk 'inside { print } $0 == ENVIRON["MARK"] { inside = 1 }' "$page")
if [ "$write" = --write ]; then
    WANTED=$wanted awk '{ print } $0 == ENVIRON["MARK"] { print ENVIRON["WANTED"]; exit }' "$page" >"$page.new" &&
        mv "$page.new" "$page"
elif [ "$wanted" != "$there" ]; then
    echo "$page: the tables are not what the scenario tries; tests/lint/fault_table.sh --write"
    diff <(echo "$there") <(echo "$wanted") | head -20
    exit 1
fi
