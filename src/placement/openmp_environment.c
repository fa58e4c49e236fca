/* SPDX-License-Identifier: MIT */
/* Owns the OpenMP variables of the environment: reads the user's, sets ours for the moment in which
 * libomp starts, and takes them out again. Entered only by the thread that starts a runtime. */
#include "placement/openmp_environment.h"

#include "base/error.h"
#include "base/log.h"
#include "placement/omp_places.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

enum {
    PLACES,
    PROC_BIND,
    STACKSIZE,
    HIDDEN_HELPER,
    HIDDEN_THREADS,
    USE_YIELD
};

static const char *const names[LP_OPENMP_VARIABLES] = {
    [PLACES] = "OMP_PLACES",
    [PROC_BIND] = "OMP_PROC_BIND",
    [STACKSIZE] = "OMP_STACKSIZE",
    /* eight unbound threads that nobody asked for */
    [HIDDEN_HELPER] = "LIBOMP_USE_HIDDEN_HELPER_TASK",
    /* and with the helpers off but not their number, libomp 14 miscounts its free slots: an
     * assertion stops the process when some 24 threads have met a pragma */
    [HIDDEN_THREADS] = "LIBOMP_NUM_HIDDEN_HELPER_THREADS",
    /* two teams make libomp believe it is oversubscribed and yield in every spin; one place, one
     * team keeps that from being true (probe two-teams), unless the plan itself crowds the CPUs */
    [USE_YIELD] = "KMP_USE_YIELD",
};

/* What the user had set when a runtime was started. Late defaults are asked for while our own
 * values are in the environment. Written by start, read by the leader that it creates. */
static bool users[LP_OPENMP_VARIABLES];
static bool user_silences;
static bool have_told_to_bind;

static void look_at_users(void)
{
    for (int i = 0; i < LP_OPENMP_VARIABLES; i++) {
        users[i] = getenv(names[i]);
    }
    user_silences = getenv("KMP_WARNINGS");
}

static int set_if_unset(struct lp_openmp_environment *environment, int variable, const char *value)
{
    if (getenv(names[variable])) {
        return 0;
    }
    if (setenv(names[variable], value, 1)) {
        return lp_fail(-ENOMEM, "no memory to set %s", names[variable]);
    }
    environment->was_set[variable] = true;
    return 0;
}

char *lp_openmp_places_text(const struct lp_plan *plan)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    lp_cpuset **sets = calloc(compute->count, sizeof(lp_cpuset *));
    for (unsigned i = 0; sets && i < compute->count; i++) {
        sets[i] = compute->places[i].cpus;
    }
    char *text = sets ? lp_omp_places_text(sets, compute->count) : NULL;
    free(sets);
    return text;
}

static int set_places(struct lp_openmp_environment *environment, const struct lp_plan *plan)
{
    if (!plan->pin || environment->user_binds) {
        return 0;
    }
    char *places = lp_openmp_places_text(plan);
    int err = places ? 0 : lp_fail(-ENOMEM, "no memory for OMP_PLACES");
    if (!err) {
        err = set_if_unset(environment, PLACES, places);
    }
    if (!err) {
        err = set_if_unset(environment, PROC_BIND, "close");
    }
    environment->has_places = !err;
    have_told_to_bind |= environment->was_set[PROC_BIND];
    free(places);
    return err;
}

bool lp_openmp_may_bind(void)
{
    const char *bind = getenv("OMP_PROC_BIND");
    return have_told_to_bind || (bind && strcasecmp(bind, "false") != 0) ||
           (getenv("OMP_PLACES") && !bind) || getenv("KMP_AFFINITY") || getenv("GOMP_CPU_AFFINITY");
}

