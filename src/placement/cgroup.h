/* SPDX-License-Identifier: MIT */
/* What the control groups of a process leave it: CPU quota and cpuset, for cgroup v1, v2 and both
 * mounted at once, nested, and inside a cgroup namespace. Everything is read below a root prefix, so
 * that recorded trees can be replayed. Blocks on files; any thread. */
#ifndef LP_PLACEMENT_CGROUP_H
#define LP_PLACEMENT_CGROUP_H

#include "placement/cpuset.h"

#include <stdint.h>

enum { LP_CGROUP_PATH = 512 };

struct lp_cgroup {
    double quota;                    /* CPUs; 0: no limit */
    char quota_from[LP_CGROUP_PATH]; /* the file that says so, without the root prefix; "" */
    lp_cpuset *cpus;                 /* the effective cpuset, or NULL: none or unknown */
    char cpus_from[LP_CGROUP_PATH];
    /* Throttling so far of the innermost group that counts it; has_stat false: none does. Periods
     * and times as in the kernel's cpu.stat. */
    bool has_stat;
    char stat_from[LP_CGROUP_PATH];
    uint64_t periods;
    uint64_t throttled_periods;
    double throttled_s;
};

/* Reads the limits of process `pid` (0: the caller) from ROOT/proc/PID/{cgroup,mountinfo} and the
 * groups they lead to. root "": this machine. A machine without cgroups, or one whose files cannot
 * be read, has no limits: 0 with everything empty, and a line in the log for a file that is there
 * but makes no sense. -ENOMEM with a sentence. */
int lp_cgroup_read(struct lp_cgroup *cgroup, const char *root, int pid);
void lp_cgroup_fini(struct lp_cgroup *cgroup);

/* Reads one file's text, for tests and fuzzing: "max 100000" or "150000 100000" of cpu.max, in CPUs;
 * 0: no limit; negative: nonsense. And cpu.cfs_quota_us with cpu.cfs_period_us. */
double lp_cgroup_cpu_max(const char *text);
double lp_cgroup_cfs_quota(const char *quota_us, const char *period_us);

#endif
