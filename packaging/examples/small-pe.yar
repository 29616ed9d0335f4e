// The classic test for a Windows executable, "MZ" and the "PE" header that it points to, together with an API that
// injects code into another process. Dates and sizes narrow a hunt down without costing anything.
// malquery: limit=50 filter_filetypes=pe32,pe64 max_size=200KB min_date=2024/01/01

rule small_pe
{
    meta:
        description = "small Windows executable that writes into another process"
        author = "the malqueryfs developers"

    strings:
        $write = "WriteProcessMemory" ascii
        $thread = "CreateRemoteThread" ascii

    condition:
        uint16(0) == 0x5a4d and uint32(uint32(0x3c)) == 0x00004550 and filesize < 200KB and all of them
}
