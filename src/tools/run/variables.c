/* SPDX-License-Identifier: MIT */
/* Owns the variables that a program gets from the plan, and the rule that the user's own win. */
#include "tools/run/run.h"

#include "base/error.h"
#include "placement/omp_places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    PLACES,
    PROC_BIND,
    THREADS,
    HIDDEN_HELPER,
    HIDDEN_THREADS,
    PRELOAD
};

static const char *const names[RUN_VARIABLES] = {
    [PLACES] = "OMP_PLACES",
    [PROC_BIND] = "OMP_PROC_BIND",
    [THREADS] = "OMP_NUM_THREADS",
    /* eight unbound threads that nobody asked for */
    [HIDDEN_HELPER] = "LIBOMP_USE_HIDDEN_HELPER_TASK",
    /* off but with their number left alone, libomp 14 miscounts the threads that it may make */
    [HIDDEN_THREADS] = "LIBOMP_NUM_HIDDEN_HELPER_THREADS",
    [PRELOAD] = "LD_PRELOAD",
};

/* An empty variable counts as none, as it does for the OpenMP runtimes. */
static const char *users_value(const char *name)
{
    return lp_environment_get(&lp_process_environment, name);
}

static bool gnu_alone(const struct lp_openmp_runtimes *runtimes)
{
    return runtimes->gnu && !runtimes->llvm && !runtimes->intel && !runtimes->is_static_or_unknown;
}

/* The user's variable that decides the binding in OMP_PLACES' stead, or NULL. */
static const char *other_binding(const struct lp_openmp_runtimes *runtimes)
{
    if (users_value("KMP_AFFINITY") && !gnu_alone(runtimes)) {
        return "KMP_AFFINITY";
    }
    return users_value("GOMP_CPU_AFFINITY") ? "GOMP_CPU_AFFINITY" : NULL;
}

/* Whether a user's OMP_PROC_BIND has thread i on place i all the same, as NULL has. */
static bool spreads(const char *binding)
{
    static const char *const words[] = {"true", "close", "spread"};
    for (size_t i = 0; binding && i < sizeof words / sizeof *words; i++) {
        size_t bytes = strlen(words[i]);
        if (strncasecmp(binding, words[i], bytes) == 0 &&
            (!binding[bytes] || binding[bytes] == ',')) {
            return true;
        }
    }
    return !binding;
}

static int put(struct run_variables *variables, int which, const char *value)
{
    struct run_variable *entry = &variables->entries[which];
    if (!value || asprintf(&entry->text, "%s=%s", names[which], value) < 0) {
        entry->text = NULL;
        return lp_fail(-ENOMEM, "no memory for %s", names[which]);
    }
    entry->value = entry->text + strlen(names[which]) + 1;
    const char *users = which == PRELOAD ? NULL : users_value(names[which]);
    entry->users = users && strcmp(users, value) != 0 ? users : NULL;
    return 0;
}

/* One place per thread, in wake order, so that with `close` thread i is on place i. Threads that
 * share a cache group or a node repeat it. */
static int put_places(struct run_variables *variables, const struct lp_plan *plan)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    lp_cpuset **places = calloc(compute->count, sizeof *places);
    for (unsigned i = 0; places && i < compute->count; i++) {
        places[i] = compute->places[i].cpus;
    }
    char *text = places ? lp_omp_places_text(places, compute->count) : NULL;
    int err = put(variables, PLACES, text);
    free(text);
    free(places);
    return err ? err : put(variables, PROC_BIND, "close");
}

static int put_preload(struct run_variables *variables, const char *library)
{
    const char *users = users_value("LD_PRELOAD");
    char *both;
    if (asprintf(&both, "%s%s%s", library, users ? ":" : "", users ? users : "") < 0) {
        return lp_fail(-ENOMEM, "no memory for LD_PRELOAD");
    }
    int err = put(variables, PRELOAD, both);
    free(both);
    return err;
}

