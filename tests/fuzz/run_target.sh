#!/usr/bin/env bash
# Runs a libFuzzer target for a while over a corpus. KEPT gets the inputs that reach new code, for the next run. What
# makes the target fail is shown in base64; to try it again: base64 -d >input, then TARGET input.
# Usage: run_target.sh TARGET SECONDS KEPT CORPUS
set -euo pipefail
target=$1 seconds=$2 kept=$3 corpus=$4
mkdir -p "$kept"
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

status=0
"$target" "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
    "-artifact_prefix=$found/" "$kept" "$corpus" || status=$?
for input in "$found"/*; do
    [ -f "$input" ] || continue
    echo "input of ${target##*/} that failed, ${input##*/}:"
    base64 "$input"
done
exit $status
