/* SPDX-License-Identifier: MIT */
/* Placement: sets of CPUs, plans for simple machines, and what libomp is told through the
 * environment. */
#define SUITE "placement"
#include "harness.h"
#include "kept_log.h"

#include "base/log.h"
#include "placement/cpuset.h"
#include "placement/openmp_environment.h"
#include "placement/plan.h"

#include <loomp.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    TEXT = 8192
};

static const char *text_of(const lp_cpuset *set)
{
    static char texts[4][TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];
    lp_cpuset_format(set, text, TEXT);
    return text;
}

/* ---- sets ------------------------------------------------------------------------------------ */

TEST(a_set_holds_what_was_added)
{
    lp_cpuset *set = lp_cpuset_new();
    CHECK(lp_cpuset_first(set) == -1 && lp_cpuset_count(set) == 0);
    CHECK_TEXT(text_of(set), "");
    lp_cpuset_add(set, 5);
    lp_cpuset_add(set, 1000);
    lp_cpuset_add(set, 5);
    CHECK(lp_cpuset_count(set) == 2);
    CHECK(lp_cpuset_has(set, 5) && lp_cpuset_has(set, 1000) && !lp_cpuset_has(set, 6));
    CHECK(lp_cpuset_first(set) == 5 && lp_cpuset_next(set, 5) == 1000);
    CHECK(lp_cpuset_next(set, 1000) == -1);
    lp_cpuset *copy = lp_cpuset_copy(set);
    CHECK(lp_cpuset_equal(set, copy));
    lp_cpuset_add(copy, 6);
    CHECK(!lp_cpuset_equal(set, copy) && lp_cpuset_intersects(set, copy));
    lp_cpuset_and(copy, set);
    CHECK(lp_cpuset_equal(set, copy));
    lp_cpuset_free(set);
    lp_cpuset_free(copy);
    lp_cpuset_free(NULL);
}

TEST(a_list_of_cpus_is_read_and_written)
{
    lp_cpuset *set = lp_cpuset_parse("8,0-3,2");
    CHECK_TEXT(text_of(set), "0-3,8");
    char cut[4];
    CHECK(lp_cpuset_format(set, cut, sizeof cut) == 5);
    CHECK_TEXT(cut, "0-3");
    lp_cpuset *other = lp_cpuset_parse("9");
    CHECK(!lp_cpuset_intersects(set, other));
    lp_cpuset_or(set, other);
    CHECK_TEXT(text_of(set), "0-3,8-9");
    lp_cpuset_free(set);
    lp_cpuset_free(other);
    CHECK(lp_cpuset_parse("0-3,x") == NULL);
    CHECK(strstr(loomp_error(), "0-3,x") != NULL);
}

/* ---- the plan -------------------------------------------------------------------------------- */

/* A machine with `cores` cores of `smt` CPUs: CPU c is on core c % cores, as Linux often counts. */
static void machine(struct lp_machine *machine, unsigned cores, unsigned smt)
{
    *machine = (struct lp_machine){
        .core_count = cores, .cache_count = 1, .node_count = 1, .package_count = 1};
    machine->allowed = lp_cpuset_new();
    machine->cpus = calloc((size_t)cores * smt, sizeof *machine->cpus);
    for (unsigned i = 0; i < cores; i++) {
        for (unsigned j = 0; j < smt; j++) {
            machine->cpus[machine->cpu_count++] =
                (struct lp_cpu){.os = i + j * cores, .core = i, .smt = j};
            lp_cpuset_add(machine->allowed, i + j * cores);
        }
    }
}

struct planned {
    struct lp_machine machine;
    struct lp_plan plan;
    int err;
};

static const struct lp_plan_settings defaults = {.pin = true,
                                                 .cpus = "",
                                                 .places = "cores",
                                                 .gpu = "",
                                                 .io_cpus = "",
                                                 .io_near = "",
                                                 .io_threads = 1};

static void make(struct planned *planned, unsigned cores, unsigned smt,
                 const struct lp_plan_settings *settings)
{
    machine(&planned->machine, cores, smt);
    planned->err = lp_plan_make(&planned->plan, &(struct lp_plan_input){
                                                    .machine = &planned->machine,
                                                    .settings = settings,
                                                });
}

