/* SPDX-License-Identifier: MIT */
/* The settings as the library reads them: one table, one resolved value per row. */
#ifndef LP_SETTINGS_SETTINGS_H
#define LP_SETTINGS_SETTINGS_H

#include <loomp/config.h>

/* The rows, in the order of the help. The name of key "io.threads" is LP_IO_THREADS. */
enum lp_key {
    LP_PREFIX,          /* text: prefix of thread names, default "loomp" */
    LP_PRESET,          /* text: "" (default); a word of loomp.conf(5) */
    LP_PIN,             /* bool, default true */
    LP_CPUS,            /* text: CPU list "0-5,8", default "" = all allowed */
    LP_RESERVE,         /* int 0..1024, default 0: CPUs kept back */
    LP_ROUNDING,        /* choice "down" (default), "nearest", "up": of a CPU quota */
    LP_PLACES,          /* text: "cores" (default), "threads", "l3", "numa" or an OMP_PLACES list */
    LP_SMT,             /* choice "avoid" (default), "use", "spill" */
    LP_CORES,           /* choice "performance" (default), "efficiency", "all" */
    LP_SPREAD,          /* choice "compact" (default), "scatter" */
    LP_CACHE_GROUPS,    /* int 0..1024, default 0 = any number */
    LP_GPU,             /* text: devices near which to compute, default "" = none */
    LP_GPU_POOLS,       /* choice "union" (default), "each" */
    LP_MEMORY,          /* choice "local" (default), "inherit" */
    LP_RANK_LOCAL,      /* int -1..65535, default -1 = as the launcher's variables say */
    LP_RANK_LOCAL_SIZE, /* int 0..65536, default 0 = as the launcher's variables say */
    LP_TOPOLOGY,        /* text: path of a hwloc XML file to load instead, default "" */
    LP_FOLLOW,          /* bool, default true: follow changes of quota and allowed CPUs */
    LP_IO_THREADS,      /* int 1..1024, default 1 */
    LP_IO_CPUS,         /* text: CPU list, default "" = chosen by the plan */
    LP_IO_NEAR,         /* text: network or storage device, default "" = anywhere */
    LP_COMPUTE_THREADS, /* int 0..1024, default 0 = chosen by the plan */
    LP_COMPUTE_STACK_SIZE, /* size in bytes with suffix K, M, G; 0 (default) = the largest of
                              OMP_STACKSIZE, RLIMIT_STACK, 8 MiB */
    LP_BLOCKING_THREADS,   /* int 1..4096, default 64: at most */
    LP_BIND,               /* choice "openmp" (default), "direct" */
    LP_QUEUE_LIMIT,        /* int 1..2^24, default 65536: jobs waiting per queue */
    LP_QUEUE_POLICY,       /* choice "reject" (default), "block", "caller_runs" */
    LP_CALL_POOL_SIZE,     /* int 0..1048576, default 1024: objects kept per thread */
    LP_SPIN_US,            /* double 0..1e6, default 25: longest search before a thread parks */
    LP_GANG_RELIEF_US,     /* double 0..1e7, default 1000 */
    LP_GANG_MAX_SHARE,     /* double 0.01..1, default 1 */
    LP_ADAPTIVE_MODE,      /* choice "learn" (default), "frozen", "off" */
    LP_ADAPTIVE_OBJECTIVE, /* choice "latency" (default), "efficiency" */
    LP_ADAPTIVE_IO_WEIGHT, /* double 0..1000, default 1 */
    LP_ADAPTIVE_INLINE_BUDGET_US, /* double 0..1e6, default 250 */
    LP_ADAPTIVE_CALIBRATE,        /* bool, default true */
    LP_ADAPTIVE_SEED,             /* int 0..2^53, default 1 */
    LP_ADAPTIVE_MEMORY,           /* int 10..1000000, default 300: calls that count */
    LP_ADAPTIVE_TRACE,            /* int 0..1048576, default 0: calls kept for each loop */
    LP_ADAPTIVE_PROFILE,          /* text: path of a file, default "" = none */
    LP_ADAPTIVE_GR0,              /* bool, default true */
    LP_ADAPTIVE_GR0_US,           /* double 0..1e6, default 50 */
    LP_ADAPTIVE_GR0_PRESSURE,     /* double 0..1e6, default 0.5: events that wait */
    LP_ADAPTIVE_GR1,              /* bool, default true */
    LP_ADAPTIVE_GR1_US,           /* double 0..1e6, default 250 */
    LP_ADAPTIVE_GR2,              /* bool, default true */
    LP_ADAPTIVE_GR2_US,           /* double 0..1e6, default 100 */
    LP_ADAPTIVE_GR2_PRESSURE,     /* double 0..1e6, default 3 */
    LP_ADAPTIVE_GR3,              /* bool, default true */
    LP_ADAPTIVE_GR3_US,           /* double 0..1e6, default 1000 */
    LP_ADAPTIVE_GR3_CALLS,        /* int 1..100000, default 100 */
    LP_LOG_LEVEL,                 /* choice none, error, warning (default), info, debug */
    LP_LOG_RANK0_ONLY,            /* bool, default true: only local rank 0 of an MPI job logs */
    LP_KEY_COUNT
};

