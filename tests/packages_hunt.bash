# shellcheck shell=bash
# The main job with an installed package, for packages_job and packages_units; to be sourced there.

# Sums of the files that are served, for job().
sums() {
    find /usr/bin -maxdepth 1 -type f -exec sha256sum {} + >/test/sums
}

# Hunts in mount $1 with an example rule, reads each result and compares it with the file of /usr/bin that it is.
job() {
    local hunt=$1/hunts/changes-user sample n=0

    cp /usr/share/doc/malqueryfs/examples/changes-user.yar "$1/hunts/"
    cat "$hunt/wait" >/dev/null
    grep -q '^done ' "$hunt/status"
    for sample in "$hunt"/samples/*; do
        cmp "$sample" "$(grep -m 1 "^$(basename "$sample") " /test/sums | cut -d ' ' -f 3)"
        n=$((n + 1))
    done
    [ "$n" -ge 3 ]
    [ "$n" = "$(wc -l <"$hunt/hashes.txt")" ]
}