static void done_with(struct planned *planned)
{
    if (!planned->err) {
        lp_plan_fini(&planned->plan);
    }
    lp_machine_fini(&planned->machine);
}

/* Whether the reason with that key has these words. */
static bool says(const struct planned *planned, const char *key, const char *words)
{
    const char *text = lp_reasons_find(&planned->plan.reasons, key);
    return text && strstr(text, words);
}

static const struct lp_pool_plan *compute_plan(const struct planned *planned)
{
    return lp_plan_compute(&planned->plan);
}

/* The CPUs of the places in order, like "0,1" or "0-1|0-1"; a trailing * says shared. */
static const char *places_of(const struct lp_place *places, unsigned count)
{
    static char texts[2][TEXT];
    static unsigned next;
    char *text = texts[next++ % 2];
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < count && used < TEXT; i++) {
        used += (size_t)snprintf(text + used, TEXT - used, "%s%s%s", i ? "|" : "",
                                 text_of(places[i].cpus), places[i].shared ? "*" : "");
    }
    return text;
}

static const char *compute_of(const struct planned *planned)
{
    return places_of(compute_plan(planned)->places, compute_plan(planned)->count);
}

/* Without the marks: whether a loop shares its CPU matters to nobody, it does not spin. */
static const char *io_of(const struct planned *planned)
{
    static char text[TEXT];
    const char *marked = places_of(planned->plan.io, planned->plan.io_count);
    size_t used = 0;
    for (; *marked; marked++) {
        if (*marked != '*') {
            text[used++] = *marked;
        }
    }
    text[used] = '\0';
    return text;
}

TEST(on_one_core_all_share_it)
{
    struct planned planned;
    make(&planned, 1, 1, &defaults);
    CHECK(planned.err == 0);
    CHECK_TEXT(io_of(&planned), "0");
    CHECK_TEXT(compute_of(&planned), "0*");
    CHECK(!compute_plan(&planned)->crowded);
    CHECK_TEXT(text_of(planned.plan.cpus), "0");
    CHECK(says(&planned, "io", "shared with compute"));
    done_with(&planned);
}

TEST(on_two_cores_one_is_for_io_and_one_computes)
{
    struct planned planned;
    make(&planned, 2, 1, &defaults);
    CHECK(planned.err == 0);
    CHECK_TEXT(io_of(&planned), "0");
    CHECK_TEXT(compute_of(&planned), "1");
    CHECK(!compute_plan(&planned)->crowded && planned.plan.pin);
    CHECK_TEXT(text_of(planned.plan.io_cpus), "0");
    CHECK_TEXT(text_of(planned.plan.cpus), "0-1");
    done_with(&planned);
}

TEST(on_sixteen_cores_fifteen_compute)
{
    struct planned planned;
    make(&planned, 16, 1, &defaults);
    CHECK_TEXT(io_of(&planned), "0");
    CHECK_TEXT(compute_of(&planned), "1|2|3|4|5|6|7|8|9|10|11|12|13|14|15");
    CHECK(says(&planned, "allowed", "16 CPUs allowed (0-15)"));
    CHECK(says(&planned, "io", "1 thread on a CPU of its own (0)"));
    CHECK(says(&planned, "compute", "15 threads: the budget of 16 less 1"));
    done_with(&planned);
}

TEST(on_a_thousand_cores_each_place_is_its_own)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.io_threads = 24;
    make(&planned, 1024, 2, &settings);
    CHECK(planned.err == 0 && planned.plan.io_count == 24);
    CHECK(compute_plan(&planned)->count == 1000);
    lp_cpuset *seen = lp_cpuset_new();
    for (unsigned i = 0; i < compute_plan(&planned)->count; i++) {
        const struct lp_place *place = &compute_plan(&planned)->places[i];
        CHECK(lp_cpuset_count(place->cpus) == 1 && !place->shared);
        CHECK(!lp_cpuset_intersects(seen, place->cpus));
        CHECK(!lp_cpuset_intersects(planned.plan.io_cpus, place->cpus));
        lp_cpuset_or(seen, place->cpus);
    }
    CHECK_TEXT(text_of(seen), "24-1023");
    CHECK(says(&planned, "machine", "1024 cores"));
    CHECK(says(&planned, "compute", "1000 threads"));
    lp_cpuset_free(seen);
    done_with(&planned);
}

