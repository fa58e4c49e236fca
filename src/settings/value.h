/* SPDX-License-Identifier: MIT */
/* What a row of settings says about its values, and values that were read and checked by it. Only
 * src/settings includes it. */
#ifndef LP_SETTINGS_VALUE_H
#define LP_SETTINGS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lp_type {
    LP_TYPE_TEXT,     /* min, max: length in bytes; no control characters */
    LP_TYPE_CPU_LIST, /* text that lp_cpu_list_parse accepts */
    LP_TYPE_PLACES,   /* text that lp_places_check accepts; max: length in bytes */
    LP_TYPE_DEVICES,  /* text that lp_devices_check accepts, or a number; max: length in bytes */
    LP_TYPE_PRESET,   /* the name of a preset, or nothing */
    LP_TYPE_CHOICE,   /* one of words; a list that begins with '|' has the empty one first */
    LP_TYPE_BOOL,
    LP_TYPE_INT,
    LP_TYPE_SIZE, /* bytes; 0 is allowed below min and means "chosen" */
    LP_TYPE_DOUBLE
};

struct lp_row {
    const char *key;
    enum lp_type type;
    double min, max;
    const char *initial; /* as text, read by the reader that reads everything else */
    const char *words;   /* of a choice, separated by '|' */
    const char *help;
};

/* Longest key, variable, option or described range, with room to spare. */
enum {
    LP_NAME_BYTES = 192
};

/* "a whole number from 1 to 1024", for sentences; "1..1024", for tables. */
void lp_row_takes(const struct lp_row *row, char out[LP_NAME_BYTES]);
void lp_row_range(const struct lp_row *row, char out[LP_NAME_BYTES]);

/* A value as a source gives it. Text is free-form, as in a variable or an option, and is read by
 * the row's type; a string is typed, as in a file, and fits only rows that take text. */
enum lp_given_kind {
    LP_GIVEN_TEXT,
    LP_GIVEN_STRING,
    LP_GIVEN_INT,
    LP_GIVEN_DOUBLE,
    LP_GIVEN_BOOL,
    LP_GIVEN_LIST /* fits no row; only its name matters */
};

struct lp_given {
    enum lp_given_kind kind;
    const char *text;
    int64_t number; /* also of a bool */
    double real;
};

/* A value that was read and checked. */
struct lp_value {
    int64_t number; /* int, size, bool, index of a choice */
    double real;
    char *text;   /* how it is shown; NULL: this source says nothing about the row */
    char *source; /* "app.conf:7" */
};

/* Reads given into *value, which was empty. where begins the sentence of an error, key is the name
 * of the setting in it, source is kept as the value's source. Returns 0, -EINVAL or -ENOMEM, and
 * then *value is empty. */
int lp_value_read(const struct lp_row *row, const char *key, const struct lp_given *given,
                  const char *where, const char *source, struct lp_value *value);
int lp_value_copy(struct lp_value *to, const struct lp_value *from);
void lp_value_clear(struct lp_value *value);

/* Prints a number with as many digits as lead back to the same value, and a decimal point whatever
 * the application's locale. 0 or -ENOMEM. */
int lp_double_print(char *out, size_t bytes, double value);

/* The form of texts that placement reads, checked when they are set: 0 or -EINVAL with a sentence
 * that names the text. */
int lp_places_check(const char *text);
int lp_devices_check(const char *text);

int lp_fail_memory(void);

#endif
