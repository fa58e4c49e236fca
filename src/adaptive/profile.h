/* SPDX-License-Identifier: MIT */
/* What sites know, out of a file and into one. */
#ifndef LP_ADAPTIVE_PROFILE_H
#define LP_ADAPTIVE_PROFILE_H

#include <stdbool.h>

struct lp_load_options {
    bool overrides; /* else records that have learnt something in this process know better */
    double memory;  /* as lp_model_options */
    unsigned widest; /* set: the widest team that a habit is about */
};

/* Tells the records what a profile says. Returns as lp_profile_read. */
int lp_profile_load(const char *path, const char *machine, struct lp_load_options *options);

/* Writes all that the records know; what loops have not exchanged yet is missing. Returns as
 * lp_profile_write. */
int lp_profile_store(const char *path, const char *machine);

#endif