TEST(a_core_with_two_cpus_is_one_place)
{
    struct planned planned;
    make(&planned, 4, 2, &defaults);
    CHECK_TEXT(io_of(&planned), "0");
    CHECK_TEXT(compute_of(&planned), "1|2|3");
    CHECK(says(&planned, "allowed", "8 CPUs allowed (0-7)"));
    CHECK(says(&planned, "smt", "up to 2 hardware threads a core: the first is used"));
    done_with(&planned);

    /* and its other CPU is the place where only that one may be used */
    struct lp_plan_settings settings = defaults;
    settings.cpus = "1,4,6-7";
    make(&planned, 4, 2, &settings);
    CHECK_TEXT(io_of(&planned), "4");
    CHECK_TEXT(compute_of(&planned), "1|6|7");
    CHECK_TEXT(text_of(planned.plan.cpus), "1,4,6-7");
    done_with(&planned);
}

TEST(more_loops_than_cores_leave_one_core_for_compute)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.io_threads = 7;
    make(&planned, 4, 1, &settings);
    CHECK(planned.plan.io_count == 7);
    CHECK_TEXT(io_of(&planned), "0|1|2|0|1|2|0");
    CHECK(planned.plan.io[0].shared);
    CHECK_TEXT(compute_of(&planned), "3");
    CHECK(says(&planned, "io", "7 threads share 3 CPUs of their own"));
    done_with(&planned);

    make(&planned, 1, 1, &settings);
    CHECK_TEXT(io_of(&planned), "0|0|0|0|0|0|0");
    CHECK_TEXT(compute_of(&planned), "0*");
    done_with(&planned);
}

TEST(the_settings_of_io_cpus_are_followed)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.io_cpus = "2-3";
    settings.io_threads = 2;
    make(&planned, 4, 1, &settings);
    CHECK_TEXT(io_of(&planned), "2|3");
    CHECK_TEXT(compute_of(&planned), "0|1");
    CHECK(says(&planned, "io", "2 threads on CPUs 2-3 (io.cpus = \"2-3\")"));
    done_with(&planned);

    /* one loop on two CPUs: bound to the first, both are kept free */
    settings.io_threads = 1;
    make(&planned, 4, 1, &settings);
    CHECK_TEXT(io_of(&planned), "2");
    CHECK_TEXT(text_of(planned.plan.io_cpus), "2-3");
    CHECK_TEXT(compute_of(&planned), "0|1");
    done_with(&planned);

    /* nothing is left for compute */
    settings.io_cpus = "0-3";
    make(&planned, 4, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "0*");
    done_with(&planned);

    /* those that the machine does not have are left out */
    settings.io_cpus = "1,77";
    make(&planned, 4, 1, &settings);
    CHECK_TEXT(text_of(planned.plan.io_cpus), "1");
    CHECK_TEXT(compute_of(&planned), "0|2|3");
    done_with(&planned);
}

TEST(the_setting_of_cpus_narrows_the_machine)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.cpus = "4-6,90";
    make(&planned, 8, 1, &settings);
    CHECK_TEXT(io_of(&planned), "4");
    CHECK_TEXT(compute_of(&planned), "5|6");
    CHECK(says(&planned, "cpus", "4-6 of them by the setting cpus"));
    done_with(&planned);
}

