/* SPDX-License-Identifier: MIT */
/* What sites know, out of a file and into one. */
#ifndef LP_ADAPTIVE_PROFILE_H
#define LP_ADAPTIVE_PROFILE_H

/* Tells the records what a profile says; those that have learnt something in this process know
 * better. Returns as lp_profile_read. */
int lp_profile_load(const char *path, const char *machine);

/* Writes all that the records know; what loops have not exchanged yet is missing. Returns as
 * lp_profile_write. */
int lp_profile_store(const char *path, const char *machine);

#endif