int lp_openmp_environment_set(struct lp_openmp_environment *environment, const struct lp_plan *plan,
                              bool touch, size_t stack_bytes)
{
    *environment = (struct lp_openmp_environment){0};
    look_at_users();
    environment->user_binds = getenv("OMP_PLACES") || getenv("OMP_PROC_BIND") ||
                              getenv("KMP_AFFINITY") || getenv("GOMP_CPU_AFFINITY");
    if (!touch) {
        return 0;
    }
    int err = set_places(environment, plan);
    if (!err && !getenv("KMP_STACKSIZE")) {
        char bytes[32];
        snprintf(bytes, sizeof bytes, "%zuB", stack_bytes);
        err = set_if_unset(environment, STACKSIZE, bytes);
    }
    if (!err) {
        err = set_if_unset(environment, HIDDEN_HELPER, "0");
    }
    if (!err) {
        err = set_if_unset(environment, HIDDEN_THREADS, "0");
    }
    if (!err) {
        err = set_if_unset(environment, USE_YIELD, lp_plan_is_crowded(plan) ? "1" : "0");
    }
    if (err) {
        lp_openmp_environment_restore(environment);
    }
    return err;
}

void lp_openmp_environment_restore(struct lp_openmp_environment *environment)
{
    for (int i = 0; i < LP_OPENMP_VARIABLES; i++) {
        if (environment->was_set[i]) {
            unsetenv(names[i]);
            environment->was_set[i] = false;
        }
    }
}

const char *lp_openmp_late_default(unsigned index, bool crowded)
{
    switch (index) {
    case 0:
        return users[USE_YIELD] ? "" : crowded ? "KMP_USE_YIELD=1" : "KMP_USE_YIELD=0";
    default:
        return NULL;
    }
}

/* OMP_STACKSIZE: a number with B, K (default), M or G; 0 for anything else, as libomp ignores it.
 */
static size_t stacksize_of_environment(void)
{
    const char *text = getenv("OMP_STACKSIZE");
    while (text && isspace((unsigned char)*text)) {
        text++;
    }
    if (!text || !isdigit((unsigned char)*text)) {
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    while (isspace((unsigned char)*end)) {
        end++;
    }
    static const char units[] = "bkmg";
    const char *unit = strchr(units, *end ? tolower((unsigned char)*end) : 'k');
    unsigned shift = unit ? 10 * (unsigned)(unit - units) : 0;
    return errno || !unit || number > SIZE_MAX >> 2 >> shift ? 0 : (size_t)number << shift;
}

size_t lp_openmp_stack_bytes(size_t wanted)
{
    if (wanted) {
        return wanted;
    }
    size_t largest = (size_t)8 << 20;
    size_t environment = stacksize_of_environment();
    if (environment > largest) {
        largest = environment;
    }
    struct rlimit limit;
    /* unlimited says nothing about what is needed, so it does not count */
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur > largest) {
        largest = limit.rlim_cur;
    }
    return largest;
}

bool lp_openmp_user_sets_warnings(void)
{
    return user_silences;
}

bool lp_openmp_user_sets_stack(void)
{
    return getenv("KMP_STACKSIZE") || getenv("OMP_STACKSIZE");
}

void lp_openmp_environment_warn(void)
{
    const char *hot_teams = getenv("KMP_HOT_TEAMS_MODE");
    if (hot_teams && strcmp(hot_teams, "0") != 0) {
        lp_log(LOOMP_LOG_WARNING, "KMP_HOT_TEAMS_MODE is %s: libomp then hangs or stops where a region "
                                  "with tasks has fewer threads than the one before it",
               hot_teams);
    }
    if (getenv("OMP_MAX_TASK_PRIORITY")) {
        lp_log(LOOMP_LOG_WARNING, "OMP_MAX_TASK_PRIORITY is set: task priorities can hang libomp "
                                  "15 to 17");
    }
    if (getenv("KMP_TASK_STEALING_CONSTRAINT")) {
        lp_log(LOOMP_LOG_WARNING, "KMP_TASK_STEALING_CONSTRAINT is set: 0 deadlocks programs that "
                                  "hold a lock across a taskwait");
    }
}
