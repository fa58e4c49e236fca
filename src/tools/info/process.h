/* SPDX-License-Identifier: MIT */
/* The threads of a running process, as /proc shows them. */
#ifndef LP_TOOLS_INFO_PROCESS_H
#define LP_TOOLS_INFO_PROCESS_H

#include "placement/cpuset.h"

#include <stdint.h>

struct process_thread {
    int tid;
    char name[32];
    char state;                      /* as in /proc/PID/stat */
    lp_cpuset *mask;                 /* NULL: unknown */
    int cpu;                         /* on which it ran last; -1: unknown */
    uint64_t run_ns;                 /* CPU time so far */
    uint64_t voluntary, involuntary; /* switches */
};

struct process {
    int pid;
    char name[32];
    uint64_t taken_ns; /* when this was looked at */
    unsigned count;
    struct process_thread *threads; /* by tid */
};

/* -ESRCH: there is no such process; -EACCES: it may not be looked at; with a sentence. */
int process_read(struct process *process, int pid);
void process_fini(struct process *process);
/* The thread with that number, or NULL. */
const struct process_thread *process_thread(const struct process *process, int tid);

/* The CPUs that some thread of it may use: the caller's to free. */
int info_process_mask(int pid, lp_cpuset **mask);

#endif
