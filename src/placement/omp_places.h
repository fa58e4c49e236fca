/* SPDX-License-Identifier: MIT */
/* OMP_PLACES texts, as OpenMP 5.2, section 21.1.6 defines them: reading an explicit list, and writing
 * one. Pure. */
#ifndef LP_PLACEMENT_OMP_PLACES_H
#define LP_PLACEMENT_OMP_PLACES_H

#include "placement/cpuset.h"

#include <stddef.h>

struct lp_omp_places {
    unsigned count;
    lp_cpuset **places;
};

enum { LP_OMP_PLACES_MAX = 65536 };

/* Reads a list like "{0:4},{4:4}", "{0,1}:8:2", "!{3}" (a place that is taken out again). 0;
 * -EINVAL with a sentence that names the text and the position, also for taking out what is not
 * there; -E2BIG beyond LP_OMP_PLACES_MAX places, for CPUs beyond 1048575 and for a list whose sets
 * need more than 128 MiB. Abstract names like "cores" are not read here. */
int lp_omp_places_parse(struct lp_omp_places *places, const char *text);
void lp_omp_places_fini(struct lp_omp_places *places);

/* "{0,1},{2,3}" with ranges as "{0:4}"; NULL without memory; the caller frees it. */
char *lp_omp_places_text(lp_cpuset *const *places, unsigned count);

#endif
