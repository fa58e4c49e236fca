/* SPDX-License-Identifier: MIT */
/* The rows of the table, the presets, and the search for the name that was meant. Only src/settings
 * includes it; settings.h is the door for everybody else. */
#ifndef LP_SETTINGS_TABLE_H
#define LP_SETTINGS_TABLE_H

#include "settings/settings.h"
#include "settings/value.h"

extern const struct lp_row lp_rows[LP_KEY_COUNT];

/* The row of a key like "io.threads", or -1. */
int lp_row_find(const char *key);

/* "LOOMP_IO_THREADS" for the prefix "LOOMP"; "io-threads". Names too long for out are cut, which
 * makes them unknown. */
void lp_row_variable(int row, const char *prefix, char out[LP_NAME_BYTES]);
void lp_row_option(int row, char out[LP_NAME_BYTES]);

/* In capitals, whatever the application's locale. */
char lp_upper(char c);

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
