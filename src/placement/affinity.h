/* SPDX-License-Identifier: MIT */
/* What may change while threads run: which CPUs are there, and where another thread is bound. Any
 * thread. */
#ifndef LP_PLACEMENT_AFFINITY_H
#define LP_PLACEMENT_AFFINITY_H

#include "placement/topology.h"

/* The CPUs that are online below that root prefix ("": this machine); NULL if they cannot be read.
 * Blocks on a file. */
lp_cpuset *lp_online_cpus(const char *root);

/* Binds a thread of this process, by the kernel's id (0: nobody), if some of the CPUs are allowed. What
 * the kernel refuses is left as it is. */
void lp_tid_bind_within(const struct lp_topology *topology, int tid, const lp_cpuset *set,
                        const lp_cpuset *allowed);

#endif
