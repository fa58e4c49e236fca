/* SPDX-License-Identifier: MIT */
/* The machine as the planner sees it: its CPUs in topological order and what each belongs to. A
 * plain value without hwloc's objects, so that a test can write one down by hand. */
#ifndef LP_PLACEMENT_MACHINE_H
#define LP_PLACEMENT_MACHINE_H

#include "placement/cpuset.h"

struct hwloc_topology;

enum lp_cpu_kind { LP_KIND_ONLY, LP_KIND_PERFORMANCE, LP_KIND_EFFICIENCY };

/* One CPU, which is a hardware thread. The numbers of groups count from 0 in topological order over
 * the whole machine; a level that the machine does not show has one group per group of the next
 * level above it. */
struct lp_cpu {
    unsigned os;      /* the kernel's number */
    unsigned core;
    unsigned smt;     /* its rank among the hardware threads of its core */
    unsigned cache;   /* group of CPUs that share the last-level cache */
    unsigned node;    /* NUMA node with memory of its own: rank in topological order */
    unsigned node_os; /* the kernel's number of that node */
    unsigned package;
    enum lp_cpu_kind kind;
};

struct lp_machine {
    unsigned cpu_count;
    struct lp_cpu *cpus; /* online ones, allowed or not, in topological order */
    unsigned core_count;
    unsigned cache_count;
    unsigned node_count;
    unsigned package_count;
    lp_cpuset *allowed; /* those this process may use: mask, cpuset cgroup, hwloc's opinion */
    unsigned memory_only_nodes; /* NUMA nodes without CPUs, like the memory of a GPU */
    /* Where in cpus the CPU with that number of the kernel's is, plus 1; 0: nowhere. NULL for a
     * machine that was written down by hand. */
    unsigned *by_os;
    unsigned by_os_count;
};

/* Reads all of it out of a loaded topology; allowed is what hwloc says. 0 or a negative errno with
 * a sentence. */
int lp_machine_read(struct lp_machine *machine, struct hwloc_topology *topology);
void lp_machine_fini(struct lp_machine *machine);

/* The CPU with that number of the kernel's, or NULL. */
const struct lp_cpu *lp_machine_cpu(const struct lp_machine *machine, unsigned os);

#endif
