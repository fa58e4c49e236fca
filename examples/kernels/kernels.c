/* SPDX-License-Identifier: MIT */
/* The table of the kernels, and the few lines that they share. Any thread may enter it; it has no
 * OpenMP in it. */
#include "kernels.h"

#include <math.h>
#include <string.h>
#include <time.h>

const struct kernel kernels[] = {
    {"ep", "SW", ep_region, ep_tasks, "NAS EP: Gaussian pairs from random numbers, reductions"},
    {"cg", "SW", cg_region, cg_tasks, "NAS CG: smallest eigenvalue, conjugate gradients"},
    {"mg", "SW", mg_region, mg_tasks, "NAS MG: Poisson's equation, multigrid V-cycles"},
    {"fib", "SW", fib_region, fib_tasks, "Fibonacci numbers, a binary tree of tasks"},
    {"nqueens", "SW", nqueens_region, nqueens_tasks, "queens on a board, an uneven tree of tasks"},
    {"sort", "SW", sort_region, sort_tasks, "merge sort, the merges in tasks too"},
    {"strassen", "SW", strassen_region, strassen_tasks, "matrix product, seven tasks a level"},
    {"sparselu", "SW", sparselu_region, sparselu_tasks, "LU factors of a sparse block matrix"},
    {"stencil", "SW", stencil_region, stencil_tasks, "Gauss-Seidel sweeps, a wave front by depend"},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct kernel *kernel_find(const char *name)
{
    for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
        if (strcmp(kernel->name, name) == 0) {
            return kernel;
        }
    }
    return NULL;
}

double kernel_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool kernel_close(double value, double reference, double error)
{
    /* False for what is not a number. */
    return fabs(value - reference) <= error * fabs(reference);
}