TEST(cpus_that_cannot_be_used_are_an_error_with_a_sentence)
{
    static const struct {
        const char *cpus, *io_cpus, *names;
    } bad[] = {
        {"8-9", "", "cpus = \"8-9\""},       {"", "8", "io.cpus = \"8\""},
        {"0-1", "2-3", "io.cpus = \"2-3\""}, {"1-", "", "1-"},
        {"", "nonsense", "nonsense"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct planned planned;
        struct lp_plan_settings settings = defaults;
        settings.cpus = bad[i].cpus;
        settings.io_cpus = bad[i].io_cpus;
        make(&planned, 4, 1, &settings);
        CHECK(planned.err == -EINVAL);
        CHECK(strstr(loomp_error(), bad[i].names) != NULL);
        done_with(&planned);
    }
}

TEST(more_compute_threads_than_cores_share_them)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.compute_threads = 2;
    make(&planned, 2, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "1|0*");
    CHECK(!compute_plan(&planned)->crowded);
    CHECK(says(&planned, "compute", "by compute.threads = 2"));
    done_with(&planned);

    settings.compute_threads = 5;
    make(&planned, 2, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "1*|0*|1*|0*|1*");
    CHECK(compute_plan(&planned)->crowded);
    CHECK(lp_reasons_find(&planned.plan.warnings, "compute") != NULL);
    done_with(&planned);

    settings.compute_threads = 3;
    make(&planned, 16, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "1|2|3");
    CHECK_TEXT(text_of(planned.plan.cpus), "0-3");
    done_with(&planned);
}

TEST(places_of_openmp_have_a_thread_for_each_cpu)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.places_of_openmp = true;
    settings.places = "{0:2},{2:2}";
    make(&planned, 8, 1, &settings);
    CHECK(planned.err == 0);
    CHECK_TEXT(compute_of(&planned), "0-1|0-1|2-3|2-3");
    CHECK_TEXT(io_of(&planned), "4");
    CHECK(!compute_plan(&planned)->crowded);
    done_with(&planned);

    settings.compute_threads = 2;
    make(&planned, 8, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "0-1|2-3");
    done_with(&planned);
}

TEST(places_of_openmp_that_cannot_be_used_are_left_out)
{
    static const struct {
        const char *places, *compute;
    } cases[] = {{"{0},{77},{2}", "0|2"}, {"{0", "1|2|3"}, {"{77}", "1|2|3"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct planned planned;
        struct lp_plan_settings settings = defaults;
        settings.places_of_openmp = true;
        settings.places = cases[i].places;
        make(&planned, 4, 1, &settings);
        CHECK(planned.err == 0);
        CHECK_TEXT(compute_of(&planned), cases[i].compute);
        CHECK(lp_reasons_find(&planned.plan.warnings, "places") != NULL);
        done_with(&planned);
    }
}

TEST(a_list_of_places_is_crowded_when_there_are_more_threads_than_cpus)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.places = "{0},{0},{1}";
    make(&planned, 4, 1, &settings);
    CHECK(compute_plan(&planned)->crowded);
    done_with(&planned);

    settings.places = "{0:2}";
    settings.compute_threads = 2;
    make(&planned, 4, 1, &settings);
    CHECK(!compute_plan(&planned)->crowded);
    done_with(&planned);
}

TEST(without_pinning_every_place_is_all_cpus)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.pin = false;
    make(&planned, 3, 1, &settings);
    CHECK(!planned.plan.pin);
    CHECK_TEXT(io_of(&planned), "0-2");
    CHECK_TEXT(compute_of(&planned), "0-2|0-2");
    CHECK_TEXT(text_of(planned.plan.cpus), "0-2");
    CHECK(says(&planned, "pin", "pin = false"));
    done_with(&planned);

    settings.compute_threads = 4;
    make(&planned, 3, 1, &settings);
    CHECK_TEXT(compute_of(&planned), "0-2*|0-2*|0-2*|0-2*");
    CHECK(compute_plan(&planned)->crowded);
    done_with(&planned);
}

TEST(a_plan_can_be_let_go_of_twice)
{
    struct planned planned;
    make(&planned, 4, 1, &defaults);
    lp_plan_fini(&planned.plan);
    lp_plan_fini(&planned.plan);
    planned.err = 1;
    done_with(&planned);
}

/* ---- the environment ------------------------------------------------------------------------- */

static const char *const variables[] = {
    "OMP_PLACES",    "OMP_PROC_BIND",      "OMP_STACKSIZE", "LIBOMP_USE_HIDDEN_HELPER_TASK",
    "KMP_USE_YIELD", "KMP_HOT_TEAMS_MODE", "KMP_STACKSIZE", "LIBOMP_NUM_HIDDEN_HELPER_THREADS",
    "KMP_AFFINITY",  "GOMP_CPU_AFFINITY"};

enum {
    VARIABLES = sizeof variables / sizeof *variables
};

