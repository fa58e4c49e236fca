/* SPDX-License-Identifier: MIT */
/* loomp-run: plans for this control group, GPU and rank, tells the OpenMP runtime of a program so
 * through its environment, binds, and becomes the program. It has one thread and loads no OpenMP
 * runtime itself, so that nothing of its own is bound or started before the program. */
#include "tools/run/run.h"

#include "base/error.h"
#include "base/log.h"
#include "tools/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <loomp/version.h>

/* What main gathers, and frees in one place. */
struct run {
    struct run_choices choices;
    loomp_config *config;
    char **program; /* NULL-terminated; empty with --print alone */
    char **environment;
    bool has_survey, has_plan, has_variables;
    struct lp_survey survey;
    struct lp_plan plan;
    struct lp_openmp_runtimes runtimes;
    struct run_variables variables;
    const lp_cpuset *mask; /* in the plan */
    unsigned planned_threads;
    char near_reason[384];
};

static int fail(void)
{
    return run_failure(RUN_FAILED, "%s", loomp_error());
}

static int flush(void)
{
    return fflush(stdout) || ferror(stdout)
               ? run_failure(RUN_FAILED, "standard output: %s", strerror(errno))
               : 0;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static int survey(struct run *run)
{
    const struct lp_survey_options options = {
        .root = "",
        .quota = run->choices.quota,
        .environment = lp_process_environment,
        .all_devices = run->choices.near && strncmp(run->choices.near, "numa:", 5) != 0,
    };
    int err = lp_survey_make(&run->survey, &options, run->config);
    if (err) {
        return fail();
    }
    run->has_survey = true;
    run_messages_open(run->survey.rank.local == 0 ||
                      !lp_settings_bool(run->config, LP_LOG_RANK0_ONLY));
    if (run->choices.near && run_near(run->choices.near, &run->survey, run->config,
                                      run->near_reason, sizeof run->near_reason)) {
        return fail();
    }
    return 0;
}

static int make_plan(struct run *run)
{
    if (lp_survey_plan(&run->survey, run->config, run->choices.io_threads, &run->plan)) {
        return fail();
    }
    run->has_plan = true;
    return 0;
}

/* The user's OMP_NUM_THREADS stays, so the places are planned for that many. */
static int plan_for_user_threads(struct run *run)
{
    unsigned wanted = run_variables_user_threads();
    run->planned_threads = lp_plan_compute(&run->plan)->count;
    if (!wanted || wanted == run->planned_threads) {
        return 0;
    }
    char argument[64];
    snprintf(argument, sizeof argument, "--loomp-compute-threads=%u", wanted);
    char *line[] = {argument, argument, NULL};
    int count = 2;
    if (loomp_config_args(run->config, &count, line)) {
        return 0; /* more than a plan can have: the places stay as they are */
    }
    lp_plan_fini(&run->plan);
    run->has_plan = false;
    return make_plan(run);
}

static int plan(struct run *run)
{
    int status = survey(run);
    status = status ? status : make_plan(run);
    return status ? status : plan_for_user_threads(run);
}

static void warn_of_plan(const struct run *run)
{
    for (unsigned i = 0; i < run->plan.warnings.count; i++) {
        run_warn("%s", run->plan.warnings.entries[i].text);
    }
    const struct lp_machine *machine = &run->survey.topology.machine;
    if (lp_cpuset_count(machine->allowed) == 1 && machine->cpu_count > 1) {
        run_warn("this process may run on CPU %d only, of %u that the machine has: a launcher, a "
                 "batch system, a cpuset or taskset has bound it, and all threads share that CPU",
                 lp_cpuset_first(machine->allowed), machine->cpu_count);
    }
}

static void print_why(const struct run *run)
{
    const struct lp_reasons *reasons = &run->plan.reasons;
    if (*run->near_reason) {
        run_say("near: %s", run->near_reason);
    }
    for (unsigned i = 0; i < reasons->count; i++) {
        run_say("%s: %s", reasons->entries[i].key, reasons->entries[i].text);
    }
    if (*run->program) {
        for (unsigned i = 0; i < run->runtimes.count; i++) {
            run_say("openmp: the program loads %s", run->runtimes.paths[i]);
        }
        if (*run->runtimes.problem) {
            run_say("openmp: %s", run->runtimes.problem);
        } else if (run->runtimes.count == 0) {
            run_say("openmp: %s", run->runtimes.is_static_or_unknown
                                      ? "which runtime the program has cannot be seen"
                                      : "the program loads no OpenMP runtime at its start");
        }
    }
}

/* ---- the program ----------------------------------------------------------------------------- */

/* Looks at what the program loads and makes its variables. */
static int prepare(struct run *run)
{
    char library[PATH_MAX] = "";
    bool needed = false;
    const char *program = run->program[0];
    /* a program that is not there is complained of when it is executed */
    if (!program || lp_openmp_runtimes_of(program, &run->runtimes)) {
        run->runtimes = (struct lp_openmp_runtimes){.is_static_or_unknown = true};
    } else if (run->choices.one_openmp &&
               run_one_openmp(program, lp_plan_compute(&run->plan)->count, &run->runtimes, &needed,
                              library, sizeof library)) {
        return fail();
    }
    if (run_variables_make(&run->variables, &run->plan, &run->choices, &run->runtimes,
                           needed ? library : NULL)) {
        return fail();
    }
    run->has_variables = true;
    run_variables_report(&run->variables, run->planned_threads, &run->runtimes);
    run->mask = run->plan.pin && !run->variables.user_binds ? run->plan.cpus : run->plan.usable;
    return 0;
}

/* Binds this process, which the program inherits. */
static int bind(const struct run *run)
{
    if (!run->survey.topology.is_this_system) {
        return run_failure(RUN_FAILED,
                           "the plan is for another machine (setting topology): it can be "
                           "printed, but not run");
    }
    lp_restore_thread_mask(run->mask);
    lp_cpuset *now = lp_thread_mask();
    bool bound = now && lp_cpuset_equal(now, run->mask);
    lp_cpuset_free(now);
    if (!bound) {
        char list[256];
        lp_cpuset_format(run->mask, list, sizeof list);
        return run_failure(RUN_FAILED, "this process cannot be bound to CPUs %s", list);
    }
    return 0;
}

static int execute(struct run *run)
{
    int status = bind(run);
    if (status) {
        return status;
    }
    char **environment = run_variables_apply(&run->variables, run->environment);
    if (!environment) {
        return run_failure(RUN_FAILED, "no memory for the program's environment");
    }
    const char *users = run->variables.not_applied;
    if (run->choices.verify && users) {
        run_say("verify: %s is set and decides where threads are: the plan is not applied, and "
                "nothing is verified",
                users);
    }
    if (run->choices.verify && !users) {
        const struct run_expectation expectation = {
            .plan = &run->plan,
            .mask = run->mask,
            .threads = lp_plan_compute(&run->plan)->count,
        };
        status = run_verified(run->program, environment, &expectation, run->choices.strict);
    } else {
        execvpe(run->program[0], run->program, environment);
        status = run_exec_failure(run->program[0], errno);
    }
    free(environment);
    return status;
}

static int run_program(struct run *run)
{
    int status = lp_options_other_sources(run->config, run->choices.config_file) ? fail() : 0;
    if (status) {
        return status;
    }
    lp_log_set_level((int32_t)lp_settings_choice(run->config, LP_LOG_LEVEL));
    status = plan(run);
    status = status ? status : prepare(run);
    if (status) {
        return status;
    }
    warn_of_plan(run);
    if (run->choices.why) {
        print_why(run);
    }
    if (run->choices.strict && run_warnings()) {
        return run_failure(RUN_FAILED, "there are warnings, and --strict was given");
    }
    if (run->choices.print) {
        run_print(&run->variables, run->environment, run->mask, run->program);
        return flush();
    }
    return *run->program ? execute(run) : 0;
}

static void finish(struct run *run)
{
    if (run->has_variables) {
        run_variables_fini(&run->variables);
    }
    if (run->has_plan) {
        lp_plan_fini(&run->plan);
    }
    if (run->has_survey) {
        lp_survey_fini(&run->survey);
    }
    loomp_config_free(run->config);
}

int main(int argc, char **argv, char **environment)
{
    struct run run = {.config = loomp_config_new(), .environment = environment};
    run_messages_begin();
    if (!run.config) {
        return run_failure(RUN_FAILED, "no memory for the settings");
    }
    int first = run_choices_read(&run.choices, run.config, argc, argv);
    int status;
    if (first < 0) {
        status = fail();
    } else if (run.choices.help) {
        run_choices_help(stdout);
        status = flush();
    } else if (run.choices.version) {
        puts("loomp-run " LOOMP_VERSION_STRING);
        status = flush();
    } else {
        run.program = argv + first;
        status = run_program(&run);
    }
    finish(&run);
    return status;
}
