/* SPDX-License-Identifier: MIT */
/* The plan: which thread runs where, and why. A pure function of the machine, its limits, devices,
 * rank and settings; no thread and no OpenMP is needed to make one. doc/guide/placement.md has the
 * rules. */
#ifndef LP_PLACEMENT_PLAN_H
#define LP_PLACEMENT_PLAN_H

#include "placement/cgroup.h"
#include "placement/cpuset.h"
#include "placement/device.h"
#include "placement/machine.h"
#include "placement/rank.h"
#include "placement/reasons.h"

enum lp_rounding { LP_ROUND_DOWN, LP_ROUND_NEAREST, LP_ROUND_UP };
enum lp_smt { LP_SMT_AVOID, LP_SMT_USE, LP_SMT_SPILL };
enum lp_core_choice { LP_CORES_PERFORMANCE, LP_CORES_EFFICIENCY, LP_CORES_ALL };
enum lp_spread { LP_COMPACT, LP_SCATTER };
enum lp_gpu_pools { LP_GPU_UNION, LP_GPU_EACH };

enum { LP_POOL_NAME = 32 };

/* A pool beside `compute`, as the settings ask for it. */
struct lp_pool_settings {
    char name[LP_POOL_NAME];
    unsigned threads; /* 0: all that cpus or gpu leave; of a blocking pool: 64 */
    const char *cpus; /* CPU list, "" */
    const char *gpu;  /* as the setting gpu, "" */
    bool share;       /* its places may be another pool's too */
    bool blocking;    /* for work that sleeps: no places of its own */
};

struct lp_plan_settings {
    bool pin;
    const char *cpus;         /* CPU list, "" = all allowed */
    unsigned reserve;
    enum lp_rounding rounding;
    const char *places;       /* "cores", "threads", "l3", "numa" or an OMP_PLACES list */
    bool places_of_openmp;    /* the list is the user's OMP_PLACES: as libomp takes it, a thread for
                                 each of its CPUs, and what cannot be used is left out */
    enum lp_smt smt;
    enum lp_core_choice cores;
    enum lp_spread spread;
    unsigned cache_groups;    /* at most so many; 0 = any number */
    const char *gpu;          /* "" = none */
    enum lp_gpu_pools gpu_pools;
    unsigned io_threads;      /* 0 only for launchers, whose programs do their own I/O */
    const char *io_cpus;      /* CPU list, "" = chosen */
    const char *io_near;      /* network or storage device, "" = anywhere */
    unsigned compute_threads; /* 0 = chosen */
    unsigned pool_count;
    const struct lp_pool_settings *pools;
};

struct lp_plan_input {
    const struct lp_machine *machine;
    const struct lp_cgroup *cgroup;   /* NULL: no limits */
    const struct lp_devices *devices; /* NULL: none */
    const struct lp_rank *rank;       /* NULL: alone */
    const struct lp_plan_settings *settings;
};

struct lp_place {
    lp_cpuset *cpus;
    bool shared;   /* its CPU has other work of ours: a thread there must not spin */
    int node;      /* the one NUMA node that all its CPUs are on (the kernel's number), or -1 */
    int cache;     /* the one last-level cache that they share (lp_cpu.cache), or -1 */
    bool sibling;  /* a place before it in its pool is on the same core */
};

struct lp_pool_plan {
    char name[LP_POOL_NAME];
    bool blocking; /* places[0] is for all its threads */
    bool crowded;  /* several of its threads share a CPU though the CPUs do not reach */
    bool borrows;  /* its places are others' by design: they are not counted twice */
    bool shares;   /* some of its CPUs belong to another pool too */
    unsigned count;          /* threads; at most, for a blocking pool */
    struct lp_place *places; /* one per thread, in wake order; one for a blocking pool */
    char gpu[256];           /* the devices it is near: PCI addresses or names, with commas; "" */
};

struct lp_plan {
    bool pin;
    unsigned io_count;
    struct lp_place *io; /* one per loop */
    lp_cpuset *io_cpus;  /* of all loops; blocking threads use them too; all CPUs if there is no loop */
    unsigned pool_count;
    struct lp_pool_plan *pools; /* [0] is `compute` */
    lp_cpuset *usable;          /* what the plan could choose from */
    lp_cpuset *cpus;            /* what it chose, all together */
    unsigned budget;            /* threads that the limits allow to run at once; never 0 */
    unsigned quota;             /* threads that the CPU quota alone allows; 0: there is none */
    unsigned budget_of_others;  /* of it: I/O threads with CPUs of their own, and other pools */
    struct lp_reasons reasons;  /* keys: doc/guide/placement.md */
    struct lp_reasons warnings;
};

/* 0, or a negative errno with a sentence that names the setting. */
int lp_plan_make(struct lp_plan *plan, const struct lp_plan_input *input);
void lp_plan_fini(struct lp_plan *plan);

/* One more pool, beside a plan that is in force and stays as it is. `input` is that plan's, with the
 * devices that pool->gpu may name; `others`: CPUs of pools that were added before. On success
 * more->pools[0] is the pool, with its reasons and warnings; what it has in common with the plan's
 * pools, the loops or `others` is shared. As lp_plan_make; -EINVAL too if the pool's cpus leave
 * nothing. */
int lp_plan_one_more(struct lp_plan *more, const struct lp_plan *plan,
                     const struct lp_plan_input *input, const lp_cpuset *others,
                     const struct lp_pool_settings *pool);

/* Whether threads of the pools share CPUs: within one, or one pool's with another's. */
bool lp_plan_is_crowded(const struct lp_plan *plan);

/* `compute`. */
static inline const struct lp_pool_plan *lp_plan_compute(const struct lp_plan *plan)
{
    return &plan->pools[0];
}

/* How many threads of `compute` should run under these limits, for a plan that is in force: those with
 * a place among the allowed CPUs, as far as a quota goes that is tighter than the one the plan was
 * made under; at least 1. */
unsigned lp_plan_width_now(const struct lp_plan *plan, const struct lp_plan_settings *settings,
                           const struct lp_cgroup *cgroup, const struct lp_rank *rank,
                           const lp_cpuset *allowed);

#endif
