/* SPDX-License-Identifier: MIT */
/* Writes JSON (RFC 8259), indented. Texts may be any bytes: what is no UTF-8 becomes U+FFFD. */
#ifndef LP_TOOLS_INFO_JSON_H
#define LP_TOOLS_INFO_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    int depth;
    bool filled; /* the innermost object or array has something in it */
};

/* key: NULL in an array and for the outermost value. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_text(struct json *json, const char *key, const char *value); /* NULL: null */
void json_bool(struct json *json, const char *key, bool value);
void json_integer(struct json *json, const char *key, int64_t value);
void json_real(struct json *json, const char *key, double value); /* finite */
void json_null(struct json *json, const char *key);

#endif
