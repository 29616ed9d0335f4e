// Programs that change who they are and then start another one: what su and sudo do by profession, and what a
// dropper that found a way to root does too. packaging/try hunts with this rule in the programs of your own system.
//
// The next line is for malqueryfs: options of the hunt. YARA takes it for the comment that it is.
// malquery: limit=60 filter_filetypes=elf64 max_size=4MB

rule changes_user
{
    meta:
        description = "ELF that imports setuid and one of the exec family"
        author = "the malqueryfs developers"

    strings:
        $setuid = "setuid" fullword
        $exec1 = "execve" fullword
        $exec2 = "execv" fullword
        $exec3 = "execvp" fullword
        $exec4 = "execl" fullword

    condition:
        uint32be(0) == 0x7f454c46 and $setuid and any of ($exec*)
}
