/* SPDX-License-Identifier: MIT */
/* The machine as hwloc knows it, what the planner reads out of it, and the binding of threads and
 * memory to its parts. */
#ifndef LP_PLACEMENT_TOPOLOGY_H
#define LP_PLACEMENT_TOPOLOGY_H

#include "placement/cpuset.h"
#include "placement/environment.h"
#include "placement/machine.h"

struct hwloc_topology;

/* Where a topology comes from: at most one of the first three; none: this machine, unless hwloc's
 * own variables (HWLOC_XMLFILE, HWLOC_FSROOT, HWLOC_SYNTHETIC) name another. */
struct lp_topology_source {
    struct hwloc_topology *given; /* of the application: duplicated */
    const char *path;             /* a hwloc XML file, or the root of a tree with recorded proc and sys */
    const char *synthetic;        /* a hwloc description like "pack:2 core:4 pu:2" */
    bool is_this_system;          /* path: it describes this machine, as lp_topology_save wrote it */
    bool devices;                 /* PCI and OS devices too: slower */
};

struct lp_topology {
    struct hwloc_topology *handle;
    bool is_this_system; /* threads can be bound to it */
    struct lp_machine machine;
};

/* Loads, with filters that leave out what nobody here reads. machine.allowed: for this machine, the
 * process's mask (before OpenMP bound it) and what hwloc allows; for a recorded one, what is recorded
 * as allowed. 0 or a negative errno with a sentence. Not while another thread reads the environment:
 * a recorded tree is handed to hwloc through it. */
int lp_topology_load(struct lp_topology *topology, const struct lp_topology_source *source);
void lp_topology_fini(struct lp_topology *topology);

/* Writes this topology as a file that lp_topology_source.path takes. 0 or a negative errno with a
 * sentence. */
int lp_topology_save(const struct lp_topology *topology, const char *path);

/* Names the machine, "AMD EPYC 7763 64-Core Processor, 128 cores", for what was measured on it and
 * means nothing on others: the model of its CPUs and how many cores it has, allowed or not, so that
 * it is the same after a restart and in another cgroup. Cut to fit; no control characters. */
void lp_machine_name(const struct lp_topology *topology, char *out, size_t bytes);

/* Binds the calling thread and looks whether it is bound. A thread that cannot be is left where it
 * is, with a warning in the log: a program goes on slowly rather than not at all. */
void lp_bind_thread(const struct lp_topology *topology, const lp_cpuset *set);

/* Lets the memory that the calling thread touches from now on, and its stack, come from that NUMA
 * node (the kernel's number) as long as it has some. Leaves a policy of the user's (numactl) alone;
 * nothing on a machine with one node. */
void lp_bind_memory(const struct lp_topology *topology, int node);

/* The memory policy of the calling thread for people: "default", "bind:0-1", "preferred:0",
 * "interleave:0-3", ... into the buffer. */
void lp_memory_policy(char *buffer, size_t size);

/* The mask of the calling thread; NULL with a sentence. */
lp_cpuset *lp_thread_mask(void);

/* The mask the process had when it started, before OpenMP could bind it; NULL without memory. */
lp_cpuset *lp_process_mask(void);

/* Binds the calling thread without a topology: puts back what lp_thread_mask returned. */
void lp_restore_thread_mask(const lp_cpuset *mask);

#endif
