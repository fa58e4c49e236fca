/* SPDX-License-Identifier: MIT */
/* The JSON writer. One thread at a time per buffer. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_init(struct json *j)
{
    memset(j, 0, sizeof *j);
}

static void add(struct json *j, const char *bytes, size_t count)
{
    if (j->failed) {
        return;
    }
    if (j->capacity - j->size < count + 1) {
        size_t capacity = 2 * j->capacity + count + 256;
        char *text = realloc(j->text, capacity);
        if (text == NULL) {
            j->failed = true;
            return;
        }
        j->text = text;
        j->capacity = capacity;
    }
    memcpy(j->text + j->size, bytes, count);
    j->size += count;
    j->text[j->size] = '\0';
}

static void add_string(struct json *j, const char *value)
{
    char escape[8];

    add(j, "\"", 1);
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            add(j, (char[]){'\\', *p}, 2);
        } else if (c < 0x20 || c >= 0x7f) {
            /* Bytes of an uploaded file need not be UTF-8; read as Latin-1 they always are text. */
            snprintf(escape, sizeof escape, "\\u%04x", c);
            add(j, escape, 6);
        } else {
            add(j, p, 1);
        }
    }
    add(j, "\"", 1);
}

static void begin_value(struct json *j, const char *name)
{
    if (j->comma) {
        add(j, ",", 1);
    }
    if (name != NULL) {
        add_string(j, name);
        add(j, ":", 1);
    }
    j->comma = true;
}

void json_open(struct json *j, const char *name, char bracket)
{
    begin_value(j, name);
    add(j, &bracket, 1);
    j->comma = false;
}

void json_close(struct json *j, char bracket)
{
    add(j, &bracket, 1);
    j->comma = true;
}

void json_text(struct json *j, const char *name, const char *value)
{
    begin_value(j, name);
    add_string(j, value);
}

void json_int(struct json *j, const char *name, int64_t value)
{
    char text[32];

    begin_value(j, name);
    add(j, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

void json_bool(struct json *j, const char *name, bool value)
{
    begin_value(j, name);
    add(j, value ? "true" : "false", value ? 4 : 5);
}

void json_double(struct json *j, const char *name, int digits, double value)
{
    char text[40];

    begin_value(j, name);
    if (isfinite(value)) {
        add(j, text, (size_t)snprintf(text, sizeof text, "%.*g", digits, value));
    } else {
        add(j, "null", 4);
    }
}

char *json_finish(struct json *j, size_t *size)
{
    if (j->failed || j->text == NULL) {
        free(j->text);
        return NULL;
    }
    *size = j->size;
    return j->text;
}
