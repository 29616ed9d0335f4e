#!/usr/bin/env bash
# Each crash point of src/util/fault.h stands at one place in the code, the scenario of crash points goes through it,
# and no build that is shipped has them.
# Usage: faults.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
status=0
fail() {
    echo "$*"
    status=1
}

while read -r name; do
    places=$(grep -rnwF --include='*.c' "CRASH_POINT($name)" src | wc -l)
    [ "$places" -eq 1 ] || fail "CRASH_POINT($name) stands at $places places, not at one"
    grep -qF "\"$name\"" tests/mount/scenario_crash_points.py ||
        fail "tests/mount/scenario_crash_points.py does not go through $name"
done < <(sed -n '/define FAULT_POINTS/,/[^\\]$/p' src/util/fault.h | grep -oE 'ROW\([A-Z_]+\)' | sed 's/ROW(//; s/)//')
grep -qE '^option\(MQFS_FAULTS .* OFF\)$' CMakeLists.txt || fail "MQFS_FAULTS is not off by default"
grep -E '"name": "release"' CMakePresets.json | grep -q MQFS_FAULTS && fail "the release has MQFS_FAULTS"
exit $status
