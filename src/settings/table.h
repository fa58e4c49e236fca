/* SPDX-License-Identifier: MIT */
/* What the sources of settings share: the rows of the table, values that were read and checked,
 * and the batch through which a source applies all of its values or none. Only src/settings
 * includes it; settings.h is the door for everybody else. */
#ifndef LP_SETTINGS_TABLE_H
#define LP_SETTINGS_TABLE_H

#include "settings/settings.h"

enum lp_type {
    LP_TYPE_TEXT,     /* min, max: length in bytes; no control characters */
    LP_TYPE_CPU_LIST, /* text that lp_cpu_list_parse accepts */
    LP_TYPE_PRESET,   /* the name of a preset, or nothing */
    LP_TYPE_CHOICE,   /* one of words */
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

extern const struct lp_row lp_rows[LP_KEY_COUNT];

/* Longest key, variable, option or described range, with room to spare. */
enum {
    LP_NAME_BYTES = 128
};

/* The row of a key like "io.threads", or -1. */
int lp_row_find(const char *key);

/* "LOOMP_IO_THREADS" for the prefix "LOOMP"; "io-threads". Names too long for out are cut, which
 * makes them unknown. */
void lp_row_variable(int row, const char *prefix, char out[LP_NAME_BYTES]);
void lp_row_option(int row, char out[LP_NAME_BYTES]);

/* "a whole number from 1 to 1024", for sentences; "1..1024", for tables. */
void lp_row_takes(int row, char out[LP_NAME_BYTES]);
void lp_row_range(int row, char out[LP_NAME_BYTES]);

/* The search for what was meant: offer candidates, the first of the nearest ones stays. */
struct lp_nearest {
    const char *wanted;
    int index; /* -1 before the first offer */
    unsigned distance;
};

/* As far as one typing error each from wanted: a letter missing, extra, wrong or swapped with its
 * neighbour; upper and lower case are alike. penalty makes a candidate that much farther. */
void lp_nearest_offer(struct lp_nearest *nearest, const char *candidate, unsigned penalty,
                      int index);
bool lp_nearest_is_close(const struct lp_nearest *nearest);

/* The row whose key, or last part of the key, is nearest. */
struct lp_nearest lp_row_nearest(const char *key);

/* Fails with "{where}: unknown {what} `{name}'{in}, did you mean `{suggestion}'?"; where may be
 * NULL. */
int lp_fail_unknown(const char *where, const char *what, const char *name, const char *in,
                    const struct lp_nearest *nearest, const char *suggestion);
int lp_fail_memory(void);

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

/* Reads given into *value, which was empty. where begins the sentence of an error, source is kept
 * as the value's source. Returns 0, -EINVAL or -ENOMEM, and then *value is empty. */
int lp_value_read(int row, const struct lp_given *given, const char *where, const char *source,
                  struct lp_value *value);
int lp_value_copy(struct lp_value *to, const struct lp_value *from);
void lp_value_clear(struct lp_value *value);

/* The sources, the weakest first. */
enum lp_layer {
    LP_LAYER_DEFAULT,
    LP_LAYER_PRESET,
    LP_LAYER_FILE,
    LP_LAYER_ENVIRONMENT,
    LP_LAYER_CODE,
    LP_LAYER_ARGUMENTS,
    LP_LAYER_COUNT
};

/* The values of one call of one source, until it is known that all of them are good. */
struct lp_batch {
    enum lp_layer layer;
    struct lp_value values[LP_KEY_COUNT];
};

void lp_batch_init(struct lp_batch *batch, enum lp_layer layer);

/* Reads one value; a later one for the same row replaces it. 0, -EINVAL or -ENOMEM. */
int lp_batch_put(struct lp_batch *batch, int row, const struct lp_given *given, const char *where,
                 const char *source);

/* Applies the batch and empties it; -ENOMEM, and then nothing was applied. */
int lp_batch_commit(struct lp_batch *batch, loomp_config *config);
void lp_batch_discard(struct lp_batch *batch);

/* Presets: a name and the rows it sets. The list ends with a NULL name, the rows with a NULL
 * value. */
struct lp_preset {
    const char *name;
    struct {
        enum lp_key key;
        const char *value;
    } rows[LP_KEY_COUNT];
};

extern const struct lp_preset lp_presets[];

#endif
