/* SPDX-License-Identifier: MIT */
/* The machine as far as the plan needs it: the CPUs this process may use and the cores they are on,
 * and the binding of threads to them. */
#ifndef LP_PLACEMENT_TOPOLOGY_H
#define LP_PLACEMENT_TOPOLOGY_H

#include "placement/cpuset.h"

struct hwloc_topology;

struct lp_topology {
    struct hwloc_topology *handle;
    lp_cpuset *allowed;  /* by cgroup and CPU mask */
    unsigned core_count; /* cores with an allowed CPU */
    lp_cpuset **cores;   /* the allowed CPUs of each, in hwloc's logical order */
};

/* Loads the machine's topology, or takes a copy of `given` (may be NULL). 0 or a negative errno with
 * a sentence. */
int lp_topology_load(struct lp_topology *topology, struct hwloc_topology *given);
void lp_topology_fini(struct lp_topology *topology);

/* Binds the calling thread and looks whether it is bound. A thread that cannot be is left where it
 * is, with a warning in the log: a program goes on slowly rather than not at all. */
void lp_bind_thread(const struct lp_topology *topology, const lp_cpuset *set);

/* The mask of the calling thread; NULL with a sentence. */
lp_cpuset *lp_thread_mask(void);

/* Binds the calling thread without a topology: puts back what lp_thread_mask returned. */
void lp_restore_thread_mask(const lp_cpuset *mask);

#endif
