# Completion for zsh; see bash.awk.
# Usage: awk -v program=NAME -f zsh.awk
BEGIN { FS = "\t" }

{
    if ($3 ~ /^\[/)
        $3 = ""
    sub(/\|[A-Z]+$/, "", $3)
}

# Inside of '...[here]'.
function described(text)
{
    gsub(/[\[\]:\\]/, "\\\\&", text)
    gsub(/'/, "'\\''", text)
    return "[" text "]"
}

function action(value,    type)
{
    if (value ~ /\|/) {
        gsub(/\|/, " ", value)
        return ":value:(" value ")"
    }
    if (!value)
        return ""
    type = value
    gsub(/:/, "\\:", type)
    return ":" type ":" (value == "DIR" ? "_files -/" : value == "FILE" || value == "PATH" ? "_files" : "")
}

/^--/ {
    spec = described($4) action($3) "'"
    if ($2)
        words = words " \\\n    '(-" $2 " " $1 ")'{-" $2 "," $1 "}'" spec
    else
        words = words " \\\n    '" $1 spec
    next
}
{ names = names " \\\n        '" $1 described($4) action($3) "'" }

END {
    print "#compdef " program
    print "# zsh completion of " program ", made from its table of options"
    print "local curcontext=$curcontext state line"
    print "typeset -A opt_args"
    print ""
    print "_arguments -s -S" words (names ? " \\\n    '*-o[mount options]:option:->option'" : "") " \\\n    '*:directory:_files -/'"
    if (names) {
        print "if [[ $state == option ]]; then"
        print "    _values -s , option" names
        print "fi"
    }
}
