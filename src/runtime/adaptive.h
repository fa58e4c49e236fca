/* SPDX-License-Identifier: MIT */
/* The adaptive scheduler's part in a start and a stop. */
#ifndef LP_RUNTIME_ADAPTIVE_H
#define LP_RUNTIME_ADAPTIVE_H

#include "runtime/runtime.h"

/* When the settings and the topology are known, before there are threads: 0, or what is wrong with
 * the profile. */
int lp_start_adaptive(struct lp_parts *parts);

/* When the threads run and nobody else can use them yet: measures hand-overs, if that is wanted. */
void lp_calibrate_adaptive(struct lp_parts *parts);

/* When the loops have ended: writes the profile. */
void lp_stop_adaptive(struct lp_parts *parts);

#endif