/* What the environment had before a test, which gets it back. */
static char *kept[VARIABLES];

static void clear_environment(void)
{
    for (int i = 0; i < VARIABLES; i++) {
        const char *value = getenv(variables[i]);
        kept[i] = value ? strdup(value) : NULL;
        unsetenv(variables[i]);
    }
}

static void restore_environment(void)
{
    for (int i = 0; i < VARIABLES; i++) {
        if (kept[i]) {
            setenv(variables[i], kept[i], 1);
            free(kept[i]);
        } else {
            unsetenv(variables[i]);
        }
    }
}

static int variables_set(void)
{
    int count = 0;
    for (int i = 0; i < VARIABLES; i++) {
        count += getenv(variables[i]) != NULL;
    }
    return count;
}

TEST(the_environment_gets_the_plan_and_is_put_back)
{
    struct planned planned;
    struct lp_openmp_environment environment;
    struct lp_plan_settings settings = defaults;
    settings.compute_threads = 4;
    make(&planned, 4, 1, &settings);
    clear_environment();
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, true, 12345678) == 0);
    CHECK_TEXT(getenv("OMP_PLACES"), "{1},{2},{3},{0}");
    CHECK_TEXT(getenv("OMP_PROC_BIND"), "close");
    CHECK_TEXT(getenv("OMP_STACKSIZE"), "12345678B");
    CHECK_TEXT(getenv("LIBOMP_USE_HIDDEN_HELPER_TASK"), "0");
    CHECK_TEXT(getenv("KMP_USE_YIELD"), "0");
    CHECK(!getenv("KMP_HOT_TEAMS_MODE")); /* 1 breaks tasks in narrower regions */
    CHECK(environment.has_places && !environment.user_binds);
    lp_openmp_environment_restore(&environment);
    CHECK(variables_set() == 0);
    lp_openmp_environment_restore(&environment);
    restore_environment();
    done_with(&planned);
}

TEST(a_crowded_plan_lets_libomp_yield)
{
    struct planned planned;
    struct lp_openmp_environment environment;
    struct lp_plan_settings settings = defaults;
    settings.compute_threads = 3;
    make(&planned, 2, 1, &settings);
    clear_environment();
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, true, 1 << 20) == 0);
    CHECK_TEXT(getenv("OMP_PLACES"), "{1},{0},{1}");
    CHECK_TEXT(getenv("KMP_USE_YIELD"), "1");
    lp_openmp_environment_restore(&environment);
    CHECK_TEXT(lp_openmp_late_default(0, true), "KMP_USE_YIELD=1");
    CHECK_TEXT(lp_openmp_late_default(0, false), "KMP_USE_YIELD=0");
    CHECK(lp_openmp_late_default(1, false) == NULL);
    restore_environment();
    done_with(&planned);
}

TEST(places_for_a_thousand_cores_fit)
{
    struct planned planned;
    struct lp_openmp_environment environment;
    make(&planned, 1024, 1, &defaults);
    clear_environment();
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, true, 1 << 20) == 0);
    const char *places = getenv("OMP_PLACES");
    CHECK(strncmp(places, "{1},{2},", 8) == 0);
    CHECK_TEXT(strrchr(places, ','), ",{1023}");
    lp_openmp_environment_restore(&environment);
    restore_environment();
    done_with(&planned);
}

