/* SPDX-License-Identifier: MIT */
/* Owns the syntax of JSON. */
#include "tools/info/json.h"

#include "tools/info/text.h"

#include <inttypes.h>
#include <string.h>

static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        size_t bytes = text_character(text);
        unsigned char c = (unsigned char)*text;
        if (bytes == 0) {
            fputs("\\ufffd", out);
            bytes = 1;
        } else if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\u%04x", c);
        } else {
            fwrite(text, 1, bytes, out);
        }
        text += bytes;
    }
    fputc('"', out);
}

static void begin(struct json *json, const char *key)
{
    if (json->filled) {
        fputc(',', json->out);
    }
    if (json->depth > 0) {
        fprintf(json->out, "\n%*s", 2 * json->depth, "");
    }
    if (key) {
        put_text(json->out, key);
        fputs(": ", json->out);
    }
    json->filled = true;
}

static void open_with(struct json *json, const char *key, char bracket)
{
    begin(json, key);
    fputc(bracket, json->out);
    json->depth++;
    json->filled = false;
}

static void close_with(struct json *json, char bracket)
{
    json->depth--;
    if (json->filled) {
        fprintf(json->out, "\n%*s", 2 * json->depth, "");
    }
    fputc(bracket, json->out);
    json->filled = true;
    if (json->depth == 0) {
        fputc('\n', json->out);
    }
}

void json_object(struct json *json, const char *key)
{
    open_with(json, key, '{');
}

void json_array(struct json *json, const char *key)
{
    open_with(json, key, '[');
}

void json_end_object(struct json *json)
{
    close_with(json, '}');
}

void json_end_array(struct json *json)
{
    close_with(json, ']');
}

void json_text(struct json *json, const char *key, const char *value)
{
    begin(json, key);
    if (value) {
        put_text(json->out, value);
    } else {
        fputs("null", json->out);
    }
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
    begin(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void json_real(struct json *json, const char *key, double value)
{
    begin(json, key);
    fprintf(json->out, "%.15g", value);
}

void json_null(struct json *json, const char *key)
{
    json_text(json, key, NULL);
}
