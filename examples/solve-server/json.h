/* SPDX-License-Identifier: MIT */
/* Writing JSON into a growing buffer. After a failed allocation every call is a no-op and
 * json_finish answers NULL, so that callers check once. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *text;
    size_t size;
    size_t capacity;
    bool failed;
    bool comma; /* the next value needs one before it */
};

void json_init(struct json *j);

/* A brace or bracket; `name` NULL inside an array and for the outermost value. */
void json_open(struct json *j, const char *name, char bracket);
void json_close(struct json *j, char bracket);

/* Values. A number that JSON cannot say (NaN, infinity) becomes null. */
void json_text(struct json *j, const char *name, const char *value);
void json_int(struct json *j, const char *name, int64_t value);
void json_bool(struct json *j, const char *name, bool value);
void json_double(struct json *j, const char *name, int digits, double value);

/* The text, which the caller frees, and its length; NULL without memory. */
char *json_finish(struct json *j, size_t *size);

#endif
