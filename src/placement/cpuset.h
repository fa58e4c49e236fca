/* SPDX-License-Identifier: MIT */
/* Sets of CPUs, by OS index. An lp_cpuset is a hwloc bitmap, which only this folder may know. */
#ifndef LP_PLACEMENT_CPUSET_H
#define LP_PLACEMENT_CPUSET_H

#include <stdbool.h>
#include <stddef.h>

typedef struct hwloc_bitmap_s lp_cpuset;

lp_cpuset *lp_cpuset_new(void); /* empty; NULL without memory */
lp_cpuset *lp_cpuset_copy(const lp_cpuset *set);
void lp_cpuset_free(lp_cpuset *set); /* NULL is fine */

void lp_cpuset_add(lp_cpuset *set, unsigned cpu);
int lp_cpuset_first(const lp_cpuset *set);               /* -1: empty */
int lp_cpuset_next(const lp_cpuset *set, int cpu);       /* -1: none after it */
int lp_cpuset_count(const lp_cpuset *set);
bool lp_cpuset_has(const lp_cpuset *set, unsigned cpu);
bool lp_cpuset_intersects(const lp_cpuset *a, const lp_cpuset *b);
bool lp_cpuset_equal(const lp_cpuset *a, const lp_cpuset *b);
void lp_cpuset_and(lp_cpuset *set, const lp_cpuset *other);
void lp_cpuset_or(lp_cpuset *set, const lp_cpuset *other);
void lp_cpuset_remove(lp_cpuset *set, const lp_cpuset *other); /* all CPUs of the other */
bool lp_cpuset_is_within(const lp_cpuset *set, const lp_cpuset *whole);

/* "0-5,8" into the buffer, cut; returns the full length. */
int lp_cpuset_format(const lp_cpuset *set, char *buffer, size_t size);

/* From a list like "0-5,8": 0, -EINVAL or -ENOMEM with a sentence. */
int lp_cpuset_read(lp_cpuset **set, const char *list);

/* The same for who does not ask why: NULL with a sentence. */
lp_cpuset *lp_cpuset_parse(const char *list);

#endif