TEST(what_the_user_set_is_never_overwritten)
{
    struct planned planned;
    make(&planned, 4, 1, &defaults);
    for (int i = 0; i < VARIABLES; i++) {
        struct lp_openmp_environment environment;
        clear_environment();
        setenv(variables[i], "the user's", 1);
        CHECK(lp_openmp_environment_set(&environment, &planned.plan, true, 1 << 20) == 0);
        CHECK_TEXT(getenv(variables[i]), "the user's");
        const char *name = variables[i];
        bool binds = strcmp(name, "OMP_PLACES") == 0 || strcmp(name, "OMP_PROC_BIND") == 0 ||
                     strcmp(name, "KMP_AFFINITY") == 0 || strcmp(name, "GOMP_CPU_AFFINITY") == 0;
        CHECK(environment.user_binds == binds && environment.has_places == !binds);
        /* an opinion on one half of the binding is left alone as a whole */
        CHECK(!binds || !getenv("OMP_PLACES") || strcmp(name, "OMP_PLACES") == 0);
        CHECK(!binds || !getenv("OMP_PROC_BIND") || strcmp(name, "OMP_PROC_BIND") == 0);
        bool stack = strcmp(name, "KMP_STACKSIZE") == 0 || strcmp(name, "OMP_STACKSIZE") == 0;
        CHECK(lp_openmp_user_sets_stack() == (stack || getenv("OMP_STACKSIZE") != NULL));
        CHECK(strcmp(name, "KMP_STACKSIZE") != 0 || !getenv("OMP_STACKSIZE"));
        if (strcmp(name, "KMP_USE_YIELD") == 0) {
            CHECK_TEXT(lp_openmp_late_default(0, true), "");
        }
        lp_openmp_environment_restore(&environment);
        CHECK_TEXT(getenv(variables[i]), "the user's");
        CHECK(variables_set() == 1);
        restore_environment();
    }
    done_with(&planned);
}

TEST(direct_binding_touches_nothing)
{
    struct planned planned;
    struct lp_openmp_environment environment;
    make(&planned, 4, 1, &defaults);
    clear_environment();
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, false, 1 << 20) == 0);
    CHECK(variables_set() == 0 && !environment.has_places && !environment.user_binds);
    setenv("OMP_PLACES", "cores", 1);
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, false, 1 << 20) == 0);
    CHECK(environment.user_binds);
    lp_openmp_environment_restore(&environment);
    CHECK_TEXT(getenv("OMP_PLACES"), "cores");
    restore_environment();
    done_with(&planned);
}

TEST(without_pinning_libomp_gets_no_places)
{
    struct planned planned;
    struct lp_openmp_environment environment;
    struct lp_plan_settings settings = defaults;
    settings.pin = false;
    make(&planned, 4, 1, &settings);
    clear_environment();
    CHECK(lp_openmp_environment_set(&environment, &planned.plan, true, 1 << 20) == 0);
    CHECK(!getenv("OMP_PLACES") && !getenv("OMP_PROC_BIND") && !environment.has_places);
    CHECK(getenv("OMP_STACKSIZE") != NULL);
    lp_openmp_environment_restore(&environment);
    CHECK(variables_set() == 0);
    restore_environment();
    done_with(&planned);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static const size_t mib = (size_t)1 << 20;

TEST(stacks_are_as_large_as_the_largest_opinion)
{
    static const struct {
        const char *omp_stacksize;
        size_t bytes;
    } cases[] = {
        {NULL, 8},     {"64M", 64},       {"64m", 64},    {" 64 M ", 64},
        {"65536", 64}, {"65536K", 64},    {"65536k", 64}, {"67108864B", 64},
        {"1G", 1024},  {"1000B", 8},      {"1M", 8},      {"", 8},
        {"many", 8},   {"64 parsecs", 8}, {"0", 8},       {"1g", 1024},
    };
    struct rlimit before, limit;
    CHECK(getrlimit(RLIMIT_STACK, &before) == 0);
    limit = before;
    limit.rlim_cur = 4 * mib; /* less than the least */
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    clear_environment();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].omp_stacksize) {
            setenv("OMP_STACKSIZE", cases[i].omp_stacksize, 1);
        }
        if (!CHECK(lp_openmp_stack_bytes(0) == cases[i].bytes * mib)) {
            printf("OMP_STACKSIZE=\"%s\": %zu bytes\n", cases[i].omp_stacksize,
                   lp_openmp_stack_bytes(0));
        }
        CHECK(lp_openmp_stack_bytes(3 * mib) == 3 * mib);
    }
    setenv("OMP_STACKSIZE", "16M", 1);
    limit.rlim_cur = 32 * mib;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= limit.rlim_cur) {
        CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
        CHECK(lp_openmp_stack_bytes(0) == 32 * mib);
    }
    if (limit.rlim_max == RLIM_INFINITY) {
        limit.rlim_cur = RLIM_INFINITY;
        CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
        CHECK(lp_openmp_stack_bytes(0) == 16 * mib);
    }
    restore_environment();
    setrlimit(RLIMIT_STACK, &before);
}

