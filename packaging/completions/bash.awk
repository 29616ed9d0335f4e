# Completion for bash from what a program says with --dump-options: name, letter, value and help, separated by tabs. Names
# without dashes are options of -o.
# Usage: awk -v program=NAME -f bash.awk
BEGIN { FS = "\t" }

# A value in brackets need not be there; a last choice in capitals stands for any other.
{
    if ($3 ~ /^\[/)
        $3 = ""
    sub(/\|[A-Z]+$/, "", $3)
}

# What bash shall offer for a value, as an arm of a case.
function offer(key, value)
{
    if (value ~ /\|/) {
        gsub(/\|/, " ", value)
        return "        '" key "') mapfile -t found < <(compgen -W '" value "' -- \"$partial\") ;;\n"
    }
    if (value == "DIR" || value == "FILE" || value == "PATH")
        return "        '" key "') compopt -o filenames; mapfile -t found < <(compgen -" \
            (value == "DIR" ? "d" : "f") " -- \"$partial\") ;;\n"
    return "        '" key "') ;;\n"
}

/^--/ {
    words = words " " $1 ($2 ? " -" $2 : "")
    arms = arms ($3 ? offer($1, $3) : "")
    next
}
{
    names = names " " $1 ($3 ? "=" : "")
    arms = arms ($3 ? offer("-o " $1, $3) : "")
}

END {
    print "# bash completion of " program ", made from its table of options"
    print "_" program "() {"
    print "    local line=${COMP_LINE:0:COMP_POINT} word before key partial head found=()"
    print "    word=${line##*[[:space:]]}"
    print "    before=${line%\"$word\"}"
    print "    before=${before%\"${before##*[![:space:]]}\"}"
    print "    key=${before##*[[:space:]]} partial=$word"
    print "    if [[ $key == -o ]]; then"
    print "        partial=${word##*,}"
    print "        [[ $partial != *=* ]] || key=\"-o ${partial%%=*}\""
    print "        partial=${partial#*=}"
    print "    fi"
    print "    head=${word%\"$partial\"}"
    print "    case $key in"
    printf "%s", arms
    if (names)
        print "        -o) compopt -o nospace; mapfile -t found < <(compgen -W '" substr(names, 2) "' -- \"$partial\") ;;"
    print "        *)"
    print "            if [[ $word == -* ]]; then"
    print "                mapfile -t found < <(compgen -W '" substr(words, 2) (names ? " -o" : "") "' -- \"$partial\")"
    print "            else"
    print "                compopt -o filenames"
    print "                mapfile -t found < <(compgen -d -- \"$partial\")"
    print "            fi"
    print "            ;;"
    print "    esac"
    print "    # bash replaces what follows the last of its own word breaks, `=` and `:` among them."
    print "    found=(\"${found[@]/#/$head}\")"
    print "    COMPREPLY=(\"${found[@]#\"${word%\"$2\"}\"}\")"
    print "}"
    print "complete -F _" program " " program
}
