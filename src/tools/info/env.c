/* SPDX-License-Identifier: MIT */
/* Owns --env: the plan as assignments that a shell can evaluate. What the user has set stays. */
#include "tools/info/info.h"

#include "base/error.h"
#include "placement/omp_places.h"
#include "tools/info/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A value as one word of a shell. */
static void quote(FILE *out, const char *value)
{
    fputc('\'', out);
    for (; *value; value++) {
        if (*value == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(*value, out);
        }
    }
    fputc('\'', out);
}

static void assign(FILE *out, const char *name, const char *value)
{
    const char *users = lp_environment_get(&lp_process_environment, name);
    if (users && strcmp(users, value) != 0) {
        fprintf(out, "# %s stays as it is set; the plan says ", name);
        quote(out, value);
        fputc('\n', out);
        return;
    }
    fprintf(out, "export %s=", name);
    quote(out, value);
    fputc('\n', out);
}

static char *places_of(const struct lp_pool_plan *compute)
{
    lp_cpuset **sets = calloc(compute->count, sizeof *sets);
    char *text = NULL;
    for (unsigned i = 0; sets && i < compute->count; i++) {
        sets[i] = compute->places[i].cpus;
    }
    if (sets) {
        text = lp_omp_places_text(sets, compute->count);
    }
    free(sets);
    return text;
}

/* Whatever decides the binding in OMP_PLACES' stead for some runtime, or NULL. */
static const char *other_binding(void)
{
    static const char *const others[] = {"KMP_AFFINITY", "GOMP_CPU_AFFINITY"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (lp_environment_get(&lp_process_environment, others[i])) {
            return others[i];
        }
    }
    return NULL;
}

static int bind_places(FILE *out, const struct lp_pool_plan *compute)
{
    char *places = places_of(compute);
    if (!places) {
        return lp_fail(-ENOMEM, "no memory for OMP_PLACES");
    }
    const char *decides = other_binding();
    if (decides) {
        fprintf(out, "# %s stays as it is set and decides where threads are; the plan says ",
                decides);
        quote(out, places);
        fputc('\n', out);
    } else {
        assign(out, "OMP_PLACES", places);
        assign(out, "OMP_PROC_BIND", "close");
    }
    free(places);
    return 0;
}

int info_print_env(const struct info *info, FILE *out)
{
    const struct lp_pool_plan *compute = lp_plan_compute(&info->plan);
    char threads[16];
    snprintf(threads, sizeof threads, "%u", compute->count);
    assign(out, "OMP_NUM_THREADS", threads);
    const char *users = lp_environment_get(&lp_process_environment, "OMP_PROC_BIND");
    if (users && strcasecmp(users, "false") == 0) {
        fputs("# OMP_PROC_BIND stays as it is set, so no thread is bound\n", out);
    } else if (info->plan.pin) {
        int err = bind_places(out, compute);
        if (err) {
            return err;
        }
    }
    /* Threads that libomp adds and nobody planned. */
    assign(out, "LIBOMP_USE_HIDDEN_HELPER_TASK", "0");
    assign(out, "LIBOMP_NUM_HIDDEN_HELPER_THREADS", "0");
    return 0;
}
