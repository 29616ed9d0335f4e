// Programs with a copy of OpenSSL in them or bound to it; the version text tells which. Copies that nobody updates are
// worth knowing in one's own files too.
// malquery: limit=100 filter_filetypes=elf32,elf64,pe32,pe64,macho

rule carries_openssl
{
    meta:
        description = "executable with an OpenSSL version text"
        author = "the malqueryfs developers"

    strings:
        $version = /OpenSSL [0-3]\.[0-9]{1,2}\.[0-9]{1,2}[a-z]?/

    condition:
        $version
}
