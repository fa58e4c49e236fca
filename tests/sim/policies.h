/* SPDX-License-Identifier: MIT */
/* The policies that the simulator compares. */
#ifndef LP_SIM_POLICIES_H
#define LP_SIM_POLICIES_H

#include "sim.h"

/* Each call is run on its loop, or none is (gangs: with all threads). They know no rails. */
extern const struct sim_policy always_inline;
extern const struct sim_policy always_offload;

/* They know the true distribution of the cost of a call of that size, or this very cost, and the
 * state of loop and pool, and take the arm that costs everybody least. The first three obey the
 * rails. */
extern const struct sim_policy informed_oracle;
extern const struct sim_policy clairvoyant_oracle;
extern const struct sim_policy unrailed_oracle;

/* What came before this library: a mean of ln cost for each of two arms, pressure as a factor. */
extern const struct sim_policy ancestor;

/* src/adaptive, with the defaults of the settings, and with another io_weight. */
extern const struct sim_policy loomp_policy;
extern const struct sim_policy loomp_io_weight_10;

/* A call that went elsewhere than the informed oracle would have sent it, and cost more than twice
 * as much there as it would have cost with it. */
struct sim_referee *bad_calls_new(void);
void bad_calls_free(struct sim_referee *referee);

#endif