TEST(variables_that_break_promises_are_warned_of_once)
{
    keep_lines();
    unsetenv("OMP_MAX_TASK_PRIORITY");
    unsetenv("KMP_TASK_STEALING_CONSTRAINT");
    lp_openmp_environment_warn();
    CHECK(lines == 0);
    setenv("OMP_MAX_TASK_PRIORITY", "3", 1);
    lp_openmp_environment_warn();
    lp_openmp_environment_warn();
    CHECK(lines == 1 && strstr(last_line, "OMP_MAX_TASK_PRIORITY") != NULL);
    setenv("KMP_TASK_STEALING_CONSTRAINT", "0", 1);
    lp_openmp_environment_warn();
    CHECK(lines == 2 && strstr(last_line, "KMP_TASK_STEALING_CONSTRAINT") != NULL);
    unsetenv("OMP_MAX_TASK_PRIORITY");
    unsetenv("KMP_TASK_STEALING_CONSTRAINT");
    loomp_set_log(NULL, NULL);
}

/* ---- one more pool --------------------------------------------------------------------------- */

struct more {
    struct lp_plan plan;
    int err;
};

static struct more one_more(const struct planned *planned, const struct lp_plan_settings *settings,
                            const struct lp_devices *devices, const char *others,
                            struct lp_pool_settings pool)
{
    lp_cpuset *used = others ? lp_cpuset_parse(others) : NULL;
    struct more more;
    snprintf(pool.name, sizeof pool.name, "more");
    pool.cpus = pool.cpus ? pool.cpus : "";
    pool.gpu = pool.gpu ? pool.gpu : "";
    more.err = lp_plan_one_more(&more.plan, &planned->plan,
                                &(struct lp_plan_input){.machine = &planned->machine,
                                                        .devices = devices,
                                                        .settings = settings},
                                used, &pool);
    lp_cpuset_free(used);
    return more;
}

/* The places of one more pool, and what is said of it beside them. */
static void check_more(const struct planned *planned, const struct lp_plan_settings *settings,
                       struct lp_pool_settings pool, const char *places, const char *words)
{
    struct more more = one_more(planned, settings, NULL, NULL, pool);
    if (!CHECK(more.err == 0)) {
        return;
    }
    const struct lp_pool_plan *made = &more.plan.pools[0];
    CHECK(more.plan.pool_count == 1);
    CHECK_TEXT(made->name, "more");
    CHECK_TEXT(places_of(made->places, made->blocking ? 1 : made->count), places);
    const char *said = lp_reasons_find(&more.plan.reasons, "pool.more");
    CHECK(said && strstr(said, words));
    CHECK(more.plan.reasons.count == 1);
    lp_plan_fini(&more.plan);
}

TEST(one_more_pool_has_the_cores_that_it_names)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.cpus = "0-7"; /* of 8 cores with 2 CPUs, the first ones */
    settings.compute_threads = 4;
    make(&planned, 8, 2, &settings);
    CHECK_TEXT(io_of(&planned), "0");
    CHECK_TEXT(compute_of(&planned), "1|2|3|4");
    check_more(&planned, &settings, (struct lp_pool_settings){.cpus = "5-6"}, "5|6", "by its cpus");
    check_more(&planned, &settings, (struct lp_pool_settings){.cpus = "4-5"}, "4*|5", "shared");
    check_more(&planned, &settings, (struct lp_pool_settings){.cpus = "4-12", .threads = 2},
               "4*|5", "2 threads on CPUs 4-5");
    struct more more = one_more(&planned, &settings, NULL, NULL,
                                (struct lp_pool_settings){.cpus = "12"});
    CHECK(more.err == -EINVAL && strstr(loomp_error(), "none of the CPUs 12 may be used"));
    more = one_more(&planned, &settings, NULL, "5", (struct lp_pool_settings){.cpus = "5-6"});
    CHECK(more.err == 0);
    CHECK_TEXT(places_of(more.plan.pools[0].places, 2), "5*|6");
    CHECK(more.plan.pools[0].shares);
    lp_plan_fini(&more.plan);
    done_with(&planned);
}

