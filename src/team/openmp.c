/* SPDX-License-Identifier: MIT */
/* Owns the start of libomp and the switching between loomp's and the user's settings of it. Called
 * by team leaders, and by threads outside any team that run a job for an overloaded queue. */
#include "team/openmp.h"

#include "base/log.h"
#include "base/self.h"
#include "placement/openmp_environment.h"
#include "placement/topology.h"
#include "team/worker.h"

#include <dlfcn.h>
#include <link.h>
#include <omp.h>
#include <stdbool.h>
#include <string.h>

/* libomp's extensions, declared here because gcc's omp.h does not have them. */
extern void kmp_set_defaults(const char *setting);
extern void kmp_set_stacksize_s(size_t bytes);
extern void kmp_set_blocktime(int milliseconds);
extern int kmp_get_blocktime(void);
extern void kmp_set_warnings_off(void);
extern void kmp_set_warnings_on(void);
extern void kmp_create_affinity_mask(void **mask);
extern void kmp_destroy_affinity_mask(void **mask);
extern int kmp_get_affinity(void **mask);
extern int kmp_set_affinity(void **mask);

/* The user's values, read on a fresh root thread before loomp changes anything. Written once by the
 * first leader, before any other thread of loomp's exists. */
static bool user_dynamic;
static int user_levels;
static int user_blocktime_ms;
static int places; /* that libomp knew then */
static bool started;

static void set_defaults(bool crowded)
{
    /* libomp warns of what comes too late because the application had regions before: no news. */
    kmp_set_warnings_off();
    for (unsigned i = 0; lp_openmp_late_default(i, crowded); i++) {
        char setting[64];
        strncpy(setting, lp_openmp_late_default(i, crowded), sizeof setting - 1);
        setting[sizeof setting - 1] = '\0';
        if (*setting) {
            kmp_set_defaults(setting);
        }
    }
    if (!lp_openmp_user_sets_warnings()) {
        kmp_set_warnings_on();
    }
}

void lp_openmp_start(size_t stack_bytes, bool crowded)
{
    static bool was_crowded;
    if (!started) {
        user_dynamic = omp_get_dynamic();
        user_levels = omp_get_max_active_levels();
        user_blocktime_ms = kmp_get_blocktime();
        places = omp_get_num_places();
        if (!lp_openmp_user_sets_stack()) {
            /* Without effect once libomp has created threads, and then it does no harm. */
            kmp_set_stacksize_s(stack_bytes);
        }
    }
    if (!started || was_crowded != crowded) {
        set_defaults(crowded);
    }
    was_crowded = crowded;
    started = true;
}

void lp_openmp_own_regions(void)
{
    omp_set_dynamic(0);
    omp_set_max_active_levels(1);
}

void lp_openmp_user_regions(unsigned threads)
{
    omp_set_dynamic(user_dynamic);
    omp_set_max_active_levels(user_levels);
    omp_set_num_threads((int)threads);
}

void lp_openmp_leave_binding_alone(void)
{
    /* A thread that sets its own mask has proc-bind-var false from then on, as libomp sees it, and so
     * have the regions that it leads. */
    void *mask;
    kmp_create_affinity_mask(&mask);
    if (kmp_get_affinity(&mask) == 0) {
        kmp_set_affinity(&mask);
    }
    kmp_destroy_affinity_mask(&mask);
}

void lp_openmp_isolate_thread(void)
{
    omp_set_max_active_levels(0);
}

void lp_openmp_expect_one_thread(void)
{
    omp_set_num_threads(1);
}

void lp_openmp_spin_in_barriers(bool spin)
{
    kmp_set_blocktime(spin ? user_blocktime_ms : 0);
}

int lp_openmp_level(void)
{
    return omp_get_level();
}

int lp_openmp_places(void)
{
    return places;
}

const char *lp_openmp_path(void)
{
    Dl_info info;
    return dladdr((void *)(size_t)omp_get_num_threads, &info) && info.dli_fname ? info.dli_fname
                                                                                : "?";
}

struct runtimes {
    int libomp, libgomp;
};

static int look_at(struct dl_phdr_info *info, size_t size, void *counts)
{
    (void)size;
    struct runtimes *runtimes = counts;
    const char *name = strrchr(info->dlpi_name, '/');
    name = name ? name + 1 : info->dlpi_name;
    runtimes->libomp += strncmp(name, "libomp", 6) == 0 || strncmp(name, "libiomp5", 8) == 0;
    runtimes->libgomp += strncmp(name, "libgomp", 7) == 0;
    return 0;
}

int lp_openmp_warn_of_two(void)
{
    struct runtimes runtimes = {0, 0};
    dl_iterate_phdr(look_at, &runtimes);
    /* libomptarget and its plugins begin with libomp too and are no second runtime, but libgomp
     * beside any of them is. */
    if (runtimes.libgomp && runtimes.libomp) {
        lp_log(LOOMP_LOG_WARNING,
               "libgomp is loaded beside libomp: code built by gcc without loomp's pkg-config flags "
               "has a second thread pool on the same CPUs");
        return 1;
    }
    return 0;
}

/* What the task does to the ICVs is its own. */
static void run_isolated(void (*fn)(void *arg), void *arg)
{
#pragma omp task if (0) firstprivate(fn, arg) default(none)
    {
        omp_set_max_active_levels(0);
        fn(arg);
    }
}

void lp_team_run_outside(void (*fn)(void *arg), void *arg)
{
    /* libomp binds a foreign thread that meets its first pragma, if binding is on; loomp changes no
     * mask of an application's thread. */
    lp_cpuset *mask = lp_thread_mask();
    run_isolated(fn, arg);
    if (mask) {
        lp_restore_thread_mask(mask);
        lp_cpuset_free(mask);
    }
}

/* libomp binds a thread when it registers it, and once more in its first region. (The compiler leaves
 * out a region that does nothing.) */
static void run_a_region(void *arg)
{
    volatile int *threads = arg;
#pragma omp parallel
    *threads = omp_get_num_threads();
}

void lp_team_run_on_loop(void (*fn)(void *arg), void *arg)
{
    if (!lp_self.met_openmp) {
        int threads;
        lp_team_run_outside(run_a_region, &threads); /* a mask that is restored after that stays */
        lp_self.met_openmp = true;
    }
    run_isolated(fn, arg);
}