/* A pool beside `compute` and `blocking`, declared by keys like pools.hdd.threads, which the table
 * does not have: names are free. The texts belong to the config. */
struct lp_settings_pool {
    const char *name; /* 1 to 31 of a-z, 0-9, _ and -, a letter first */
    unsigned threads; /* 0..4096, default 0: all that cpus or gpu leave; of a blocking one, 64 */
    const char *cpus; /* CPU list, "" */
    const char *gpu;  /* as the setting gpu, "" */
    bool share;       /* default false */
    bool blocking;    /* default false */
};

/* Whether a pool may be declared by that name: 0, or -EINVAL with the rule. `where` begins the
 * sentence. */
int lp_pool_name_check(const char *name, const char *where);

/* Calls fn for each declared pool, in the order in which their names were first given (the weakest
 * source first). */
void lp_settings_each_pool(const loomp_config *config,
                           void (*fn)(void *arg, const struct lp_settings_pool *pool), void *arg);

/* A site of adaptive jobs that is pinned by keys like sites.solve.arm. */
struct lp_settings_site {
    const char *name; /* 1 to 63 printable characters, neither dot, quotes nor = */
    uint32_t arm;     /* LOOMP_INLINE, LOOMP_TASK, LOOMP_TEAM; 0: not pinned */
    uint32_t width;   /* 0..4096, default 0: all that the call may have; for LOOMP_TEAM */
};

/* Whether keys may pin a site of that name: as lp_pool_name_check. */
int lp_site_name_check(const char *name, const char *where);

/* Finds what is said of a site; false: nothing. */
bool lp_settings_site(const loomp_config *config, const char *name, struct lp_settings_site *site);

/* The same for all sites that are named, in the order in which the names were first given. */
void lp_settings_each_site(const loomp_config *config,
                           void (*fn)(void *arg, const struct lp_settings_site *site), void *arg);

/* The resolved value of a row; the key must have that type. Sizes are read with lp_settings_int.
 * Choices are read as the index of the chosen word. Texts belong to the config. */
int64_t lp_settings_int(const loomp_config *config, enum lp_key key);
double lp_settings_double(const loomp_config *config, enum lp_key key);
bool lp_settings_bool(const loomp_config *config, enum lp_key key);
const char *lp_settings_text(const loomp_config *config, enum lp_key key);
int lp_settings_choice(const loomp_config *config, enum lp_key key);

/* Where the value came from, as loomp_config_source; is_set: not from the default. */
bool lp_settings_is_set(const loomp_config *config, enum lp_key key);

/* A deep copy, NULL without memory. */
loomp_config *lp_settings_copy(const loomp_config *config);

/* What loomp_config_topology was given, or NULL. */
struct hwloc_topology *lp_settings_topology(const loomp_config *config);

/* What the user told every OpenMP program: OMP_NUM_THREADS as compute.threads, OMP_PLACES as
 * places, OMP_PROC_BIND=false as pin; weaker than a settings file, stronger than a preset. What has
 * no counterpart among the settings is left out, with a line in the log for what makes no sense. 0
 * or -ENOMEM. */
int lp_settings_read_openmp(loomp_config *config);

/* A variable of the environment as it is, or NULL. */
const char *lp_settings_environment(const char *name);

/* Parses a CPU list like "0-5,8" by calling mark(arg, first, last) for each range; 0 or -EINVAL
 * with a sentence that names the list. Used by the reader to refuse nonsense, by placement to use
 * it. CPUs are limited to 0..1048575. */
int lp_cpu_list_parse(const char *list, void (*mark)(void *arg, unsigned first, unsigned last),
                      void *arg);

#endif