TEST(one_more_pool_takes_a_cpu_of_each_core_even_if_it_is_not_the_first)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    settings.compute_threads = 2;
    make(&planned, 4, 2, &settings);
    check_more(&planned, &settings, (struct lp_pool_settings){.cpus = "3,6-7"}, "6|3", "by its cpus");
    settings.smt = LP_SMT_USE;
    check_more(&planned, &settings, (struct lp_pool_settings){.cpus = "3,6-7"}, "6|3|7",
               "by its cpus");
    done_with(&planned);
}

TEST(one_more_pool_without_cpus_has_the_first_places_of_compute)
{
    struct planned planned;
    make(&planned, 4, 1, &defaults);
    CHECK_TEXT(compute_of(&planned), "1|2|3");
    check_more(&planned, &defaults, (struct lp_pool_settings){.threads = 0}, "1*|2*|3*", "shared");
    check_more(&planned, &defaults, (struct lp_pool_settings){.threads = 2}, "1*|2*", "2 threads");
    struct more more = one_more(&planned, &defaults, NULL, NULL,
                                (struct lp_pool_settings){.threads = 9});
    CHECK(more.err == 0 && more.plan.pools[0].count == 3 && more.plan.pools[0].borrows);
    CHECK_TEXT(lp_reasons_find(&more.plan.warnings, "pool.more"),
               "pool more gets 3 of the 9 threads it asks for");
    lp_plan_fini(&more.plan);
    done_with(&planned);
}

TEST(one_more_blocking_pool_floats_over_the_cpus_of_io)
{
    struct planned planned;
    make(&planned, 4, 1, &defaults);
    check_more(&planned, &defaults, (struct lp_pool_settings){.blocking = true}, "0*",
               "at most 64 blocking threads");
    done_with(&planned);
}

TEST(one_more_pool_is_near_its_gpu)
{
    struct planned planned;
    make(&planned, 4, 1, &defaults);
    struct lp_device gpus[2] = {{.kind = LP_DEVICE_GPU, .name = "g0", .visible = true, .local_known = true},
                                {.kind = LP_DEVICE_GPU, .name = "g1", .visible = true, .index = 1}};
    gpus[0].local = lp_cpuset_parse("2-3");
    struct lp_devices devices = {.count = 2, .entries = gpus};
    struct more more = one_more(&planned, &defaults, &devices, NULL,
                                (struct lp_pool_settings){.gpu = "0"});
    if (CHECK(more.err == 0)) {
        CHECK_TEXT(places_of(more.plan.pools[0].places, more.plan.pools[0].count), "2*|3*");
        CHECK_TEXT(more.plan.pools[0].gpu, "g0");
        lp_plan_fini(&more.plan);
    }
    more = one_more(&planned, &defaults, &devices, NULL, (struct lp_pool_settings){.gpu = "1"});
    if (CHECK(more.err == 0)) {
        CHECK_TEXT(places_of(more.plan.pools[0].places, more.plan.pools[0].count), "1*");
        CHECK(more.plan.warnings.count == 1);
        lp_plan_fini(&more.plan);
    }
    more = one_more(&planned, &defaults, NULL, NULL, (struct lp_pool_settings){.gpu = "0"});
    CHECK(more.err == -ENODEV);
    lp_cpuset_free(gpus[0].local);
    done_with(&planned);
}

TEST(pools_that_share_cpus_make_libomp_yield)
{
    struct planned planned;
    struct lp_plan_settings settings = defaults;
    struct lp_pool_settings pool = {.name = "own", .threads = 1, .cpus = "", .gpu = ""};
    settings.pools = &pool;
    settings.pool_count = 1;
    make(&planned, 4, 1, &settings);
    CHECK(!lp_plan_is_crowded(&planned.plan));
    done_with(&planned);
    pool.share = true;
    make(&planned, 4, 1, &settings);
    CHECK(lp_plan_is_crowded(&planned.plan));
    done_with(&planned);
    pool.share = false;
    pool.blocking = true;
    make(&planned, 4, 1, &settings);
    CHECK(!lp_plan_is_crowded(&planned.plan));
    done_with(&planned);
    settings.pool_count = 0;
    settings.compute_threads = 9;
    make(&planned, 4, 1, &settings);
    CHECK(lp_plan_is_crowded(&planned.plan));
    done_with(&planned);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
