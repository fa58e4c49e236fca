/* SPDX-License-Identifier: MIT */
/* Sentences with a key each: why a plan is as it is, and what its reader should be warned of. A plain
 * value; one thread at a time. */
#ifndef LP_PLACEMENT_REASONS_H
#define LP_PLACEMENT_REASONS_H

#include <stdbool.h>

struct lp_reason {
    char key[48];
    char text[384]; /* one sentence without a full stop or a newline, cut if longer */
};

struct lp_reasons {
    unsigned count;
    unsigned capacity;
    bool incomplete; /* one could not be kept: no memory */
    struct lp_reason *entries;
};

void lp_reasons_fini(struct lp_reasons *reasons);
__attribute__((format(printf, 3, 4))) void lp_reasons_add(struct lp_reasons *reasons,
                                                          const char *key, const char *format, ...);

/* The text of the first entry with that key, or NULL. */
const char *lp_reasons_find(const struct lp_reasons *reasons, const char *key);

#endif
