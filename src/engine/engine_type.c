#include "engine/engine_type.h"

#include <stddef.h>
#include <string.h>

#include "util/check.h"

/*
 * The first row that fits wins, so special cases stand above general ones. A row fits when the description starts with
 * `start` (if given) and contains `part` (if given).
 */
static const struct {
    const char *start;
    const char *part;
    const char *name;
} rows[] = {
    /* clang-format off */
    { "PE32+ ", NULL, "PE64" },
    { "PE32 ", NULL, "PE32" },
    { "MS-DOS executable PE32+ ", NULL, "PE64" },
    { "MS-DOS executable PE32 ", NULL, "PE32" },
    { "ELF 64-bit", NULL, "ELF64" },
    { "ELF 32-bit", NULL, "ELF32" },
    { "Mach-O ", NULL, "MACHO" },
    { "PDF document", NULL, "PDF" },
    { "Rich Text Format", NULL, "RTF" },
    { "Microsoft Word 2007+", NULL, "DOCX" },
    { "Microsoft Excel 2007+", NULL, "XLSX" },
    { "Microsoft PowerPoint 2007+", NULL, "PPTX" },
    { "Hangul (Korean) Word Processor File", NULL, "HWP" },
    { "Composite Document File V2", "Microsoft Word", "DOC" },
    { "Composite Document File V2", "Microsoft Office Word", "DOC" },
    { "Composite Document File V2", "Microsoft Excel", "XLS" },
    { "Composite Document File V2", "Microsoft Office Excel", "XLS" },
    { "Composite Document File V2", "Microsoft PowerPoint", "PPT" },
    { "Composite Document File V2", "Microsoft Office PowerPoint", "PPT" },
    { "Composite Document File V2", "Hangul", "HWP" },
    { "Composite Document File V2", NULL, "CDFV2" },
    { "CDFV2 Microsoft Word", NULL, "DOC" },
    { "CDFV2 Microsoft Excel", NULL, "XLS" },
    { "CDFV2 Microsoft PowerPoint", NULL, "PPT" },
    { "CDFV2", NULL, "CDFV2" },
    { "Composite Document File", NULL, "CDF" },
    { "CDF V2 Document", NULL, "CDFV2" },
    { "CDF Document", NULL, "CDF" },
    { "Microsoft Word ", NULL, "DOC" },
    { "Microsoft Excel ", NULL, "XLS" },
    { "Microsoft PowerPoint ", NULL, "PPT" },
    { "Macromedia Flash data", NULL, "SWF" },
    { "compiled Java class data", NULL, "CJAVA" },
    { "Java archive data", NULL, "JAVA.ARC" },
    { "Dalvik dex file", NULL, "DALVIK" },
    { "MS Windows shortcut", NULL, "LNK" },
    { "pcap capture file", NULL, "PCAP" },
    { "pcapng capture file", NULL, "PCAP" },
    { "pcap-ng capture file", NULL, "PCAP" },
    { "tcpdump capture file", NULL, "PCAP" },
    { "HTML document", NULL, "HTML" },
    { NULL, "byte-compiled", "PYTHONC" },
    { "Byte-compiled Python module", NULL, "PYTHONC" },
    { "Python script", NULL, "PYTHON" },
    { "a /usr/bin/env python", NULL, "PYTHON" },
    { "Perl script", NULL, "PERL" },
    { "Perl5 module", NULL, "PERL" },
    { "a /usr/bin/env perl", NULL, "PERL" },
    { "SMTP mail", NULL, "EMAIL" },
    { "RFC 822 mail", NULL, "EMAIL" },
    { "MIME entity", NULL, "EMAIL" },
    { "news or mail", NULL, "EMAIL" },
    { NULL, " text", "TEXT" },
    { "text", NULL, "TEXT" },
    /* clang-format on */
};

const char *engine_type_of_text(const char *description)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].start && strncmp(description, rows[i].start, strlen(rows[i].start)) != 0)
            continue;
        if (rows[i].part && !strstr(description, rows[i].part))
            continue;
        return rows[i].name;
    }
    return "";
}
