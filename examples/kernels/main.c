/* SPDX-License-Identifier: MIT */
/* kernels: runs the OpenMP kernels of this folder in a plain OpenMP program, which has no loomp in
 * it: what kernel-jobs, where they are jobs, is compared with. Only its main thread enters it. */
#include "program.h"

#include <omp.h>

static int run_region(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return kernel->region(size, result);
}

/* From a task of a team, and not from outside of any. */
static int run_tasks(const struct kernel *kernel, char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = kernel->tasks(size, result);
    return err;
}

static int run_alone(kernel_fn *function, char size, struct kernel_result *result)
{
    int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    int err = function(size, result);
    omp_set_max_active_levels(levels);
    return err;
}

static int run_region_alone(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_alone(kernel->region, size, result);
}

static int run_tasks_alone(const struct kernel *kernel, char size, struct kernel_result *result)
{
    return run_alone(kernel->tasks, size, result);
}

int main(int argc, char **argv)
{
    static const struct way forms[] = {
        {"region", run_region},      {"tasks", run_tasks}, {"serial", run_region_alone},
        {"serial", run_tasks_alone}, {NULL, NULL},
    };
    static const struct program program = {
        .name = "kernels",
        .option = "form",
        .ways = forms,
        .what = "Runs OpenMP kernels and verifies their answers.\n",
        .help = "  -f, --form=FORM  region: regions of the kernel's own, which is the default\n"
                "                   tasks: tasks in a team that is there already\n"
                "                   serial: both of these with one thread\n",
    };
    return program_main(&program, argc, argv);
}
