#include "model/query.h"

#include <ctype.h>
#include <string.h>

const char *const query_filetypes[QUERY_TYPES_MAX] = {
    /* clang-format off */
    "cdf", "cdfv2", "cjava", "dalvik", "doc", "docx", "elf32", "elf64", "email", "html", "hwp", "java.arc", "lnk",
    "macho", "pcap", "pdf", "pe32", "pe64", "perl", "ppt", "pptx", "python", "pythonc", "rtf", "swf", "text", "xls",
    "xlsx",
    /* clang-format on */
};

static const char *const state_names[] = {
    [REQUEST_INPROGRESS] = "inprogress",
    [REQUEST_DONE] = "done",
    [REQUEST_FAILED] = "failed",
};

bool request_id_parse(const char *text, struct request_id *ret_id)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    struct request_id id;

    if (strlen(text) != REQUEST_ID_TEXT)
        return false;
    for (size_t i = 0; i < REQUEST_ID_TEXT; i++) {
        if (shape[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
        id.s[i] = (char)tolower((unsigned char)text[i]);
    }
    id.s[REQUEST_ID_TEXT] = '\0';
    *ret_id = id;
    return true;
}

const char *request_state_name(enum request_state state)
{
    return state_names[state];
}

bool request_id_is_local(const struct request_id *id)
{
    return strncmp(id->s, REQUEST_ID_LOCAL, sizeof REQUEST_ID_LOCAL - 1) == 0;
}
