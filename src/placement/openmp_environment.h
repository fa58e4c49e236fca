/* SPDX-License-Identifier: MIT */
/* What libomp is told before it starts, through the environment, and what is put back afterwards. */
#ifndef LP_PLACEMENT_OPENMP_ENVIRONMENT_H
#define LP_PLACEMENT_OPENMP_ENVIRONMENT_H

#include "placement/plan.h"

#include <stddef.h>

enum { LP_OPENMP_VARIABLES = 6 };

struct lp_openmp_environment {
    bool was_set[LP_OPENMP_VARIABLES]; /* by us: to be taken out again */
    bool has_places;                   /* OMP_PLACES holds the plan's places, not the user's */
    bool user_binds;                   /* the user has an opinion on places or binding */
};

/* Sets what the user has not set. `touch` false (bind = "direct"): sets nothing and only looks.
 * stack_bytes: of the team's threads. Must not run beside another thread's getenv: start calls it
 * before it creates threads. 0 or -ENOMEM. */
int lp_openmp_environment_set(struct lp_openmp_environment *environment, const struct lp_plan *plan,
                              bool touch, size_t stack_bytes);

/* OMP_PLACES for the pool `compute`: one element for each of its threads, in wake order. The caller
 * frees it; NULL without memory. */
char *lp_openmp_places_text(const struct lp_plan *plan);

/* Whether OpenMP may have bound threads that are not loomp's, such as main: something in the
 * environment says so, or a runtime of ours has once told libomp, which remembers. */
bool lp_openmp_may_bind(void);

/* Takes out what was set, so that children do not inherit the plan of this process. */
void lp_openmp_environment_restore(struct lp_openmp_environment *environment);

/* The i-th setting that also works after libomp has started, as "KMP_NAME=value", for
 * kmp_set_defaults; NULL past the end. Those that the user set are left out ("" is returned). */
const char *lp_openmp_late_default(unsigned index, bool crowded);

/* The stack size for compute threads: `wanted`, or if 0 the largest of OMP_STACKSIZE, RLIMIT_STACK
 * and 8 MiB, because automatic arrays used to live on main's stack. */
size_t lp_openmp_stack_bytes(size_t wanted);

/* Whether the user has an opinion on libomp's warnings (KMP_WARNINGS). */
bool lp_openmp_user_sets_warnings(void);

/* Whether the environment has a stack size for OpenMP threads. */
bool lp_openmp_user_sets_stack(void);

/* The user's opinions that change what loomp can promise, one warning each through the log. */
void lp_openmp_environment_warn(void);

#endif
