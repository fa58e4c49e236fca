/* SPDX-License-Identifier: MIT */
/* kernel-jobs: runs the OpenMP kernels of this folder, the very same functions as in the plain
 * program `kernels`, as jobs of loomp. The main thread submits one job after the other and waits
 * for it; a thread of the job's team calls the kernel. */
#include "program.h"

#include <loomp.h>

#include <errno.h>
#include <stdio.h>

static loomp_runtime *runtime;

struct kernel_job {
    loomp_job job;
    kernel_fn *function;
    char size;
    struct kernel_result *result;
};

static int call_kernel(loomp_job *job)
{
    struct kernel_job *k = LOOMP_CONTAINER(job, struct kernel_job, job);
    return k->function(k->size, k->result);
}

/* What the kernel returned, or why it could not be a job. */
static int run_as(uint32_t kind, kernel_fn *function, char size, struct kernel_result *result)
{
    struct kernel_job k = {.function = function, .size = size, .result = result};
    loomp_group group;
    loomp_job_init(&k.job, call_kernel, NULL);
    k.job.kind = kind;
    k.job.group = &group;
    int err = loomp_group_init(&group, runtime);
    err = err ? err : loomp_submit(runtime, &k.job);
    if (err) {
        snprintf(result->text, sizeof result->text, "%s", loomp_error());
        return err;
    }
    return loomp_group_wait(&group, -1);
}

static int run_gang(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_as(LOOMP_GANG, kernel->region, size, result);
}

static int run_tasks(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_as(LOOMP_TASKS, kernel->tasks, size, result);
}

static int run_region_alone(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_as(LOOMP_SERIAL, kernel->region, size, result);
}

static int run_tasks_alone(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_as(LOOMP_SERIAL, kernel->tasks, size, result);
}

/* Defaults, LOOMP_... in the environment, --loomp-... among the arguments. Returns as
 * loomp_config_args. */
static int start(int *argc, char **argv)
{
    loomp_config *config = loomp_config_new();
    int err = config ? loomp_config_env(config, "LOOMP") : -ENOMEM;
    err = err ? err : loomp_config_args(config, argc, argv);
    err = err ? err : loomp_start(&runtime, config);
    loomp_config_free(config);
    return err;
}

int main(int argc, char **argv)
{
    static const struct way ways[] = {
        {"gang", run_gang},          {"tasks", run_tasks}, {"serial", run_region_alone},
        {"serial", run_tasks_alone}, {NULL, NULL},
    };
    static const struct program program = {
        .name = "kernel-jobs",
        .option = "as",
        .ways = ways,
        .what = "Runs OpenMP kernels as jobs of loomp and verifies their answers.\n",
        .help = "  -a, --as=KIND    gang: regions of the kernel's own, as a GANG; the default\n"
                "                   tasks: tasks alone, as a TASKS job\n"
                "                   serial: both of these as SERIAL jobs, on one thread\n"
                "  --loomp-...      settings of loomp; --loomp-help lists them\n",
    };
    int err = start(&argc, argv);
    if (err > 0) {
        loomp_config_help(stdout);
        return 0;
    }
    if (err) {
        fprintf(stderr, "kernel-jobs: %s\n", loomp_error());
        return 2;
    }
    int status = program_main(&program, argc, argv);
    loomp_stop(runtime);
    return status;
}
