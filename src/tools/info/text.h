/* SPDX-License-Identifier: MIT */
/* Texts of loomp-info: growing ones, places in few words, and bytes that may not be UTF-8. */
#ifndef LP_TOOLS_INFO_TEXT_H
#define LP_TOOLS_INFO_TEXT_H

#include "placement/plan.h"

#include <stddef.h>

/* A text that grows; without memory it stays as it is. */
struct text {
    char *at; /* NULL while it is empty */
    size_t bytes;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_cpus(struct text *text, const lp_cpuset *set);
void text_fini(struct text *text);
/* "" for an empty one. */
const char *text_of(const struct text *text);

/* Places in their order, in few words: "1-6" for six places of one CPU each, "0-14 by 2", braces
 * around a place of several CPUs, "x 8" behind one that eight threads have. */
void text_add_places(struct text *text, const struct lp_place *places, unsigned count);

/* The CPUs of a set in the same few words. */
void text_add_cpus_folded(struct text *text, const lp_cpuset *set);

/* "3 cores", "1 core". */
void text_add_count(struct text *text, unsigned long count, const char *noun);

/* How many bytes the character at the beginning has; 0: this is no UTF-8. The text is not empty. */
size_t text_character(const char *text);

#endif