int run_variables_make(struct run_variables *variables, const struct lp_plan *plan,
                       const struct run_choices *choices, const struct lp_openmp_runtimes *runtimes,
                       const char *preload)
{
    *variables = (struct run_variables){0};
    for (int i = 0; i < RUN_VARIABLES; i++) {
        variables->entries[i].name = names[i];
    }
    char number[16];
    snprintf(number, sizeof number, "%u", lp_plan_compute(plan)->count);
    int err = put(variables, THREADS, number);
    if (!err && plan->pin && !other_binding(runtimes)) {
        err = put_places(variables, plan);
    }
    if (!err && !choices->hidden_helpers) {
        err = put(variables, HIDDEN_HELPER, "0");
        err = err ? err : put(variables, HIDDEN_THREADS, "0");
    }
    if (!err && preload) {
        err = put_preload(variables, preload);
    }
    if (err) {
        run_variables_fini(variables);
        return err;
    }
    variables->user_binds = other_binding(runtimes) || variables->entries[PLACES].users;
    variables->not_applied = other_binding(runtimes);
    if (!variables->not_applied && variables->entries[PLACES].users) {
        variables->not_applied = names[PLACES];
    } else if (!variables->not_applied && !spreads(variables->entries[PROC_BIND].users)) {
        variables->not_applied = names[PROC_BIND];
    }
    return 0;
}

void run_variables_fini(struct run_variables *variables)
{
    for (int i = 0; i < RUN_VARIABLES; i++) {
        free(variables->entries[i].text);
    }
    *variables = (struct run_variables){0};
}

unsigned run_variables_user_threads(void)
{
    const char *text = users_value(names[THREADS]);
    char *end = NULL;
    long threads = text ? strtol(text, &end, 10) : 0;
    bool is_list = end && end != text && (!*end || *end == ',');
    return is_list && threads > 0 && threads <= 65536 ? (unsigned)threads : 0;
}

static void report_conflicts(const struct lp_openmp_runtimes *runtimes)
{
    const char *decides = other_binding(runtimes);
    if (decides) {
        run_warn("%s=%s is set and stays: it decides where threads are, the plan's OMP_PLACES is "
                 "not set",
                 decides, users_value(decides));
    }
    if (users_value("KMP_AFFINITY") && gnu_alone(runtimes)) {
        run_warn("KMP_AFFINITY is set, which the program's runtime (libgomp) does not know");
    }
    if (runtimes->count > 1) {
        run_warn(
            "the program loads %u OpenMP runtimes, %s and %s%s: each has threads of its own on "
            "the same places; --one-openmp may help",
            runtimes->count, runtimes->paths[0], runtimes->paths[1],
            runtimes->count > 2 ? " and more" : "");
    }
}

void run_variables_report(const struct run_variables *variables, unsigned planned_threads,
                          const struct lp_openmp_runtimes *runtimes)
{
    char number[16];
    snprintf(number, sizeof number, "%u", planned_threads);
    for (int i = 0; i < RUN_VARIABLES; i++) {
        const struct run_variable *entry = &variables->entries[i];
        const char *users = i == THREADS ? users_value(names[i]) : entry->users;
        const char *planned = i == THREADS ? number : entry->value;
        if (users && strcmp(users, planned) != 0) {
            run_note("%s=%s is set and stays; the plan would be %s", names[i], users, planned);
        }
    }
    report_conflicts(runtimes);
}

static bool is_replaced(const struct run_variables *variables, const char *assignment)
{
    for (int i = 0; i < RUN_VARIABLES; i++) {
        const struct run_variable *entry = &variables->entries[i];
        size_t bytes = strlen(entry->name);
        if (entry->text && !entry->users && strncmp(assignment, entry->text, bytes + 1) == 0) {
            return true;
        }
    }
    return false;
}

char **run_variables_apply(const struct run_variables *variables, char **given)
{
    size_t count = 0;
    while (given[count]) {
        count++;
    }
    char **result = calloc(count + RUN_VARIABLES + 1, sizeof *result);
    if (!result) {
        return NULL;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_replaced(variables, given[i])) {
            result[kept++] = given[i];
        }
    }
    for (int i = 0; i < RUN_VARIABLES; i++) {
        const struct run_variable *entry = &variables->entries[i];
        if (entry->text && !entry->users) {
            result[kept++] = entry->text;
        }
    }
    return result;
}
