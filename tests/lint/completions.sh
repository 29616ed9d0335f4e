#!/usr/bin/env bash
# The completions for bash, zsh and fish parse, offer every option, and bash's and fish's complete what they should.
# Usage: completions.sh DIR MALQUERYFS MALQUERYD      DIR has what packaging/completions made
set -u
made=${1:?the directory with the completions}
status=0

fail() {
    echo "$*"
    status=1
}

# What bash offers after LINE, one a line.
offered() {
    local line=$1
    bash --norc -c '
        compopt() { :; } # there is no completion under way that it could change
        . "$1"
        COMP_LINE=$2 COMP_POINT=${#2} word=${2##*[[:space:]=:]}
        _malqueryfs malqueryfs "$word" ""
        printf "%s\n" "${COMPREPLY[@]}"
    ' bash "$made/malqueryfs.bash" "$line" | paste -sd ' '
}

# expect LINE WORDS
expect() {
    local got
    got=$(offered "$1")
    [ "$got" = "$2" ] || fail "bash: '$1' completes to '$got' instead of '$2'"
}

check_names() {
    local program=$1 name=$2 option word
    while IFS=$'\t' read -r option _; do
        word=${option#--}
        grep -qE -- "[ '(]${option}[ =')]" "$made/$name.bash" || fail "bash: $name lacks $option"
        grep -qE -- "['({,]${option}[['}]" "$made/$name.zsh" || fail "zsh: $name lacks $option"
        grep -qE -- " (-l )?${word}[ =]" "$made/$name.fish" || fail "fish: $name lacks $option"
    done < <("$program" --dump-options)
}

for name in malqueryfs malqueryd; do
    bash -n "$made/$name.bash" || fail "bash: $name does not parse"
    ! command -v zsh >/dev/null || zsh -n "$made/$name.zsh" || fail "zsh: $name does not parse"
    ! command -v fish >/dev/null || fish --no-execute "$made/$name.fish" || fail "fish: $name does not parse"
done
check_names "$2" malqueryfs
check_names "$3" malqueryd

expect "malqueryfs --rot" "--rotate-key"
expect "malqueryfs -o cache_s" "cache_size="
expect "malqueryfs -o offline,zip_m" "offline,zip_method="
expect "malqueryfs -o zip_method=" "zipcrypto aes"
expect "malqueryfs -o offline,zip_method=a" "aes"
expect "malqueryfs -o cloud=" ""
expect "malqueryfs --local /us" "/usr"
expect "malqueryfs /us" "/usr"
expect "malqueryfs -o config=/et" "/etc"
if command -v fish >/dev/null; then
    got=$(HOME=/nonexistent fish --no-config -c "source $made/malqueryfs.fish; complete -C 'malqueryfs -o offline,zip_method=a'" 2>/dev/null)
    [ "${got%%$'\t'*}" = "offline,zip_method=aes" ] || fail "fish: offers '$got'"
fi
exit $status
