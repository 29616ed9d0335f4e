#include "engine/engine_json.h"

#include <errno.h>
#include <limits.h>

#include "util/cleanup.h"
#include "util/text.h"

static void tokener_freep(json_tokener **tokener)
{
    if (*tokener)
        json_tokener_free(*tokener);
}

int engine_json_parse(const char *text, size_t n, json_object **ret_value, struct err *err)
{
    cleanup_(tokener_freep) json_tokener *tokener = json_tokener_new_ex(ENGINE_JSON_DEPTH_MAX);
    cleanup_(json_object_putp) json_object *value = NULL;
    cleanup_(buf_done) struct buf ascii = BUF_INIT(INT_MAX);
    int r;

    if (!tokener)
        return err_set(err, ENOMEM, "no memory to parse JSON");
    text_json_ascii(&ascii, text, n);
    r = buf_check(&ascii, err, "JSON");
    if (r < 0)
        return r;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    value = json_tokener_parse_ex(tokener, buf_text(&ascii), (int)ascii.n);
    if (json_tokener_get_error(tokener) == json_tokener_continue) /* a bare number ends only here */
        value = json_tokener_parse_ex(tokener, "", 1);
    if (json_tokener_get_error(tokener) != json_tokener_success)
        return err_set(err, EPROTO, "%s", json_tokener_error_desc(json_tokener_get_error(tokener)));
    *ret_value = steal_ptr(&value);
    return 0;
}

static void indent(struct buf *buf, int depth)
{
    buf_putc(buf, '\n');
    for (int i = 0; i < depth; i++)
        buf_putc(buf, ' ');
}

/* NOLINTBEGIN(misc-no-recursion): the depth is that of what was parsed or built here, and so bounded */
static void write_value(struct buf *buf, json_object *value, int depth);

static void write_text(struct buf *buf, json_object *leaf)
{
    buf_puts(buf, json_object_to_json_string_ext(leaf, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void write_object(struct buf *buf, json_object *object, int depth)
{
    bool is_first = true;

    buf_putc(buf, '{');
    json_object_object_foreach(object, name, member)
    {
        cleanup_(json_object_putp) json_object *key = json_object_new_string(name);

        if (!is_first)
            buf_putc(buf, ',');
        is_first = false;
        indent(buf, depth + 1);
        write_text(buf, key);
        buf_puts(buf, ": ");
        write_value(buf, member, depth + 1);
    }
    if (!is_first)
        indent(buf, depth);
    buf_putc(buf, '}');
}

static void write_array(struct buf *buf, json_object *array, int depth)
{
    size_t n = json_object_array_length(array);

    buf_putc(buf, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(buf, ',');
        indent(buf, depth + 1);
        write_value(buf, json_object_array_get_idx(array, i), depth + 1);
    }
    if (n > 0)
        indent(buf, depth);
    buf_putc(buf, ']');
}

static void write_value(struct buf *buf, json_object *value, int depth)
{
    if (json_object_is_type(value, json_type_object))
        write_object(buf, value, depth);
    else if (json_object_is_type(value, json_type_array))
        write_array(buf, value, depth);
    else
        write_text(buf, value);
}

/* NOLINTEND(misc-no-recursion) */

void engine_json_write(struct buf *buf, json_object *value)
{
    write_value(buf, value, 0);
    buf_putc(buf, '\n');
}

void engine_json_put(json_object *object, const char *name, json_object *value)
{
    if (json_object_object_add(object, name, value) != 0)
        json_object_putp(&value);
}
