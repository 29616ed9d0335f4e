#include "test_engine_fixture.h"

#include <ctype.h>

#include "engine/engine_type.h"
#include "model/query.h"

static const struct {
    const char *text;
    const char *name;
} cases[] = {
    /* clang-format off */
    { "PE32 executable (GUI) Intel 80386, for MS Windows", "PE32" },
    { "PE32+ executable (DLL) (console) x86-64, for MS Windows", "PE64" },
    { "ELF 64-bit LSB pie executable, x86-64", "ELF64" },
    { "ELF 32-bit LSB shared object, Intel 80386", "ELF32" },
    { "Mach-O 64-bit x86_64 executable", "MACHO" },
    { "PDF document, version 1.4", "PDF" },
    { "Rich Text Format data, version 1, ANSI", "RTF" },
    { "HTML document, ASCII text", "HTML" },
    { "Microsoft Word 2007+", "DOCX" },
    { "Microsoft Excel 2007+", "XLSX" },
    { "Microsoft PowerPoint 2007+", "PPTX" },
    { "Composite Document File V2 Document, Little Endian, Os: Windows, Name of Creating Application: "
      "Microsoft Office Word, Create Time", "DOC" },
    { "Composite Document File V2 Document, Little Endian, Name of Creating Application: Microsoft Excel", "XLS" },
    { "Composite Document File V2 Document, Cannot read section info", "CDFV2" },
    { "compiled Java class data, version 52.0 (Java 1.8)", "CJAVA" },
    { "Java archive data (JAR)", "JAVA.ARC" },
    { "Dalvik dex file version 035", "DALVIK" },
    { "MS Windows shortcut, Item id list present", "LNK" },
    { "pcap capture file, microsecond ts (little-endian)", "PCAP" },
    { "pcapng capture file - version 1.0", "PCAP" },
    { "Macromedia Flash data (compressed), version 9", "SWF" },
    { "Python script, ASCII text executable", "PYTHON" },
    { "python 2.7 byte-compiled", "PYTHONC" },
    { "Perl script text executable", "PERL" },
    { "SMTP mail, ASCII text", "EMAIL" },
    { "ASCII text", "TEXT" },
    { "POSIX shell script, ASCII text executable", "TEXT" },
    { "Hangul (Korean) Word Processor File 5.x", "HWP" },
    { "empty", "" },
    { "data", "" },
    { "Zip archive data, at least v2.0 to extract", "" },
    /* clang-format on */
};

static void descriptions_get_the_name_of_the_service(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(engine_type_of_text(cases[i].text), cases[i].name);
}

static void every_name_is_one_that_can_be_filtered_by(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_known = !*cases[i].name;
        char lower[32] = "";

        for (size_t k = 0; cases[i].name[k]; k++)
            lower[k] = (char)tolower((unsigned char)cases[i].name[k]);
        for (size_t k = 0; k < QUERY_TYPES_MAX; k++)
            is_known = is_known || strcmp(lower, query_filetypes[k]) == 0;
        assert_true(is_known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptions_get_the_name_of_the_service),
        cmocka_unit_test(every_name_is_one_that_can_be_filtered_by),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
