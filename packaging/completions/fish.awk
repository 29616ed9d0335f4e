# Completion for fish; see bash.awk.
# Usage: awk -v program=NAME -f fish.awk
BEGIN { FS = "\t" }

{
    if ($3 ~ /^\[/)
        $3 = ""
    sub(/\|[A-Z]+$/, "", $3)
}

function quoted(text)
{
    gsub(/[\\']/, "\\\\&", text)
    return "'" text "'"
}

function action(value)
{
    if (value ~ /\|/) {
        gsub(/\|/, " ", value)
        return " -x -a " quoted(value)
    }
    if (!value)
        return ""
    return value == "DIR" ? " -x -a '(__fish_complete_directories)'" : value == "FILE" || value == "PATH" ? " -r -F" : " -x"
}

/^--/ {
    words = words "complete -c " program " -l " substr($1, 3) ($2 ? " -s " $2 : "") action($3) " -d " quoted($4) "\n"
    next
}
{
    n = split($3, choices, "|")
    for (i = 1; i <= n && n > 1; i++)
        names = names "    printf '%s\\t%s\\n' " $1 "=" choices[i] " " quoted($4) "\n"
    if (n <= 1)
        names = names "    printf '%s\\t%s\\n' " $1 ($3 ? "=" : "") " " quoted($4) "\n"
}

END {
    print "# fish completion of " program ", made from its table of options"
    print "complete -c " program " -x -a '(__fish_complete_directories)'"
    printf "%s", words
    if (names) {
        print "function __fish_" program "_options"
        printf "%s", names
        print "end"
        print "complete -c " program " -s o -x -a '(__fish_complete_list , __fish_" program "_options)' -d 'mount options'"
    }
}
